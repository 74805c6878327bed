/**
 * The event log of a server, a Durable Object: all that happened to its messages, in the order in which it was heard of. Webhooks, `GET
 * /events` and those who follow it live all read it from a place on, so that none of them keeps another waiting. Who appends may
 * do so twice (log-store.ts).
 */
import { DurableObject } from "cloudflare:workers";
import type { HookRef } from "../accounts/hooks.ts";
import type { ToErase } from "../mail/erasure.ts";
import type { EventType, LoggedEvent, MailEvent } from "../mail/event.ts";
import { eventId } from "../mail/event-id.ts";
import { within } from "../mail/within.ts";
import { followChanges, type SuppressionPlace } from "../suppress/follow.ts";
import type { ToldSuppression } from "../suppress/list.ts";
import { type Forgetting, forgetting } from "./forget.ts";
import { OWN_MS } from "./hook-needs.ts";
import { LogStore, type ReadReply, type ReadRequest } from "./log-store.ts";

export interface LogNeeds {
  now(): number;
  log(event: string, fields: Record<string, unknown>): void;
  hooks(serverId: number): Promise<HookRef[]>;
  /** Tells a hook that there is something to read, of these types. */
  wakeHook(name: string, types: EventType[]): Promise<void>;
  suppressionChanges(serverId: number, after: SuppressionPlace, limit: number): Promise<ToldSuppression[]>;
}

/** As long as messages and bounces are kept. */
const KEPT_MS = 45 * 86_400_000;
const HOOKS_KNOWN_MS = 30_000;
/** A step of removing takes so many packs, of half a megabyte at most. */
const PACKS_PER_STEP = 50;
const STEPS_PER_SWEEP = 20;

export class EventsObject extends DurableObject {
  readonly #needs: LogNeeds;
  readonly #store: LogStore;
  #waiting: MailEvent[] = [];
  #committing: Promise<void> | undefined;
  #hooks: { refs: HookRef[]; until: number } | undefined;
  #following: Promise<void> | undefined;
  /** Removals that are under way: how far they have come, and what they have seen. */
  readonly #erasing = new Map<string, { how: Forgetting; after: number }>();
  /** Who follows the log and has read all of it. */
  readonly #listeners = new Set<() => void>();

  constructor(ctx: DurableObjectState, env: object, needs: LogNeeds) {
    super(ctx, env);
    this.#needs = needs;
    this.#store = new LogStore(ctx.storage.sql);
  }

  get #serverId(): number {
    return Number(this.ctx.id.name);
  }

  /** Durable when this returns. Calls that come in one turn share a row and a flush of the disk. */
  append(events: MailEvent[]): Promise<void> {
    this.#waiting.push(...events);
    this.#committing ??= this.#commitSoon();
    return this.#committing;
  }

  async #commitSoon(): Promise<void> {
    await scheduler.wait(0);
    this.#committing = undefined;
    const events = this.#waiting;
    this.#waiting = [];
    const { storage } = this.ctx;
    const fresh = storage.transactionSync(() => this.#store.append(events, this.#needs.now()));
    if (fresh.length === 0) return;
    for (const listener of this.#listeners) listener();
    this.ctx.waitUntil(
      this.#wakeHooks((hook) =>
        hook.types.filter((type) => fresh.some((event) => event.type === type && isFor(hook, event))),
      ),
    );
  }

  async read(request: ReadRequest): Promise<ReadReply> {
    return this.#store.read(request);
  }

  /** The events at these places that are there still. */
  async at(seqs: number[]): Promise<LoggedEvent[]> {
    return this.#store.at(seqs);
  }

  /** The place of the newest event. */
  async head(): Promise<number> {
    return this.#store.last;
  }

  /** The place of the last event from before that time, ms. */
  async positionAt(ms: number): Promise<number> {
    return this.#store.positionAt(ms);
  }

  /**
   * The log from a place on, for as long as somebody reads: each piece is what `write` makes of events, or of none when nothing happened
   * for `idleMs`. Nothing is held for a reader that is slow: it is read from the store when it asks.
   */
  async follow(request: ReadRequest, { idleMs }: { idleMs: number }): Promise<ReadableStream<Uint8Array>> {
    let { after } = request;
    const encoder = new TextEncoder();
    let stop: (() => void) | undefined;
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          for (;;) {
            const { events, next, more } = this.#store.read({ ...request, after });
            after = next;
            if (events.length > 0) {
              controller.enqueue(encoder.encode(`${JSON.stringify({ events, next })}\n`));
              return;
            }
            if (more) {
              // Much that is not wanted: others get their turn between.
              await scheduler.wait(0);
              continue;
            }
            const isNews = await new Promise<boolean>((resolve) => {
              const end = (news: boolean) => {
                clearTimeout(timer);
                this.#listeners.delete(listener);
                resolve(news);
              };
              const listener = () => end(true);
              const timer = setTimeout(() => end(false), idleMs);
              this.#listeners.add(listener);
              stop = listener;
            });
            if (isNews) continue;
            controller.enqueue(encoder.encode(`${JSON.stringify({ events: [], next })}\n`));
            return;
          }
        },
        cancel: () => stop?.(),
      },
      { highWaterMark: 0 },
    );
  }

  /** Webhooks were made, changed or removed. */
  async hooksChanged(): Promise<void> {
    this.#hooks = undefined;
  }

  /** Somebody has changed suppressions: what changed becomes events. The directory has it all, so a call that is lost loses nothing. */
  followSuppressions(): Promise<void> {
    this.#following ??= this.#readSuppressions().finally(() => {
      this.#following = undefined;
    });
    return this.#following;
  }

  async #readSuppressions(): Promise<void> {
    const until = this.#store.mark("suppressions");
    const page = (after: SuppressionPlace, limit: number) =>
      within(OWN_MS, this.#needs.suppressionChanges(this.#serverId, after, limit));
    for await (const changes of followChanges(until, page)) {
      await this.append(await Promise.all(changes.map((c) => toEvent(this.#serverId, c))));
      const latest = changes.at(-1)?.changedAt ?? 0;
      if (latest > until) this.#store.setMark("suppressions", latest);
    }
  }

  /** Cron's call, each minute: what was not told, to the log and to hooks, is told now, and what is old goes. */
  async sweep(): Promise<void> {
    try {
      await this.followSuppressions();
    } catch (error) {
      // The directory is away. It has them for the next sweep, and hooks are woken all the same.
      this.#needs.log("suppressions not told", { serverId: this.#serverId, error: String(error) });
    }
    const before = this.#needs.now() - KEPT_MS;
    for (let step = 0; step < STEPS_PER_SWEEP; step++) if (!this.#store.forget(before, PACKS_PER_STEP)) break;
    await this.#wakeHooks(({ types }) => types);
  }

  /** Whether all was looked at; else the rest is looked at by the next call, or all again by one after a restart. */
  async erase(erase: ToErase): Promise<boolean> {
    const name = JSON.stringify(erase);
    const going = this.#erasing.get(name) ?? { how: forgetting(erase), after: 0 };
    this.#erasing.set(name, going);
    for (let step = 0; step < STEPS_PER_SWEEP; step++) {
      const next = this.#store.erase(going.how, going.after, PACKS_PER_STEP);
      if (next === undefined) {
        this.#erasing.delete(name);
        return true;
      }
      going.after = next;
      // Others want the object too.
      await scheduler.wait(0);
    }
    return false;
  }

  /** The server is gone, and all of this with it. */
  async destroy(): Promise<void> {
    await this.ctx.storage.deleteAll();
  }

  async #wakeHooks(newsFor: (hook: HookRef) => EventType[]): Promise<void> {
    try {
      const now = this.#needs.now();
      if (!this.#hooks || now >= this.#hooks.until)
        this.#hooks = {
          refs: await within(OWN_MS, this.#needs.hooks(this.#serverId)),
          until: now + HOOKS_KNOWN_MS,
        };
      const woken = this.#hooks.refs.map(async (hook) => {
        const types = newsFor(hook);
        if (types.length > 0) await within(OWN_MS, this.#needs.wakeHook(hook.name, types));
      });
      await Promise.all(woken);
    } catch (error) {
      // What is in the log is not lost for a hook that was not woken: cron wakes all of them.
      this.#needs.log("hooks not woken", { serverId: this.#serverId, error: String(error) });
    }
  }
}

function isFor({ stream }: HookRef, event: MailEvent): boolean {
  return stream === undefined || stream === event.stream;
}

async function toEvent(
  serverId: number,
  { stream, email, reason, origin, removed, changedAt, cause }: ToldSuppression,
): Promise<MailEvent> {
  const { messageId = "", tag = "", metadata = {} } = (removed ? undefined : cause) ?? {};
  return {
    id: await eventId("SubscriptionChange", serverId, stream, email, changedAt),
    ...{ at: changedAt, stream, messageId, email, tag, metadata },
    type: "SubscriptionChange",
    suppressed: !removed,
    reason: removed ? "" : reason,
    // An unsubscribing is taken back by who unsubscribed, and all else by the server's owner (suppress/list.ts).
    origin: removed && !(reason === "ManualSuppression" && origin === "Recipient") ? "Customer" : origin,
  };
}
