/**
 * The object that keeps scheduled messages, in workerd with its SQLite and its alarm, and the gate before it: whatever fails, each
 * message is released once, in its time; and what was cancelled never is.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ScheduledMessage } from "../../src/accept/schedule-store.ts";
import { eventually } from "./bulk-world.ts";
import { planned, ScheduleWorld, SUBMISSION } from "./schedule-world.ts";

const HOUR_MS = 3_600_000;

let world: ScheduleWorld;

beforeEach(async () => {
  world = await new ScheduleWorld().start();
});
afterEach(() => world.remove());

const soon = () => Date.now() + 600;
const later = () => Date.now() + HOUR_MS;

function gateway(): { closed: Promise<void>; open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { closed: promise, open: resolve };
}

const empty = () =>
  world.call<Record<string, number>>("rows").then((rows) => rows.messages === 0 && rows.step === 0);

describe("a message whose time comes", () => {
  it("is released then with its own id and content, and is gone here", async () => {
    const message = planned(soon());
    const wait = planned(later());
    expect(await world.plan([message, wait])).toMatchObject({
      kind: "accepted",
      results: [{ ok: true, messageId: message.head.id, inactive: [] }, { messageId: wait.head.id }],
    });
    expect(world.gate.released).toEqual([]);
    await eventually("it is released", () => world.gate.released.length === 1);
    expect(Date.now()).toBeGreaterThanOrEqual(message.sendAt);
    expect(world.gate.released).toMatchObject([
      { id: message.head.id, submission: SUBMISSION, scheduled: { sendAt: message.sendAt } },
    ]);
    expect(world.gate.asked[0]?.place).toEqual({ region: "local", number: 11 });
    await eventually("it is let go", async () => (await world.call("get", message.head.id)) === null);
    expect(await world.call("rows")).toEqual({ messages: 1, pieces: 0, step: 0 });
    expect(await world.call("recipients")).toBe(1);
  });

  it("is released with those that are due with it, in the order of their times, whatever their streams", async () => {
    const at = soon();
    const streams = ["outbound", "broadcast"];
    const all = Array.from({ length: 300 }, (_, n) => planned(at - (n % 7), { stream: streams[n % 2] }));
    await world.plan(all);
    await eventually("all are released", () => world.gate.released.length === 300);
    const inOrder = all.toSorted((a, b) => a.sendAt - b.sendAt || (a.head.id < b.head.id ? -1 : 1));
    expect(world.gate.ids).toEqual(inOrder.map((m) => m.head.id));
    expect(world.gate.asked.map((a) => a.count)).toEqual([250, 50]);
  });

  it("goes to the Outbox of its region", async () => {
    await world.plan([planned(0, {}, "weur"), planned(1, {}, "local"), planned(2, {}, "weur")]);
    await eventually("all are released", () => world.gate.released.length === 3);
    expect(world.gate.asked.map((a) => [a.place.region, a.count])).toEqual([
      ["weur", 2],
      ["local", 1],
    ]);
  });

  it("may be ten megabytes", async () => {
    const content = "QUJD".repeat(2_400_000);
    const attachment = { name: "ä.bin", contentType: "application/pdf", content, contentId: "" };
    const message = planned(soon(), { attachments: [attachment], textBody: "ä€😀".repeat(200_000) });
    await world.plan([message]);
    expect((await world.call<{ pieces: number }>("rows")).pieces).toBeGreaterThan(4);
    await eventually("it is released", () => world.gate.released.length === 1);
    expect(JSON.stringify(world.gate.released[0]?.submission)).toBe(new TextDecoder().decode(message.body));
    await eventually("it is let go", empty);
    expect(await world.call("rows")).toMatchObject({ pieces: 0 });
  });

  it("is refused, and recorded so, when its stream was archived or its sender removed meanwhile", async () => {
    await world.plan([
      planned(0, { stream: "old" }),
      planned(1, { from: { email: "a@elsewhere.org", name: "" } }),
      planned(2),
    ]);
    await eventually("all are released", () => world.gate.released.length === 3);
    expect(world.gate.released.map((r) => r.refusal)).toEqual([
      "The message stream 'old' was archived.",
      "The sender 'a@elsewhere.org' was removed.",
      undefined,
    ]);
  });

  it("is dropped when the server does not exist any more, and kept while nobody can tell", async () => {
    world.gate.policy = "away";
    await world.plan([planned(0)]);
    await eventually("it was tried", () => world.gate.logs.some((l) => l.includes("release failed")));
    expect(await world.call("recipients")).toBe(1);
    world.gate.policy = undefined;
    await eventually("it is dropped", empty);
    expect(world.gate.released).toEqual([]);
  });
});

describe("what fails", () => {
  it("an answer that was lost: the same is asked again, and nothing goes twice", async () => {
    world.gate.behaviours = ["answer lost", "fails"];
    await world.plan(Array.from({ length: 30 }, (_, n) => planned(n)));
    await eventually("all is let go", empty);
    expect(world.gate.ids).toHaveLength(30);
    expect(new Set(world.gate.ids).size).toBe(30);
    expect(new Set(world.gate.asked.map((a) => a.key)).size).toBe(1);
  });

  it("kills at every stage: each is released once", async () => {
    const all = Array.from({ length: 500 }, () => planned(soon() + 1_500));
    await world.plan(all);
    await world.kill();
    const gate = gateway();
    world.gate.behaviours = [gate.closed];
    await eventually("the first step is asked", () => world.gate.asked.length === 1);
    await world.kill();
    gate.open();
    await eventually("all is let go", empty);
    expect(world.gate.ids.toSorted()).toEqual(all.map((m) => m.head.id).toSorted());
  });

  it("an alarm that was lost: cron wakes it", async () => {
    const message = planned(soon());
    await world.plan([message]);
    await world.call("loseAlarm");
    await world.call("sweep");
    await eventually("it is released", () => world.gate.released.length === 1);
  });

  it("a full Outbox: they can still be cancelled, and go when there is room", async () => {
    world.gate.behaviours = ["full"];
    const [a, b] = [planned(0), planned(1)];
    await world.plan([a, b]);
    await eventually("it was asked", () => world.gate.asked.length === 1);
    await eventually("it is given back", async () => (await world.call<{ step: number }>("rows")).step === 0);
    const found = await world.call<{ record: { recipients: { reason: string }[] } }>("find", a.head.id);
    expect(found.record.recipients[0]?.reason).toMatch(/^Too many messages wait/);
    expect(await world.call("cancel", a.head.id)).toMatchObject({ head: { id: a.head.id } });
    await eventually("the other goes", empty);
    expect(world.gate.ids).toEqual([b.head.id]);
  });
});

describe("a message that waits", () => {
  it("is found as a record that waits for its time, and with its source", async () => {
    const message = planned(later(), { cc: [{ email: "Bob@far.org", name: "" }] });
    await world.plan([message]);
    const { head, sendAt } = message;
    expect(await world.call("find", head.id)).toMatchObject({
      record: {
        ...{ serverId: 42, id: head.id, sendAt, subject: "Later" },
        recipients: [
          { email: "bob@far.org", state: "waiting", nextTryAt: sendAt, reason: "It is scheduled." },
        ],
      },
    });
    const source = await world.call<string>("source", head.id);
    expect(source).toContain("Subject: Later");
    expect(source).toContain(`Date: ${new Date(sendAt).toUTCString().replace("GMT", "+0000")}`);
    expect(await world.call("find", planned(0).head.id)).toBeNull();
  });

  it("is listed soonest first, page by page, by stream or all", async () => {
    const at = later();
    const all = Array.from({ length: 12 }, (_, n) =>
      planned(at + (n % 5), { stream: n % 3 ? "outbound" : "broadcast" }),
    );
    await world.plan(all);
    const inOrder = all.toSorted((a, b) => a.sendAt - b.sendAt || (a.head.id < b.head.id ? -1 : 1));
    const pages = async (stream?: string): Promise<string[]> => {
      const ids: string[] = [];
      for (let after: object | undefined, more = true; more; ) {
        const query: Record<string, unknown> = { limit: 5, after, stream };
        const { messages } = await world.call<{ messages: ScheduledMessage[] }>("list", query);
        ids.push(...messages.map((m) => m.head.id));
        const last = messages.at(-1);
        after = last && { sendAt: last.sendAt, id: last.head.id };
        more = messages.length === 5;
      }
      return ids;
    };
    expect(await pages()).toEqual(inOrder.map((m) => m.head.id));
    const broadcast = inOrder.filter((m) => m.head.stream === "broadcast").map((m) => m.head.id);
    expect(await pages("broadcast")).toEqual(broadcast);
    expect(await world.call("list", { limit: 1, stream: "broadcast" })).toMatchObject({ total: 4 });
    expect(await world.call("list", { limit: 1 })).toMatchObject({ total: 12 });
    expect(await world.call("list", { limit: 1, stream: "none" })).toEqual({ total: 0, messages: [] });
  });

  it("goes at another time when that is changed, sooner or later", async () => {
    const [sooner, postponed] = [planned(later()), planned(soon())];
    await world.plan([sooner, postponed]);
    const at = later();
    expect(await world.call("change", postponed.head.id, at)).toMatchObject({
      sendAt: at,
      head: { summary: { scheduled: { sendAt: at } } },
    });
    expect(await world.call("change", sooner.head.id, Date.now())).not.toBeNull();
    await eventually("one is released", () => world.gate.released.length > 0);
    await eventually("the time of the other is over", () => Date.now() > postponed.sendAt + 300);
    expect(world.gate.ids).toEqual([sooner.head.id]);
    expect(await world.call("change", planned(0).head.id, at)).toBeNull();
    expect(await world.call("list", { limit: 9 })).toMatchObject({ total: 1, messages: [{ sendAt: at }] });
  });

  it("is cancelled or released, and never both: what is being released can be neither cancelled nor changed", async () => {
    const [a, b] = [planned(soon()), planned(soon())];
    const gate = gateway();
    world.gate.behaviours = [gate.closed];
    await world.plan([a, b]);
    expect(await world.call("cancel", b.head.id)).toMatchObject({ head: { id: b.head.id } });
    expect(await world.call("cancel", b.head.id)).toBeNull();
    await eventually("a is being released", () => world.gate.asked.length === 1);
    expect(await world.call("cancel", a.head.id)).toBeNull();
    expect(await world.call("change", a.head.id, later())).toBeNull();
    gate.open();
    await eventually("a is let go", empty);
    expect(world.gate.ids).toEqual([a.head.id]);
    expect(await world.call("recipients")).toBe(0);
  });

  it("is gone with its server", async () => {
    await world.plan([planned(soon())]);
    await world.call("erase");
    expect(await world.call("recipients")).toBe(0);
    await world.plan([planned(0)]);
    await eventually("what comes after is released", () => world.gate.released.length === 1);
  });
});

describe("the gate", () => {
  const forLater = () => ({ ...SUBMISSION, sendAt: later(), subject: "later" });
  const atOnce = { ...SUBMISSION, subject: "now" };
  const total = async () => (await world.call<{ total: number }>("list", { limit: 1 })).total;

  it("gives a mixed request one answer, in order", async () => {
    const outcome = await world.accept([atOnce, forLater(), atOnce]);
    if (outcome.kind !== "accepted") throw new Error(outcome.kind);
    const numbers = outcome.results.map((r) => (r.ok ? r.messageId[21] : ""));
    expect(numbers[1]).toBe("b");
    expect(world.outboxes[0]?.messages.map((m) => m.message.subject)).toEqual(["now", "now"]);
    expect(await total()).toBe(1);
  });

  it("sends what has a time in the past at once, through the schedule", async () => {
    await world.accept([{ ...SUBMISSION, sendAt: 0 }]);
    expect(world.outboxes).toEqual([]);
    await eventually("it is released", () => world.gate.released.length === 1);
  });

  it("takes back what is scheduled when no Outbox accepts the rest", async () => {
    world.outboxReplies = ["fails", "fails", "fails", "fails"];
    expect(await world.accept([atOnce, forLater()])).toMatchObject({ kind: "unavailable" });
    expect(await total()).toBe(0);
  });

  it("takes back what the schedule may have when its answer is lost, unless a repeat can find it", async () => {
    world.losesPlan = true;
    expect(await world.accept([forLater()])).toMatchObject({ kind: "unavailable" });
    expect(await total()).toBe(0);
    const idempotency = { key: "k", bodyHash: "h" };
    expect(await world.accept([forLater()], { idempotency })).toMatchObject({ kind: "unavailable" });
    world.losesPlan = false;
    expect(await world.accept([forLater()], { idempotency })).toMatchObject({ kind: "accepted" });
    expect(await total()).toBe(1);
  });

  it("gives the same answer to the same key, and has each message once", async () => {
    const request = [atOnce, forLater()];
    const idempotency = { key: "k", bodyHash: "h" };
    world.outboxReplies = ["fails"];
    expect(await world.accept(request, { idempotency })).toMatchObject({ kind: "unavailable" });
    expect(await total()).toBe(1);
    const first = await world.accept(request, { idempotency });
    expect(first.kind).toBe("accepted");
    const again = await world.accept(request, { idempotency });
    if (first.kind !== "accepted" || again.kind !== "accepted") throw new Error(again.kind);
    expect(again.results[1]).toEqual(first.results[1]);
    expect(await total()).toBe(1);
  });

  it("tells the Outbox of a key whose messages are all for later, so that it is not used for others", async () => {
    await world.accept([forLater()], { idempotency: { key: "k", bodyHash: "h" } });
    expect(world.outboxes).toMatchObject([{ messages: [], idempotency: { key: "k", bodyHash: "h" } }]);
    expect(await world.accept([forLater()], { idempotency: { key: "k", bodyHash: "other" } })).toEqual({
      kind: "conflict",
    });
    expect(await total()).toBe(1);
  });

  it("schedules nothing when the Outbox knows the key from another request", async () => {
    world.outboxReplies = ["conflict"];
    const idempotency = { key: "k", bodyHash: "h" };
    expect(await world.accept([forLater()], { idempotency })).toEqual({ kind: "conflict" });
    expect(await total()).toBe(0);
    expect((await world.accept([forLater()], { idempotency })).kind).toBe("accepted");
  });

  it("takes a key for another request a day later, whether or not anything woke it since", async () => {
    const idempotency = { key: "k", bodyHash: "h" };
    const [first, second] = [planned(later()), planned(later())];
    await world.plan([first], idempotency);
    await world.call("age", 24 * HOUR_MS + 1);
    expect(await world.plan([second], { ...idempotency, bodyHash: "other" })).toMatchObject({
      kind: "accepted",
      results: [{ messageId: second.head.id }],
    });
    expect(await world.plan([first], idempotency)).toEqual({ kind: "conflict" });
    expect(await total()).toBe(2);
  });

  it("never gives results that may be another message's", async () => {
    const idempotency = { key: "k", bodyHash: "h" };
    await world.accept([forLater(), forLater()], { idempotency });
    const outcome = await world.accept([forLater()], { idempotency });
    expect(outcome.kind === "accepted" && outcome.results.length).toBe(0);
  });

  it("takes a batch that is larger than a call between objects", async () => {
    const big = { ...forLater(), textBody: "x".repeat(4_500_000) };
    const outcome = await world.accept(Array(9).fill(big), { idempotency: { key: "k", bodyHash: "h" } });
    expect(outcome.kind === "accepted" && outcome.results.length).toBe(9);
    expect(await total()).toBe(9);
    await world.accept(Array(9).fill(big), { idempotency: { key: "k", bodyHash: "h" } });
    expect(await total()).toBe(9);
  });
});
