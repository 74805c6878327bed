/**
 * What stands around the stage in these tests: a fake Outbox at its port (claims, holds and hand-overs, as job.ts promises), a
 * scripted gateway that keeps a journal by key, and the Worker in workerd, which may be killed and started again.
 */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { resolve } from "node:path";
import { build } from "esbuild";
import { Miniflare } from "miniflare";
import { type Consignment, MAX_MESSAGE_BYTES } from "../../src/mail/egress.ts";
import { decodeFrames } from "../../src/mail/frame.ts";
import { CLAIM_MS, type Hold, type JobRef, type Settlement } from "../../src/mail/job.ts";
import type { Outcome, TransportName } from "../../src/mail/outcome.ts";

export const SHARD = "1/local/0";
export const keyOf = (ref: JobRef) => `${ref.messageId}/${ref.domain}`;

interface Group {
  ref: JobRef;
  recipients: string[];
  transports: TransportName[];
  bounceType: string;
  text: string;
  signed: boolean;
  segment?: string;
  attempts: number;
  claimer: string;
  claimedUntil: number;
  claimsGranted: number;
  settled?: Settlement;
  holds: Hold[];
}

/** An Outbox at its port, in Node. */
export class FakeOutbox {
  readonly groups = new Map<string, Group>();
  readonly calls: { method: string; at: number; args: unknown[] }[] = [];
  readonly logs: { event: string; fields: Record<string, unknown> }[] = [];
  readonly objects = new Map<string, string>();
  claimMs = CLAIM_MS;
  sendEmail: (from: string, to: string) => { code?: string; messageId?: string } = () => ({ messageId: "x" });
  /** Throws for a method as often as it says. */
  readonly failures = new Map<string, number>();

  add(domain: string, options: Partial<Group> & { local?: string } = {}): JobRef {
    const messageId = `m${this.groups.size}`;
    const ref = { messageId, domain };
    this.groups.set(keyOf(ref), {
      ref,
      recipients: [`${options.local ?? "someone"}@${domain}`],
      transports: ["gateway"],
      bounceType: "",
      text: `From: Sender <sender@example.com>\r\nMessage-ID: <${messageId}@x>\r\n\r\nHello\r\n`,
      signed: true,
      attempts: 0,
      claimer: "",
      claimedUntil: 0,
      claimsGranted: 0,
      holds: [],
      ...options,
    });
    return ref;
  }

  open(): Group[] {
    return [...this.groups.values()].filter((g) => !g.settled);
  }

  callsOf(method: string) {
    return this.calls.filter((c) => c.method === method);
  }

  answer(method: string, args: unknown[]): unknown {
    if (method === "log") {
      this.logs.push({ event: String(args[0]), fields: args[1] as Record<string, unknown> });
      return null;
    }
    this.calls.push({ method, at: Date.now(), args });
    const failures = this.failures.get(method) ?? 0;
    if (failures > 0) {
      this.failures.set(method, failures - 1);
      throw new Error(`${method} fails as scripted`);
    }
    if (method === "claim") return this.#claim(args[1] as JobRef[], args[2] as string);
    if (method === "renew") return this.#renew(args[1] as JobRef[], args[2] as string);
    if (method === "settle") return this.#settle(args[1] as Settlement[]);
    if (method === "hold") return this.#hold(args[1] as Hold[]);
    if (method === "sendEmail") return this.sendEmail(String(args[0]), String(args[1]));
    if (method === "readObject") {
      const [key, offset, length] = args as [string, number, number];
      return this.objects.get(key)?.slice(offset, offset + length) ?? null;
    }
    throw new Error(`no method ${method}`);
  }

  #claim(refs: JobRef[], claimer: string) {
    const claims: unknown[] = [];
    const gone: JobRef[] = [];
    for (const ref of refs) {
      const g = this.groups.get(keyOf(ref));
      if (!g || g.settled || (g.claimedUntil > Date.now() && g.claimer !== claimer)) {
        gone.push(ref);
        continue;
      }
      g.claimer = claimer;
      g.claimedUntil = Date.now() + this.claimMs;
      g.claimsGranted++;
      const { recipients, transports, bounceType, signed } = g;
      const message = g.segment
        ? { kind: "segment", key: g.segment, offset: 0, length: g.text.length, signed }
        : { kind: "bytes", bytes: g.text, signed };
      const attempt = g.attempts + 1;
      const about = {
        serverId: 1,
        stream: "outbound",
        acceptedAt: 1_700_000_000_000,
        fromDomain: "example.com",
      };
      const reversePath = "b-1@bounces.example.com";
      claims.push({ ...ref, ...about, attempt, recipients, reversePath, transports, bounceType, message });
    }
    return { claims, gone };
  }

  #renew(refs: JobRef[], claimer: string) {
    for (const ref of refs) {
      const g = this.groups.get(keyOf(ref));
      if (g?.claimer === claimer) g.claimedUntil = Date.now() + this.claimMs;
    }
    return null;
  }

  #settle(settlements: Settlement[]) {
    for (const settlement of settlements) {
      const g = this.groups.get(keyOf(settlement));
      if (g && !g.settled) g.settled = settlement;
    }
    return null;
  }

  #hold(holds: Hold[]) {
    for (const hold of holds)
      for (const ref of hold.refs) {
        const g = this.groups.get(keyOf(ref));
        if (!g) continue;
        g.holds.push(hold);
        g.claimedUntil = 0;
      }
    return null;
  }
}

type Behaviour = (consignment: Consignment) => Promise<Outcome["result"] | Partial<Outcome> | "cut">;

/** The server side of /egress as egress.ts says it, with a behaviour by domain. */
export class ScriptedGateway {
  readonly #server = http.createServer((request, response) => void this.#egress(request, response));
  readonly journal = new Map<string, Outcome[]>();
  /** Everything that reached a mail server, in order. */
  readonly sent: { consignment: Consignment; message: string }[] = [];
  requests = 0;
  secret = "secret";
  behave: Behaviour = async () => "delivered";
  #port = 0;

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async start(): Promise<this> {
    this.#server.listen(this.#port, "127.0.0.1");
    await once(this.#server, "listening");
    this.#port = (this.#server.address() as AddressInfo).port;
    return this;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((r) => this.#server.close(r));
  }

  async #egress(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    this.requests++;
    if (request.headers.authorization !== `Bearer ${this.secret}`) {
      response.writeHead(401).end();
      return;
    }
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    response.flushHeaders();
    const work: Promise<void>[] = [];
    try {
      for await (const { header, body } of decodeFrames(request, MAX_MESSAGE_BYTES))
        work.push(this.#one(header as Consignment, new TextDecoder().decode(body), response));
      await Promise.all(work);
      response.end();
    } catch {
      // A request that was cut short; what was acted on is in the journal.
      response.destroy();
    }
  }

  async #one(consignment: Consignment, message: string, response: http.ServerResponse): Promise<void> {
    let outcomes = this.journal.get(consignment.key);
    if (!outcomes) {
      const end = await this.behave(consignment);
      outcomes = this.#outcomes(consignment, end === "cut" ? "delivered" : end);
      this.sent.push({ consignment, message });
      this.journal.set(consignment.key, outcomes);
      if (end === "cut") {
        response.destroy();
        return;
      }
    }
    response.write(`${JSON.stringify({ key: consignment.key, outcomes })}\n`);
  }

  #outcomes({ recipients }: Consignment, end: Outcome["result"] | Partial<Outcome>): Outcome[] {
    const partial = typeof end === "string" ? { result: end } : end;
    return recipients.map((recipient) => ({
      recipient,
      result: "delivered",
      reply: { code: partial.result === "deferred" ? 0 : 250, enhanced: "", text: "" },
      hop: { host: "mx.test", address: "127.0.0.1", tls: "" },
      reason: "",
      concerns: partial.result === "deferred" ? "destination" : "recipient",
      uncertain: false,
      at: Date.now(),
      transcript: [],
      ...partial,
    }));
  }
}

let script: string | undefined;

async function bundle(): Promise<string> {
  const result = await build({
    entryPoints: [resolve(import.meta.dirname, "worker.ts")],
    bundle: true,
    write: false,
    format: "esm",
    target: "es2024",
    conditions: ["workerd", "worker"],
    external: ["cloudflare:*", "node:*"],
    logLevel: "silent",
  });
  return result.outputFiles[0]?.text ?? "";
}

export interface WorkerOptions {
  config: Record<string, unknown>;
  outbox: FakeOutbox;
  flags?: string[];
  persist?: string;
  batchSize?: number;
}

/** workerd with the test's Worker. */
export class TestWorker {
  readonly #options: WorkerOptions;
  #miniflare: Miniflare | undefined;
  #pid = 0;

  constructor(options: WorkerOptions) {
    this.#options = options;
  }

  async start(): Promise<this> {
    script ??= await bundle();
    const { config, outbox, persist, batchSize } = this.#options;
    const flags = this.#options.flags ?? ["nodejs_compat", "queue_consumer_no_wait_for_wait_until"];
    this.#miniflare = new Miniflare({
      modules: [{ type: "ESModule", path: "worker.js", contents: script }],
      compatibilityDate: "2026-08-04",
      compatibilityFlags: flags,
      bindings: { CONFIG: JSON.stringify(config) },
      durableObjects: { DESTINATION: { className: "Destination", useSQLite: true } },
      durableObjectsPersist: persist ?? false,
      queueProducers: { JOBS: { queueName: "jobs" } },
      queueConsumers: {
        jobs: { maxBatchSize: batchSize ?? 20, maxBatchTimeout: 0, maxRetries: 3, retryDelay: 1 },
      },
      email: { send_email: [{ name: "SEND_EMAIL" }] },
      serviceBindings: {
        OUTBOX: async (request: Request) => {
          const method = new URL(request.url).pathname.slice(1);
          try {
            return Response.json(outbox.answer(method, (await request.json()) as unknown[]));
          } catch (error) {
            return new Response(String(error), { status: 500 });
          }
        },
      },
    } as unknown as ConstructorParameters<typeof Miniflare>[0]);
    await this.#miniflare.ready;
    this.#pid = newestWorkerd();
    return this;
  }

  async stop(): Promise<void> {
    await this.#miniflare?.dispose().catch(() => undefined);
  }

  /** As a machine's death would. */
  async kill(): Promise<void> {
    process.kill(this.#pid, "SIGKILL");
    await this.stop();
  }

  async #post(path: string, body: unknown) {
    const response = await this.#miniflare?.dispatchFetch(`http://test${path}`, {
      method: "POST",
      body: JSON.stringify(body),
    });
    if (!response?.ok) throw new Error(await response?.text());
    return response;
  }

  /** Calls the stage as the queue would. */
  async deliver(jobs: unknown[]): Promise<{ said: string[]; tookMs: number }> {
    return (await (await this.#post("/deliver", jobs)).json()) as { said: string[]; tookMs: number };
  }

  /** Sends through the local queue. */
  async send(jobs: unknown[]): Promise<void> {
    await this.#post("/send", jobs);
  }

  async resume(name: string): Promise<void> {
    await this.#post(`/describe?resume=1&name=${encodeURIComponent(name)}`, {});
  }

  async describe(name: string): Promise<Record<string, unknown> & { state: string }> {
    const response = await this.#post(`/describe?name=${encodeURIComponent(name)}`, {});
    return (await response.json()) as Record<string, unknown> & { state: string };
  }
}

function newestWorkerd(): number {
  const list = execFileSync("ps", ["-o", "pid=,comm=", "--ppid", String(process.pid)], { encoding: "utf8" });
  const pids = list
    .split("\n")
    .filter((l) => l.trim().endsWith("workerd"))
    .map((l) => Number.parseInt(l, 10));
  return Math.max(...pids);
}

export function jobOf(...refs: JobRef[]) {
  return { v: 1, shard: SHARD, refs };
}

/** Polls until it is true; for things that happen in other processes. */
export async function eventually(
  what: string,
  test: () => boolean | Promise<boolean>,
  withinMs = 30_000,
): Promise<void> {
  const until = Date.now() + withinMs;
  while (!(await test())) {
    if (Date.now() > until) throw new Error(`never happened: ${what}`);
    await new Promise((r) => setTimeout(r, 20));
  }
}
