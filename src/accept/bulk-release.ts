/**
 * Releases bulk requests step by step: so many messages as one call of the gate takes, once for the step's key. What is to be
 * released is written down before, and its outcome after, so that a step that was interrupted anywhere is asked for again in
 * the same words, and the Outbox gives the answer that it gave. Requests take turns, part by part.
 */
import type { ServerPolicy } from "../accounts/policy.ts";
import type { Shard } from "../mail/message-id.ts";
import { within } from "../mail/within.ts";
import { compileMessage, renderMessage } from "../template/message.ts";
import {
  type BulkMessage,
  type BulkShared,
  type Draft,
  draftBytes,
  type Render,
  toDraft,
} from "./bulk-message.ts";
import type { BulkStore, StoredRequest } from "./bulk-store.ts";
import type { AcceptReply } from "./needs.ts";
import {
  backOff,
  CALL_MS,
  FULL,
  FULL_WAIT_MS,
  restAfter,
  STEP_BYTES,
  STEP_MESSAGES,
  waitForFlow,
} from "./release-pace.ts";
import { unfitFor } from "./unfit.ts";

/** Rendering holds the one thread: whoever asks how a request stands gets their turn between. */
const RENDERED_PER_TURN = 16;
/**
 * Outboxes of their own take a server's bulk mail, so that accepting live mail never waits behind it: the highest numbers, which
 * live mail comes to last. When one holds as much as it will, the next is asked.
 */
const BULK_OUTBOXES = [15, 14, 13, 12];
export const FIRST_OUTBOX = 15;
export const isBulkOutbox = (number: number) => BULK_OUTBOXES.includes(number);
/** The Outbox remembers for a week what it answered: until then it can be asked again. */
const ASK_AGAIN_MS = 6 * 86_400_000;

export type Tallied = Extract<AcceptReply, { kind: "tallied" }>;

export interface BulkNeeds {
  now(): number;
  /** The server as that Outbox knows it; undefined when it does not exist. Throws when nobody can tell. */
  policy(serverId: number, shard: Shard): Promise<ServerPolicy | undefined>;
  /** Accepts them all, once for the key. Throws when the outcome is not known. */
  release(
    policy: ServerPolicy,
    batch: { place: Shard; key: string; drafts: Draft[] },
  ): Promise<Tallied | { kind: "overloaded" }>;
  log(event: string, fields: Record<string, unknown>): void;
}

/** What is in memory of the request whose turn it is. */
interface Loaded {
  seq: number;
  part: number;
  shared: BulkShared;
  render: Render;
  messages: BulkMessage[];
}

export class Release {
  readonly #store: BulkStore;
  readonly #needs: BulkNeeds;
  #loaded: Loaded | undefined;
  /** Requests that failed, by number: how often in a row, and until when they keep no other waiting. */
  readonly #resting = new Map<number, { failures: number; until: number }>();

  constructor(store: BulkStore, needs: BulkNeeds) {
    this.#store = store;
    this.#needs = needs;
  }

  /** One step; says how many milliseconds until the next, or undefined when nothing is left. Never rejects. */
  async step(): Promise<number | undefined> {
    const began = this.#needs.now();
    const resting = [...this.#resting].filter(([, { until }]) => until > began);
    const request = this.#store.next(resting.map(([seq]) => seq));
    if (!request) {
      this.#loaded = undefined;
      if (this.#store.next()) return Math.min(...resting.map(([, { until }]) => until)) - began;
      this.#resting.clear();
      return undefined;
    }
    try {
      const wait = await this.#release(request);
      this.#resting.delete(request.seq);
      return Math.max(wait, restAfter(this.#needs.now() - began));
    } catch (error) {
      // Nothing is lost: what was intended is written down, and the same is tried again.
      const failures = this.#resting.get(request.seq)?.failures ?? 0;
      const wait = backOff(failures);
      this.#resting.set(request.seq, { failures: failures + 1, until: this.#needs.now() + wait });
      this.#needs.log("bulk release failed", { id: request.id, error: String(error), wait });
      this.#store.wait(request, "The messages cannot be released at the moment. It is tried again.");
      return restAfter(0);
    }
  }

  /** What is stored was changed. */
  readAgain(): void {
    this.#loaded = undefined;
  }

  async #release(request: StoredRequest): Promise<number> {
    const { id, intent, part, place } = request;
    const shard = { region: request.region, number: request.outbox };
    if (intent && this.#needs.now() - intent.at > ASK_AGAIN_MS)
      return this.#give(request, "What became of some messages could not be found out within six days.");
    const policy = await within(CALL_MS, this.#needs.policy(request.serverId, shard));
    if (!policy) return this.#give(request, "The server does not exist any more.");
    const loaded = this.#load(request);
    const unfit = intent ? undefined : unfitFor(loaded.shared.submission, policy);
    if (unfit !== undefined) {
      this.#store.cancel(id, unfit);
      return 0;
    }
    const drafts = await this.#draft(loaded, place, intent?.count);
    // Cancelled, or changed, while it was rendered: nothing is intended yet.
    if (!intent && (this.#store.find(id)?.state !== "open" || this.#loaded !== loaded)) return 0;
    const count = drafts.length;
    if (!intent) this.#store.intend(request, { count, at: this.#needs.now() });
    const key = `bulk/${id}/${part}/${place}`;
    const reply = await within(CALL_MS, this.#needs.release(policy, { place: shard, key, drafts }));
    if (reply.kind === "overloaded") return this.#overloaded(request);
    this.#store.advance(id, {
      count,
      failed: reply.failed,
      isLast: place + count >= loaded.messages.length,
    });
    return waitForFlow(reply.flowing);
  }

  #give(request: StoredRequest, reason: string): number {
    this.#needs.log("bulk request given up", { id: request.id, reason });
    this.#store.abandon(request, reason);
    return 0;
  }

  /**
   * It took nothing, and what was intended may go elsewhere; but not when it was asked before, and that call may still be on its
   * way: then it alone is asked again.
   */
  #overloaded(request: StoredRequest): number {
    if (request.intent) {
      this.#store.wait(request, FULL);
      return FULL_WAIT_MS;
    }
    const at = BULK_OUTBOXES.indexOf(request.outbox);
    const next = BULK_OUTBOXES[(at + 1) % BULK_OUTBOXES.length] ?? FIRST_OUTBOX;
    this.#store.giveBack(request, next);
    this.#store.wait(request, FULL);
    return next === FIRST_OUTBOX ? FULL_WAIT_MS : 0;
  }

  #load(request: StoredRequest): Loaded {
    const { seq, part } = request;
    if (this.#loaded?.seq === seq && this.#loaded.part === part) return this.#loaded;
    const before = this.#loaded?.seq === seq ? this.#loaded : undefined;
    // Let go of the last part first: two need not fit.
    this.#loaded = undefined;
    const shared = before?.shared ?? this.#store.shared(request);
    const render = before?.render ?? renderer(shared);
    this.#loaded = { seq, part, shared, render, messages: this.#store.messages(request) };
    return this.#loaded;
  }

  /** As many as a step takes; of what was intended before, exactly so many. */
  async #draft({ shared, render, messages }: Loaded, from: number, count?: number): Promise<Draft[]> {
    const drafts: Draft[] = [];
    const end = Math.min(messages.length, from + (count ?? STEP_MESSAGES));
    let bytes = 0;
    for (let i = from; i < end; i++) {
      if (drafts.length % RENDERED_PER_TURN === RENDERED_PER_TURN - 1) await scheduler.wait(0);
      const draft = toDraft(shared, messages[i] as BulkMessage, render);
      bytes += draftBytes(draft);
      if (count === undefined && drafts.length > 0 && bytes > STEP_BYTES) break;
      drafts.push(draft);
    }
    return drafts;
  }
}

function renderer({ source, inlineCss }: BulkShared): Render {
  const compiled = compileMessage(source);
  // The door lets none in that does not compile.
  if ("errors" in compiled)
    return () => ({ error: compiled.errors[0]?.message ?? "The template is not valid." });
  return (model) => renderMessage(compiled.ok, model, { inlineCss });
}
