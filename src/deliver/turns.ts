/** A rate as turns, one after another over all consumers: who begins when. Pure. */

/** A consumer stays for a wait this short, and has its turns so far ahead; for longer it gives its messages back. */
export const STAY_MS = 3_000;
/** The slowest rate is one message in two seconds, and turns are taken for STAY_MS. */
const MAX_AHEAD_MS = 60_000;

export class Turns {
  /** When the next turn is that nobody has. */
  #at = 0;

  /** How many may have a turn within the time that a consumer stays; `rate` is in messages a second, infinite for none. */
  free(now: number, rate: number): number {
    if (rate === Number.POSITIVE_INFINITY) return rate;
    const aheadMs = Math.max(0, this.#at - now);
    return aheadMs === 0
      ? Math.max(1, Math.floor((rate * STAY_MS) / 1_000))
      : Math.max(0, Math.floor((rate * (STAY_MS - aheadMs)) / 1_000));
  }

  /** Takes the next ones: when the first is, and each after it. */
  take(now: number, rate: number, count: number): { firstMs: number; everyMs: number } {
    if (rate === Number.POSITIVE_INFINITY || count === 0) return { firstMs: 0, everyMs: 0 };
    const first = Math.max(now, this.#at);
    const everyMs = 1_000 / rate;
    this.#at = first + count * everyMs;
    return { firstMs: first - now, everyMs };
  }

  /** What a wrong clock gave away is nobody's. */
  tick(now: number): void {
    if (this.#at > now + MAX_AHEAD_MS) this.#at = now;
  }
}
