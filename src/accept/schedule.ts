/**
 * The scheduled messages of a server, a Durable Object: they wait here and not in an Outbox, which knows all its messages by heart and
 * reads them when it starts; here a million that wait cost nothing until their time comes. Only what releases them knows an
 * Outbox (schedule-release.ts); this file is the object's calls.
 */
import { DurableObject } from "cloudflare:workers";
import { compose } from "../compose/compose.ts";
import type { Accepted } from "../mail/accepted.ts";
import type { Region } from "../mail/message-id.ts";
import type { MessageRecord } from "../mail/record.ts";
import { newProgress, toRecord } from "./pack.ts";
import { type ReleaseNeeds, ScheduledRelease, scheduledPlace } from "./schedule-release.ts";
import { type Planned, type ScheduledMessage, type SchedulePlace, ScheduleStore } from "./schedule-store.ts";

/** An alarm's run: short, since its CPU time is counted as one, and a new alarm begins anew. */
const RUN_MS = 10_000;
/** While it runs no other alarm comes, not even for a message that is put in for sooner. */
const MAX_NAP_MS = 100;
/** After a fault of ours, which is in the log. */
const FAULT_WAIT_MS = 60_000;
/** An object's storage ends at 10 GB. */
const MAX_BYTES = 8_000_000_000;
/** As an Outbox remembers what it answered. */
const ANSWERS_MS = 86_400_000;
/** Forgetting old answers reads them all. */
const FORGET_EVERY_MS = 3_600_000;

export interface PlanRequest {
  serverId: number;
  region: Region;
  messages: Planned[];
  idempotency?: { key: string; bodyHash: string };
}

export type PlanReply =
  | { kind: "accepted"; results: Accepted[] }
  /** The idempotency key was used with another body. */
  | { kind: "conflict" }
  /** It holds as much as it will. Nothing was accepted. */
  | { kind: "overloaded" };

/** What the gate and the API see of it. */
export interface SchedulePort {
  /** Takes all: durable when this returns. The same idempotency key gives the first answer again for 24 hours. */
  plan(request: PlanRequest): Promise<PlanReply>;
  /** What was taken is not to be, after all, nor are the answers that were given. */
  withdraw(ids: string[], keys: string[]): Promise<void>;
  /** The same as any other message is shown, with the bytes that would be sent. */
  find(id: string): Promise<{ record: MessageRecord; raw: Uint8Array } | undefined>;
  get(id: string): Promise<ScheduledMessage | undefined>;
  /** Soonest first, with how many there are. */
  list(query: { limit: number; after?: SchedulePlace; stream?: string }): Promise<{
    total: number;
    messages: ScheduledMessage[];
  }>;
  /** As it stands then; undefined when there is none, or its release has begun. */
  change(id: string, sendAt: number): Promise<ScheduledMessage | undefined>;
  /** As it was; undefined when there is none, or its release has begun: of these two one wins. */
  cancel(id: string): Promise<ScheduledMessage | undefined>;
  /** Recipients that are scheduled. */
  recipients(): Promise<number>;
}

export interface ScheduleNeeds extends ReleaseNeeds {
  /** Right side of Message-IDs. */
  mailDomain: string;
}

export class ScheduleObject extends DurableObject implements SchedulePort {
  readonly #needs: ScheduleNeeds;
  readonly #store: ScheduleStore;
  readonly #release: ScheduledRelease;
  /** Regions whose Outbox knows the server, so that messages can be released while the directory is away. */
  readonly #prepared = new Set<Region>();
  #forgotAt = 0;

  constructor(ctx: DurableObjectState, env: object, needs: ScheduleNeeds) {
    super(ctx, env);
    this.#needs = needs;
    this.#store = new ScheduleStore(ctx.storage);
    this.#release = new ScheduledRelease(this.#store, needs);
    ctx.blockConcurrencyWhile(() => this.#wake(this.#soonest()));
  }

  async plan({ serverId, region, messages, idempotency }: PlanRequest): Promise<PlanReply> {
    const { now } = this.#needs;
    const before = idempotency && this.#store.answer(idempotency.key, now());
    if (before && before.bodyHash !== idempotency.bodyHash) return { kind: "conflict" };
    if (before) return { kind: "accepted", results: before.results };
    if (this.#store.bytes > MAX_BYTES) return { kind: "overloaded" };
    this.#store.serverId = serverId;
    const results = messages.map(
      ({ head: { id, summary } }): Accepted => ({
        ok: true,
        messageId: id,
        submittedAt: summary.scheduled?.at ?? now(),
        inactive: [],
      }),
    );
    const answer = idempotency && { ...idempotency, until: now() + ANSWERS_MS, results };
    this.#store.insert(messages, answer);
    await this.#wake(Math.min(...messages.map((m) => m.sendAt)));
    this.ctx.waitUntil(this.#prepare(serverId, region));
    return { kind: "accepted", results };
  }

  async withdraw(ids: string[], keys: string[]): Promise<void> {
    this.#store.cancel(ids);
    for (const key of keys) this.#store.forgetAnswer(key);
  }

  async find(id: string): Promise<{ record: MessageRecord; raw: Uint8Array } | undefined> {
    const found = this.#store.find(id);
    const submission = this.#store.submission(id);
    if (!found || !submission) return undefined;
    const { head, sendAt } = found;
    const message = { ...head, acceptedAt: sendAt, body: { offset: 0, length: 0 } };
    const isDue = sendAt <= this.#needs.now();
    const reason = isDue ? (this.#release.trouble ?? "It is being sent.") : "It is scheduled.";
    const progress = newProgress(message, new Set());
    const record = toRecord(this.#store.serverId, message, progress, () => ({ until: sendAt, reason }));
    const ids = { messageId: head.id, acceptedAt: sendAt, messageIdDomain: this.#needs.mailDomain };
    return { record: { ...record, sendAt }, raw: compose(submission, ids) };
  }

  async get(id: string): Promise<ScheduledMessage | undefined> {
    return this.#store.find(id);
  }

  async list({ limit, after, stream }: { limit: number; after?: SchedulePlace; stream?: string }) {
    const messages = this.#store.list(limit, after, stream);
    return { total: this.#store.totals(stream).messages, messages };
  }

  async change(id: string, sendAt: number): Promise<ScheduledMessage | undefined> {
    if (!this.#store.change(id, sendAt)) return undefined;
    await this.#wake(sendAt);
    return this.#store.find(id);
  }

  async cancel(id: string): Promise<ScheduledMessage | undefined> {
    const found = this.#store.find(id);
    return this.#store.cancel([id]).length > 0 ? found : undefined;
  }

  async recipients(): Promise<number> {
    return this.#store.totals().recipients;
  }

  /** Cron's call: wakes one whose alarm was lost. Harmless at any time. */
  async sweep(): Promise<void> {
    await this.#wake(this.#soonest());
  }

  /** For a server that is deleted: nothing is left. */
  async erase(): Promise<void> {
    await this.ctx.storage.deleteAlarm();
    await this.ctx.storage.deleteAll();
    this.#store.create();
  }

  /** Nobody mails the person any more; false while a message to them is on its way into an Outbox. */
  async removePerson(email: string): Promise<boolean> {
    let isOut = true;
    for (let after = ""; ; ) {
      const { ids, last } = this.#store.naming(email, after);
      for (const id of ids) isOut = this.#store.removePerson(id, email) && isOut;
      if (last === undefined) return isOut;
      after = last;
      await scheduler.wait(0);
    }
  }

  /** Runs at least once, perhaps twice: each step is written down before and after. */
  override async alarm(): Promise<void> {
    const { now, log } = this.#needs;
    const end = now() + RUN_MS;
    try {
      if (now() - this.#forgotAt > FORGET_EVERY_MS) {
        this.#forgotAt = now();
        this.#store.forgetAnswers(now());
      }
      for (;;) {
        const wait = await this.#release.step();
        if (wait === undefined) return;
        if (wait > MAX_NAP_MS || now() + wait > end) return await this.ctx.storage.setAlarm(now() + wait);
        await scheduler.wait(wait);
      }
    } catch (error) {
      // A thrown alarm is retried six times and then dropped; ours is set again, for ever.
      log("schedule alarm failed", { serverId: this.#store.serverId, error: String(error) });
      await this.ctx.storage.setAlarm(now() + FAULT_WAIT_MS);
    }
  }

  /** Setting an alarm costs a row, so only an earlier one is set. */
  async #wake(sendAt: number | undefined): Promise<void> {
    if (sendAt === undefined) return;
    const at = Math.max(sendAt, this.#needs.now());
    const set = await this.ctx.storage.getAlarm();
    if (set === null || set > at) await this.ctx.storage.setAlarm(at);
  }

  #soonest(): number | undefined {
    return this.#store.step() ? 0 : this.#store.soonest();
  }

  /** Asking the Outbox for the policy makes the directory know of it as well, and cron of this object. Never rejects. */
  async #prepare(serverId: number, region: Region): Promise<void> {
    if (this.#prepared.has(region)) return;
    try {
      await this.#needs.policy(serverId, scheduledPlace(region));
      this.#prepared.add(region);
    } catch (error) {
      // The next message tries again.
      this.#needs.log("outbox not prepared", { serverId, region, error: String(error) });
    }
  }
}
