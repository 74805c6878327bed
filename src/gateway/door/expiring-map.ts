/** A map that forgets: each entry after its time, and the oldest ones beyond a count, so that nobody outside can make it grow. */
export class ExpiringMap<V> {
  readonly #entries = new Map<string, { value: V; until: number }>();
  readonly #ms: number;
  readonly #max: number;

  constructor(ms: number, max: number) {
    this.#ms = ms;
    this.#max = max;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): V | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    const left = entry.until - Date.now();
    // More is left than it was given when the clock was set back: nobody knows how old it is.
    if (left > 0 && left <= this.#ms) return entry.value;
    this.#entries.delete(key);
    return undefined;
  }

  /** Its time begins anew. */
  set(key: string, value: V): void {
    // Deleted first, so that the map stays in the order of expiry.
    this.#entries.delete(key);
    this.#entries.set(key, { value, until: Date.now() + this.#ms });
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#max) break;
      this.#entries.delete(oldest);
    }
  }

  delete(key: string): boolean {
    return this.#entries.delete(key);
  }
}
