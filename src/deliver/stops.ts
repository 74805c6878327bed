/**
 * When mail to a destination stops altogether, and how it begins again: by one message that tries it. Pure.
 *
 *   open ── FAILURES in a row ──▶ stopped ── until ──▶ probing (one message) ── ok ──▶ open
 *                                    ▲                       └─ fails: twice as long ─┐
 *                                    └────────────────────────────────────────────────┘
 */

/** It takes nothing: unreachable, or it says so. */
export interface Stop {
  until: number;
  everyMs: number;
  since: number;
  reason: string;
}

export type StopState = "open" | "stopped" | "probing" | "to be probed";

const FAILURES = 5;
/** Failures further apart are not "in a row". */
const FAILURES_MS = 900_000;
const FIRST_STOP_MS = 60_000;
const MAX_STOP_MS = 1_800_000;

export class Stops {
  #stop: Stop | undefined;
  #prober: string | undefined;
  #failures = 0;
  #failedAt = 0;

  constructor(kept: Stop | undefined) {
    this.#stop = kept;
  }

  get current(): Stop | undefined {
    return this.#stop;
  }

  get isProbing(): boolean {
    return this.#prober !== undefined;
  }

  state(now: number): StopState {
    if (!this.#stop) return "open";
    if (this.#prober) return "probing";
    return now < this.#stop.until ? "stopped" : "to be probed";
  }

  isProber(claimer: string): boolean {
    return this.#prober === claimer;
  }

  /** The one message goes with this claimer; false when another has it. */
  takeProbe(claimer: string): boolean {
    if (this.#prober !== undefined && this.#prober !== claimer) return false;
    this.#prober = claimer;
    return true;
  }

  /** The message that was to try it told nothing: the next may. */
  leaveProbe(claimer: string): void {
    if (this.#prober === claimer) this.#prober = undefined;
  }

  /** It answered somebody. True when that was the message that tried it. */
  answers(claimer: string): boolean {
    this.#failures = 0;
    return this.#prober === claimer;
  }

  fails(reason: string, claimer: string, now: number): void {
    this.#failures = now - this.#failedAt > FAILURES_MS ? 1 : this.#failures + 1;
    this.#failedAt = now;
    if (this.#stop) {
      // What was begun before the stop says nothing new.
      if (this.#prober !== claimer) return;
      const everyMs = Math.min(this.#stop.everyMs * 2, MAX_STOP_MS);
      this.#stop = { ...this.#stop, everyMs, until: now + everyMs, reason };
      this.#prober = undefined;
    } else if (this.#failures >= FAILURES) {
      this.#stop = { since: now, everyMs: FIRST_STOP_MS, until: now + FIRST_STOP_MS, reason };
      this.#prober = undefined;
    }
  }

  open(): void {
    this.#stop = undefined;
    this.#prober = undefined;
    this.#failures = 0;
  }

  /** One message may try it now; if that fails, waits begin from the shortest again. */
  resume(now: number): void {
    if (this.#stop) this.#stop = { ...this.#stop, until: now, everyMs: FIRST_STOP_MS / 2 };
  }

  /** A clock that was wrong for a while must not hold mail: it is not due later than we could have said. */
  tick(now: number): void {
    if (this.#stop && this.#stop.until > now + MAX_STOP_MS)
      this.#stop = { ...this.#stop, until: now + this.#stop.everyMs };
  }
}
