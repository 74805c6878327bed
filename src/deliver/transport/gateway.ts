/**
 * The way through a gateway to the recipient's MX hosts. Parcels that are sent in the same turn travel in one /egress
 * request, and results are taken as they come, so a slow mail server delays nobody. A domain always asks the same gateway
 * first: that one's journal knows what became of an attempt which a dead consumer began.
 */
import type { Consignment, EgressResult } from "../../mail/egress.ts";
import { encodeFrame } from "../../mail/frame.ts";
import type { Outcome } from "../../mail/outcome.ts";
import { readLines } from "./ndjson.ts";
import { alike, type Parcel, type Transport } from "./transport.ts";

export interface Gateway {
  url: string;
  secret: string;
}

export interface GatewayNeeds {
  gateways: Gateway[];
  fetch(url: string, init: RequestInit): Promise<Response>;
  now(): number;
  log(event: string, fields: Record<string, unknown>): void;
  /** Gateways that did not answer lately, by URL, until when they are asked last. Lives as long as the isolate. */
  down: Map<string, number>;
}

/** Above this a further request is begun: a consumer has 128 MB for all it does. */
const MAX_REQUEST_BYTES = 8_000_000;
/** Connecting and the response's header; a gateway answers before it works. */
const HEADERS_MS = 15_000;
/** A mail server has ten minutes after the final dot (RFC 5321 §4.5.3.2.6), and a consumer fifteen for all it does. */
const RESPONSE_MS = 840_000;
const DOWN_MS = 10_000;
/**
 * Statuses that say no frame was acted on: the gateway's own refusals, and Cloudflare's for an origin that it could not
 * connect to (521, 523, 525, 526, 530). 520, 522 and 524 may come after the body was sent.
 */
const NOTHING_SENT = new Set([400, 401, 403, 404, 405, 413, 429, 503, 521, 523, 525, 526, 530]);

type End = Outcome[] | "unknown" | "unreachable";

export function gatewayTransport(needs: GatewayNeeds): Transport {
  const couriers = new Map(needs.gateways.map((gateway) => [gateway.url, new Courier(gateway, needs)]));
  return {
    async send(parcel) {
      for (const url of order(needs, parcel.domain)) {
        const end = await couriers.get(url)?.send(parcel);
        if (end !== undefined && end !== "unreachable") return end;
      }
      const reason = needs.gateways.length > 0 ? "gateway unreachable" : "no gateway is configured";
      return alike(parcel, needs.now(), { concerns: "transport", reason });
    },
  };
}

/** Each domain's gateways, its own first; those that are down come last. */
function order({ gateways, down, now }: GatewayNeeds, domain: string): string[] {
  const hash = [...domain].reduce((h, c) => (Math.imul(h, 31) + (c.codePointAt(0) ?? 0)) >>> 0, 7);
  const start = gateways.length > 0 ? hash % gateways.length : 0;
  const urls = [...gateways.slice(start), ...gateways.slice(0, start)].map((g) => g.url);
  const isDown = (url: string) => Number((down.get(url) ?? 0) > now());
  return urls.toSorted((a, b) => isDown(a) - isDown(b));
}

interface Waiting {
  parcel: Parcel;
  frame: Uint8Array;
  resolve(end: End): void;
}

/** One gateway, for one call of the consumer. */
class Courier {
  readonly #gateway: Gateway;
  readonly #needs: GatewayNeeds;
  #gathered: Waiting[] = [];

  constructor(gateway: Gateway, needs: GatewayNeeds) {
    this.#gateway = gateway;
    this.#needs = needs;
  }

  send(parcel: Parcel): Promise<End> {
    const { key, domain, reversePath, recipients, tls, connections } = parcel;
    const consignment: Consignment = { key, domain, reversePath, recipients, tls, connections };
    const frame = encodeFrame(consignment, parcel.message);
    return new Promise((resolve) => {
      this.#gathered.push({ parcel, frame, resolve });
      if (this.#gathered.length === 1) setTimeout(() => this.#depart(), 0);
    });
  }

  #depart(): void {
    while (this.#gathered.length > 0) {
      let bytes = 0;
      let count = 0;
      for (const { frame } of this.#gathered) {
        if (count > 0 && bytes + frame.length > MAX_REQUEST_BYTES) break;
        bytes += frame.length;
        count++;
      }
      void this.#request(this.#gathered.splice(0, count));
    }
  }

  /** Never rejects: each of the waiting is told an end. */
  async #request(waiting: Waiting[]): Promise<void> {
    const { log, now, down } = this.#needs;
    const open = new Map(waiting.map((w) => [w.parcel.key, w]));
    const body = framesBody(waiting.map((w) => w.frame));
    const abort = new AbortController();
    let timer = setTimeout(() => abort.abort(new Error("no answer in time")), HEADERS_MS);
    let rest: "unknown" | "unreachable" = "unknown";
    try {
      const response = await this.#needs.fetch(`${this.#gateway.url}/egress`, {
        method: "POST",
        headers: {
          authorization: `Bearer ${this.#gateway.secret}`,
          "content-type": "application/vnd.edgepost.egress",
        },
        body: body.stream,
        signal: abort.signal,
        redirect: "manual",
      });
      clearTimeout(timer);
      timer = setTimeout(() => abort.abort(new Error("not done in time")), RESPONSE_MS);
      if (!response.ok) {
        if (NOTHING_SENT.has(response.status)) rest = "unreachable";
        throw new Error(`status ${response.status}`);
      }
      down.delete(this.#gateway.url);
      for await (const line of readLines(response.body)) {
        const { key, outcomes } = JSON.parse(line) as EgressResult;
        open.get(key)?.resolve(outcomes);
        open.delete(key);
      }
    } catch (error) {
      // A gateway that went away is an outcome for each parcel; the message of the error is all there is to know of it.
      if (body.asked() <= 1) rest = "unreachable";
      down.set(this.#gateway.url, now() + DOWN_MS);
      log("gateway failed", {
        gateway: this.#gateway.url,
        parcels: open.size,
        end: rest,
        error: String(error),
      });
    } finally {
      clearTimeout(timer);
      for (const w of open.values()) w.resolve(rest);
    }
  }
}

/**
 * The request's body, frame by frame. The first chunk is the first eight bytes alone: when no second chunk was asked for, no
 * whole frame can have left, and another gateway may be asked. (A refused connection and one that is cut look the same
 * to fetch.)
 */
function framesBody(frames: Uint8Array[]): { stream: ReadableStream<Uint8Array>; asked(): number } {
  const chunks = [...frames];
  const first = chunks[0];
  if (first) chunks.splice(0, 1, first.subarray(0, 8), first.subarray(8));
  let asked = 0;
  const stream = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const chunk = chunks[asked++];
        if (chunk) controller.enqueue(chunk);
        else controller.close();
      },
    },
    { highWaterMark: 0 },
  );
  return { stream, asked: () => asked };
}
