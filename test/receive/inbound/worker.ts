/** The room in workerd, for the tests of this folder, with real D1 and R2: each call of a port is counted, and can be the last one. */
import type { MailEvent } from "../../../src/mail/event.ts";
import { authenticate, type Client } from "../../../src/receive/inbound/authenticate.ts";
import { openMail } from "../../../src/receive/inbound/open.ts";
import { payloadOf } from "../../../src/receive/inbound/payload.ts";
import { type InboundNeeds, takeInbound } from "../../../src/receive/inbound/take.ts";
import { mailboxHash } from "../../../src/receive/inbound/whose.ts";
import type { Received } from "../../../src/receive/receive.ts";

interface Env {
  DIRECTORY: D1Database;
  ARCHIVE: D1Database;
  MAIL: R2Bucket;
  DNS: Fetcher;
  SCANNER: Fetcher;
}

/** What the header "order" says; the body is the message. */
export type Order =
  | {
      do: "take";
      key: string;
      received: Received;
      recipient: string;
      /** The password that the scanner wants. */
      scanner?: string;
      /** The call that fails: before it has an effect, or after. 0 for none. */
      stopAt: number;
      stopAfter: boolean;
    }
  | { do: "read"; key: string }
  | { do: "open"; id: string; recipient: string; rawEmail: boolean }
  | { do: "authenticate"; reversePath: string; client: Client; signatures: number; isBroken: boolean };

export interface Taken {
  error?: string;
  /** The ports, in the order in which they were called. */
  calls: string[];
  told: { serverId: number; events: MailEvent[] }[];
  logged: { event: string; fields: Record<string, unknown> }[];
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const order = JSON.parse(atob(request.headers.get("order") ?? "")) as Order;
    const raw = new Uint8Array(await request.arrayBuffer());
    if (order.do === "take") return Response.json(await take(order, raw, env));
    // What Miniflare hands over to Node goes through JSON, which takes long for objects of megabytes.
    if (order.do === "read") return new Response((await env.MAIL.get(order.key))?.body ?? null);
    if (order.do === "authenticate") return Response.json(await verify(order, raw, env));
    const mail = await openMail(raw, order.id);
    const more = order.rawEmail ? { rawEmail: raw } : {};
    const { id, recipient } = order;
    const hash = mailboxHash(recipient);
    const payload = payloadOf({ id, mail, originalRecipient: recipient, mailboxHash: hash, ...more });
    const { readable, writable } = new FixedLengthStream(payload.length);
    const written = write(writable, payload.pieces());
    const body = await new Response(readable).arrayBuffer();
    await written;
    return new Response(body, { headers: { unread: encodeURIComponent(mail.unread) } });
  },
};

async function take(order: Order & { do: "take" }, raw: Uint8Array, env: Env): Promise<Taken> {
  const { calls, step } = counted(order.stopAt, order.stopAfter);
  const told: Taken["told"] = [];
  const logged: Taken["logged"] = [];
  const { scanner } = order;
  const needs: InboundNeeds = {
    directory: watched(env.DIRECTORY, (run) => step("directory", run)),
    archive: () => watched(env.ARCHIVE, (run) => step("archive", run)),
    putObject: (key, bytes) => step("putObject", async () => void (await env.MAIL.put(key, bytes))),
    putPieces: (key, length, pieces) =>
      step("putPieces", async () => {
        const { readable, writable } = new FixedLengthStream(length);
        const put = env.MAIL.put(key, readable);
        await write(writable, pieces);
        await put;
      }),
    tellEvents: (serverId, events) => step("tellEvents", async () => void told.push({ serverId, events })),
    ...dns(env),
    ...(scanner === undefined
      ? {}
      : {
          scanner: {
            url: "http://scanner.example:11333",
            password: scanner,
            fetch: (url, init) => step("scanner", () => env.SCANNER.fetch(url, init)),
          },
        }),
    log: (event, fields) => void logged.push({ event, fields }),
    mailDomain: "mail.example",
  };
  try {
    await takeInbound(needs, { key: order.key, received: order.received, recipient: order.recipient, raw });
    return { calls, told, logged };
  } catch (error) {
    return { error: String(error), calls, told, logged };
  }
}

async function verify(order: Order & { do: "authenticate" }, raw: Uint8Array, env: Env) {
  const logged: Taken["logged"] = [];
  const { reversePath, client, signatures, isBroken } = order;
  // Bytes without a buffer are what nothing that reads them is prepared for.
  const bytes = isBroken ? ({ length: 0, indexOf: () => -1 } as unknown as Uint8Array) : raw;
  const asked = { raw: bytes, reversePath, client, host: "inbound.mail.example", signatures };
  const fields = await authenticate(asked, {
    ...dns(env),
    log: (event, about) => void logged.push({ event, fields: about }),
  });
  return { ...fields, logged };
}

function dns(env: Env) {
  return {
    dnsUrl: "https://dns.example/dns-query",
    fetchDns: (url: string, init: RequestInit) => env.DNS.fetch(url, init),
  };
}

async function write(writable: WritableStream, pieces: Iterable<Uint8Array>): Promise<void> {
  const writer = writable.getWriter();
  for (const piece of pieces) await writer.write(piece);
  await writer.close();
}

function counted(stopAt: number, stopAfter: boolean) {
  const calls: string[] = [];
  async function step<T>(port: string, run: () => Promise<T>): Promise<T> {
    calls.push(port);
    const stops = calls.length === stopAt;
    if (stops && !stopAfter) throw new Error(`stopped before ${port}`);
    const result = await run();
    if (stops) throw new Error(`stopped after ${port}`);
    return result;
  }
  return { calls, step };
}

/** D1 whose statements are steps. */
function watched(db: D1Database, step: <T>(run: () => Promise<T>) => Promise<T>): D1Database {
  const statement = (of: D1PreparedStatement): object => ({
    bind: (...values: unknown[]) => statement(of.bind(...values)),
    all: () => step(() => of.all()),
    run: () => step(() => of.run()),
    raw: () => step(() => of.raw()),
    first: () => step(() => of.first()),
  });
  return { prepare: (query: string) => statement(db.prepare(query)) } as unknown as D1Database;
}
