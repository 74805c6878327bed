/** What follows from a hook's answer (§17 of the wire contract): whether the event is done, dropped, or told again, and when. */
import type { HookAnswer } from "./call.ts";

export type HookKind = "outbound" | "inbound";
export type Verdict = { next: "done" } | { next: "dropped" } | { next: "retry"; at: number };

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** How long an event is told again: as Postmark does, or for three days. */
export type RetryFor = "standard" | "threeDays";

const INBOUND = [1, 5, 10, 10, 10, 15, 30, 60, 120, 360].map((minutes) => minutes * MINUTE);
const DELAYS: Record<HookKind, number[]> = {
  outbound: [1, 5, 10, 10, 10, 15].map((minutes) => minutes * MINUTE),
  inbound: INBOUND,
};
/** The longest schedule of Postmark's, and then every six hours: 70 hours and 21 minutes in all. */
const THREE_DAYS = [...INBOUND, ...Array<number>(10).fill(6 * HOUR)];

function delaysOf(kind: HookKind, retryFor: RetryFor = "standard"): number[] {
  return retryFor === "threeDays" ? THREE_DAYS : DELAYS[kind];
}
/** Of a Retry-After: one that asks for more would keep an event longer than its schedule does. */
const MAX_ASKED_MS = HOUR;

export interface Attempt {
  kind: HookKind;
  retryFor?: RetryFor;
  /** How many retries came before: 0 for the first call. */
  retries: number;
  /** Milliseconds since the epoch: when the answer came. */
  now: number;
}

/** As X-PM-Retries-Remaining tells it. */
export function retriesRemaining(kind: HookKind, retries: number, retryFor?: RetryFor): number {
  return Math.max(0, delaysOf(kind, retryFor).length - retries);
}

export function verdictOf(answer: HookAnswer, { kind, retries, now, retryFor }: Attempt): Verdict {
  if ("status" in answer) {
    if (answer.status >= 200 && answer.status < 300) return { next: "done" };
    if (!isRetried(answer.status, kind)) return { next: "dropped" };
  }
  const delay = delaysOf(kind, retryFor)[retries];
  if (delay === undefined) return { next: "dropped" };
  const asked =
    "status" in answer && answer.status === 429 ? askedWait(answer.headers["retry-after"], now) : 0;
  return { next: "retry", at: now + Math.max(delay, asked) };
}

function isRetried(status: number, kind: HookKind): boolean {
  if (status === 408 || status === 429 || status >= 500) return true;
  return kind === "inbound" && status >= 400 && status !== 403;
}

/** RFC 9110 §10.2.3: seconds or a date. 0 when it says nothing that can be read. */
function askedWait(text: string | undefined, now: number): number {
  if (!text) return 0;
  const wait = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now;
  return Number.isNaN(wait) ? 0 : Math.min(Math.max(wait, 0), MAX_ASKED_MS);
}
