/**
 * The object that keeps bulk requests, in workerd with its SQLite and its alarm: whatever fails, each message is released once, and
 * the counts add up.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { POLICY } from "../api/sending.ts";
import { addresses, BulkWorld, eventually, messages, SHARED } from "./bulk-world.ts";

const DAY_MS = 86_400_000;

let world: BulkWorld;

beforeEach(async () => {
  world = await new BulkWorld().start();
});
afterEach(() => world.remove());

/** Answers when the test opens it. */
function gateway(): { closed: Promise<void>; open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { closed: promise, open: resolve };
}

describe("a request that is committed", () => {
  it("is released in order, each message once, and its content is gone then", async () => {
    expect(await world.submit("a", messages(1_203))).toMatchObject({
      kind: "accepted",
      status: { state: "open" },
    });
    expect(await world.reaches("a", "completed")).toMatchObject({
      total: 1_203,
      released: 1_203,
      failed: 0,
      reason: "",
    });
    expect(world.gate.recipients).toEqual(addresses(1_203));
    expect(new Set(world.gate.asked.map((a) => a.key)).size).toBe(world.gate.asked.length);
    expect(world.gate.asked.every((a) => a.place.number === 15)).toBe(true);
    expect(await world.call("rows")).toEqual({ requests: 1, pieces: 0 });
  });

  it("fills the templates from each message, whose own values win", async () => {
    const shared = {
      ...SHARED,
      submission: {
        ...SHARED.submission,
        metadata: { a: "1", b: "1" },
        headers: [{ name: "X-A", value: "1" }],
      },
      source: {
        subject: "Hi\n{{name}}",
        htmlBody: "<i>{{name}}</i>",
        textBody: null,
        layout: { htmlBody: "<p>{{{@content}}}</p>", textBody: null },
      },
    };
    const own = {
      model: { name: "A & B" },
      metadata: { B: "2" },
      headers: [{ name: "x-a", value: "2" }],
      cc: [{ email: "c@far.org", name: "" }],
    };
    await world.submit("a", [{ ...messages(1)[0], ...own }], { shared });
    await world.reaches("a", "completed");
    expect(world.gate.drafts).toMatchObject([
      {
        submission: {
          subject: "Hi A & B",
          htmlBody: expect.stringContaining("<i>A &amp; B</i></p>"),
          textBody: "",
          metadata: { a: "1", B: "2" },
          headers: [{ name: "x-a", value: "2" }],
          cc: [{ email: "c@far.org" }],
        },
      },
    ]);
  });

  it("counts as failed what cannot be rendered, breaks a limit then, or reaches nobody", async () => {
    const [a, b, c, d] = messages(4);
    const all = [
      a ?? {},
      { ...b, model: { list: { no: "list" } } },
      { ...c, model: { name: "x".repeat(2_001) } },
      { ...d, to: [{ email: "gone@far.org", name: "" }] },
    ];
    await world.submit("a", all);
    expect(await world.reaches("a", "completed")).toMatchObject({ released: 1, failed: 3 });
    const refusals = world.gate.drafts.map((draft) => draft.refusal);
    expect(refusals).toEqual([
      undefined,
      expect.stringMatching(/list/),
      "The rendered subject is longer than 2000 characters.",
      undefined,
    ]);
  });

  it("is released in small steps when its messages are large", async () => {
    const attachment = {
      name: "a.bin",
      contentType: "application/pdf",
      content: "A".repeat(1_500_000),
      contentId: "",
    };
    const shared = { ...SHARED, submission: { ...SHARED.submission, attachments: [attachment] } };
    await world.submit("a", messages(7), { shared });
    await world.reaches("a", "completed");
    expect(world.gate.recipients).toEqual(addresses(7));
    expect(Math.max(...world.gate.asked.map((a) => a.count))).toBeLessThanOrEqual(2);
  });

  it("takes turns with others, part by part", async () => {
    const gate = gateway();
    world.gate.behaviours = [gate.closed];
    await world.submit("a", messages(30, "a"), { perPart: 10 });
    await world.submit("b", messages(30, "b"), { perPart: 10 });
    gate.open();
    await world.reaches("a", "completed");
    await world.reaches("b", "completed");
    const order = world.gate.asked.map((a) => a.key.split("/").slice(1, 3).join(""));
    expect(order.slice(0, 4).join()).toMatch(/^a1,(b1,a2,b2|a2,b1,a3)$/);
    expect([...world.gate.recipients].sort()).toEqual([...addresses(30, "a"), ...addresses(30, "b")].sort());
  });
});

describe("whatever fails, each message is released once", () => {
  it("when answers are lost, and calls fail", async () => {
    world.gate.behaviours = ["answer lost", "fine", "fails", "answer lost"];
    await world.submit("a", messages(700));
    expect(await world.reaches("a", "completed")).toMatchObject({ released: 700, failed: 0 });
    expect(world.gate.recipients).toEqual(addresses(700));
    const [first, second] = world.gate.asked;
    expect(second).toEqual(first);
  });

  it("when the process is killed while the gate has it, and between", async () => {
    const never = new Promise<void>(() => undefined);
    world.gate.behaviours = [never, "fine", never, never];
    await world.submit("a", messages(1_000), { perPart: 300 });
    for (const asked of [1, 3, 4]) {
      await eventually(`the gate was asked ${asked} times`, () => world.gate.asked.length >= asked);
      await world.kill();
    }
    expect(await world.reaches("a", "completed")).toMatchObject({ released: 1_000, failed: 0 });
    expect(world.gate.recipients).toEqual(addresses(1_000));
  });

  it("when an Outbox is full: another one takes it", async () => {
    world.gate.behaviours = ["full", "full"];
    await world.submit("a", messages(3));
    await world.reaches("a", "completed");
    expect(world.gate.asked.map((a) => a.place.number)).toEqual([15, 14, 13]);
    expect(world.gate.recipients).toEqual(addresses(3));
  });

  it("when an Outbox is full that may have it already: no other is asked", async () => {
    world.gate.behaviours = ["answer lost", "full"];
    await world.submit("a", messages(3));
    await world.reaches("a", "completed");
    expect(world.gate.asked.map((a) => a.place.number)).toEqual([15, 15, 15]);
    expect(world.gate.recipients).toEqual(addresses(3));
  });

  it("when one cannot be released: it rests ever longer, and the others do not wait for it", async () => {
    world.gate.failing = "a";
    await world.submit("a", messages(1));
    await eventually("it failed", () => world.gate.asked.length > 0);
    await world.submit("b", messages(20, "b"), { perPart: 1 });
    await world.reaches("b", "completed");
    // Each time that it is its turn would be twenty times.
    expect(world.gate.asked.filter(({ key }) => key.startsWith("bulk/a/")).length).toBeLessThan(10);
    world.gate.failing = undefined;
    await world.reaches("a", "completed");
    expect(world.gate.recipients.toSorted()).toEqual([...addresses(20, "b"), "r0@far.org"].toSorted());
  });

  it("when nobody can say what the server is: it waits, and says so", async () => {
    world.gate.policy = "away";
    await world.submit("a", messages(3));
    await eventually("it says why it waits", async () => (await world.status("a"))?.reason !== "");
    expect(await world.status("a")).toMatchObject({ state: "open", released: 0 });
    world.gate.policy = POLICY;
    expect(await world.reaches("a", "completed")).toMatchObject({ released: 3, reason: "" });
  });
});

describe("a request that ends before", () => {
  it.each([
    ["its server is deleted", undefined, "The server does not exist any more."],
    [
      "its stream is archived",
      { ...POLICY, streams: POLICY.streams.map((s) => ({ ...s, archived: true })) },
      "The message stream 'broadcast' was archived.",
    ],
    ["its sender is removed", { ...POLICY, domains: [] }, "The sender 'ann@example.com' was removed."],
  ])("is cancelled when %s", async (_, policy, reason) => {
    world.gate.policy = policy;
    await world.submit("a", messages(3));
    expect(await world.reaches("a", "cancelled")).toMatchObject({ released: 0, failed: 0, reason });
    expect(world.gate.drafts).toEqual([]);
    expect(await world.call("rows")).toEqual({ requests: 1, pieces: 0 });
  });

  it("counts what was being released when it was cancelled, and releases no more", async () => {
    const gate = gateway();
    world.gate.behaviours = [gate.closed];
    await world.submit("a", messages(600));
    await eventually("the gate was asked", () => world.gate.asked.length === 1);
    expect(await world.call("cancel", "a")).toMatchObject({
      state: "cancelled",
      released: 0,
      reason: "It was cancelled.",
    });
    gate.open();
    await eventually("its outcome is counted", async () => (await world.status("a"))?.released === 250);
    expect(await world.status("a")).toMatchObject({
      state: "cancelled",
      released: 250,
      reason: "It was cancelled.",
    });
    expect(world.gate.recipients).toEqual(addresses(250));
    expect(await world.call("rows")).toEqual({ requests: 1, pieces: 0 });
  });

  it("is cancelled at once when what was being released was not taken", async () => {
    const gate = gateway();
    world.gate.behaviours = [{ fullAfter: gate.closed }];
    await world.submit("a", messages(3));
    await eventually("the gate was asked", () => world.gate.asked.length === 1);
    await world.call("cancel", "a");
    gate.open();
    await eventually(
      "its content is gone",
      async () => (await world.call<Record<string, number>>("rows")).pieces === 0,
    );
    expect(await world.status("a")).toMatchObject({
      state: "cancelled",
      released: 0,
      reason: "It was cancelled.",
    });
    expect(world.gate.asked).toHaveLength(1);
    expect(world.gate.drafts).toEqual([]);
  });

  it("stays completed", async () => {
    await world.submit("a", messages(1));
    await world.reaches("a", "completed");
    expect(await world.call("cancel", "a")).toMatchObject({ state: "completed" });
    expect(await world.call("cancel", "b")).toBeNull();
  });

  it("is given up when an outcome could not be found out for as long as the Outbox remembers it", async () => {
    const never = new Promise<void>(() => undefined);
    world.gate.behaviours = [never];
    await world.submit("a", messages(600));
    await eventually("the gate was asked", () => world.gate.asked.length === 1);
    await world.call("age", 7 * DAY_MS);
    await world.kill();
    expect(await world.reaches("a", "cancelled")).toMatchObject({
      released: 0,
      reason: expect.stringMatching(/six days/),
    });
    expect(world.gate.asked).toHaveLength(1);
  });
});

describe("a request that comes in", () => {
  it("does not exist before its commit, and is dropped when it is discarded or an hour old", async () => {
    await world.call("put", "a", 1, "[{}]");
    await world.call("put", "b", 1, "[{}]");
    expect(await world.status("a")).toBeNull();
    expect(await world.call("list", 100, 10)).toEqual([]);
    expect(await world.call("cancel", "a")).toBeNull();
    await world.call("discard", "a");
    expect(await world.call("rows")).toEqual({ requests: 1, pieces: 1 });
    await world.call("age", DAY_MS);
    await world.call("put", "c", 1, "[{}]");
    expect(await world.call("rows")).toEqual({ requests: 1, pieces: 1 });
    expect(world.gate.asked).toEqual([]);
  });

  it("is incomplete when a part is missing", async () => {
    expect(await world.submit("a", messages(3), { parts: 2 })).toEqual({ kind: "incomplete" });
    expect(await world.status("a")).toBeNull();
  });

  it("is committed once, and keeps parts that are larger than a row", async () => {
    const large = [{ ...messages(1)[0], model: { name: "é".repeat(2_500_000) } }, ...messages(1, "s")];
    await world.submit("a", large);
    expect(await world.submit("a", [])).toMatchObject({ kind: "accepted", status: { total: 2 } });
    await world.reaches("a", "completed");
    expect(world.gate.recipients).toEqual(["r0@far.org", "s0@far.org"]);
  });

  it("with a key that was used gets the first answer again, or a conflict", async () => {
    await world.submit("a", messages(2), { key: "k" });
    await world.reaches("a", "completed");
    expect(await world.submit("b", messages(2), { key: "k" })).toMatchObject({
      kind: "accepted",
      status: { id: "a" },
    });
    expect(await world.submit("c", messages(2), { key: "k", bodyHash: "other" })).toEqual({
      kind: "conflict",
    });
    await world.call("discard", "c");
    expect(world.gate.recipients).toEqual(addresses(2));
    expect(await world.call("rows")).toEqual({ requests: 1, pieces: 0 });
  });

  it("is listed the newest first, and can be asked for 45 days", async () => {
    for (const id of ["a", "b", "c"]) {
      await world.submit(id, messages(1));
      await world.reaches(id, "completed");
    }
    const list = (before: number, limit: number) =>
      world.call<{ id: string; seq: number }[]>("list", before, limit);
    const [newest, middle] = await list(100, 2);
    expect([newest?.id, middle?.id]).toEqual(["c", "b"]);
    expect((await list(middle?.seq ?? 0, 2)).map((r) => r.id)).toEqual(["a"]);
    await world.call("age", 46 * DAY_MS);
    await world.call("put", "d", 1, "[{}]");
    expect(await list(100, 10)).toEqual([]);
  });

  it("leaves nothing when the server is erased", async () => {
    await world.submit("a", messages(1));
    await world.reaches("a", "completed");
    await world.call("erase");
    expect(await world.call("rows")).toEqual({ requests: 0, pieces: 0 });
    await world.submit("b", messages(1));
    await world.reaches("b", "completed");
  });
});
