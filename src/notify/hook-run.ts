/**
 * The triggers of a hook at work: each runs by itself, batch after batch, until nothing is left, and no trigger runs twice at a time.
 * What one is woken for while it runs, it sees to before it ends.
 */
import type { HookSettings } from "../accounts/hook-settings.ts";
import type { EventType } from "../mail/event.ts";
import { type Told, tellBatch } from "./hook-batch.ts";
import type { CallForgetting } from "./hook-forget.ts";
import { gather, stateOf } from "./hook-gather.ts";
import { type Ended, isHardlyMoved, keep, keptOf } from "./hook-keep.ts";
import type { HookedLog, HookNeeds } from "./hook-needs.ts";
import type { HookStore } from "./hook-store.ts";
import type { KnownSettings } from "./known-settings.ts";

/** Of calls that wait for an answer's head a platform gives an object six: one stays for another trigger. */
const SLOTS = 5;

/** The object that the triggers are of. */
export interface RunningHook {
  name: string;
  serverId: number;
  needs: HookNeeds;
  settings: KnownSettings;
  /** Made when it is missing. */
  store(): HookStore;
  log(): HookedLog;
  /** Counts what ends all that is under way: its storage has gone. */
  lives(): number;
  transaction(work: () => void): void;
  /** One has ended, well or not. */
  ended(): Promise<void>;
}

export class HookRun {
  readonly #hook: RunningHook;
  readonly #running = new Map<EventType, Promise<void>>();
  /** Woken while they ran. */
  readonly #again = new Set<EventType>();
  /** Whose last call had no answer. */
  readonly #stuck = new Set<EventType>();
  readonly #failed = new Set<EventType>();
  /** How far the log was read without anything that is wanted. */
  readonly #seen = new Map<EventType, number>();
  /** What was removed since something runs: a batch that began before may tell of it still. */
  #removed: CallForgetting[] = [];

  constructor(hook: RunningHook) {
    this.#hook = hook;
  }

  get isIdle(): boolean {
    return this.#running.size === 0;
  }

  /** Whose last run ended by a failure of our own. */
  get failed(): ReadonlySet<EventType> {
    return this.#failed;
  }

  /** Triggers that are asked for, or all of them. */
  start({ triggers }: HookSettings, types?: EventType[]): void {
    for (const { type } of triggers) if (!types || types.includes(type)) this.startOne(type);
  }

  startOne(type: EventType): void {
    if (this.#running.has(type)) this.#again.add(type);
    else this.#running.set(type, this.#loop(type));
  }

  /** What is logged of batches that are under way is without it too. */
  remove(removed: CallForgetting): void {
    if (!this.isIdle) this.#removed.push(removed);
  }

  /** All that was stored has gone. */
  forget(): void {
    this.#seen.clear();
  }

  async #loop(type: EventType): Promise<void> {
    try {
      do {
        this.#again.delete(type);
        while (await this.#step(type));
      } while (this.#again.has(type));
      this.#failed.delete(type);
    } catch (error) {
      // What was not saved is told again, by the alarm or by cron.
      this.#failed.add(type);
      this.#hook.needs.log("hook not told", { hook: this.#hook.name, type, error: String(error) });
    }
    this.#running.delete(type);
    if (this.isIdle) this.#removed = [];
    await this.#hook.ended();
  }

  /** One batch. Whether to go on at once. */
  async #step(type: EventType): Promise<boolean> {
    const { needs, serverId } = this.#hook;
    const settings = await this.#hook.settings.read();
    const trigger = settings?.triggers.find((each) => each.type === type);
    if (!settings) return false;
    if (!trigger) {
      this.#hook.store().removeWaitingBut(settings.triggers.map((each) => each.type));
      return false;
    }
    const life = this.#hook.lives();
    const removedBefore = this.#removed.length;
    const from = { store: this.#hook.store(), log: this.#hook.log(), now: needs.now() };
    const state = await stateOf(trigger, this.#seen.get(type) ?? 0, from);
    const { tryAt } = state.health;
    const isProbe = tryAt !== undefined;
    if (isProbe && needs.now() < tryAt) return false;
    const { seq } = state;
    const work = await gather({ settings, trigger, seq, isProbe }, from);
    const { tellings } = work;
    const slots = isProbe || this.#stuck.has(type) ? 1 : SLOTS;
    const batch = { serverId, settings, trigger, tellings, slots };
    const { told, error } = await tellBatch(batch, needs);
    if (life !== this.#hook.lives()) return false;
    this.#noteStuck(type, told);
    const before = from.store.trigger(type) ?? state;
    const ended = { type, work, told, seq, before, isProbe, now: needs.now() };
    this.#keep(from.store, ended, this.#removed.slice(removedBefore));
    if (error) throw error;
    return work.more;
  }

  #keep(store: HookStore, ended: Ended, removed: CallForgetting[]): void {
    const kept = keptOf(ended);
    if (isHardlyMoved(ended, kept)) this.#seen.set(ended.type, kept.state.seq);
    else this.#hook.transaction(() => keep(store, ended, kept, removed));
  }

  #noteStuck(type: EventType, told: Told[]): void {
    const last = told.findLast((one) => "call" in one);
    if (!last || !("call" in last)) return;
    if (last.call.status === undefined) this.#stuck.add(type);
    else this.#stuck.delete(type);
  }
}
