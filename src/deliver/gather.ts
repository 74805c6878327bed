/**
 * Calls that are made one by one and travel together: while one trip is under way the next one's passengers gather. A
 * trip may also wait a little for passengers who are known to come, so that each call is not one of its own, which is billed.
 */
export interface Patience {
  /** At most so long. */
  ms: number;
  /** Whether more are to come than the `waiting`; when not, nobody waits. */
  more(waiting: number): boolean;
}

export class Gather<T, R> {
  readonly #trip: (items: T[]) => Promise<R[]>;
  readonly #atMost: number;
  readonly #patience: Patience | undefined;
  #depart: (() => void) | undefined;
  #waiting: { item: T; resolve(result: R): void; reject(error: unknown): void }[] = [];
  #travelling = false;

  /** `trip` answers in the order of its items; when it throws, each of its items' callers is told. */
  constructor(trip: (items: T[]) => Promise<R[]>, atMost: number, patience?: Patience) {
    this.#trip = trip;
    this.#atMost = atMost;
    this.#patience = patience;
  }

  add(item: T): Promise<R> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      // Callers of the same turn go along.
      if (!this.#travelling) queueMicrotask(() => void this.#run());
      else if (this.#isFull()) this.#depart?.();
    });
  }

  async #run(): Promise<void> {
    if (this.#travelling) return;
    this.#travelling = true;
    while (this.#waiting.length > 0) {
      if (!this.#isFull()) await this.#linger();
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

  #isFull(): boolean {
    const waiting = this.#waiting.length;
    return waiting >= this.#atMost || !this.#patience?.more(waiting);
  }

  async #linger(): Promise<void> {
    const ms = this.#patience?.ms ?? 0;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#depart = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#depart = undefined;
  }
}
