/**
 * Group commit: messages that finish close together go to the Worker in one request, or into the spool in one write. While little
 * is under way a message goes at once; else it waits, with all that come meanwhile, until something returns. There is no timer for
 * a message, and nobody waits longer than the limits' `patience` for the Worker.
 */
import { randomBytes, randomInt, randomUUID } from "node:crypto";
import { MAX_BATCH_BYTES } from "../../mail/ingress.ts";
import type { Reply } from "../../mail/reply.ts";
import type { Receipt, Submitted } from "../intake.ts";
import { type Asks, readAnswers } from "./answer.ts";
import {
  type Arrival,
  type FormedBatch,
  firstRequest,
  formBatches,
  headEstimate,
  joinFrames,
  settleWith,
} from "./batch.ts";
import type { Breaker, Breakers } from "./breaker.ts";
import { isReply, type Keep } from "./keep.ts";
import { countBatch, type SpoolMetrics } from "./metrics.ts";
import { FAILED } from "./room.ts";

/** Requests that new mail waits for. Two: while one is at the Worker's disk, the next is being sent. */
const MAX_YOUNG = 2;
/** As long as what waits would fill a request, for which waiting longer gains nothing. */
const MAX_YOUNG_FULL = 6;
/** A request that has taken so long is waited for by its own messages only: one slow Outbox must not hold all others up. */
const YOUNG_MS = 200;
const MAX_REQUESTS = 32;
/** Writes to the disk at once: as many as Node has threads for. */
const MAX_WRITES = 4;
/** Bodies of messages without a receipt; a copy of them is under way. */
export const MAX_BYTES_IN_HAND = 128 * 1024 * 1024;
/** What frame.ts takes as a frame's JSON. */
const MAX_HEAD_BYTES = 1024 * 1024;

export const TOO_MUCH: Reply = {
  code: 451,
  enhanced: "4.3.2",
  text: "too much mail at once, try again later",
};
const TOO_LARGE: Reply = { code: 552, enhanced: "5.3.4", text: "the message is too large" };
const TOO_MANY: Reply = { code: 452, enhanced: "4.5.3", text: "too many recipients, send fewer at once" };

const SOURCES = {
  now: Date.now,
  newKey: randomUUID,
  randomBytes,
  randomBelow: (limit: number) => randomInt(limit),
};

export interface CollectNeeds {
  worker: Asks;
  patience: number;
  keep: Keep;
  breaker: Breaker;
  groups: Breakers;
  metrics: SpoolMetrics;
  log(event: string, fields: Record<string, unknown>): void;
  /** Something is in the spool, or the Worker has answered. */
  changed(): void;
}

export class Collector {
  bytesInHand = 0;
  readonly #needs: CollectNeeds;
  readonly #arrivals: Arrival[] = [];
  readonly #requests = new Set<{ giveUp(error: Error): void }>();
  #unsettled = 0;
  #young = 0;
  #writes = 0;
  #isAwaited = false;
  #isEnding = false;
  #whenIdle: (() => void)[] = [];

  constructor(needs: CollectNeeds) {
    this.#needs = needs;
  }

  get inFlight(): number {
    return this.#requests.size;
  }

  get #isIdle(): boolean {
    return this.#unsettled === 0;
  }

  take(message: Submitted): Promise<Receipt> {
    const { length } = message.bytes;
    if (length > MAX_BATCH_BYTES) return Promise.resolve({ reply: TOO_LARGE });
    if (headEstimate(message) > MAX_HEAD_BYTES / 2) return Promise.resolve({ reply: TOO_MANY });
    if (this.bytesInHand + length > MAX_BYTES_IN_HAND) return Promise.resolve({ reply: TOO_MUCH });
    this.bytesInHand += length;
    this.#unsettled++;
    return new Promise((resolve) => {
      const settle = (receipt: Receipt) => {
        this.bytesInHand -= length;
        this.#unsettled--;
        resolve(receipt);
      };
      this.#arrivals.push({ message, at: performance.now(), settle });
      this.#pumpSoon();
    });
  }

  /** After `ms` nobody waits for the Worker any more: what it has not answered is spooled. */
  async end(ms: number): Promise<void> {
    const timer = setTimeout(() => {
      this.#isEnding = true;
      for (const request of this.#requests) request.giveUp(new Error("the gateway stops"));
      this.pump();
    }, ms);
    while (!this.#isIdle) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
    clearTimeout(timer);
  }

  /** Behind all that can be read now: sessions that end their messages in one turn of the loop share a batch. */
  #pumpSoon(): void {
    if (this.#isAwaited) return;
    this.#isAwaited = true;
    setImmediate(() => {
      this.#isAwaited = false;
      this.pump();
    });
  }

  pump(): void {
    const { breaker, groups } = this.#needs;
    while (this.#arrivals.length > 0) {
      const mayAsk = !breaker.isOpen || (breaker.isHalfOpen && this.#requests.size === 0);
      const isDirect = mayAsk && !this.#isEnding;
      const { count, isFull } = firstRequest(this.#arrivals);
      const isFree = isDirect
        ? this.#young < (isFull ? MAX_YOUNG_FULL : MAX_YOUNG) && this.#requests.size < MAX_REQUESTS
        : this.#writes < MAX_WRITES;
      if (!isFree) return;
      const batches = formBatches(this.#arrivals.splice(0, count), SOURCES);
      for (const { arrivals } of batches) this.#needs.metrics.batchMessages.observe(arrivals.length);
      const direct = batches.filter(({ group }) => isDirect && !groups.isOpen(group));
      const rest = batches.filter((batch) => !direct.includes(batch));
      if (direct.length > 0) void this.#handOver(direct);
      if (rest.length > 0) void this.#spool(rest, "away");
    }
    if (this.#isIdle) for (const resolve of this.#whenIdle.splice(0)) resolve();
  }

  async #handOver(batches: FormedBatch[]): Promise<void> {
    const { breaker, groups, metrics, log } = this.#needs;
    const startedAt = performance.now();
    const answers = await this.#ask(batches, startedAt).catch((error: unknown) => {
      // Whether the Worker has the batches nobody knows. They keep their keys, so that it takes them once.
      log("intake: no answer from the Worker", {
        batches: batches.length,
        error: String(error).slice(0, 300),
      });
      return undefined;
    });
    const now = performance.now();
    metrics.seconds.observe((now - startedAt) / 1_000);
    if (answers?.isWorker) breaker.succeeded(now);
    else if (!this.#isEnding) breaker.failed(startedAt, now);
    const rest: FormedBatch[] = [];
    for (const formed of batches) {
      const results = answers?.results.get(formed.batch.key);
      if (results) {
        countBatch(metrics, "direct", results.length);
        settleWith(formed, results);
      } else {
        if (answers?.isWorker) groups.failed(formed.group, startedAt, now);
        rest.push(formed);
      }
    }
    if (rest.length > 0) await this.#spool(rest, "no answer");
    this.#needs.changed();
    this.pump();
  }

  async #ask(batches: FormedBatch[], startedAt: number) {
    const { worker, patience } = this.#needs;
    const oldest = Math.min(...batches.flatMap(({ arrivals }) => arrivals.map(({ at }) => at)));
    // What has waited for its turn has less time left, but some.
    const ms = Math.max(patience / 4, patience - (startedAt - oldest));
    let release = () => {
      this.#young--;
      release = () => undefined;
    };
    const aged = setTimeout(() => {
      release();
      this.pump();
    }, YOUNG_MS);
    this.#young++;
    let request: { giveUp(error: Error): void } | undefined;
    try {
      const lines = await new Promise<unknown[]>((resolve, reject) => {
        request = { giveUp: reject };
        this.#requests.add(request);
        worker.frames("/gateway/ingress", joinFrames(batches), ms).then(resolve, reject);
      });
      return readAnswers(
        lines,
        batches.map(({ batch }) => ({ key: batch.key, messages: batch.messages.length })),
      );
    } finally {
      clearTimeout(aged);
      release();
      if (request) this.#requests.delete(request);
    }
  }

  async #spool(batches: FormedBatch[], why: string): Promise<void> {
    this.#writes++;
    await Promise.all(batches.map((formed) => this.#spoolOne(formed, why)));
    this.#writes--;
    this.#needs.changed();
    this.pump();
  }

  async #spoolOne(formed: FormedBatch, why: string): Promise<void> {
    const { keep, metrics, log } = this.#needs;
    const { batch, frame, arrivals, group } = formed;
    const head = { key: batch.key, at: Date.now(), messages: arrivals.length };
    const kept = await keep.write("waiting", { group, head, frame }).catch((error: unknown) => {
      // A fault of ours: the sessions are told, and not left waiting.
      log("spool: fault", { key: batch.key, error: String(error) });
      return FAILED;
    });
    if (isReply(kept)) {
      for (const arrival of arrivals) arrival.settle({ reply: kept });
      return;
    }
    countBatch(metrics, "spooled", arrivals.length);
    log("spooled", { key: batch.key, messages: arrivals.length, bytes: kept.bytes, why });
    settleWith(formed, []);
  }
}
