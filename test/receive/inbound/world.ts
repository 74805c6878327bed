/** worker.ts in workerd, with a DNS and a spam scanner that the tests write, and a server whose mail it takes. */
import { resolve } from "node:path";
import { Miniflare } from "miniflare";
import { createAccount, createServer } from "../../../src/accounts/create.ts";
import { bundle } from "../../../src/local/bundle.ts";
import { migrate } from "../../../src/local/migrate.ts";
import type { Received } from "../../../src/receive/receive.ts";
import { NOON } from "../../archive/databases.ts";
import type { Order, Taken } from "./worker.ts";

const MIGRATIONS = resolve(import.meta.dirname, "../../../migrations");
const STATUS = { NOERROR: 0, SERVFAIL: 2, NXDOMAIN: 3 };
const TYPES: Record<string, number> = { A: 1, NS: 2, CNAME: 5, PTR: 12, MX: 15, TXT: 16, AAAA: 28 };

export interface Verified {
  receivedSpf: string;
  authenticationResults: string;
  logged: Taken["logged"];
}

export interface Payload {
  [field: string]: unknown;
  From: string;
  TextBody: string;
  HtmlBody: string;
  StrippedTextReply: string;
  Headers: { Name: string; Value: string }[];
  Attachments: {
    Name: string;
    Content: string;
    ContentType: string;
    ContentLength: number;
    ContentID: string;
  }[];
  RawEmail?: string;
}

export class InboundWorld {
  readonly miniflare: Miniflare;
  /** By "TXT example.org", the data as in a zone file; "SERVFAIL" is one that cannot be asked. */
  readonly zone = new Map<string, string[] | "SERVFAIL">();
  questions = 0;
  scanner: (request: Request) => Response | Promise<Response> = () => new Response("", { status: 500 });

  private constructor(script: string) {
    this.miniflare = new Miniflare({
      modules: [{ type: "ESModule", path: "worker.js", contents: script }],
      compatibilityDate: "2026-08-04",
      compatibilityFlags: ["nodejs_compat"],
      d1Databases: ["DIRECTORY", "ARCHIVE"],
      r2Buckets: ["MAIL"],
      serviceBindings: {
        DNS: (request: Request) => this.#answer(new URL(request.url)),
        SCANNER: (request: Request) => this.scanner(request),
      },
    } as unknown as ConstructorParameters<typeof Miniflare>[0]);
  }

  static async start(): Promise<InboundWorld> {
    const world = new InboundWorld(await bundle("test/receive/inbound/worker.ts"));
    await migrate(await world.directory(), `${MIGRATIONS}/directory`);
    await migrate(await world.archive(), `${MIGRATIONS}/archive`);
    return world;
  }

  stop(): Promise<void> {
    return this.miniflare.dispose();
  }

  async directory(): Promise<D1Database> {
    return (await this.miniflare.getD1Database("DIRECTORY")) as unknown as D1Database;
  }

  async archive(): Promise<D1Database> {
    return (await this.miniflare.getD1Database("ARCHIVE")) as unknown as D1Database;
  }

  async bucket(): Promise<R2Bucket> {
    return (await this.miniflare.getR2Bucket("MAIL")) as unknown as R2Bucket;
  }

  async newServer(settings: Record<string, unknown> = {}): Promise<{ id: number; recipient: string }> {
    const directory = await this.directory();
    const accountId = await createAccount(directory, "a", 1);
    const server = await createServer(directory, { accountId, name: "s", ...settings }, 1);
    return { id: server.id, recipient: `${server.inboundHash}+Ticket-7@inbound.mail.example` };
  }

  async take(
    raw: Uint8Array | string,
    of: {
      recipient: string;
      received?: Partial<Received>;
      scanner?: string;
      stopAt?: number;
      stopAfter?: boolean;
    },
  ): Promise<Taken> {
    const received = receivedFor(of.recipient, of.received);
    const { recipient, scanner, stopAt = 0, stopAfter = false } = of;
    const order = { do: "take" as const, key: "received/k", received, recipient, stopAt, stopAfter };
    const response = await this.#order({ ...order, ...(scanner !== undefined && { scanner }) }, raw);
    return (await response.json()) as Taken;
  }

  /** What the inbound hook would be sent, and why the message was not read, if it was not. */
  async open(
    raw: Uint8Array | string,
    { recipient = "hash@inbound.mail.example", rawEmail = false } = {},
  ): Promise<{ payload: Payload; unread: string }> {
    const id = "019360aa-1c00-8123-8410-5af03c9d7e21";
    const response = await this.#order({ do: "open", id, recipient, rawEmail }, raw);
    const unread = decodeURIComponent(response.headers.get("unread") ?? "");
    return { payload: (await response.json()) as Payload, unread };
  }

  /** An object of R2; empty when there is none. */
  async read(key: string): Promise<Buffer> {
    return Buffer.from(await (await this.#order({ do: "read", key }, "")).arrayBuffer());
  }

  async authenticate(
    raw: Uint8Array | string,
    { address = "", helo = "", reversePath = "", signatures = 0, isBroken = false } = {},
  ): Promise<Verified> {
    const client = { address, helo };
    const order = { do: "authenticate" as const, reversePath, client, signatures, isBroken };
    return (await (await this.#order(order, raw)).json()) as Verified;
  }

  async #order(order: Order, raw: Uint8Array | string): Promise<Response> {
    const response = (await this.miniflare.dispatchFetch("http://worker/", {
      method: "POST",
      headers: { order: Buffer.from(JSON.stringify(order)).toString("base64") },
      body: raw as string,
    })) as unknown as Response;
    if (!response.ok) throw new Error(await response.text());
    return response;
  }

  #answer({ searchParams }: URL): Response {
    this.questions++;
    const name = (searchParams.get("name") ?? "").toLowerCase().replace(/\.$/, "");
    const type = searchParams.get("type") ?? "";
    const data = this.zone.get(`${type} ${name}`);
    if (data === "SERVFAIL") return Response.json({ Status: STATUS.SERVFAIL });
    if (data) {
      const records = data.map((text) => ({ name, type: TYPES[type], TTL: 60, data: text }));
      return Response.json({ Status: STATUS.NOERROR, Answer: records });
    }
    const exists = [...this.zone.keys()].some((key) => key.endsWith(` ${name}`) || key.endsWith(`.${name}`));
    return Response.json({ Status: exists ? STATUS.NOERROR : STATUS.NXDOMAIN });
  }
}

export function receivedFor(recipient: string, of: Partial<Received> = {}): Received {
  return {
    v: 1,
    envelope: { reversePath: "ann@far.example", recipients: [{ address: recipient }] },
    via: "gateway",
    remoteAddress: "192.0.2.7",
    session: "",
    receivedAt: NOON,
    ...of,
  };
}

/** The text that RawEmail has to be: lines end in LF, and each byte of what is not UTF-8 is a character. */
export function asText(raw: Uint8Array): string {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(raw);
  } catch {
    text = new TextDecoder("windows-1252", { fatal: false, ignoreBOM: true }).decode(raw);
  }
  return text.replaceAll("\r\n", "\n");
}
