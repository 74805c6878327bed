/**
 * Which mail is taken without AUTH: that for our own domains, and there for the addresses that the Worker knows. The list of domains is
 * on disk too, so that a gateway which is restarted while the Worker is away takes this mail; the Worker then judges it later.
 */
import { join } from "node:path";
import * as z from "zod";
import type { Worker } from "../worker.ts";
import { ExpiringMap } from "./expiring-map.ts";
import { readStateFile, writeStateFile } from "./state-file.ts";

const REFRESH_MS = 60_000;
const ASK_MS = 5_000;
const KNOWN_MS = 60_000;
/** A megabyte or two of addresses. */
const MAX_KNOWN = 10_000;
/** After a request that failed, no recipient waits for the Worker. */
const AWAY_MS = 5_000;

const domains = z.array(z.string().max(253));
const DomainsShape = z.object({ inbound: domains, returnPath: domains });
const KnownShape = z.object({ known: z.array(z.boolean()).length(1) });

export interface OwnDomainNeeds {
  /** Of the state. */
  folder: string;
  worker: Pick<Worker, "json">;
  log(event: string, fields: Record<string, unknown>): void;
}

export class OwnDomainList {
  readonly #needs: OwnDomainNeeds;
  readonly #path: string;
  readonly #known = new ExpiringMap<boolean>(KNOWN_MS, MAX_KNOWN);
  #domains: Set<string> | undefined;
  /** As it is on disk. */
  #text = "";
  #refreshedAt = Number.NEGATIVE_INFINITY;
  #refresh: Promise<void> | undefined;
  #writing: Promise<void> = Promise.resolve();
  #awayUntil = 0;

  constructor(needs: OwnDomainNeeds) {
    this.#needs = needs;
    this.#path = join(needs.folder, "domains.json");
  }

  async load(): Promise<void> {
    try {
      const list = await readStateFile(this.#path);
      if (list === undefined) return;
      const parsed = DomainsShape.parse(list);
      this.#take(parsed);
      this.#text = JSON.stringify(parsed);
    } catch (error) {
      // The Worker has the list too.
      this.#needs.log("the list of own domains is lost", { error: String(error).slice(0, 300) });
    }
  }

  /** To be called every now and then while there are sessions. A clock that was set back makes it old, too. */
  refreshIfOld(): void {
    if (Math.abs(Date.now() - this.#refreshedAt) >= REFRESH_MS) void this.#refreshNow();
  }

  /** undefined when nobody knows any domain. */
  async has(domain: string): Promise<boolean | undefined> {
    if (!this.#domains) await this.#refreshNow();
    return this.#domains?.has(domain);
  }

  /** Whether mail may be taken for this address of an own domain; what can't be asked is taken. */
  async knows(address: string): Promise<boolean> {
    const known = this.#known.get(address);
    if (known !== undefined) return known;
    if (Date.now() < this.#awayUntil) return true;
    try {
      const answer = await this.#needs.worker.json("/gateway/recipients", { addresses: [address] }, ASK_MS);
      const [isKnown = true] = KnownShape.parse(answer).known;
      this.#known.set(address, isKnown);
      return isKnown;
    } catch (error) {
      // The Worker judges it when it is back; mail that waits is better than mail that goes back.
      this.#awayUntil = Date.now() + AWAY_MS;
      this.#needs.log("recipient not judged", { error: String(error).slice(0, 300) });
      return true;
    }
  }

  /** What is being written is on disk when it resolves. */
  async end(): Promise<void> {
    // Its failure is logged where it was begun.
    await this.#writing.catch(() => undefined);
  }

  /** One request at a time; never rejects. */
  #refreshNow(): Promise<void> {
    this.#refreshedAt = Date.now();
    this.#refresh ??= this.#ask().finally(() => {
      this.#refresh = undefined;
    });
    return this.#refresh;
  }

  async #ask(): Promise<void> {
    const { worker, log } = this.#needs;
    try {
      const list = DomainsShape.parse(await worker.json("/gateway/domains", undefined, ASK_MS));
      this.#take(list);
      const text = JSON.stringify(list);
      if (text === this.#text) return;
      this.#writing = writeStateFile(this.#path, text);
      await this.#writing;
      this.#text = text;
    } catch (error) {
      // What is known stays known.
      log("own domains not refreshed", { error: String(error).slice(0, 300) });
    }
  }

  #take(list: z.infer<typeof DomainsShape>): void {
    this.#domains = new Set([...list.inbound, ...list.returnPath]);
  }
}
