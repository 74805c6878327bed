/**
 * One domain's line: what is ready, how much is out, that is handed over or claimed, and how much may go. After a hold a few go first. Each
 * answer of the domain lets twice as many go, and so does each minute without one: a message that takes long, or a job that is lost,
 * keeps others waiting no longer than that, and who goes too soon is held again.
 */
import type { Place } from "./lines.ts";

/** At most so many groups of one domain are out at a time; the rest wait for how these go. */
const WINDOW = 1_000;
const MORE_MS = 60_000;

export interface Held {
  until: number;
  reason: string;
  /** How many may go then. */
  admit: number;
}

export class Line {
  readonly ready = new Set<Place>();
  /** Handed over or claimed. */
  out = 0;
  #hold: Held | undefined;

  get held(): Held | undefined {
    return this.#hold;
  }

  get isEmpty(): boolean {
    return this.ready.size === 0 && this.out === 0;
  }

  isHeld(now: number): boolean {
    return this.#hold !== undefined && this.#hold.until > now;
  }

  /** How many more may go now. */
  room(now: number): number {
    return this.isHeld(now) ? 0 : this.#admits(now) - this.out;
  }

  /** When what is ready may go; undefined when that depends on how others fare. */
  wakeAt(now: number): number | undefined {
    if (this.ready.size === 0) return undefined;
    const until = this.#hold?.until ?? 0;
    if (this.out < this.#admits(now)) return Math.max(now, until);
    return this.#hold && this.out < WINDOW ? until + (this.#minutes(now) + 1) * MORE_MS : undefined;
  }

  hold({ until, reason, admit }: Held): void {
    this.#hold = { until, reason, admit: Math.max(1, admit) };
  }

  /** Its domain answers again. */
  release(now: number): void {
    if (!this.#hold) return;
    this.#hold = { ...this.#hold, until: now, admit: this.#hold.admit * 2 };
    if (this.#hold.admit >= WINDOW) this.#hold = undefined;
  }

  /** Somebody says that it is worth trying now. */
  resume(now: number): void {
    if (this.#hold) this.#hold = { ...this.#hold, until: Math.min(this.#hold.until, now) };
  }

  #admits(now: number): number {
    return this.#hold ? Math.min(WINDOW, this.#hold.admit * 2 ** this.#minutes(now)) : WINDOW;
  }

  /** Since the hold is over. */
  #minutes(now: number): number {
    return Math.floor(Math.max(0, now - (this.#hold?.until ?? 0)) / MORE_MS);
  }
}
