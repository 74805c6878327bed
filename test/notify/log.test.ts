import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Miniflare } from "miniflare";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { HookRef } from "../../src/accounts/hooks.ts";
import { bundle } from "../../src/local/bundle.ts";
import { freePort } from "../../src/local/ports.ts";
import type { LoggedEvent, MailEvent } from "../../src/mail/event.ts";
import type { SuppressionPlace } from "../../src/suppress/follow.ts";
import type { SuppressionEntry } from "../../src/suppress/list.ts";

let folder: string;
let miniflare: Miniflare;
let changes: SuppressionEntry[];
let hooks: HookRef[];
let woken: string[];
let script: Promise<string> | undefined;
let port: number;
/** Whether the directory never answers what suppressions changed. */
let isSilent = false;

/** As the directory tells them. */
function changesAfter(after: SuppressionPlace): SuppressionEntry[] {
  const isBehind = (a: SuppressionPlace, b: SuppressionPlace) =>
    a.changedAt - b.changedAt || Number(a.email > b.email) - Number(a.email < b.email);
  return changes.filter((change) => isBehind(change, after) > 0).sort(isBehind);
}

async function start(): Promise<void> {
  script ??= bundle("test/notify/log-worker.ts");
  port = await freePort();
  miniflare = new Miniflare({
    unsafeDirectSockets: [{ host: "127.0.0.1", port }],
    modules: [{ type: "ESModule", path: "worker.js", contents: await script }],
    compatibilityDate: "2026-08-04",
    compatibilityFlags: ["nodejs_compat"],
    defaultPersistRoot: folder,
    durableObjects: { EVENTS: { className: "Events", useSQLite: true } },
    durableObjectsPersist: true,
    serviceBindings: {
      WORLD: async (request: Request) => {
        const method = new URL(request.url).pathname.slice(1);
        const [first, after, limit] = (await request.json()) as [string, SuppressionPlace, number];
        if (method === "wake") woken.push(first);
        if (method === "hooks") return Response.json(hooks);
        if (method === "changes" && isSilent) return new Promise<Response>(() => undefined);
        if (method === "changes") return Response.json(changesAfter(after).slice(0, limit));
        return Response.json(null);
      },
    },
  } as unknown as ConstructorParameters<typeof Miniflare>[0]);
  await miniflare.ready;
}

async function kill(): Promise<void> {
  const list = execFileSync("ps", ["-o", "pid=,comm=", "--ppid", String(process.pid)], { encoding: "utf8" });
  const line = list.split("\n").findLast((l) => l.trim().endsWith("workerd"));
  process.kill(Number.parseInt(line ?? "", 10), "SIGKILL");
  await miniflare.dispose().catch(() => undefined);
  await start();
}

async function call<T>(method: string, ...args: unknown[]): Promise<T> {
  const response = await miniflare.dispatchFetch(`http://test/${method}`, {
    method: "POST",
    body: JSON.stringify(args),
  });
  const reply = (await response.json()) as { ok: T; error?: string };
  if (reply.error) throw new Error(reply.error);
  return reply.ok;
}

interface Read {
  events: LoggedEvent[];
  next: number;
  more: boolean;
}

const delivery = (n: number, of: Partial<MailEvent> = {}): MailEvent =>
  ({
    ...{ id: `m${n}/Delivery/0`, at: 1_000 + n, stream: "outbound", messageId: `m${n}` },
    ...{ email: `r${n}@x.example`, tag: "", metadata: {}, type: "Delivery", details: "smtp;250 OK" },
    ...of,
  }) as MailEvent;
const many = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => delivery(from + i));

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "edgepost-log-"));
  [changes, hooks, woken] = [[], [], []];
  await start();
});

afterEach(async () => {
  await miniflare.dispose().catch(() => undefined);
  rmSync(folder, { recursive: true, force: true });
});

describe("the event log", () => {
  it("keeps what is appended in one row, gives it page by page, and knows what it was told before, after a kill too", async () => {
    await call("append", many(0, 500));
    expect(await call("rows")).toBe(1);
    await call("append", many(250, 750));
    await kill();
    await call("append", many(0, 760));
    const seen: LoggedEvent[] = [];
    let after = 0;
    for (let more = true; more; ) {
      const read: Read = await call("read", { after, limit: 77 });
      expect(read.events.length).toBeLessThanOrEqual(77);
      seen.push(...read.events);
      ({ next: after, more } = read);
    }
    expect(seen.map((e) => e.id)).toEqual(many(0, 760).map((e) => e.id));
    expect(seen.map((e) => e.seq)).toEqual(Array.from({ length: 760 }, (_, i) => i + 1));
    expect(await call("head")).toBe(760);
    expect(await call("read", { after: 760, limit: 5 })).toEqual({ events: [], next: 760, more: false });
    expect(await call<Read>("read", { after: 700, until: 703, limit: 50 })).toMatchObject({
      next: 703,
      more: false,
    });
  });

  it("gives calls of one turn a row, and half a megabyte another", async () => {
    await Promise.all(Array.from({ length: 20 }, (_, i) => call("append", [delivery(i)])));
    expect(await call("head")).toBe(20);
    expect(await call<number>("rows")).toBeLessThanOrEqual(20);
    const rows = await call<number>("rows");
    await call(
      "append",
      [1, 2, 3].map((n) => delivery(100 + n, { details: "x".repeat(300_000) } as Partial<MailEvent>)),
    );
    expect(await call<number>("rows")).toBe(rows + 3);
    expect((await call<Read>("read", { after: 20, limit: 10 })).events).toHaveLength(3);
  });

  it("finds by type, stream, message and recipient, and says how far it looked", async () => {
    const accepted = {
      type: "Accepted",
      from: "a@b.example",
      subject: "s",
      recipients: ["r3@x.example"],
      email: "",
    };
    await call("append", [
      ...many(0, 5),
      delivery(5, { stream: "news" }),
      { ...delivery(6), ...accepted, id: "m6/Accepted" },
    ]);
    const found = async (of: object) => {
      const read = await call<Read>("read", { after: 0, limit: 100, ...of });
      expect(read.next).toBe(7);
      return read.events.map((e) => e.seq);
    };
    expect(await found({ types: ["Accepted"] })).toEqual([7]);
    expect(await found({ stream: "news" })).toEqual([6]);
    expect(await found({ messageId: "m2" })).toEqual([3]);
    expect(await found({ email: "r3@x.example" })).toEqual([4, 7]);
    expect(await found({ types: ["Open"] })).toEqual([]);
  });

  it("knows where a time lies, lets go of what is old, and gives no place twice", async () => {
    await call("append", many(0, 10));
    await call("age", 50 * 86_400_000);
    await call("append", many(10, 20));
    const day = Date.now() - 86_400_000;
    expect(await call("positionAt", day)).toBe(10);
    expect(await call("positionAt", Date.now() + 1_000)).toBe(20);
    expect(await call("positionAt", 0)).toBe(0);
    await call("sweep");
    expect((await call<Read>("read", { after: 0, limit: 100 })).events.map((e) => e.seq)[0]).toBe(11);
    expect(await call("positionAt", day)).toBe(10);
    await call("age", 50 * 86_400_000);
    await call("sweep");
    await kill();
    await call("append", [delivery(99)]);
    expect(await call<Read>("read", { after: 0, limit: 10 })).toMatchObject({
      events: [{ seq: 21 }],
      next: 21,
    });
  });

  it("is at its end for whoever asks for what has gone", async () => {
    await call("append", [delivery(1), delivery(2), delivery(3)]);
    await call("append", [delivery(4)]);
    await call("age", 50 * 86_400_000);
    await call("sweep");
    const end = { events: [], more: false };
    expect(await call("read", { after: 1, limit: 10 })).toEqual({ ...end, next: 4 });
    expect(await call("read", { after: 1, until: 3, limit: 10 })).toEqual({ ...end, next: 3 });
    await call("append", [delivery(5)]);
    expect(await call("read", { after: 1, until: 3, limit: 10 })).toEqual({ ...end, next: 3 });
    expect(await call("read", { after: 1, limit: 10 })).toMatchObject({ events: [{ seq: 5 }], next: 5 });
  });

  it("forgets a person, and a stream, and others keep their places", async () => {
    await call("append", [...many(0, 6), delivery(6, { stream: "news" })]);
    const person = { what: { kind: "person", email: "r2@x.example" }, until: 10_000 };
    expect(await call("erase", person)).toBe(true);
    expect(await call("erase", { what: { kind: "person", email: "r3@x.example" }, until: 1_000 })).toBe(true);
    expect(await call("erase", { what: { kind: "stream", stream: "news" }, until: 10_000 })).toBe(true);
    const left = await call<Read>("read", { after: 0, limit: 100 });
    expect(left.events.map((e) => e.seq)).toEqual([1, 2, 4, 5, 6]);
    expect(left.next).toBe(7);
  });

  it("forgets what a message said that a person got with others, and nothing else of it", async () => {
    const metadata = { user: "secret" };
    const both = { from: "a@b.example", subject: "for both", recipients: ["r0@x.example", "r1@x.example"] };
    await call("append", [
      { ...delivery(0, { metadata }), type: "Accepted", ...both, email: "", id: "m0/Accepted" },
      delivery(0, { metadata }),
      { ...delivery(0, { metadata }), email: "r1@x.example", id: "m0/Delivery/1" },
      delivery(1, { metadata }),
    ]);
    expect(await call("erase", { what: { kind: "person", email: "r0@x.example" }, until: 10_000 })).toBe(
      true,
    );
    const { events } = await call<Read>("read", { after: 0, limit: 100 });
    expect(events).toMatchObject([
      { seq: 1, type: "Accepted", subject: "", recipients: ["r1@x.example"], metadata: {} },
      { seq: 3, email: "r1@x.example", metadata: {} },
      { seq: 4, email: "r1@x.example", metadata },
    ]);
  });

  it("tells changes of suppressions once, also those that nobody told it of", async () => {
    const at = Date.now();
    const entry = {
      stream: "outbound",
      email: "x@y.example",
      reason: "HardBounce",
      origin: "Recipient",
    } as const;
    changes = [{ ...entry, changedAt: at, removed: false }];
    await call("followSuppressions");
    await call("followSuppressions");
    await kill();
    changes = [
      { ...entry, changedAt: at + 5, removed: true },
      { ...entry, email: "z@y.example", changedAt: at - 20_000, removed: false },
    ];
    await call("sweep");
    await call("sweep");
    const { events } = await call<Read>("read", { after: 0, limit: 100 });
    const shown = events.map(
      (e) => e.type === "SubscriptionChange" && [e.email, e.suppressed, e.reason, e.origin],
    );
    expect(shown).toEqual([
      ["x@y.example", true, "HardBounce", "Recipient"],
      ["z@y.example", true, "HardBounce", "Recipient"],
      ["x@y.example", false, "", "Customer"],
    ]);
  });

  it("tells all that changed in one moment, however many", async () => {
    const entry = { stream: "outbound", reason: "ManualSuppression", origin: "Customer" } as const;
    const count = 10_050;
    const changedAt = Date.now();
    changes = Array.from({ length: count }, (_, i) => {
      return { ...entry, email: `${String(i).padStart(6, "0")}@y.example`, changedAt, removed: false };
    });
    await call("followSuppressions");
    const told = new Set<string>();
    for (let after = 0; ; ) {
      const { events, next, more } = await call<Read>("read", { after, limit: 1_000 });
      for (const { email } of events) told.add(email);
      if (!more) break;
      after = next;
    }
    expect(told.size).toBe(count);
  });

  it("wakes the hooks that an event is for, and all of them at cron's sweep", async () => {
    hooks = [
      { name: "7/webhook/1", stream: "outbound", types: ["Delivery", "Bounce"] },
      { name: "7/webhook/2", stream: "news", types: ["Delivery"] },
      { name: "7/webhook/3", stream: "outbound", types: ["Open"] },
    ];
    await call("append", [delivery(1)]);
    await expect.poll(() => woken).toEqual(["7/webhook/1"]);
    await call("append", [delivery(1)]);
    await call("sweep");
    await expect
      .poll(() => woken.toSorted())
      .toEqual(["7/webhook/1", "7/webhook/1", "7/webhook/2", "7/webhook/3"]);
  });

  it("wakes them although the directory never says which suppressions changed, and asks it again", async () => {
    hooks = [{ name: "7/webhook/1", types: ["Delivery"] }];
    isSilent = true;
    await call("sweep");
    expect(woken).toEqual(["7/webhook/1"]);
    isSilent = false;
    await call("sweep");
    expect(woken).toHaveLength(2);
  }, 30_000);

  it("is followed from a place on: what is there, what comes, and a sign of life when nothing does", async () => {
    await call("append", many(0, 3));
    // Past Miniflare's own entry, which would keep small pieces back.
    const response = await fetch(`http://127.0.0.1:${port}/follow`, {
      method: "POST",
      body: JSON.stringify([{ after: 1, limit: 100, types: ["Delivery"] }, { idleMs: 300 }]),
    });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const decoder = new TextDecoder();
    let text = "";
    const lines = async (count: number) => {
      while (text.split("\n").length <= count) {
        const { value, done } = await reader.read();
        if (done) throw new Error(`ended after ${text}`);
        text += decoder.decode(value, { stream: true });
      }
      return text
        .trim()
        .split("\n")
        .map((line) => (JSON.parse(line) as Read).events.map((e) => e.seq));
    };
    expect((await lines(1))[0]).toEqual([2, 3]);
    expect((await lines(2))[1]).toEqual([]);
    await call("append", many(3, 5));
    await expect
      .poll(async () => (await lines(text.trim().split("\n").length + 1)).flat())
      .toEqual([2, 3, 4, 5]);
    await reader.cancel();
    await call("append", many(5, 6));
    expect(await call("head")).toBe(6);
  });
});
