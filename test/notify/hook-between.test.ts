/** What happens to a hook while it is in the middle of something else: calls of its own come between at each wait. */
import type { ServerResponse } from "node:http";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { EventType, MailEvent } from "../../src/mail/event.ts";
import type { NumberedCall, TriggerStatistics } from "../../src/notify/hook-calls.ts";
import { until } from "../journeys/system.ts";
import { delivery, Hooks } from "./hooks-running.ts";

let hooks: Hooks;
beforeEach(async () => {
  hooks = await Hooks.open();
});
afterEach(() => hooks.close());

const A = "7/webhook/1";
const MINUTE = 60_000;
const many = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => delivery(from + i));
const bounce = (n: number) =>
  delivery(n, {
    ...{ type: "Bounce", bounceType: "HardBounce", details: "", from: "", subject: "", at: Date.now() },
  } as Partial<MailEvent>);
const append = (events: MailEvent[]) => hooks.log("append", events);
const tell = (types?: EventType[]) => hooks.hook(A, "wake", types);
const ids = () => hooks.told(A).map((t) => t.MessageID);
const soon = (ms = 300) => new Promise((done) => setTimeout(done, ms));
const calls = (filter: object = {}) =>
  hooks.hook<{ calls: NumberedCall[] }>(A, "calls", filter, { count: 500 });
const rows = () => hooks.hook<{ retries: number; replays: number }>(A, "rows");
const answered = (status: number) => {
  hooks.server.answer = (_told, response) => response.writeHead(status).end();
};

/** Answers that the test gives when it is time. */
function heldAnswers(): ServerResponse[] {
  const held: ServerResponse[] = [];
  hooks.server.answer = (_told, response) => held.push(response);
  return held;
}

async function failing(events: MailEvent[], retryAfter = 0): Promise<void> {
  hooks.server.answer = (_told, response) => response.writeHead(429, { "Retry-After": retryAfter }).end();
  await append(events);
  const failed = async () => (await hooks.hook<TriggerStatistics[]>(A, "statistics"))[0]?.failed ?? 0;
  await until("it fails", async () => (await failed()) >= 10);
}

describe("a hook in the middle of a batch", () => {
  it("logs nothing of a person who was removed meanwhile", async () => {
    const held = heldAnswers();
    await hooks.make(A, ["Delivery"]);
    await append(many(0, 3));
    await until("calls are under way", () => held.length === 3);
    // Asked for before the calls were made, and after what they tell of.
    const erase = { what: { kind: "person", email: "r1@x.example" }, until: Date.now() - MINUTE };
    await hooks.hook(A, "erase", erase);
    for (const response of held) response.end();
    await until("all is logged", async () => (await calls()).calls.length === 3);
    expect(JSON.stringify(await calls())).not.toContain("r1@x.example");
    expect(JSON.stringify(await calls())).toContain("r2@x.example");
  });

  it("is resumed by hand although the call that tries it fails after that", async () => {
    await hooks.make(A, ["Delivery"]);
    await failing(many(0, 20));
    const before = hooks.server.told.length;
    const held = heldAnswers();
    await hooks.ahead(2 * MINUTE);
    await tell();
    await until("it is tried", () => held.length === 1);
    await hooks.hook(A, "resume");
    answered(200);
    held[0]?.writeHead(500).end();
    await until("the rest is told", () => new Set(ids().slice(before)).size === 20);
  });

  it("keeps what was told beside an event whose bounce the archive cannot be asked for", async () => {
    for (let n = 1; n <= 5; n++) hooks.bounces.set(`m${n}`, { id: n, inactive: true, hasDump: false });
    hooks.unknown.add("m1");
    const held = heldAnswers();
    await hooks.make(A, ["Bounce"]);
    await append([1, 2, 3, 4, 5].map(bounce));
    await until("the others are told", () => held.length === 4);
    await tell();
    await soon();
    expect(held).toHaveLength(4);
    for (const response of held) response.end();
    await until("that is logged", async () => (await calls()).calls.length === 4);
    hooks.unknown.clear();
    answered(200);
    await hooks.ahead(MINUTE);
    await tell();
    await until("the last is told", async () => (await calls()).calls.length === 5);
    expect(ids().toSorted()).toEqual(["m1", "m2", "m3", "m4", "m5"]);
  });

  it("drops what waits for a trigger that is not asked for any more, and its replays", async () => {
    await hooks.make(A, ["Delivery"]);
    answered(500);
    await append([delivery(1)]);
    await until("it waits", async () => (await rows()).retries === 1);
    await hooks.make(A, ["Open"]);
    await until("nothing waits", async () => (await rows()).retries === 0);
  });
});

describe("a hook whose settings are being read", () => {
  it("does not take what was read before they changed for what they are", async () => {
    await hooks.make(A, ["Delivery"]);
    await until("they are known", () => hooks.asked.get("settings") === 1);
    const letGo = hooks.hold("settings");
    await hooks.hook(A, "changed");
    await until("they are read", () => hooks.asked.get("settings") === 2);
    await hooks.make(A, ["Delivery"], { url: `${hooks.server.url}/new` });
    await until("they are read anew", () => hooks.asked.get("settings") === 3);
    letGo();
    await soon();
    await append([delivery(1)]);
    await until("it is told", () => hooks.server.told.length === 1);
    expect(hooks.server.told[0]?.path).toBe("/new");
  });

  it("stores nothing when it is removed meanwhile", async () => {
    await hooks.make(A, ["Delivery"]);
    await append([delivery(1)]);
    await until("it is logged", async () => (await calls()).calls.length === 1);
    const letGo = hooks.hold("settings");
    const before = hooks.asked.get("settings") ?? 0;
    await hooks.hook(A, "changed");
    await until("they are read", () => hooks.asked.get("settings") === before + 1);
    hooks.settings.delete(A);
    await hooks.hook(A, "destroy");
    letGo();
    await soon();
    expect(await hooks.hook(A, "tables")).toBe(0);
  });

  it("sets its alarm again when they cannot be", async () => {
    await hooks.make(A, ["Delivery"]);
    await append([delivery(1)]);
    await until("it is logged", async () => (await calls()).calls.length === 1);
    hooks.away = true;
    await hooks.hook(A, "ring");
    const at = (await hooks.hook<number>(A, "alarmAt")) - Date.now();
    expect(at).toBeGreaterThan(0);
    expect(at).toBeLessThan(MINUTE);
  });
});

describe("a hook and an archive", () => {
  it("that never answers: goes on without it", async () => {
    hooks.bounces.set("m1", { id: 1, inactive: true, hasDump: false });
    hooks.hold("bounce");
    await hooks.make(A, ["Bounce"]);
    await append([bounce(1)]);
    await until("it is given up", async () => (await rows()).retries === 1, 20_000);
    await hooks.ahead(MINUTE);
    await tell();
    await until("it is told", () => ids().length === 1);
  }, 60_000);

  it("that has no number yet for what is to try a paused trigger: asks now and then", async () => {
    for (let n = 1; n <= 12; n++) hooks.bounces.set(`m${n}`, { id: n, inactive: true, hasDump: false });
    await hooks.make(A, ["Bounce"]);
    await failing([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12].map(bounce), 3_600);
    const before = hooks.asked.get("bounce") ?? 0;
    await hooks.ahead(2 * MINUTE);
    await tell();
    await until("it is asked", () => (hooks.asked.get("bounce") ?? 0) > before);
    await soon(1_000);
    expect((hooks.asked.get("bounce") ?? 0) - before).toBeLessThan(3);
  });
});

describe("the log of a hook's calls", () => {
  it("finds by time what was logged before a call that had begun earlier", async () => {
    const held: ServerResponse[] = [];
    hooks.server.answer = (told, response) => {
      if (told.text.includes('"RecordType":"Delivery"')) held.push(response);
      else response.end();
    };
    await hooks.make(A, ["Delivery", "SubscriptionChange"]);
    await append([delivery(1)]);
    await until("one call is under way", () => held.length === 1);
    await soon(50);
    const from = Date.now();
    const change = {
      type: "SubscriptionChange",
      suppressed: true,
      reason: "HardBounce",
      origin: "Recipient",
    };
    await append([delivery(2, change as Partial<MailEvent>)]);
    await until("another is logged", async () => (await calls()).calls.length === 1);
    held[0]?.end();
    await until("both are", async () => (await calls()).calls.length === 2);
    expect((await calls({ from })).calls.map(({ call }) => call.messageId)).toEqual(["m2"]);
  });

  it("of received mail ends with its stream, and no other does", async () => {
    hooks.payloads.set("m1", "{}");
    await hooks.make(A, ["Inbound"], { kind: "inbound" });
    await append([delivery(1, { type: "Inbound", subject: "", stream: "inbound" } as Partial<MailEvent>)]);
    await until("it is logged", async () => (await calls()).calls.length === 1);
    const erase = (stream: string) =>
      hooks.hook(A, "erase", { what: { kind: "stream", stream }, until: Date.now() });
    await erase("outbound");
    expect((await calls()).calls[0]?.call.email).toBe("r1@x.example");
    await erase("inbound");
    expect((await calls()).calls[0]?.call.email).toBe("");
  });
});
