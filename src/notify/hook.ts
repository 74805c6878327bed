/**
 * One hook of a server, a Durable Object: it reads the server's event log from where it has got to, and tells a URL what it finds. Each
 * hook is an object of its own, so that none waits for another's endpoint, and each of its triggers has a place of its own in the log,
 * so that none waits for another trigger. A place is saved after the calls that led to it: what a crash cuts off is told again. What it
 * tells next is in hook-gather.ts, the calls in hook-batch.ts, what is kept of them in hook-keep.ts; hook-run.ts goes round all three.
 */
import { DurableObject } from "cloudflare:workers";
import { type HookSettings, parseHookName } from "../accounts/hook-settings.ts";
import type { ToErase } from "../mail/erasure.ts";
import type { EventType } from "../mail/event.ts";
import { within } from "../mail/within.ts";
import { AGAIN_MS, nextAlarm } from "./hook-alarm.ts";
import {
  type CallFilter,
  type CallPage,
  type FoundCalls,
  findCalls,
  statisticsOf,
  type TriggerStatistics,
} from "./hook-calls.ts";
import { forgettingCalls } from "./hook-forget.ts";
import { type HookedLog, type HookNeeds, OWN_MS } from "./hook-needs.ts";
import { HookRun } from "./hook-run.ts";
import { HookStore, type LoggedCall } from "./hook-store.ts";
import { KnownSettings } from "./known-settings.ts";
import { HEALTHY } from "./pause.ts";

const MAX_REPLAYS = 10;
/** The log of calls. */
const CALLS_KEPT_MS = 7 * 86_400_000;
const CALLS_KEPT = 10_000;

export class HookObject extends DurableObject {
  readonly #needs: HookNeeds;
  readonly #settings: KnownSettings;
  #made: HookStore | undefined;
  readonly #run: HookRun;
  /** Counts what ends all that is under way: its storage has gone. */
  #lives = 0;
  #alarmAt: number | undefined;

  constructor(ctx: DurableObjectState, env: object, needs: HookNeeds) {
    super(ctx, env);
    this.#needs = needs;
    this.#settings = new KnownSettings(this.#name, needs);
    this.#run = new HookRun({
      ...{ name: this.#name, serverId: this.#serverId, needs, settings: this.#settings },
      store: () => this.#store,
      log: () => this.#log,
      lives: () => this.#lives,
      transaction: (work) => ctx.storage.transactionSync(work),
      ended: () =>
        this.#arm().catch((error) => needs.log("alarm not set", { hook: this.#name, error: String(error) })),
    });
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

  /** Of no use any more, like what it is asked for, when the hook has gone before it answers. */
  get #log(): HookedLog {
    const log = this.#needs.events(this.#serverId);
    const life = this.#lives;
    const answer = async <T>(work: Promise<T>) => {
      const value = await within(OWN_MS, work);
      if (life !== this.#lives) throw new Error("the hook has gone");
      return value;
    };
    return {
      read: (request) => answer(log.read(request)),
      at: (seqs) => answer(log.at(seqs)),
      head: () => answer(log.head()),
      positionAt: (ms) => answer(log.positionAt(ms)),
    };
  }

  /** There is something to read, of these types or of any. Returns at once: what follows is its own affair. */
  async wake(types?: EventType[]): Promise<void> {
    this.ctx.waitUntil(this.#wake(types));
  }

  async #wake(types?: EventType[]): Promise<void> {
    try {
      const settings = await this.#settings.read();
      if (settings) this.#run.start(settings, types);
    } catch (error) {
      // Nothing is lost: cron wakes it again within a minute.
      this.#needs.log("hook not woken", { hook: this.#name, error: String(error) });
    }
  }

  /** Its settings were. */
  async changed(): Promise<void> {
    this.#settings.forget();
    this.ctx.waitUntil(this.#goOnChanged());
  }

  async #goOnChanged(): Promise<void> {
    await this.#wake();
    const settings = await this.#settings.read().catch(() => undefined);
    // Else the alarm does it.
    if (settings) this.#store.removeWaitingBut(settings.triggers.map(({ type }) => type));
  }

  /** Not left to the platform, which gives up after a few times, when the directory is away: it is set again then. */
  override async alarm(): Promise<void> {
    this.#alarmAt = undefined;
    this.#settings.forget();
    let settings: HookSettings | undefined;
    try {
      settings = await this.#settings.read();
    } catch (error) {
      this.#needs.log("hook not woken by its alarm", { hook: this.#name, error: String(error) });
      return this.#arm();
    }
    if (!settings) return this.destroy();
    this.#store.removeWaitingBut(settings.triggers.map(({ type }) => type));
    this.#store.forgetCalls(this.#needs.now() - CALLS_KEPT_MS, CALLS_KEPT);
    this.#run.start(settings);
    if (this.#run.isIdle) await this.#arm();
  }

  async statistics(): Promise<TriggerStatistics[]> {
    const settings = await this.#settings.read();
    const now = this.#needs.now();
    return (settings?.triggers ?? []).map(({ type }) => statisticsOf(this.#store, type, now));
  }

  async calls(filter: CallFilter, page: CallPage): Promise<FoundCalls> {
    return findCalls(this.#store, filter, page);
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
    this.#run.startOne(type);
    return true;
  }

  /** Tells everything again that came into the log between these times (ms). False when too many replays are under way. */
  async replay({ from, to, types }: { from: number; to: number; types?: EventType[] }): Promise<boolean> {
    const log = this.#log;
    const [after, until] = await Promise.all([log.positionAt(from), log.positionAt(to)]);
    const settings = await this.#settings.read();
    const wanted = (settings?.triggers ?? []).filter(({ type }) => !types || types.includes(type));
    if (wanted.length === 0) return true;
    if (this.#store.replays().length + wanted.length > MAX_REPLAYS) return false;
    if (until > after) for (const { type } of wanted) this.#store.addReplay(type, after, until);
    for (const { type } of wanted) this.#run.startOne(type);
    return true;
  }

  /** Triggers that are paused, or these, are tried at once. */
  async resume(types?: EventType[]): Promise<void> {
    const settings = await this.#settings.read();
    for (const { type } of settings?.triggers ?? []) {
      const state = this.#store.trigger(type);
      if (state && (!types || types.includes(type)))
        this.#store.setTrigger(type, { ...state, health: HEALTHY }, this.#needs.now());
    }
    await this.wake(types);
  }

  /** What was told of a person, or of a stream, goes from the log of calls. */
  async erase(erase: ToErase): Promise<void> {
    if (erase.what.kind === "server") return this.destroy();
    const removed = forgettingCalls(erase);
    for (const { call } of this.#store.callsBefore(this.#store.lastCall + 1)) removed.look(call);
    this.#store.rewriteCalls(removed.left);
    this.#run.remove(removed);
  }

  /** The hook is gone, and all of this with it. */
  async destroy(): Promise<void> {
    this.#forgetStored();
    await this.ctx.storage.deleteAlarm();
    await this.ctx.storage.deleteAll();
    // Whoever came between has lost what it stored.
    this.#forgetStored();
  }

  #forgetStored(): void {
    this.#lives++;
    this.#settings.forget();
    this.#made = undefined;
    this.#alarmAt = undefined;
    this.#run.forget();
  }

  async #arm(): Promise<void> {
    const at = await this.#nextAlarm();
    if (at === undefined) return;
    this.#alarmAt ??= (await this.ctx.storage.getAlarm()) ?? Number.POSITIVE_INFINITY;
    if (this.#alarmAt > this.#needs.now() && this.#alarmAt <= at) return;
    this.#alarmAt = at;
    await this.ctx.storage.setAlarm(at);
  }

  async #nextAlarm(): Promise<number | undefined> {
    const now = this.#needs.now();
    try {
      const settings = await this.#settings.read();
      // It has gone, and so has what it stored.
      return settings && nextAlarm(this.#store, settings, { now, failed: this.#run.failed });
    } catch (error) {
      this.#needs.log("hook's next alarm not known", { hook: this.#name, error: String(error) });
      return now + AGAIN_MS;
    }
  }
}
