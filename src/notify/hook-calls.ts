/** What the API shows of a hook: its calls, found in its log, and how each trigger went in the last day. Nothing changes here. */
import type { EventType } from "../mail/event.ts";
import { LONGEST_BATCH_MS } from "./hook-batch.ts";
import type { HookStore, LoggedCall } from "./hook-store.ts";
import { HEALTHY } from "./pause.ts";

/** Calls that one request of the log's list looks at. */
const MAX_LOOKED_AT = 5_000;

export interface TriggerStatistics {
  type: EventType;
  taken: number;
  failed: number;
  slow: number;
  verySlow: number;
  /** Events that are to be told again. */
  waiting: number;
  paused?: { since: number; reason: string; nextTryAt?: number };
}

export interface NumberedCall {
  number: number;
  call: LoggedCall;
}

/** What is absent does not filter. */
export interface CallFilter {
  type?: EventType;
  succeeded?: boolean;
  messageId?: string;
  /** Milliseconds since the epoch, both inclusive. */
  from?: number;
  to?: number;
}

export interface CallPage {
  before?: number;
  count: number;
}

export interface FoundCalls {
  calls: NumberedCall[];
  /** Where to go on, when there may be others. */
  more?: number;
}

export function statisticsOf(store: HookStore, type: EventType, now: number): TriggerStatistics {
  const { hours = {}, health } = store.trigger(type) ?? {};
  const sums = [0, 0, 0, 0];
  const since = now / 3_600_000 - 24;
  for (const [hour, counts] of Object.entries(hours))
    if (Number(hour) > since) for (const i of counts.keys()) sums[i] = (sums[i] ?? 0) + (counts[i] ?? 0);
  const [taken = 0, failed = 0, slow = 0, verySlow = 0] = sums;
  const { pausedSince: at, reason = "", tryAt: nextTryAt } = health ?? HEALTHY;
  return {
    ...{ type, taken, failed, slow, verySlow, waiting: store.countRetries(type) },
    ...(at !== undefined && { paused: { since: at, reason, nextTryAt } }),
  };
}

/** Newest first, before that number. */
export function findCalls(store: HookStore, filter: CallFilter, { before, count }: CallPage): FoundCalls {
  const found: NumberedCall[] = [];
  let looked = 0;
  for (const each of store.callsBefore(before ?? store.lastCall + 1)) {
    if (found.length === count || looked === MAX_LOOKED_AT) return { calls: found, more: each.number + 1 };
    looked++;
    // Numbers are given when a batch has ended: one call may have begun before another that has a lower number, but not longer before.
    if (filter.from !== undefined && each.call.at + LONGEST_BATCH_MS < filter.from) break;
    if (isMeant(each.call, filter)) found.push(each);
  }
  return { calls: found };
}

function isMeant(call: LoggedCall, { type, succeeded, messageId, from, to }: CallFilter): boolean {
  if (type !== undefined && call.type !== type) return false;
  if (succeeded !== undefined && (call.next === "done") !== succeeded) return false;
  if (messageId !== undefined && call.messageId !== messageId) return false;
  return (from === undefined || call.at >= from) && (to === undefined || call.at <= to);
}
