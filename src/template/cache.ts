/**
 * Keeps compiled templates, so that a template compiles once and not for each message. The key is the text itself: an
 * edited template is another one, and nothing here can be out of date.
 */
import { type CompileOptions, type CompileResult, compile } from "./template.ts";

export interface CacheLimits {
  count: number;
  bytes: number;
}

/** A server has a hundred templates at most, and an isolate 128 MB for everything. */
const LIMITS: CacheLimits = { count: 1000, bytes: 16 * 1024 * 1024 };

export class TemplateCache {
  readonly #limits: CacheLimits;
  /** The least recently used first. */
  readonly #kept = new Map<string, { result: CompileResult; bytes: number }>();
  #bytes = 0;

  constructor(limits: Partial<CacheLimits> = {}) {
    this.#limits = { ...LIMITS, ...limits };
  }

  /** What compile() returns. A template with errors is not kept: it is not stored either, so it is not seen again. */
  compile(source: string, options: CompileOptions = {}): CompileResult {
    const key = `${options.layout ? "layout" : "standard"}:${source}`;
    const kept = this.#kept.get(key);
    if (kept) {
      this.#kept.delete(key);
      this.#kept.set(key, kept);
      return kept.result;
    }
    const result = compile(source, options);
    if ("ok" in result) this.#keep(key, result, result.ok.bytes);
    return result;
  }

  get count(): number {
    return this.#kept.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  #keep(key: string, result: CompileResult, bytes: number): void {
    if (bytes > this.#limits.bytes) return;
    this.#kept.set(key, { result, bytes });
    this.#bytes += bytes;
    for (const [oldest, { bytes }] of this.#kept) {
      if (this.#kept.size <= this.#limits.count && this.#bytes <= this.#limits.bytes) return;
      this.#kept.delete(oldest);
      this.#bytes -= bytes;
    }
  }
}
