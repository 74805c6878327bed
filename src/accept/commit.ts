/**
 * Group commit: calls that arrive in one turn of the object are written in one transaction, and each caller waits for
 * it. A single call waits for nobody. If the process dies before the transaction is on disk, no caller had an answer.
 */
import type { Accepted } from "../mail/accepted.ts";
import type { AcceptReply, AcceptRequest } from "./needs.ts";
import {
  type MessageProgress,
  newProgress,
  PACK_BODY_BYTES,
  PACK_MESSAGES,
  PACK_RECIPIENTS,
  type Pack,
  type PackedMessage,
} from "./pack.ts";
import type { Shelf } from "./shelf.ts";
import type { Store } from "./store.ts";

/**
 * More open messages than this, or more that stands in lines (a message does for each of its domains), and an Outbox asks callers to go
 * to its neighbour: memory is 128 MB.
 */
const MAX_MESSAGES = 150_000;
/**
 * How often the archive is told of what was attempted. What nobody has attempted yet is given time first (shelf.ts): most
 * recipients are final by then, and one row says it all.
 */
export const FLUSH_EVERY_MS = 2_000;

/**
 * An API's caller repeats within a day; a gateway's spool or the release of a bulk request may be away for longer, and must not
 * deliver twice when it is back.
 */
const ANSWERS_MS = 86_400_000;
const BATCHES_MS = 7 * ANSWERS_MS;

interface Arrival {
  request: AcceptRequest;
  resolve(reply: AcceptReply): void;
  reject(error: unknown): void;
}

interface Loose {
  message: PackedMessage;
  progress: MessageProgress;
  bytes: Uint8Array;
}

export class Commits {
  readonly #store: Store;
  readonly #shelf: Shelf;
  readonly #committed: (flushAt: number) => void;
  readonly #now: () => number;
  #arrivals: Arrival[] = [];

  constructor(store: Store, shelf: Shelf, committed: (flushAt: number) => void, now: () => number) {
    this.#now = now;
    this.#store = store;
    this.#shelf = shelf;
    this.#committed = committed;
  }

  accept(request: AcceptRequest): Promise<AcceptReply> {
    return new Promise((resolve, reject) => {
      this.#arrivals.push({ request, resolve, reject });
      if (this.#arrivals.length === 1) void this.#commitSoon();
    });
  }

  async #commitSoon(): Promise<void> {
    await scheduler.wait(0);
    const arrivals = this.#arrivals;
    this.#arrivals = [];
    const replies: AcceptReply[] = [];
    try {
      const written = this.#store.transaction(() => {
        const loose: Loose[] = [];
        for (const { request } of arrivals) replies.push(this.#take(request, loose));
        return this.#pack(loose);
      });
      // Not before all of it is written: what stands on the shelf is sent.
      for (const { pack, now } of written) this.#shelf.add(pack, now);
      const last = written.at(-1);
      if (last) this.#committed(last.now + FLUSH_EVERY_MS);
    } catch (error) {
      // Rolled back: nobody is told that anything was accepted.
      for (const arrival of arrivals) arrival.reject(error);
      return;
    }
    arrivals.forEach((arrival, i) => {
      arrival.resolve(replies[i] as AcceptReply);
    });
  }

  #take(request: AcceptRequest, loose: Loose[]): AcceptReply {
    const { idempotency } = request;
    const before = idempotency && this.#store.answer(idempotency.key, this.#now());
    if (before && before.bodyHash !== idempotency.bodyHash) return { kind: "conflict" };
    const { refuseInactive, tally, takeInactive } = request;
    if (before) {
      const { results } = before;
      return typeof results === "number" ? this.#tallied(results) : { kind: "accepted", results };
    }
    if (Math.max(this.#shelf.size, this.#shelf.lines.size) > MAX_MESSAGES) return { kind: "overloaded" };

    const results = request.messages.map(({ message, body }): Accepted => {
      const inactive = message.summary.recipients.filter((r) => this.#store.isSuppressed(message.stream, r));
      const isRefused = inactive.length === message.summary.recipients.length;
      if (isRefused && refuseInactive === undefined && !takeInactive) return { ok: false, inactive };
      const isLarge = "large" in body;
      loose.push({
        message: { ...message, body: isLarge ? body : { offset: 0, length: body.length } },
        progress: newProgress(
          { ...message, body: { offset: 0, length: 0 } },
          new Set(inactive),
          refuseInactive,
        ),
        bytes: isLarge ? new Uint8Array(0) : body,
      });
      return { ok: true, messageId: message.id, submittedAt: message.acceptedAt, inactive };
    });
    const failed = results.filter(
      (r, i) => !r.ok || request.messages[i]?.message.refusal !== undefined,
    ).length;
    const reply: AcceptReply = tally ? this.#tallied(failed) : { kind: "accepted", results };
    if (!idempotency) return reply;
    const { key, bodyHash } = idempotency;
    if (tally) {
      this.#store.keepAnswer(key, bodyHash, this.#now() + BATCHES_MS, failed);
      return reply;
    }
    if (refuseInactive === undefined)
      this.#store.keepAnswer(key, bodyHash, this.#now() + ANSWERS_MS, results);
    else this.#store.keepAnswer(key, bodyHash, this.#now() + BATCHES_MS, []);
    return reply;
  }

  #tallied(failed: number): AcceptReply {
    return { kind: "tallied", failed, flowing: this.#shelf.lines.flowing(this.#now()) };
  }

  /** Writes packs, each with the time of its newest message, or of one before. */
  #pack(loose: Loose[]): { pack: Pack; now: number }[] {
    const written: { pack: Pack; now: number }[] = [];
    let start = 0;
    let now = 0;
    while (start < loose.length) {
      let end = start;
      let size = 0;
      let recipients = 0;
      while (end < loose.length && end - start < PACK_MESSAGES) {
        const { bytes, message } = loose[end] as Loose;
        const isFull =
          size + bytes.length > PACK_BODY_BYTES ||
          recipients + message.summary.recipients.length > PACK_RECIPIENTS;
        if (end > start && isFull) break;
        size += bytes.length;
        recipients += message.summary.recipients.length;
        end++;
      }
      const body = new Uint8Array(size);
      let offset = 0;
      const part = loose.slice(start, end);
      for (const { message, bytes } of part) {
        if (!("large" in message.body)) message.body.offset = offset;
        body.set(bytes, offset);
        offset += bytes.length;
      }
      now = Math.max(now, ...part.map((l) => l.message.acceptedAt));
      const pack = this.#store.insertPack(
        part.map((l) => l.message),
        part.map((l) => l.progress),
        body,
      );
      written.push({ pack, now });
      start = end;
    }
    return written;
  }
}
