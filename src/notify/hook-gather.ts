/**
 * What a trigger tells next: what is due to be told again, what is replayed, and what is new in the event log. The log is read here; in
 * the hook's own store a trigger's beginning is noted, and what has gone from the log does not wait any longer.
 */
import type { HookSettings, HookTrigger } from "../accounts/hook-settings.ts";
import type { LoggedEvent } from "../mail/event.ts";
import type { Telling } from "./hook-batch.ts";
import type { HookedLog } from "./hook-needs.ts";
import type { HookStore, Replay, Retry, TriggerState } from "./hook-store.ts";
import { HEALTHY } from "./pause.ts";

/** Events of a batch that are told for the first time, and as many again that are told once more. */
const BATCH = 100;
/** More than that wait in the log, and not here, to be told again. */
const MAX_RETRIES = 10_000;

/** Where a telling comes from: what is to be moved when it is done. */
export type Source = { retry: Retry } | { replay: Replay } | "log";

export interface Work {
  tellings: Telling[];
  sources: Source[];
  /** Where each reading got to, when all that it found is told. */
  next: { log?: number; replay?: { of: Replay; seq: number } };
  /** Whether there was more, or nothing to do. */
  more: boolean;
}

export interface Readable {
  store: HookStore;
  log: HookedLog;
  now: number;
}

/** From where it was left, or where the hook was made or its trigger asked for: what is behind that is not its business. */
export async function stateOf(
  { type, start }: HookTrigger,
  seen: number,
  { store, log, now }: Readable,
): Promise<TriggerState> {
  const state = store.trigger(type);
  const begin = start ?? (state ? 0 : await log.head());
  const seq = Math.max(state?.seq ?? 0, begin, seen);
  if (state) return { ...state, seq };
  const fresh = { seq, health: HEALTHY, hours: {} };
  store.setTrigger(type, fresh, now);
  return fresh;
}

export async function gather(
  { settings, trigger, seq, isProbe }: Of,
  { store, log, now }: Readable,
): Promise<Work> {
  const { type } = trigger;
  const { stream } = settings;
  const limit = isProbe ? 1 : BATCH;
  const work: Work = { tellings: [], sources: [], next: {}, more: false };
  const add = (event: LoggedEvent, retries: number, source: Source) => {
    work.tellings.push({ event, retries });
    work.sources.push(source);
  };
  const wanted = { types: [type], ...(stream !== undefined && { stream }) };

  const due = store.retries(type, isProbe ? undefined : now, limit);
  if (due.length > 0) {
    const events = new Map((await log.at(due.map((r) => r.seq))).map((event) => [event.seq, event]));
    for (const retry of due) {
      const event = events.get(retry.seq);
      if (event) add(event, retry.retries, { retry });
      else store.removeRetry(retry);
    }
    work.more = true;
  }
  const [replay] = store.replays(type);
  const room = MAX_RETRIES - store.countRetries(type);
  if ((isProbe && work.tellings.length > 0) || room <= 0) return work;

  if (replay && !isProbe) {
    const range = { after: replay.seq, until: replay.until, limit };
    const { events, next, more } = await log.read({ ...wanted, ...range });
    for (const event of events) add(event, 0, { replay });
    work.next.replay = { of: replay, seq: more ? next : replay.until };
    work.more = true;
  }
  const page = await log.read({ ...wanted, after: seq, limit: Math.min(limit, room) });
  for (const event of page.events) add(event, 0, "log");
  work.next.log = page.next;
  work.more ||= page.events.length > 0 || page.more;
  return work;
}

interface Of {
  settings: HookSettings;
  trigger: HookTrigger;
  /** The place behind which the log is new. */
  seq: number;
  /** One event tries a trigger that is left alone. */
  isProbe: boolean;
}
