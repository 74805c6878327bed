/**
 * Whether somebody is asked, or known to be away: after a failure nobody waits for an answer again until a probe has had one.
 * Probes come with a back-off. Times are those of a clock that does not jump.
 */
const FIRST_MS = 250;
const LONGEST_MS = 5_000;

export class Breaker {
  #delay = 0;
  #probeAt = 0;
  #isHalfOpen = false;
  #succeededAt = Number.NEGATIVE_INFINITY;

  get isOpen(): boolean {
    return this.#delay > 0;
  }

  /** It answers, but nobody knows yet whether it takes mail: one request may try. */
  get isHalfOpen(): boolean {
    return this.#isHalfOpen;
  }

  mayProbe(now: number): boolean {
    return now >= this.#probeAt;
  }

  /** What began before the last success says nothing about now. */
  failed(startedAt: number, now: number): void {
    if (startedAt < this.#succeededAt) return;
    // Many that were under way fail together: only a probe that fails makes the next one later.
    if (this.isOpen && now < this.#probeAt) return;
    this.#delay = Math.min(LONGEST_MS, this.isOpen ? this.#delay * 2 : FIRST_MS);
    this.#isHalfOpen = false;
    // Gateways that lost their Worker together do not come back together.
    this.#probeAt = now + this.#delay * (0.8 + Math.random() * 0.4);
  }

  answered(now: number): void {
    if (!this.isOpen) return;
    this.#isHalfOpen = true;
    this.#probeAt = now + this.#delay;
  }

  succeeded(now: number): void {
    this.#delay = 0;
    this.#probeAt = 0;
    this.#isHalfOpen = false;
    this.#succeededAt = now;
  }
}

/** A breaker for each of many, kept only while it is open: one server's Outbox may be away when others are not. */
export class Breakers {
  readonly #open = new Map<string, Breaker>();

  isOpen(name: string): boolean {
    return this.#open.has(name);
  }

  mayProbe(name: string, now: number): boolean {
    return this.#open.get(name)?.mayProbe(now) ?? true;
  }

  failed(name: string, startedAt: number, now: number): void {
    const breaker = this.#open.get(name) ?? new Breaker();
    breaker.failed(startedAt, now);
    this.#open.set(name, breaker);
  }

  /** It answered, or nothing of it is left to ask with. */
  forget(name: string): void {
    this.#open.delete(name);
  }

  /** Only those that have something waiting, which closes them one day. */
  forgetExcept(names: ReadonlySet<string>): void {
    for (const name of this.#open.keys()) if (!names.has(name)) this.#open.delete(name);
  }
}
