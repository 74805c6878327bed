/**
 * Calls that are made one by one and travel together: while one trip is under way the next one's passengers gather. No timer,
 * so a single call waits for nobody.
 */
export class Gather<T, R> {
  readonly #trip: (items: T[]) => Promise<R[]>;
  readonly #atMost: number;
  #waiting: { item: T; resolve(result: R): void; reject(error: unknown): void }[] = [];
  #travelling = false;

  /** `trip` answers in the order of its items; when it throws, each of its items' callers is told. */
  constructor(trip: (items: T[]) => Promise<R[]>, atMost: number) {
    this.#trip = trip;
    this.#atMost = atMost;
  }

  add(item: T): Promise<R> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      // Callers of the same turn go along.
      if (!this.#travelling) queueMicrotask(() => void this.#run());
    });
  }

  async #run(): Promise<void> {
    if (this.#travelling) return;
    this.#travelling = true;
    while (this.#waiting.length > 0) {
      const group = this.#waiting.splice(0, this.#atMost);
      try {
        const results = await this.#trip(group.map((g) => g.item));
        group.forEach((g, i) => {
          g.resolve(results[i] as R);
        });
      } catch (error) {
        for (const g of group) g.reject(error);
      }
    }
    this.#travelling = false;
  }
}
