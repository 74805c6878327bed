/**
 * The bulk requests of a server, a Durable Object: one transaction here is the `200` of a request of any size, whose messages are
 * then released in the background. Their content lies in its own SQLite, in parts of a megabyte, and not in R2: then there is
 * one place that a request is in or not, it costs less, and R2 may be away. This file is its calls; the work is in bulk-release.ts.
 */
import { DurableObject } from "cloudflare:workers";
import { type BulkNeeds, FIRST_OUTBOX, Release } from "./bulk-release.ts";
import { BulkStore, type NewRequest, type StoredRequest } from "./bulk-store.ts";

/** An alarm's run: short, since its CPU time is counted as one, and a new alarm begins anew. */
const RUN_MS = 10_000;
/** While it runs no other alarm comes, not even for a request that is new. */
const MAX_NAP_MS = 1_000;
/** After a fault of ours, which is in the log. */
const FAULT_WAIT_MS = 60_000;

export interface BulkStatus
  extends Pick<StoredRequest, "seq" | "id" | "at" | "subject" | "total" | "released" | "failed" | "reason"> {
  state: Exclude<StoredRequest["state"], "incoming">;
}

export type CommitReply =
  | { kind: "accepted"; status: BulkStatus }
  /** The idempotency key was used for another request. */
  | { kind: "conflict" }
  /** A part of it is missing: it is to be sent again. */
  | { kind: "incomplete" };

/** What the door sees of it. Every method may be called twice with the same values. */
export interface BulkPort {
  /** Parts are numbered from 1. */
  put(id: string, part: number, bytes: Uint8Array): Promise<void>;
  commit(id: string, request: Omit<NewRequest, "outbox">, shared: Uint8Array): Promise<CommitReply>;
  /** Of what is not committed. */
  discard(id: string): Promise<void>;
  status(id: string): Promise<BulkStatus | undefined>;
  /** Newest first, those whose `seq` is below. */
  list(before: number, limit: number): Promise<BulkStatus[]>;
  /** How it stands then; undefined when there is none. */
  cancel(id: string): Promise<BulkStatus | undefined>;
}

export class BulkObject extends DurableObject implements BulkPort {
  readonly #needs: BulkNeeds;
  readonly #store: BulkStore;
  readonly #release: Release;

  constructor(ctx: DurableObjectState, env: object, needs: BulkNeeds) {
    super(ctx, env);
    this.#needs = needs;
    this.#store = new BulkStore(ctx.storage);
    this.#release = new Release(this.#store, needs);
    if (this.#store.next()) ctx.blockConcurrencyWhile(() => this.#wake(needs.now()));
  }

  async put(id: string, part: number, bytes: Uint8Array): Promise<void> {
    const now = this.#needs.now();
    this.#store.put(id, part, bytes, now);
    await this.#wake(this.#store.tidy(now));
  }

  async commit(id: string, request: Omit<NewRequest, "outbox">, shared: Uint8Array): Promise<CommitReply> {
    const { idempotency } = request;
    const before = idempotency && this.#store.withKey(idempotency.key);
    if (before && before.bodyHash !== idempotency.bodyHash) return { kind: "conflict" };
    const now = this.#needs.now();
    const known = before ? toStatus(before) : await this.status(id);
    if (known) {
      this.#store.discard(id);
      return { kind: "accepted", status: known };
    }
    if (!this.#store.commit(id, { ...request, outbox: FIRST_OUTBOX }, shared, now))
      return { kind: "incomplete" };
    await this.ctx.storage.setAlarm(now);
    const status = await this.status(id);
    return status ? { kind: "accepted", status } : { kind: "incomplete" };
  }

  async discard(id: string): Promise<void> {
    this.#store.discard(id);
  }

  async status(id: string): Promise<BulkStatus | undefined> {
    const request = this.#store.find(id);
    return request && toStatus(request);
  }

  async list(before: number, limit: number): Promise<BulkStatus[]> {
    return this.#store.list(before, limit).flatMap((request) => toStatus(request) ?? []);
  }

  async cancel(id: string): Promise<BulkStatus | undefined> {
    this.#store.cancel(id, "It was cancelled.");
    return this.status(id);
  }

  /** Cron's call: wakes one whose alarm was lost. Harmless at any time. */
  async sweep(): Promise<void> {
    if (this.#store.next()) await this.#wake(this.#needs.now());
  }

  /** For a server that is deleted: nothing is left of any request. */
  async erase(): Promise<void> {
    await this.ctx.storage.deleteAll();
    this.#store.create();
  }

  /** Nobody mails the person out of any request any more; false while some of it is on its way into an Outbox. */
  async removePerson(email: string): Promise<boolean> {
    let isOut = true;
    for (const request of this.#store.waiting())
      for (let part = request.part; part <= request.parts; part++) {
        const found = this.#store.removePerson(email, request, part);
        if (found === "taken out") this.#release.readAgain();
        isOut &&= found !== "on their way";
        // Each is a megabyte, and there may be thousands: others get their turn between.
        await scheduler.wait(0);
      }
    return isOut;
  }

  /** Runs at least once, perhaps twice: each step is written down before and after. */
  override async alarm(): Promise<void> {
    const { now } = this.#needs;
    const end = now() + RUN_MS;
    try {
      for (;;) {
        const wait = await this.#release.step();
        if (wait === undefined) break;
        if (wait > MAX_NAP_MS || now() + wait > end) return await this.ctx.storage.setAlarm(now() + wait);
        await scheduler.wait(wait);
      }
      const due = this.#store.tidy(now());
      if (due !== undefined) await this.#wake(due);
    } catch (error) {
      // A thrown alarm is retried six times and then dropped; ours is set again, for ever.
      this.#needs.log("bulk alarm failed", { error: String(error) });
      await this.ctx.storage.setAlarm(now() + FAULT_WAIT_MS);
    }
  }

  /** Setting an alarm costs a row, so only an earlier one is set. */
  async #wake(at: number | undefined): Promise<void> {
    if (at === undefined) return;
    const set = await this.ctx.storage.getAlarm();
    if (set === null || set > at) await this.ctx.storage.setAlarm(at);
  }
}

/** undefined for what does not exist yet. */
function toStatus(request: StoredRequest): BulkStatus | undefined {
  const { seq, id, state, at, subject, total, released, failed, reason } = request;
  if (state === "incoming") return undefined;
  return { seq, id, state, at, subject, total, released, failed, reason };
}
