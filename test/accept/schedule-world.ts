/** What stands around a server's scheduled messages in their tests: a gate for mail that remembers keys as an Outbox does, and workerd, which may be killed. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Miniflare } from "miniflare";
import {
  type AcceptOptions,
  type AcceptOutcome,
  describeSubmission,
  type ReleasedMessage,
} from "../../src/accept/accept.ts";
import type { AcceptRequest } from "../../src/accept/needs.ts";
import type { PlanReply, SchedulePort } from "../../src/accept/schedule.ts";
import { acceptAny, type ScheduleGateNeeds } from "../../src/accept/schedule-gate.ts";
import { scheduledPlace } from "../../src/accept/schedule-release.ts";
import type { Planned } from "../../src/accept/schedule-store.ts";
import type { ServerPolicy } from "../../src/accounts/policy.ts";
import { bundle } from "../../src/local/bundle.ts";
import type { Submission } from "../../src/mail/message.ts";
import { formatMessageId, type Shard } from "../../src/mail/message-id.ts";
import { POLICY } from "../api/sending.ts";

/** Of one call: it fails before or after it took the messages, is full, or answers only when the test says so. */
export type Behaviour = "fine" | "fails" | "answer lost" | "full" | Promise<void>;

interface Batch {
  place: Shard;
  key: string;
  released: ReleasedMessage[];
}

export class FakeGate {
  readonly asked: { place: Shard; key: string; count: number }[] = [];
  /** What was accepted, in order. */
  readonly released: ReleasedMessage[] = [];
  readonly logs: string[] = [];
  readonly #answered = new Set<string>();
  policy: ServerPolicy | undefined | "away" = POLICY;
  /** Of the next calls; then all is fine. */
  behaviours: Behaviour[] = [];

  get ids(): string[] {
    return this.released.map((r) => r.id);
  }

  async answer(method: string, args: unknown[]): Promise<unknown> {
    if (method === "log") return void this.logs.push(JSON.stringify(args));
    if (method === "policy") {
      if (this.policy === "away") throw new Error("the directory is away");
      return this.policy ?? null;
    }
    const { place, key, released } = args[1] as Batch;
    this.asked.push({ place, key, count: released.length });
    const behaviour = this.behaviours.shift() ?? "fine";
    if (behaviour === "full") return { kind: "overloaded" };
    if (behaviour === "fails") throw new Error("the Outbox fails as scripted");
    if (!this.#answered.has(key)) this.released.push(...released);
    this.#answered.add(key);
    if (behaviour === "answer lost") throw new Error("connection lost as scripted");
    if (behaviour !== "fine") await behaviour;
    return { kind: "tallied", failed: 0, flowing: 0 };
  }
}

let script: Promise<string> | undefined;

export class ScheduleWorld {
  readonly gate = new FakeGate();
  /** What Outboxes were asked to accept at once. */
  readonly outboxes: AcceptRequest[] = [];
  /** The schedule takes what it is given, and its answer is lost. */
  losesPlan = false;
  /** What an Outbox answers to the next; then it accepts. */
  outboxReplies: ("fails" | "conflict")[] = [];
  readonly #folder = mkdtempSync(join(tmpdir(), "edgepost-schedule-"));
  #miniflare: Miniflare | undefined;
  #pid = 0;

  async start(): Promise<this> {
    script ??= bundle("test/accept/schedule-worker.ts");
    this.#miniflare = new Miniflare({
      modules: [{ type: "ESModule", path: "worker.js", contents: await script }],
      compatibilityDate: "2026-08-04",
      compatibilityFlags: ["nodejs_compat"],
      defaultPersistRoot: this.#folder,
      durableObjects: { SCHEDULE: { className: "Schedule", useSQLite: true } },
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
    const body = JSON.stringify(args, (_, value) =>
      value instanceof Uint8Array ? new TextDecoder().decode(value) : value,
    );
    const response = await this.#miniflare?.dispatchFetch(`http://test/${POLICY.serverId}/${method}`, {
      method: "POST",
      body,
    });
    const reply = (await response?.json()) as { ok: T; error?: string };
    if (reply.error) throw new Error(reply.error);
    return reply.ok;
  }

  /** As the gate does. */
  plan(messages: Planned[], idempotency?: { key: string; bodyHash: string }): Promise<PlanReply> {
    return this.call("plan", { serverId: POLICY.serverId, region: "local", messages, idempotency });
  }

  /** Through the gate, whose Outboxes are played here. */
  accept(submissions: Submission[], options: Partial<AcceptOptions> = {}): Promise<AcceptOutcome> {
    const needs: ScheduleGateNeeds = {
      now: Date.now,
      randomBytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
      mailDomain: "mail.example.com",
      shardsPerRegion: 1,
      log: () => undefined,
      putObject: async () => undefined,
      outbox: () => ({
        accept: async (request) => {
          const reply = this.outboxReplies.shift();
          if (reply === "fails") throw new Error("the Outbox fails as scripted");
          if (reply === "conflict") return { kind: "conflict" };
          this.outboxes.push(request);
          const results = request.messages.map(({ message: { id, acceptedAt } }) => {
            return { ok: true as const, messageId: id, submittedAt: acceptedAt, inactive: [] };
          });
          return { kind: "accepted", results };
        },
      }),
      schedule: () =>
        ({
          plan: async (request) => {
            const reply = await this.call<PlanReply>("plan", request);
            if (this.losesPlan) throw new Error("connection lost as scripted");
            return reply;
          },
          withdraw: (ids, keys) => this.call("withdraw", ids, keys),
        }) satisfies Pick<SchedulePort, "plan" | "withdraw">,
    };
    return acceptAny(POLICY, submissions, { region: "local", ...options }, needs);
  }
}

export const SUBMISSION: Submission = {
  from: { email: "ann@example.com", name: "" },
  to: [{ email: "bob@far.org", name: "" }],
  cc: [],
  bcc: [],
  replyTo: [],
  subject: "Later",
  htmlBody: "",
  textBody: "Hello",
  tag: "",
  headers: [],
  metadata: {},
  attachments: [],
  trackOpens: false,
  trackLinks: "None",
  stream: "outbound",
};

/** A message for then, as the gate makes it. */
export function planned(
  sendAt: number,
  own: Partial<Submission> = {},
  region: Shard["region"] = "local",
): Planned {
  const submission = { ...SUBMISSION, ...own, sendAt };
  const id = formatMessageId(
    { ...scheduledPlace(region), acceptedAt: sendAt },
    crypto.getRandomValues(new Uint8Array(8)),
  );
  const described = describeSubmission(POLICY, submission, {
    id,
    acceptedAt: sendAt,
    mailDomain: "mail.example.com",
  });
  const summary = { ...described.summary, scheduled: { at: Date.now(), sendAt } };
  const body = new TextEncoder().encode(JSON.stringify(submission));
  return { head: { ...described, summary }, sendAt, body };
}

function newestWorkerd(): number {
  const list = execFileSync("ps", ["-o", "pid=,comm=", "--ppid", String(process.pid)], { encoding: "utf8" });
  const lines = list.split("\n").filter((line) => line.trim().endsWith("workerd"));
  return Math.max(...lines.map((line) => Number.parseInt(line, 10)));
}
