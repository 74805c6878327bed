/**
 * How far below its rule a destination is treated, because it said that we were too much: half as fast after a pause, then a
 * step up at a time while it takes mail. Pure.
 */
import type { Rule } from "./providers.ts";

/** What is kept; undefined where the rule holds. */
export interface Limited {
  connections: number;
  perSecond: number;
  /** Nothing begins before. */
  pausedUntil: number;
  pauseMs: number;
  /** When they last changed. */
  at: number;
  /** When it first said so, since it last had all that its rule allows; absent in what was kept before this was. */
  since?: number;
  reason: string;
}

const FIRST_PAUSE_MS = 2_000;
const MAX_PAUSE_MS = 300_000;
/** Unchanged for a day, it had no mail: what it said then says little of today. */
const FORGET_MS = 24 * 3_600_000;
const LEAST_PER_SECOND = 0.5;
/** Limits rise a step after so long without being told to slow down. */
const RAISE_MS = 10_000;
/** A rate this high needs no limit where the rule has none. */
const RATE_WITHOUT_LIMIT = 100;

export class Limits {
  #rule: Rule;
  #now: Limited | undefined;

  constructor(rule: Rule, kept: Limited | undefined) {
    this.#rule = rule;
    this.#now = kept;
  }

  get current(): Limited | undefined {
    return this.#now;
  }

  follow(rule: Rule): void {
    this.#rule = rule;
  }

  /** Ends the pause; the limits stay. */
  resume(now: number): void {
    if (this.#now && this.#now.pausedUntil > now) this.#now = { ...this.#now, pausedUntil: now };
  }

  /** Time passed. */
  tick(now: number): void {
    if (this.#now && now - this.#now.at > FORGET_MS) this.#now = undefined;
  }

  /** At most so many connections, of those that would be allowed. */
  connections(allowed: number): number {
    return Math.min(allowed, this.#now?.connections ?? allowed);
  }

  /** Messages a second; infinite where there is no limit. */
  rate(): number {
    return Math.min(this.#rule.perSecond, this.#now?.perSecond ?? Number.POSITIVE_INFINITY);
  }

  paused(now: number): Limited | undefined {
    const until = this.#now?.pausedUntil ?? 0;
    // Later than we ever say, it is from a clock that was wrong.
    return now < until && until <= now + MAX_PAUSE_MS ? this.#now : undefined;
  }

  /** `allowed` connections and `speed` messages a second were too much. During a pause more such replies don't count. */
  slowDown(reason: string, now: number, { allowed, speed }: { allowed: number; speed: number }): void {
    if (this.paused(now)) return;
    const pauseMs = this.#now ? Math.min(this.#now.pauseMs * 2, MAX_PAUSE_MS) : FIRST_PAUSE_MS;
    const connections = Math.max(1, Math.floor(allowed / 2));
    const lately = Math.min(this.rate(), speed > 0 ? speed : RATE_WITHOUT_LIMIT);
    const perSecond = Math.max(LEAST_PER_SECOND, lately / 2);
    const since = this.#now?.since ?? this.#now?.at ?? now;
    this.#now = { connections, perSecond, pauseMs, pausedUntil: now + pauseMs, at: now, since, reason };
  }

  /** It took a message. */
  taken(now: number): void {
    const before = this.#now;
    if (!before || this.paused(now)) return;
    // The next pause need not be twice as long as the one that ended well.
    const pauseMs = Math.max(FIRST_PAUSE_MS, before.pauseMs / 2);
    if (pauseMs !== before.pauseMs) this.#now = { ...before, pauseMs };
    if (now - Math.max(before.at, before.pausedUntil) < RAISE_MS) return;
    const connections = before.connections + 1;
    const perSecond = before.perSecond * 1.5;
    const enough = Math.min(this.#rule.perSecond, RATE_WITHOUT_LIMIT);
    if (connections >= this.#rule.connections && perSecond >= enough) this.#now = undefined;
    else this.#now = { ...before, pauseMs, connections, perSecond, at: now };
  }
}
