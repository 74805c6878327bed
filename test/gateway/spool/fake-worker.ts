/**
 * Stands for the Worker at the far end of HTTP: takes ingress requests, accepts a batch once for its key as an Outbox does, and keeps
 * a ledger of what it has. Its behaviour is a value that may be changed between requests.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { decodeFrames } from "../../../src/mail/frame.ts";
import {
  type Batch,
  type BatchResult,
  type IngressResult,
  MAX_BATCH_BYTES,
} from "../../../src/mail/ingress.ts";
import { WorkerStandIn } from "../worker-stand-in.ts";

/** `late` accepts and then never answers; `truncated` accepts and cuts its answer. */
export type Mode =
  | "ok"
  | "500"
  | "401"
  | "413"
  | "html"
  | "empty"
  | "hang"
  | "late"
  | "truncated"
  | "none"
  | "short";

export interface Accepted {
  key: string;
  messageId: string;
  serverId: number | undefined;
  body: string;
}

export class FakeWorker extends WorkerStandIn {
  mode: Mode = "ok";
  /** Of batches for these servers there are no results, as if their Outbox were away. */
  readonly away = new Set<number>();
  /** Messages for these servers are refused. */
  readonly refuses = new Set<number>();
  /** Batches for these servers are answered with a 400, as frames are that the Worker does not understand. */
  readonly malformed = new Set<number>();
  delayMs = 0;
  requests = 0;
  /** Batches in each request, in their order. */
  readonly asked: Batch[][] = [];
  readonly ledger: Accepted[] = [];
  /** Batches that came again after they were accepted. */
  repeats = 0;
  readonly #answers = new Map<string, IngressResult[]>();

  get ids(): string[] {
    return this.ledger.map(({ messageId }) => messageId);
  }

  protected override async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { mode } = this;
    if (mode === "hang") return;
    if (mode === "500" || mode === "401" || mode === "413") {
      response.writeHead(Number(mode), { connection: "close" }).end("no");
      return;
    }
    if (mode === "html") return void response.end("<html>we will be back soon</html>");
    if (mode === "empty") return void response.end();
    if (request.url === "/gateway/domains") return void response.end('{"inbound":[],"returnPath":[]}');
    this.requests++;
    const batches: Batch[] = [];
    const results: BatchResult[] = [];
    for await (const { header, body } of decodeFrames(request, MAX_BATCH_BYTES)) {
      batches.push(header as Batch);
      results.push(mode === "none" ? { key: (header as Batch).key } : this.#take(header as Batch, body));
    }
    this.asked.push(batches);
    if (batches.some(({ serverId }) => this.malformed.has(serverId ?? 0))) {
      response.writeHead(400).end("malformed frames");
      return;
    }
    if (this.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, this.delayMs));
    if (mode === "late") return;
    if (mode === "short") for (const result of results) result.results?.pop();
    const text = results.map((result) => `${JSON.stringify(result)}\n`).join("");
    if (mode !== "truncated") return void response.end(text);
    response.writeHead(200, { "content-length": text.length }).write(text.slice(0, text.length / 2));
    setImmediate(() => response.destroy());
  }

  #take(batch: Batch, body: Uint8Array): BatchResult {
    const { key, serverId, messages } = batch;
    if (this.malformed.has(serverId ?? 0)) return { key };
    if (serverId !== undefined && this.away.has(serverId)) return { key };
    if (serverId !== undefined && this.refuses.has(serverId)) {
      const reply = { code: 550, enhanced: "5.7.1", text: "this server does not exist any more" };
      return { key, results: messages.map(() => ({ accepted: false, reply })) };
    }
    const known = this.#answers.get(key);
    if (known) {
      this.repeats++;
      return { key, results: known };
    }
    let offset = 0;
    const results = messages.map(({ messageId, length }): IngressResult => {
      const text = Buffer.from(body.subarray(offset, offset + length)).toString("latin1");
      offset += length;
      if (text.includes("refuse-me"))
        return { accepted: false, reply: { code: 550, enhanced: "5.6.0", text: "no" } };
      this.ledger.push({ key, messageId, serverId, body: text });
      return { accepted: true };
    });
    if (offset !== body.length) throw new Error("the lengths do not add up");
    this.#answers.set(key, results);
    return { key, results: [...results] };
  }
}
