/**
 * One hook of a server, a Durable Object: it reads the server's event log from where it has got to, and tells a URL what it finds. Each
 * hook is an object of its own, so that none waits for another's endpoint, and each of its triggers has a place of its own in the log,
 * so that none waits for another trigger. A place is saved after the calls that led to it: what a crash cuts off is told again.
 */
import { DurableObject } from "cloudflare:workers";
import { type HookSettings, type HookTrigger, parseHookName } from "../accounts/hook-settings.ts";
import type { ToErase } from "../mail/erasure.ts";
import type { EventType, LoggedEvent } from "../mail/event.ts";
import { type Telling, type Told, tellBatch } from "./hook-batch.ts";
import type { HookNeeds } from "./hook-needs.ts";
import {
  countCall,
  HookStore,
  type LoggedCall,
  type Replay,
  type Retry,
  type TriggerState,
} from "./hook-store.ts";
import { afterFailure, HEALTHY, type Health } from "./pause.ts";

/** How long settings are known before they are read again; who changes them says so. */
const SETTINGS_KNOWN_MS = 30_000;
/** Events of a batch that are told for the first time, and as many again that are told once more. */
const BATCH = 100;
/** Of calls that wait for an answer's head a platform gives an object six: one stays for another trigger. */
const SLOTS = 5;
/** More than that wait in the log, and not here, to be told again. */
const MAX_RETRIES = 10_000;
/** Places without anything that is wanted are saved so seldom: they would only be read again. */
const UNSAVED_PLACES = 1_000;
const MAX_REPLAYS = 10;
/** The log of calls. */
const CALLS_KEPT_MS = 7 * 86_400_000;
const CALLS_KEPT = 10_000;
const PRUNE_MS = 86_400_000;
/** After a failure of our own: cron wakes it too. */
const AGAIN_MS = 15_000;
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

/** Where a telling comes from: what is to be moved when it is done. */
type Source = { retry: Retry } | { replay: Replay } | "log";

interface Work {
  tellings: Telling[];
  sources: Source[];
  /** Where each reading got to, when all that it found is told. */
  next: { log?: number; replay?: { of: Replay; seq: number } };
  /** Whether there was more, or nothing to do. */
  more: boolean;
}

export class HookObject extends DurableObject {
  readonly #needs: HookNeeds;
  #made: HookStore | undefined;
  #settings: { value: HookSettings | undefined; until: number } | undefined;
  readonly #running = new Map<EventType, Promise<void>>();
  /** Woken while they ran. */
  readonly #again = new Set<EventType>();
  /** Whose last call had no answer. */
  readonly #stuck = new Set<EventType>();
  /** How far the log was read without anything that is wanted. */
  readonly #seen = new Map<EventType, number>();
  /** Counts what ends all that is under way: its storage has gone. */
  #lives = 0;
  #alarmAt: number | undefined;
  #failed = false;

  constructor(ctx: DurableObjectState, env: object, needs: HookNeeds) {
    super(ctx, env);
    this.#needs = needs;
  }

  get #store(): HookStore {
    this.#made ??= new HookStore(this.ctx.storage.sql);
    return this.#made;
  }

  get #name(): string {
    return String(this.ctx.id.name);
  }

  get #serverId(): number {
    return parseHookName(this.#name)?.serverId ?? 0;
  }

  get #log() {
    return this.#needs.events(this.#serverId);
  }

  /** There is something to read, of these types or of any. Returns at once: what follows is its own affair. */
  async wake(types?: EventType[]): Promise<void> {
    this.ctx.waitUntil(this.#wake(types));
  }

  async #wake(types?: EventType[]): Promise<void> {
    try {
      const settings = await this.#read();
      for (const { type } of settings?.triggers ?? []) if (!types || types.includes(type)) this.#run(type);
    } catch (error) {
      // Nothing is lost: cron wakes it again within a minute.
      this.#needs.log("hook not woken", { hook: this.#name, error: String(error) });
    }
  }

  /** Its settings were. */
  async changed(): Promise<void> {
    this.#settings = undefined;
    await this.wake();
  }

  override async alarm(): Promise<void> {
    this.#alarmAt = undefined;
    this.#settings = undefined;
    const settings = await this.#read();
    if (!settings) return this.destroy();
    this.#store.forgetCalls(this.#needs.now() - CALLS_KEPT_MS, CALLS_KEPT);
    for (const { type } of settings.triggers) this.#run(type);
    if (this.#running.size === 0) await this.#arm();
  }

  async statistics(): Promise<TriggerStatistics[]> {
    const settings = await this.#read();
    return (settings?.triggers ?? []).map(({ type }) => {
      const { hours = {}, health } = this.#store.trigger(type) ?? {};
      const sums = [0, 0, 0, 0];
      const since = this.#needs.now() / 3_600_000 - 24;
      for (const [hour, counts] of Object.entries(hours))
        if (Number(hour) > since) for (const i of counts.keys()) sums[i] = (sums[i] ?? 0) + (counts[i] ?? 0);
      const [taken = 0, failed = 0, slow = 0, verySlow = 0] = sums;
      const { pausedSince: at, reason = "", tryAt: nextTryAt } = health ?? HEALTHY;
      return {
        ...{ type, taken, failed, slow, verySlow, waiting: this.#store.countRetries(type) },
        ...(at !== undefined && { paused: { since: at, reason, nextTryAt } }),
      };
    });
  }

  /** Newest first, before that number. `more` is where to go on, when there may be others. */
  async calls(
    filter: CallFilter,
    page: { before?: number; count: number },
  ): Promise<{ calls: NumberedCall[]; more?: number }> {
    const found: NumberedCall[] = [];
    let looked = 0;
    for (const each of this.#store.callsBefore(page.before ?? this.#store.lastCall + 1)) {
      if (found.length === page.count || looked === MAX_LOOKED_AT)
        return { calls: found, more: each.number + 1 };
      looked++;
      if (filter.from !== undefined && each.call.at < filter.from) break;
      if (isMeant(each.call, filter)) found.push(each);
    }
    return { calls: found };
  }

  async call(number: number): Promise<LoggedCall | undefined> {
    return this.#store.call(number);
  }

  /** Tells the event of that call once more, now. False when there is no such call, or its event has gone. */
  async replayCall(number: number): Promise<boolean> {
    const call = this.#store.call(number);
    if (!call || (await this.#log.at([call.seq])).length === 0) return false;
    const { type, seq } = call;
    this.#store.addRetry({ type, seq, due: this.#needs.now(), retries: 0 });
    this.#run(type);
    return true;
  }

  /** Tells everything again that came into the log between these times (ms). False when too many replays are under way. */
  async replay({ from, to, types }: { from: number; to: number; types?: EventType[] }): Promise<boolean> {
    const [after, until] = await Promise.all([this.#log.positionAt(from), this.#log.positionAt(to)]);
    const settings = await this.#read();
    const wanted = (settings?.triggers ?? []).filter(({ type }) => !types || types.includes(type));
    if (this.#store.replays().length + wanted.length > MAX_REPLAYS) return false;
    if (until > after) for (const { type } of wanted) this.#store.addReplay(type, after, until);
    for (const { type } of wanted) this.#run(type);
    return true;
  }

  /** Triggers that are paused, or these, are tried at once. */
  async resume(types?: EventType[]): Promise<void> {
    const settings = await this.#read();
    for (const { type } of settings?.triggers ?? []) {
      const state = this.#store.trigger(type);
      if (state && (!types || types.includes(type)))
        this.#store.setTrigger(type, { ...state, health: HEALTHY }, this.#needs.now());
    }
    await this.wake(types);
  }

  /** What was told of a person, or of a stream, goes from the log of calls. */
  async erase({ what, until }: ToErase): Promise<void> {
    if (what.kind === "server") return this.destroy();
    if (what.kind === "stream") {
      const settings = await this.#needs.settings(this.#name);
      if (settings && settings.stream !== what.stream) return;
      this.#store.rewriteCalls((call) => (call.at <= until ? { ...unsaid(call), email: "" } : call));
      return;
    }
    const { email } = what;
    const shared = new Set<string>();
    for (const { call } of this.#store.callsBefore(this.#store.lastCall + 1))
      if (call.email === email && call.messageId !== "") shared.add(call.messageId);
    this.#store.rewriteCalls((call) => {
      if (call.at > until || !(call.email === email || shared.has(call.messageId))) return call;
      return call.email === email ? { ...unsaid(call), email: "" } : unsaid(call);
    });
  }

  /** The hook is gone, and all of this with it. */
  async destroy(): Promise<void> {
    this.#lives++;
    this.#settings = undefined;
    this.#made = undefined;
    this.#alarmAt = undefined;
    this.#seen.clear();
    await this.ctx.storage.deleteAlarm();
    await this.ctx.storage.deleteAll();
  }

  async #read(): Promise<HookSettings | undefined> {
    const now = this.#needs.now();
    if (!this.#settings || now >= this.#settings.until)
      this.#settings = { value: await this.#needs.settings(this.#name), until: now + SETTINGS_KNOWN_MS };
    return this.#settings.value;
  }

  #run(type: EventType): void {
    if (this.#running.has(type)) this.#again.add(type);
    else this.#running.set(type, this.#loop(type));
  }

  async #loop(type: EventType): Promise<void> {
    try {
      do {
        this.#again.delete(type);
        while (await this.#step(type));
      } while (this.#again.has(type));
      this.#failed = false;
    } catch (error) {
      // What was not saved is told again, by the alarm or by cron.
      this.#failed = true;
      this.#needs.log("hook not told", { hook: this.#name, type, error: String(error) });
    }
    this.#running.delete(type);
    await this.#arm().catch((error) =>
      this.#needs.log("alarm not set", { hook: this.#name, error: String(error) }),
    );
  }

  /** One batch. Whether to go on at once. */
  async #step(type: EventType): Promise<boolean> {
    const life = this.#lives;
    const settings = await this.#read();
    const trigger = settings?.triggers.find((each) => each.type === type);
    if (!settings || !trigger) {
      if (this.#made) this.#store.removeWaiting(type);
      return false;
    }
    const state = await this.#stateOf(trigger);
    const { tryAt } = state.health;
    const isProbe = tryAt !== undefined;
    if (isProbe && this.#needs.now() < tryAt) return false;
    const work = await this.#gather(settings, state, trigger, isProbe);
    const { tellings } = work;
    const slots = isProbe || this.#stuck.has(type) ? 1 : SLOTS;
    const told = await tellBatch(
      { serverId: this.#serverId, settings, trigger, tellings, slots },
      this.#needs,
    );
    if (life !== this.#lives) return false;
    this.#save(type, state, work, told, isProbe);
    return work.more;
  }

  /** From where it was left, or where the hook was made or its trigger asked for: what is behind that is not its business. */
  async #stateOf({ type, start }: HookTrigger): Promise<TriggerState> {
    const state = this.#store.trigger(type);
    const begin = start ?? (state ? 0 : await this.#log.head());
    const seq = Math.max(state?.seq ?? 0, begin, this.#seen.get(type) ?? 0);
    if (state) return { ...state, seq };
    const fresh = { seq, health: HEALTHY, hours: {} };
    this.#store.setTrigger(type, fresh, this.#needs.now());
    return fresh;
  }

  async #gather(
    { stream }: HookSettings,
    { seq }: TriggerState,
    { type }: HookTrigger,
    isProbe: boolean,
  ): Promise<Work> {
    const limit = isProbe ? 1 : BATCH;
    const work: Work = { tellings: [], sources: [], next: {}, more: false };
    const add = (event: LoggedEvent, retries: number, source: Source) => {
      work.tellings.push({ event, retries });
      work.sources.push(source);
    };
    const wanted = { types: [type], ...(stream !== undefined && { stream }) };

    const due = this.#store.retries(type, isProbe ? undefined : this.#needs.now(), limit);
    if (due.length > 0) {
      const events = new Map((await this.#log.at(due.map((r) => r.seq))).map((event) => [event.seq, event]));
      for (const retry of due) {
        const event = events.get(retry.seq);
        if (event) add(event, retry.retries, { retry });
        else this.#store.removeRetry(retry);
      }
      work.more = true;
    }
    const [replay] = this.#store.replays(type);
    const room = MAX_RETRIES - this.#store.countRetries(type);
    if ((isProbe && work.tellings.length > 0) || room <= 0) return work;

    if (replay && !isProbe) {
      const { events, next } = await this.#log.read({
        ...wanted,
        ...{ after: replay.seq, until: replay.until, limit },
      });
      for (const event of events) add(event, 0, { replay });
      work.next.replay = { of: replay, seq: next };
      work.more = true;
    }
    const page = await this.#log.read({ ...wanted, after: seq, limit: Math.min(limit, room) });
    for (const event of page.events) add(event, 0, "log");
    work.next.log = page.next;
    work.more ||= page.events.length > 0 || page.more;
    return work;
  }

  #save(type: EventType, before: TriggerState, work: Work, told: Told[], isProbe: boolean): void {
    const now = this.#needs.now();
    const calls = told.flatMap((one) => ("call" in one ? [one.call] : []));
    const failed = calls.find((call) => call.next !== "done");
    const last = calls.at(-1);
    if (last) {
      if (last.status === undefined) this.#stuck.add(type);
      else this.#stuck.delete(type);
    }
    if (isProbe && failed) {
      // It told nothing: what it tried with stays where it is.
      const health = afterFailure(before.health, reasonOf(failed), now);
      const state = { ...before, health };
      countCall(state, { ok: false, ms: failed.ms, now });
      this.ctx.storage.transactionSync(() => {
        this.#store.setTrigger(type, state, now);
        this.#store.logCalls([{ ...failed, next: "paused", nextAt: health.tryAt }], now);
      });
      return;
    }
    const state = { ...before, health: healthAfter(before.health, calls, now) };
    for (const call of calls) countCall(state, { ok: call.next === "done", ms: call.ms, now });
    const isAll = told.length === work.tellings.length;
    const lastOf = (is: (source: Source) => boolean) =>
      work.tellings.findLast((_, i) => i < told.length && is(work.sources[i] ?? "log"))?.event.seq;
    state.seq = (isAll ? work.next.log : lastOf((source) => source === "log")) ?? before.seq;
    if (told.length === 0 && state.seq - (this.#store.trigger(type)?.seq ?? 0) < UNSAVED_PLACES) {
      this.#seen.set(type, state.seq);
      if (!work.next.replay) return;
    }
    this.ctx.storage.transactionSync(() => {
      for (const [i, one] of told.entries()) {
        const source = work.sources[i] ?? "log";
        const telling = work.tellings[i];
        if (!telling) continue;
        const { event, retries } = telling;
        if (typeof source === "object" && "retry" in source) this.#store.removeRetry(source.retry);
        if (one.next === "retry")
          this.#store.addRetry({ type, seq: event.seq, due: one.at, retries: retries + 1 });
        if (one.next === "later") this.#store.addRetry({ type, seq: event.seq, due: one.at, retries });
      }
      const { replay } = work.next;
      if (replay) {
        const seq = isAll ? replay.seq : lastOf((source) => typeof source === "object" && "replay" in source);
        this.#store.moveReplay(replay.of, seq ?? replay.of.seq);
      }
      this.#store.setTrigger(type, state, now);
      this.#store.logCalls(calls, now);
    });
  }

  /** For what is to be told again, what tries a paused trigger, and what is too old to be kept. */
  async #arm(): Promise<void> {
    const settings = await this.#read();
    // It has gone, and so has what it stored.
    if (!settings) return;
    const now = this.#needs.now();
    const times: number[] = [];
    const going: EventType[] = [];
    for (const { type } of settings.triggers) {
      const { tryAt } = this.#store.trigger(type)?.health ?? HEALTHY;
      if (tryAt === undefined) going.push(type);
      else if (tryAt > now) times.push(tryAt);
    }
    const due = this.#store.nextRetry(going);
    if (due !== undefined) times.push(Math.max(due, now + (this.#failed ? AGAIN_MS : 0)));
    if (this.#store.lastCall > 0) times.push(now + PRUNE_MS);
    if (times.length === 0) return;
    const at = Math.min(...times);
    this.#alarmAt ??= (await this.ctx.storage.getAlarm()) ?? Number.POSITIVE_INFINITY;
    if (this.#alarmAt > now && this.#alarmAt <= at) return;
    this.#alarmAt = at;
    await this.ctx.storage.setAlarm(at);
  }
}

function healthAfter(before: Health, calls: LoggedCall[], now: number): Health {
  let health = before;
  for (const call of calls)
    health = call.next === "done" ? HEALTHY : afterFailure(health, reasonOf(call), now);
  return health;
}

function reasonOf({ status, failure = "" }: LoggedCall): string {
  return status === undefined ? failure : `The answer was ${status}.`;
}

function unsaid({ body: _, reply: __, ...call }: LoggedCall): LoggedCall {
  return call;
}

function isMeant(call: LoggedCall, { type, succeeded, messageId, from, to }: CallFilter): boolean {
  if (type !== undefined && call.type !== type) return false;
  if (succeeded !== undefined && (call.next === "done") !== succeeded) return false;
  if (messageId !== undefined && call.messageId !== messageId) return false;
  return (from === undefined || call.at >= from) && (to === undefined || call.at <= to);
}
