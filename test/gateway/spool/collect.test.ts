/** The way to the Worker while it is there: who shares a request, who waits, and what is believed of its answers. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseMessageId } from "../../../src/mail/message-id.ts";
import { FakeWorker, type Mode } from "./fake-worker.ts";
import { accountFor, idOf, inbound, message, newSpool, type Under, until } from "./spools.ts";

let fake: FakeWorker;
let under: Under;

beforeEach(async () => {
  fake = await new FakeWorker().start();
  under = await newSpool(fake);
});
afterEach(async () => {
  await under.end(0);
  await fake.stop();
});

const takeMany = (count: number, some = {}) =>
  Promise.all(Array.from({ length: count }, () => under.spool.take(message(some))));

describe("messages that finish together", () => {
  it("share one request and one batch, and each has its own MessageID that names the batch's Outbox", async () => {
    const ids = (await takeMany(50)).map(idOf);
    expect(fake.requests).toBe(1);
    expect(fake.asked[0]?.map(({ messages }) => messages.length)).toEqual([50]);
    expect(new Set(ids).size).toBe(50);
    const places = new Set(ids.map((id) => parseMessageId(id)).map((p) => `${p?.region}/${p?.number}`));
    expect([...places]).toEqual([expect.stringMatching(/^weur\/[0-3]$/)]);
    expect(accountFor(fake, ids)).toEqual({ acknowledged: 50, lost: 0, twice: 0 });
    expect(under.files("waiting")).toEqual([]);
  });

  it("keep their envelope, stream and bytes", async () => {
    const sent = message({ text: "as it was: \0 and \xff" });
    await under.spool.take(sent);
    const [batch] = fake.asked[0] ?? [];
    expect(batch).toMatchObject({ v: 1, serverId: 7 });
    expect(batch?.messages[0]).toMatchObject({
      envelope: sent.envelope,
      session: sent.session,
      remoteAddress: "192.0.2.1",
      stream: "outbound",
    });
    expect(fake.ledger[0]?.body).toBe(Buffer.from(sent.bytes).toString("latin1"));
  });

  it("are parted by server, and inbound mail has neither server nor id", async () => {
    const [a, b, c] = await Promise.all([
      under.spool.take(message({ serverId: 1 })),
      under.spool.take(message({ serverId: 2 })),
      under.spool.take(inbound()),
    ]);
    expect([a, b].map(idOf).every((id) => id.length === 36)).toBe(true);
    expect(c).toEqual({ messageId: "" });
    expect(fake.requests).toBe(1);
    expect(fake.asked[0]?.map(({ serverId }) => serverId)).toEqual([1, 2, undefined]);
  });

  it("make batches that stay within a frame's bounds", async () => {
    await takeMany(150);
    await takeMany(3, { bytes: 8 * 1024 * 1024 });
    const batches = fake.asked.flat();
    expect(batches.reduce((sum, { messages }) => sum + messages.length, 0)).toBe(153);
    expect(Math.max(...batches.map(({ messages }) => messages.length))).toBe(64);
    const bytes = batches.map(({ messages }) => messages.reduce((sum, m) => sum + m.length, 0));
    expect(Math.max(...bytes)).toBeLessThanOrEqual(12 * 1024 * 1024);
  });

  it("are refused when one could never be sent on", async () => {
    const large = await under.spool.take(message({ bytes: 12 * 1024 * 1024 }));
    expect(large).toEqual({ reply: expect.objectContaining({ code: 552 }) });
    const address = `${"x".repeat(64)}@${"y".repeat(200)}.test`;
    const recipients = Array.from({ length: 2_000 }, () => ({ address }));
    const many = { ...message(), envelope: { reversePath: "", recipients } };
    expect(await under.spool.take(many)).toEqual({ reply: expect.objectContaining({ code: 452 }) });
    expect(fake.requests).toBe(0);
  });

  it("gather while two requests are under way, and go when one returns", async () => {
    fake.delayMs = 100;
    const first = under.spool.take(message());
    await until(() => under.spool.state().inFlight === 1, "the first is sent at once");
    const second = under.spool.take(message());
    await until(() => under.spool.state().inFlight === 2, "the second too");
    const rest = takeMany(30);
    await Promise.all([first, second, rest]);
    expect(fake.asked.map(([batch]) => batch?.messages.length)).toEqual([1, 1, 30]);
  });

  it("do not wait for requests that have become slow", async () => {
    fake.mode = "hang";
    const stuck = [under.spool.take(message())];
    await until(() => under.spool.state().inFlight === 1, "the first is sent");
    stuck.push(under.spool.take(message()));
    await until(() => under.spool.state().inFlight === 2, "the second is sent");
    fake.mode = "ok";
    expect(idOf(await under.spool.take(message()))).toBe(fake.ids[0]);
    expect(under.spool.state().inFlight).toBe(2);
    await Promise.all(stuck);
  });
});

describe("what the Worker answers", () => {
  it("is passed on, message by message", async () => {
    const [good, bad] = await Promise.all([
      under.spool.take(message()),
      under.spool.take(message({ text: "refuse-me" })),
    ]);
    expect(idOf(good)).toBe(fake.ids[0]);
    expect(bad).toEqual({ reply: { code: 550, enhanced: "5.6.0", text: "no" } });
    expect(under.files("waiting")).toEqual([]);
  });

  const unclear: Mode[] = [
    "500",
    "401",
    "413",
    "html",
    "empty",
    "truncated",
    "none",
    "short",
    "late",
    "hang",
  ];
  for (const mode of unclear) {
    it(`is no acceptance when it is "${mode}": the batch is spooled, and the Worker has it once in the end`, async () => {
      await under.end();
      under = await newSpool(fake, { limits: { patience: 300 } });
      fake.mode = mode;
      const ids = (await takeMany(5)).map(idOf);
      expect(await under.metric('edgepost_intake_messages_total{way="spooled"}')).toBe(5);
      fake.mode = "ok";
      await until(() => under.spool.state().waiting.batches === 0, "the spool is empty");
      expect(accountFor(fake, ids)).toEqual({ acknowledged: 5, lost: 0, twice: 0 });
      expect(fake.repeats > 0).toBe(["truncated", "short", "late"].includes(mode));
      expect(under.files("waiting")).toEqual([]);
    });
  }

  it("is asked for again when a connection that was kept is closed", async () => {
    idOf(await under.spool.take(message()));
    await fake.stop();
    await fake.start();
    const ids = (await takeMany(3)).map(idOf);
    expect(ids.every((id) => fake.ids.includes(id))).toBe(true);
    expect(await under.metric('edgepost_intake_messages_total{way="direct"}')).toBe(4);
  });
});

describe("one server's Outbox", () => {
  it("that is away spools its own mail, and nobody else's", async () => {
    fake.away.add(1);
    await Promise.all([
      under.spool.take(message({ serverId: 1 })),
      under.spool.take(message({ serverId: 2 })),
    ]);
    const from = fake.asked.length;
    const [, answers] = await Promise.all([takeMany(5, { serverId: 1 }), takeMany(5, { serverId: 2 })]);
    const others = answers.map(idOf);
    // What the spool forwards is a request of its own.
    expect(fake.asked.slice(from).filter((batches) => batches.length > 1)).toEqual([]);
    expect(others.every((id) => fake.ids.includes(id))).toBe(true);
    expect(await under.metric('edgepost_intake_messages_total{way="direct"}')).toBe(6);
    expect(await under.metric('edgepost_intake_messages_total{way="spooled"}')).toBe(6);
    expect(under.spool.state().isWorkerUp).toBe(true);
    fake.away.clear();
    await until(() => under.spool.state().waiting.batches === 0, "the spool is empty");
    expect(new Set(fake.ids).size).toBe(12);
    expect(fake.ids.length).toBe(12);
  });
});

describe("the end", () => {
  it("waits for what is in hand", async () => {
    fake.delayMs = 300;
    const receipt = under.spool.take(message());
    await under.spool.end(5_000);
    expect(idOf(await receipt)).toBe(fake.ids[0]);
    expect(under.files("waiting")).toEqual([]);
  });

  it("spools what has no answer by then, and what had not been sent", async () => {
    await under.end();
    under = await newSpool(fake, { limits: { patience: 120_000 } });
    fake.mode = "late";
    const receipts = [under.spool.take(message())];
    await until(() => under.spool.state().inFlight === 1, "the first is sent");
    receipts.push(under.spool.take(message()));
    await until(() => under.spool.state().inFlight === 2, "the second is sent");
    receipts.push(under.spool.take(message()));
    await under.end(100);
    const ids = (await Promise.all(receipts)).map(idOf);
    expect(under.files("waiting").length).toBe(3);
    fake.mode = "ok";
    under = await newSpool(fake, { folder: under.folder });
    await until(() => under.spool.state().waiting.batches === 0, "the spool is empty");
    expect(accountFor(fake, ids)).toEqual({ acknowledged: 3, lost: 0, twice: 0 });
  });
});
