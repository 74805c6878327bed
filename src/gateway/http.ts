/**
 * The gateway's HTTP side: `POST /egress` as mail/egress.ts says it, and what operators ask. Results are written as they come;
 * when the requester goes away the work goes on, and is in the journal when it asks again.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import * as z from "zod";
import { MAX_MESSAGE_BYTES } from "../mail/egress.ts";
import { decodeFrames } from "../mail/frame.ts";
import type { Egress } from "./egress/egress.ts";
import type { Metrics } from "./metrics.ts";

export interface HttpNeeds {
  egress: Pick<Egress, "send">;
  metrics: Metrics;
  secret: string;
  isStopping(): boolean;
  /** Whether mail is taken at the front door. Sending needs no spool. */
  isReady(): boolean;
  log(event: string, fields: Record<string, unknown>): void;
}

/** Messages in memory, over all requests; a request beyond this is told to go elsewhere. */
const MAX_BYTES_IN_HAND = 256 * 1024 * 1024;
/** RFC 5321 §4.5.3.1.8 has servers take a hundred recipients. */
const MAX_RECIPIENTS = 100;

/** For a request to be here as a whole. Its answer may take longer: a mail server has ten minutes. */
const REQUEST_MS = 300_000;

const ConsignmentShape = z.object({
  /** A line of the journal is parted by spaces. */
  key: z.string().regex(/^[\x21-\x7e]{1,500}$/),
  domain: z
    .string()
    .max(253)
    .regex(/^(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?\.)*[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/),
  reversePath: z.string().max(320),
  recipients: z.array(z.string().min(3).max(320)).min(1).max(MAX_RECIPIENTS),
  tls: z.enum(["opportunistic", "require"]),
  connections: z.number().int().min(1).max(1_000),
});

export function newHttpServer(needs: HttpNeeds): Server {
  const doors = new Doors(needs);
  const server = createServer((request, response) => void doors.open(request, response));
  server.requestTimeout = REQUEST_MS;
  server.keepAliveTimeout = 65_000;
  // Out of file descriptors, most likely: those who are in go on, and the next may be taken again.
  server.on("error", (error: NodeJS.ErrnoException) => {
    if (server.listening) needs.log("accept failed", { error: error.code ?? error.message });
  });
  return server;
}

class Doors {
  readonly #needs: HttpNeeds;
  readonly #secretHash: Buffer;
  #bytesInHand = 0;

  constructor(needs: HttpNeeds) {
    this.#needs = needs;
    this.#secretHash = sha256(`Bearer ${needs.secret}`);
  }

  async open(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // Anybody may ask for "//", which is no URL.
    const path = URL.parse(request.url ?? "/", "http://gateway")?.pathname ?? "";
    try {
      if (path === "/egress") return await this.#egress(request, response);
      if (path === "/healthz") return answer(response, 200, "ok\n");
      if (path === "/readyz")
        return this.#needs.isReady() ? answer(response, 200, "ready\n") : notReady(response, this.#needs);
      if (path !== "/metrics") return answer(response, 404, "no such page\n");
      const { registry } = this.#needs.metrics;
      response.setHeader("content-type", registry.contentType);
      response.end(await registry.metrics());
    } catch (error) {
      this.#needs.log("request failed", { path, error: String(error) });
      if (response.headersSent) response.destroy();
      else answer(response, 500, "a fault in the gateway\n");
    }
  }

  async #egress(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // Hashes have one length, so the comparison takes one time.
    const given = sha256(request.headers.authorization ?? "");
    if (!timingSafeEqual(given, this.#secretHash)) return answer(response, 401, "the secret is wrong\n");
    if (request.method !== "POST") return answer(response, 405, "POST only\n");
    if (this.#needs.isStopping()) return notReady(response, this.#needs);
    if (this.#bytesInHand > MAX_BYTES_IN_HAND) return answer(response, 503, "too much in hand\n");
    const work: Promise<void>[] = [];
    try {
      for await (const { header, body } of decodeFrames(request, MAX_MESSAGE_BYTES)) {
        const parsed = ConsignmentShape.parse(header);
        // A gateway answers before it works: the requester waits for the header only seconds.
        if (work.length === 0) {
          response.writeHead(200, { "content-type": "application/x-ndjson" });
          response.flushHeaders();
        }
        work.push(this.#one(parsed, body, response));
      }
    } catch (error) {
      this.#needs.log("egress request refused", { error: String(error).slice(0, 300), frames: work.length });
      if (work.length === 0) return answer(response, 400, "malformed frame\n");
      // The frames before were well-formed. A response that is cut says nothing about the rest.
      await Promise.all(work);
      response.destroy();
      return;
    }
    if (work.length === 0) response.writeHead(200, { "content-type": "application/x-ndjson" });
    await Promise.all(work);
    response.end();
  }

  async #one(consignment: z.infer<typeof ConsignmentShape>, message: Uint8Array, response: ServerResponse) {
    this.#bytesInHand += message.length;
    const result = await this.#needs.egress.send(consignment, message);
    this.#bytesInHand -= message.length;
    if (!response.destroyed) response.write(`${JSON.stringify(result)}\n`);
  }
}

function answer(response: ServerResponse, status: number, text: string): void {
  // What is left of the request's body is not read.
  if (status >= 400) response.setHeader("connection", "close");
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8" }).end(text);
}

function notReady(response: ServerResponse, { isStopping }: HttpNeeds): void {
  answer(response, 503, isStopping() ? "the gateway stops\n" : "the spool could keep nothing\n");
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
