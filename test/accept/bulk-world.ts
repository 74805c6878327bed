/** What stands around a server's bulk requests in their tests: a gate for mail that remembers keys as an Outbox does, and workerd, which may be killed. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Miniflare } from "miniflare";
import type { BulkStatus, CommitReply } from "../../src/accept/bulk.ts";
import type { BulkMessage, BulkShared, Draft } from "../../src/accept/bulk-message.ts";
import type { ServerPolicy } from "../../src/accounts/policy.ts";
import { bundle } from "../../src/local/bundle.ts";
import type { Shard } from "../../src/mail/message-id.ts";
import { POLICY } from "../api/sending.ts";

/** Of one call: it fails before or after it took the messages, is full, or answers only when the test says so. */
export type Behaviour =
  | "fine"
  | "fails"
  | "answer lost"
  | "full"
  | Promise<void>
  | { fullAfter: Promise<void> };

export class FakeGate {
  readonly asked: { place: Shard; key: string; count: number }[] = [];
  /** What was accepted, in order. */
  readonly drafts: Draft[] = [];
  readonly logs: string[] = [];
  readonly #answers = new Map<string, number>();
  policy: ServerPolicy | undefined | "away" = POLICY;
  /** Of the next calls; then all is fine. */
  behaviours: Behaviour[] = [];
  /** Calls for that request fail. */
  failing: string | undefined;

  get recipients(): string[] {
    return this.drafts.flatMap(({ submission: { to, cc, bcc } }) =>
      [...to, ...cc, ...bcc].map((m) => m.email),
    );
  }

  async answer(method: string, args: unknown[]): Promise<unknown> {
    if (method === "log") return void this.logs.push(JSON.stringify(args));
    if (method === "policy") {
      if (this.policy === "away") throw new Error("the directory is away");
      return this.policy ?? null;
    }
    const [, batch] = args as [number, { place: Shard; key: string; drafts: Draft[] }];
    return this.#release(batch);
  }

  async #release({ place, key, drafts }: { place: Shard; key: string; drafts: Draft[] }): Promise<unknown> {
    this.asked.push({ place, key, count: drafts.length });
    const isFailing = this.failing !== undefined && key.startsWith(`bulk/${this.failing}/`);
    const behaviour = isFailing ? "fails" : (this.behaviours.shift() ?? "fine");
    if (typeof behaviour === "object" && "fullAfter" in behaviour) {
      await behaviour.fullAfter;
      return { kind: "overloaded" };
    }
    if (behaviour === "full") return { kind: "overloaded" };
    if (behaviour === "fails") throw new Error("the Outbox fails as scripted");
    const before = this.#answers.get(key);
    const failed = before ?? drafts.filter((d) => d.refusal !== undefined || isSuppressed(d)).length;
    if (before === undefined) this.drafts.push(...drafts);
    this.#answers.set(key, failed);
    if (behaviour === "answer lost") throw new Error("connection lost as scripted");
    if (behaviour !== "fine") await behaviour;
    return { kind: "tallied", failed, flowing: 0 };
  }
}

function isSuppressed({ submission }: Draft): boolean {
  return submission.to.every((m) => m.email.startsWith("gone"));
}

let script: Promise<string> | undefined;

export class BulkWorld {
  readonly gate = new FakeGate();
  readonly #folder = mkdtempSync(join(tmpdir(), "edgepost-bulk-"));
  #miniflare: Miniflare | undefined;
  #pid = 0;

  async start(): Promise<this> {
    script ??= bundle("test/accept/bulk-worker.ts");
    this.#miniflare = new Miniflare({
      modules: [{ type: "ESModule", path: "worker.js", contents: await script }],
      compatibilityDate: "2026-08-04",
      compatibilityFlags: ["nodejs_compat"],
      defaultPersistRoot: this.#folder,
      durableObjects: { BULK: { className: "Bulk", useSQLite: true } },
      durableObjectsPersist: true,
      serviceBindings: {
        GATE: async (request: Request) => {
          const method = new URL(request.url).pathname.slice(1);
          try {
            const answer = await this.gate.answer(method, (await request.json()) as unknown[]);
            return Response.json(answer ?? null);
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

  /** As a machine's death would, and up again on the same disk. */
  async kill(): Promise<void> {
    process.kill(this.#pid, "SIGKILL");
    await this.#miniflare?.dispose().catch(() => undefined);
    await this.start();
  }

  async remove(): Promise<void> {
    await this.#miniflare?.dispose().catch(() => undefined);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async call<T>(method: string, ...args: unknown[]): Promise<T> {
    const response = await this.#miniflare?.dispatchFetch(`http://test/${POLICY.serverId}/${method}`, {
      method: "POST",
      body: JSON.stringify(args),
    });
    const reply = (await response?.json()) as { ok: T; error?: string };
    if (reply.error) throw new Error(reply.error);
    return reply.ok;
  }

  /** As the door does: parts of so many messages, and then the commit. */
  async submit(id: string, messages: BulkMessage[], options: Submit = {}): Promise<CommitReply> {
    const { shared = SHARED, perPart = 500, key } = options;
    let parts = 0;
    for (let at = 0; at < messages.length; at += perPart)
      await this.call("put", id, ++parts, JSON.stringify(messages.slice(at, at + perPart)));
    const request = {
      subject: "s",
      total: messages.length,
      parts: options.parts ?? parts,
      serverId: POLICY.serverId,
      region: "local",
      ...(key && { idempotency: { key, bodyHash: options.bodyHash ?? "h" } }),
    };
    return this.call("commit", id, request, JSON.stringify(shared));
  }

  status(id: string): Promise<BulkStatus | null> {
    return this.call("status", id);
  }

  /** Waits until it is in that state; what it waits for happens in another process. */
  async reaches(id: string, state: BulkStatus["state"]): Promise<BulkStatus> {
    let status: BulkStatus | null = null;
    await eventually(`${id} is ${state}`, async () => {
      status = await this.status(id);
      return (status as BulkStatus | null)?.state === state;
    });
    return status as unknown as BulkStatus;
  }
}

interface Submit {
  shared?: BulkShared;
  perPart?: number;
  /** Says that there are so many. */
  parts?: number;
  key?: string;
  bodyHash?: string;
}

export const SHARED: BulkShared = {
  submission: {
    from: { email: "ann@example.com", name: "" },
    replyTo: [],
    tag: "",
    headers: [],
    metadata: {},
    attachments: [],
    trackOpens: false,
    trackLinks: "None",
    stream: "broadcast",
  },
  source: {
    subject: "Hello {{name}}",
    htmlBody: null,
    textBody: "Dear {{name}}{{#each list}}{{.}}{{/each}}",
  },
  inlineCss: true,
};

export const messages = (count: number, prefix = "r"): BulkMessage[] =>
  Array.from({ length: count }, (_, n) => ({ to: [{ email: `${prefix}${n}@far.org`, name: "" }] }));

export const addresses = (count: number, prefix = "r"): string[] =>
  Array.from({ length: count }, (_, n) => `${prefix}${n}@far.org`);

export async function eventually(what: string, isTrue: () => Promise<boolean> | boolean): Promise<void> {
  const end = Date.now() + 45_000;
  while (!(await isTrue())) {
    if (Date.now() > end) throw new Error(`never happened: ${what}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

function newestWorkerd(): number {
  const list = execFileSync("ps", ["-o", "pid=,comm=", "--ppid", String(process.pid)], { encoding: "utf8" });
  const lines = list.split("\n").filter((line) => line.trim().endsWith("workerd"));
  return Math.max(...lines.map((line) => Number.parseInt(line, 10)));
}
