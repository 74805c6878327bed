/**
 * What is kept of a batch that was told: how far its trigger has got, how it goes there, what is to be told again, and the log of its
 * calls. All of it is one transaction, so that a crash repeats a batch as a whole or not at all.
 */
import type { EventType } from "../mail/event.ts";
import type { Told } from "./hook-batch.ts";
import type { CallForgetting } from "./hook-forget.ts";
import type { Source, Work } from "./hook-gather.ts";
import {
  countCall,
  type HookStore,
  type LoggedCall,
  type Replay,
  type Retry,
  type TriggerState,
} from "./hook-store.ts";
import { afterFailure, HEALTHY, type Health } from "./pause.ts";

/** Places without anything that is wanted are kept so seldom: they would only be read again. */
const UNKEPT_PLACES = 1_000;

export interface Kept {
  state: TriggerState;
  calls: LoggedCall[];
  done: Retry[];
  again: Retry[];
  replay?: { of: Replay; seq: number };
}

export interface Ended {
  type: EventType;
  work: Work;
  told: Told[];
  /** The place behind which the log was read. */
  seq: number;
  /** How it goes there now: somebody may have resumed it since the batch began. */
  before: TriggerState;
  isProbe: boolean;
  now: number;
}

export function keptOf(ended: Ended): Kept {
  const { told, before, isProbe, now } = ended;
  const calls = told.flatMap((one) => ("call" in one ? [one.call] : []));
  const failed = calls.find((call) => call.next !== "done");
  const state = { ...before, hours: structuredClone(before.hours) };
  for (const call of calls) countCall(state, { ok: call.next === "done", ms: call.ms, now });
  if (isProbe && failed) {
    // It told nothing: what it tried with stays where it is.
    const health = afterFailure(before.health, reasonOf(failed), now);
    const logged: LoggedCall = { ...failed, next: "paused", nextAt: health.tryAt };
    return { state: { ...state, health }, calls: [logged], done: [], again: [] };
  }
  const health = healthAfter(ended, calls);
  return { ...movedBy(ended), calls, state: { ...state, health, seq: placeAfter(ended) } };
}

/** Whether it is only that the log was read on, and no farther than may be read once more. */
export function isHardlyMoved({ told, work, before }: Ended, { state }: Kept): boolean {
  return told.length === 0 && !work.next.replay && state.seq - before.seq < UNKEPT_PLACES;
}

/** To be called within a transaction. What was removed while the batch was under way is not logged either. */
export function keep(store: HookStore, { type, now }: Ended, kept: Kept, removed: CallForgetting[]): void {
  for (const retry of kept.done) store.removeRetry(retry);
  for (const retry of kept.again) store.addRetry(retry);
  if (kept.replay) store.moveReplay(kept.replay.of, kept.replay.seq);
  store.setTrigger(type, kept.state, now);
  let { calls } = kept;
  for (const { look, left } of removed) {
    for (const call of calls) look(call);
    calls = calls.map(left);
    store.rewriteCalls(left);
  }
  store.logCalls(calls, now);
}

function movedBy({ type, work, told }: Ended): Omit<Kept, "state" | "calls"> {
  const done: Retry[] = [];
  const again: Retry[] = [];
  for (const [i, one] of told.entries()) {
    const source = work.sources[i] ?? "log";
    const telling = work.tellings[i];
    if (!telling) continue;
    const { event, retries } = telling;
    if (typeof source === "object" && "retry" in source) done.push(source.retry);
    if (one.next === "retry") again.push({ type, seq: event.seq, due: one.at, retries: retries + 1 });
    if (one.next === "later") again.push({ type, seq: event.seq, due: one.at, retries });
  }
  const { replay } = work.next;
  if (!replay) return { done, again };
  const seq = isAll({ work, told })
    ? replay.seq
    : lastOf({ work, told }, (source) => typeof source === "object" && "replay" in source);
  return { done, again, replay: { of: replay.of, seq: seq ?? replay.of.seq } };
}

function placeAfter({ work, told, seq }: Ended): number {
  return (isAll({ work, told }) ? work.next.log : lastOf({ work, told }, (of) => of === "log")) ?? seq;
}

function isAll({ work, told }: Pick<Ended, "work" | "told">): boolean {
  return told.length === work.tellings.length;
}

/** The place of the last event of such a source that was told. */
function lastOf(
  { work, told }: Pick<Ended, "work" | "told">,
  is: (source: Source) => boolean,
): number | undefined {
  return work.tellings.findLast((_, i) => i < told.length && is(work.sources[i] ?? "log"))?.event.seq;
}

function healthAfter({ told, before, isProbe, now }: Ended, calls: LoggedCall[]): Health {
  let health = before.health;
  for (const call of calls)
    health = call.next === "done" ? HEALTHY : afterFailure(health, reasonOf(call), now);
  // What could not try it yet does so when it can, and not at once, again and again.
  const [only] = told;
  return isProbe && only?.next === "later" && health.tryAt !== undefined
    ? { ...health, tryAt: only.at }
    : health;
}

function reasonOf({ status, failure = "" }: LoggedCall): string {
  return status === undefined ? failure : `The answer was ${status}.`;
}
