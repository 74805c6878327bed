/**
 * Templates as an isolate has compiled them. The directory is asked again after ten seconds, so an edit holds everywhere within that
 * time (and at once where it was made); while the directory is away, what is here goes on being used.
 */
import { type CompiledMessage, compileMessage, type PartError } from "../template/message.ts";
import type { StoredTemplate, TemplateRef } from "./templates.ts";

const FRESH_MS = 10_000;
/** An isolate has 128 MB for everything; most templates take some 100 KB compiled. */
const MAX_BYTES = 16 * 1024 * 1024;
const MAX_ENTRIES = 1_000;

/** `errors` when what is stored does not compile: the door lets none in, so it came another way. */
export type SendableTemplate = { ok: CompiledMessage } | { errors: PartError[] };

interface Entry {
  until: number;
  /** Of the template and its layout: while it is the same, nothing is compiled anew. */
  version: string;
  template: SendableTemplate;
  bytes: number;
}

export interface TemplateCacheNeeds {
  /** Rejects when the directory is away. */
  load(serverId: number, ref: TemplateRef): Promise<StoredTemplate | undefined>;
  now(): number;
  log(event: string, fields: Record<string, unknown>): void;
}

export class StoredTemplateCache {
  readonly #needs: TemplateCacheNeeds;
  // Values and never promises: a promise belongs to the request that made it, and ends with that. The least used stand first.
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;
  /** How often something was changed: what was read before may be from before. */
  #changes = 0;

  constructor(needs: TemplateCacheNeeds) {
    this.#needs = needs;
  }

  /** undefined when the server has no such template; rejects when nobody can say. */
  async find(serverId: number, ref: TemplateRef): Promise<SendableTemplate | undefined> {
    const key = `${serverId}/${"id" in ref ? ref.id : `@${ref.alias}`}`;
    const kept = this.#entries.get(key);
    const now = this.#needs.now();
    if (kept && kept.until > now) {
      this.#put(key, kept);
      return kept.template;
    }
    const changes = this.#changes;
    let stored: StoredTemplate | undefined;
    try {
      stored = await this.#needs.load(serverId, ref);
    } catch (error) {
      if (!kept) throw error;
      // Mail goes on with what was true a moment ago.
      this.#needs.log("template not read anew", { serverId, error: String(error) });
      if (changes === this.#changes) this.#put(key, { ...kept, until: now + FRESH_MS });
      return kept.template;
    }
    if (!stored) {
      this.#drop(key);
      return undefined;
    }
    const version = versionOf(stored);
    const template = kept?.version === version ? kept.template : compiled(stored);
    if (changes !== this.#changes) return template;
    const bytes = "ok" in template ? template.ok.bytes : 0;
    this.#put(key, { until: now + FRESH_MS, version, template, bytes });
    return template;
  }

  /** Something of the server's was changed by a request that this isolate answered. */
  forget(serverId: number): void {
    this.#changes++;
    for (const key of this.#entries.keys()) if (key.startsWith(`${serverId}/`)) this.#drop(key);
  }

  #put(key: string, entry: Entry): void {
    this.#drop(key);
    this.#entries.set(key, entry);
    this.#bytes += entry.bytes;
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= MAX_BYTES && this.#entries.size <= MAX_ENTRIES) return;
      this.#drop(oldest);
    }
  }

  #drop(key: string): void {
    this.#bytes -= this.#entries.get(key)?.bytes ?? 0;
    this.#entries.delete(key);
  }
}

function versionOf({ template, layout }: StoredTemplate): string {
  return [template.id, template.updatedAt, layout?.id, layout?.updatedAt].join("/");
}

function compiled({ template: { subject, htmlBody, textBody }, layout }: StoredTemplate): SendableTemplate {
  return compileMessage({ subject, htmlBody, textBody, layout });
}
