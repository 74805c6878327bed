/**
 * Makes whoever guesses passwords wait for each answer, longer each time, by address and by network: many addresses of one network are one
 * guesser. A login that is good is never delayed, so that a client which shares an address with one is not hurt.
 */
import { ExpiringMap } from "./expiring-map.ts";
import { hostOf, networkOf } from "./limits.ts";

const FORGET_MS = 600_000;
/** 20,000 networks at the most, a few megabytes. */
const MAX_ENTRIES = 20_000;
const STEP_MS = 1_000;
const MAX_MS = 10_000;
/** A /24 is also a company, or a provider's customers. */
const FAILURES_OF_NETWORK_A_STEP = 10;

export class Tarpit {
  readonly #failures = new ExpiringMap<number>(FORGET_MS, MAX_ENTRIES);

  /** A login from there failed: how long its answer is to wait. */
  fail(address: string): number {
    const own = this.#count(hostOf(address));
    const all = this.#count(`net ${networkOf(address)}`);
    const steps = Math.max(own, Math.floor(all / FAILURES_OF_NETWORK_A_STEP));
    return Math.min(MAX_MS, STEP_MS * steps);
  }

  #count(key: string): number {
    const count = (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, count);
    return count;
  }
}
