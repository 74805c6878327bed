/** Hooks and their event log in a workerd of their own, that can be killed, with endpoints that the test answers for. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Miniflare } from "miniflare";
import type { HookSettings, HookTrigger } from "../../src/accounts/hook-settings.ts";
import type { HookRef } from "../../src/accounts/hooks.ts";
import { bundle } from "../../src/local/bundle.ts";
import { freePort } from "../../src/local/ports.ts";
import type { EventType, MailEvent } from "../../src/mail/event.ts";
import { type HookServer, openHookServer } from "./hook-server.ts";

let script: Promise<string> | undefined;

export class Hooks {
  readonly #folder = mkdtempSync(join(tmpdir(), "edgepost-hook-"));
  #miniflare!: Miniflare;
  server!: HookServer;
  /** By name. */
  settings = new Map<string, HookSettings>();
  /** What the archive knows of bounces, by message. */
  bounces = new Map<string, object>();
  payloads = new Map<string, string>();
  /** What became of received mail. */
  inbound: [id: string, status: string][] = [];
  away = false;
  /** Messages of whose bounces the archive does not speak. */
  unknown = new Set<string>();
  /** How often something was asked. */
  readonly asked = new Map<string, number>();
  readonly #held = new Map<string, Promise<void>>();
  readonly #letGo = new Set<() => void>();
  #ahead = 0;

  static async open(): Promise<Hooks> {
    const hooks = new Hooks();
    hooks.server = await openHookServer();
    await hooks.#start();
    return hooks;
  }

  async #start(): Promise<void> {
    script ??= bundle("test/notify/hook-worker.ts");
    this.#miniflare = new Miniflare({
      unsafeDirectSockets: [{ host: "127.0.0.1", port: await freePort() }],
      modules: [{ type: "ESModule", path: "worker.js", contents: await script }],
      compatibilityDate: "2026-08-04",
      compatibilityFlags: ["nodejs_compat"],
      defaultPersistRoot: this.#folder,
      durableObjects: {
        EVENTS: { className: "Events", useSQLite: true },
        HOOK: { className: "Hook", useSQLite: true },
      },
      durableObjectsPersist: true,
      serviceBindings: { WORLD: (request: Request) => this.#answer(request) },
    } as unknown as ConstructorParameters<typeof Miniflare>[0]);
    await this.#miniflare.ready;
    await this.ahead(this.#ahead);
  }

  /** The next such question is answered when the test lets it go, with what was so when it was asked. */
  hold(question: string): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#held.set(question, promise);
    this.#letGo.add(resolve);
    return resolve;
  }

  async #answer(request: Request): Promise<Response> {
    const question = new URL(request.url).pathname.slice(1);
    const args = (await request.json()) as [never, never, never];
    this.asked.set(question, (this.asked.get(question) ?? 0) + 1);
    const answer = this.#answerTo(question, args);
    const held = this.#held.get(question);
    this.#held.delete(question);
    await held;
    return answer;
  }

  #answerTo(question: string, [first, second, third]: [never, never, never]): Response {
    switch (question) {
      case "hooks":
        return Response.json(
          [...this.settings].map(
            ([name, { stream, triggers }]): HookRef => ({
              name,
              ...(stream !== undefined && { stream }),
              types: triggers.map((t) => t.type),
            }),
          ),
        );
      case "settings":
        if (this.away) return new Response("the directory is away", { status: 503 });
        return Response.json(this.settings.get(first) ?? null);
      case "bounce":
        if (this.unknown.has((second as { messageId: string }).messageId))
          return new Response("the archive is away", { status: 503 });
        return Response.json(this.bounces.get((second as { messageId: string }).messageId) ?? null);
      case "payload":
        return Response.json(this.payloads.get(first) ?? null);
      case "told":
        this.inbound.push([second, third]);
        return Response.json(null);
      default:
        return new Response("no such question", { status: 404 });
    }
  }

  /** kill -9, and up again on the same disk. */
  async kill(): Promise<void> {
    const list = execFileSync("ps", ["-o", "pid=,comm=", "--ppid", String(process.pid)], {
      encoding: "utf8",
    });
    const line = list.split("\n").findLast((l) => l.trim().endsWith("workerd"));
    process.kill(Number.parseInt(line ?? "", 10), "SIGKILL");
    await this.#miniflare.dispose().catch(() => undefined);
    await this.#start();
  }

  async close(): Promise<void> {
    for (const letGo of this.#letGo) letGo();
    await this.#miniflare.dispose().catch(() => undefined);
    await this.server.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #call<T>(path: string, ...args: unknown[]): Promise<T> {
    const response = await this.#miniflare.dispatchFetch(`http://test/${path}`, {
      method: "POST",
      body: JSON.stringify(args),
    });
    const reply = (await response.json()) as { ok: T; error?: string };
    if (reply.error) throw new Error(reply.error);
    return reply.ok;
  }

  log<T>(method: string, ...args: unknown[]): Promise<T> {
    return this.#call(`log/${method}`, "", ...args);
  }

  hook<T>(name: string, method: string, ...args: unknown[]): Promise<T> {
    return this.#call(`hook/${method}`, name, ...args);
  }

  /** Lets the objects' clock run ahead by so many ms; alarms do not know of it, so whoever waits is woken as cron would. */
  async ahead(ms: number): Promise<void> {
    this.#ahead = ms;
    await this.#call("ahead", ms);
  }

  /** Makes a hook that is told these types, from the log's beginning on. */
  async make(
    name: string,
    types: EventType[],
    of: Partial<HookSettings> = {},
    trigger: Partial<HookTrigger> = {},
  ) {
    this.settings.set(name, {
      ...{ kind: "outbound", url: `${this.server.url}/${name.replaceAll("/", "-")}`, headers: [] },
      ...{ secrets: [], retryFor: "standard", ...of },
      triggers: types.map((type) => ({
        ...{ type, start: 0, firstOnly: false, withContent: false, withSmtpApiErrors: false, ...trigger },
      })),
    });
    await this.log("hooksChanged");
    await this.hook(name, "changed");
  }

  /** What arrived at the hook, as JSON. */
  told(name: string): Record<string, unknown>[] {
    return this.server.told
      .filter((t) => t.path === `/${name.replaceAll("/", "-")}`)
      .map((t) => JSON.parse(t.text) as Record<string, unknown>);
  }
}

export const delivery = (n: number, of: Partial<MailEvent> = {}): MailEvent =>
  ({
    ...{ id: `m${n}/Delivery/0`, at: 1_771_330_000_000 + n, stream: "outbound", messageId: `m${n}` },
    ...{ email: `r${n}@x.example`, tag: "a tag", metadata: { n: String(n) } },
    ...{ type: "Delivery", details: "smtp;250 OK", ...of },
  }) as MailEvent;
