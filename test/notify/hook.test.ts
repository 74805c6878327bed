import { Webhook } from "standardwebhooks";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { EventType, MailEvent } from "../../src/mail/event.ts";
import type { NumberedCall, TriggerStatistics } from "../../src/notify/hook-calls.ts";
import { newSecret } from "../../src/notify/signature.ts";
import { until } from "../journeys/system.ts";
import { delivery, Hooks } from "./hooks-running.ts";

let hooks: Hooks;
beforeEach(async () => {
  hooks = await Hooks.open();
});
afterEach(() => hooks.close());

const A = "7/webhook/1";
const B = "7/webhook/2";
const MINUTE = 60_000;
const many = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => delivery(from + i));
const append = (events: MailEvent[]) => hooks.log("append", events);
const tell = (name: string, types?: EventType[]) => hooks.hook(name, "wake", types);
const ids = (name: string) => hooks.told(name).map((t) => t.MessageID);
const answered = (status: number) => {
  hooks.server.answer = (_told, response) => response.writeHead(status).end("so it is");
};
const statistics = (name: string) => hooks.hook<TriggerStatistics[]>(name, "statistics");
const calls = async (name: string, filter: object = {}, page: object = { count: 500 }) =>
  hooks.hook<{ calls: NumberedCall[]; more?: number }>(name, "calls", filter, page);
const rows = (name: string) => hooks.hook<{ retries: number; packs: number; replays: number }>(name, "rows");

describe("a hook", () => {
  it("is told what it asked for, once, from where it begins, and saves where it has got to", async () => {
    await append(many(0, 3));
    await hooks.make(A, ["Delivery"], { stream: "outbound" }, { start: 2 });
    await append([...many(3, 60), delivery(60, { stream: "news" }), delivery(61, { type: "Accepted" })]);
    await until("all is told", () => ids(A).length >= 58);
    expect(new Set(ids(A))).toEqual(new Set(many(2, 60).map((e) => e.messageId)));
    expect(hooks.told(A)[0]).toEqual({
      ...{ RecordType: "Delivery", ServerID: 7, MessageStream: "outbound", MessageID: "m2" },
      ...{ Recipient: "r2@x.example", Tag: "a tag", Metadata: { n: "2" } },
      ...{ DeliveredAt: "2026-02-17T12:06:40.0020000Z", Details: "smtp;250 OK" },
    });
    await hooks.kill();
    await append([delivery(70)]);
    await until("it goes on", () => ids(A).includes("m70"));
    expect(ids(A)).toHaveLength(59);
    expect(await statistics(A)).toMatchObject([{ type: "Delivery", taken: 59, failed: 0, waiting: 0 }]);
  });

  it("begins where the log is when nobody says where", async () => {
    await append(many(0, 3));
    await hooks.make(A, ["Delivery"], {}, { start: undefined });
    await until("it has looked", async () => (await statistics(A)).length === 1);
    await append([delivery(9)]);
    await until("it is told", () => ids(A).length > 0);
    expect(ids(A)).toEqual(["m9"]);
  });

  it("repeats what failed by its schedule, with the same id, until it is dropped", async () => {
    answered(500);
    await hooks.make(A, ["Delivery"]);
    await append([delivery(1)]);
    await until("it failed", () => ids(A).length === 1);
    let time = 0;
    for (const [i, minutes] of [1, 5, 10, 10, 10, 15].entries()) {
      await until("it waits", async () => (await rows(A)).retries === 1);
      time += minutes * MINUTE;
      await hooks.ahead(time - 5_000);
      await tell(A);
      await hooks.ahead(time + 2_000);
      await tell(A);
      await until(`retry ${i + 1}`, () => ids(A).length === i + 2);
    }
    await until("it is dropped", async () => (await rows(A)).retries === 0);
    const headers = hooks.server.told.map((t) => t.headers);
    expect(headers.map((h) => h["x-pm-retries-remaining"])).toEqual(["6", "5", "4", "3", "2", "1", "0"]);
    expect(new Set(headers.map((h) => h["x-pm-webhook-trace-id"]))).toEqual(new Set(["m1/Delivery/0"]));
    const { calls: log } = await calls(A);
    expect(log.map(({ call }) => call.next)).toEqual(["dropped", ...Array(6).fill("retry")]);
    expect(log[0]?.call).toMatchObject({ status: 500, retries: 6, reply: { body: "so it is" } });
  });

  it("drops at once what a 4xx refuses, and honours Retry-After", async () => {
    answered(404);
    await hooks.make(A, ["Delivery"]);
    await append([delivery(1)]);
    await until("it is logged", async () => (await calls(A)).calls.length === 1);
    expect((await calls(A)).calls[0]?.call.next).toBe("dropped");
    expect((await rows(A)).retries).toBe(0);
    hooks.server.answer = (_told, response) => response.writeHead(429, { "Retry-After": "1200" }).end();
    await append([delivery(2)]);
    await until("it is logged", async () => (await calls(A)).calls.length === 2);
    const call = (await calls(A)).calls[0]?.call;
    expect((call?.nextAt ?? 0) - (call?.at ?? 0)).toBeGreaterThanOrEqual(1_200_000);
  });

  it("leaves a trigger alone that only fails, loses nothing of it, and tells the others meanwhile", async () => {
    hooks.server.answer = (told, response) =>
      response.writeHead(told.text.includes('"RecordType":"Delivery"') ? 503 : 200).end();
    await hooks.make(A, ["Delivery", "SubscriptionChange"]);
    await append(many(0, 200));
    const change = { suppressed: true, reason: "ManualSuppression", origin: "Recipient", messageId: "" };
    const told = () => hooks.told(A).filter((t) => t.RecordType === "SubscriptionChange").length;
    await append(many(300, 320).map((e) => ({ ...e, ...change, type: "SubscriptionChange" }) as MailEvent));
    await until("changes are told", () => told() === 20);
    const failed = async () => (await statistics(A)).find((t) => t.type === "Delivery")?.failed ?? 0;
    await until("it only fails", async () => (await failed()) >= 10);
    await hooks.ahead(16 * MINUTE);
    await tell(A);
    const paused = async () => (await statistics(A)).find((t) => t.type === "Delivery")?.paused;
    await until("it is paused", async () => (await paused()) !== undefined);
    expect(await paused()).toMatchObject({ reason: "The answer was 503." });
    const before = hooks.server.told.length;
    await hooks.ahead(30 * MINUTE);
    await tell(A);
    await append([{ ...delivery(400), ...change, type: "SubscriptionChange" } as MailEvent]);
    await until("another change is told", () => told() === 21);
    expect(hooks.server.told).toHaveLength(before + 1);
    answered(200);
    await hooks.ahead(80 * MINUTE);
    await tell(A);
    const arrived = () =>
      new Set(
        hooks
          .told(A)
          .filter((t) => t.RecordType === "Delivery")
          .map((t) => t.MessageID),
      );
    await until("all of it is told", async () => arrived().size === 200 && (await rows(A)).retries === 0);
    expect(await paused()).toBeUndefined();
  });

  it("is resumed by hand", async () => {
    answered(500);
    await hooks.make(A, ["Delivery"]);
    await append(many(0, 30));
    await until("it fails", async () => ((await statistics(A))[0]?.failed ?? 0) >= 10);
    const before = hooks.server.told.length;
    answered(200);
    await tell(A);
    expect(hooks.server.told.length).toBe(before);
    await hooks.hook(A, "resume", ["Delivery"]);
    await until("the rest is told", () => new Set(ids(A)).size === 30);
  });

  it("that hangs keeps no other waiting", async () => {
    hooks.server.answer = (told, response) => {
      if (told.path.endsWith("2")) response.end();
    };
    await hooks.make(A, ["Delivery"]);
    await hooks.make(B, ["Delivery"]);
    await append(many(0, 300));
    await until("the other is told", () => ids(B).length === 300);
    expect(ids(A).length).toBeLessThanOrEqual(5);
  });

  it("tells everything at least once through kills, to an endpoint that fails half the time", async () => {
    let count = 0;
    const taken = new Set<unknown>();
    hooks.server.answer = (told, response) => {
      const isTaken = ++count % 2 === 0;
      if (isTaken) taken.add((JSON.parse(told.text) as { MessageID: string }).MessageID);
      response.writeHead(isTaken ? 200 : 500).end();
    };
    // By Postmark's schedule an event in 128 would fail seven times, and be dropped.
    await hooks.make(A, ["Delivery"], { retryFor: "threeDays" });
    for (let round = 0; round < 4; round++) {
      await append(many(round * 200, (round + 1) * 200));
      await until("some are told", () => count > round * 150 + 20);
      await hooks.kill();
      await tell(A);
    }
    let minutes = 0;
    await until("all of it is taken", async () => {
      minutes += 61;
      await hooks.ahead(minutes * MINUTE);
      await tell(A);
      return taken.size === 800;
    });
  });

  it("waits for the archive's number of a bounce, and shows what came back", async () => {
    const bounce = {
      ...{ type: "Bounce", bounceType: "HardBounce", details: "smtp;550 no", from: "a@b.example" },
      ...{ subject: "Hi", at: Date.now() },
    };
    await hooks.make(A, ["Bounce"], {}, { withContent: true });
    await append([delivery(1, bounce as Partial<MailEvent>)]);
    await until("it waits", async () => (await rows(A)).retries === 1);
    expect(hooks.server.told).toEqual([]);
    hooks.bounces.set("m1", { id: 42, inactive: true, hasDump: true });
    await until("it is told", () => hooks.told(A).length === 1);
    expect(hooks.told(A)[0]).toMatchObject({
      ...{ RecordType: "Bounce", ID: 42, Type: "HardBounce", TypeCode: 1, Name: "Hard bounce", ServerID: 7 },
      ...{ Email: "r1@x.example", From: "a@b.example", Subject: "Hi", Details: "smtp;550 no" },
      ...{ Inactive: true, DumpAvailable: true, CanActivate: true, Content: "what came back with 42" },
    });
    // Long ago, and the archive has forgotten it.
    await append([delivery(2, { ...bounce, at: Date.now() - 3_600_000 } as Partial<MailEvent>)]);
    await until("it is told too", () => hooks.told(A).length === 2);
    expect(hooks.told(A)[1]).toMatchObject({ ID: 0, DumpAvailable: false, Content: "" });
  });

  it("is told SMTPApiError bounces and repeated opens and clicks only where it is to be", async () => {
    hooks.bounces.set("m1", { id: 1, inactive: false, hasDump: false });
    const reader = {
      ...{ client: { name: "", company: "", family: "" }, os: { name: "", company: "", family: "" } },
      ...{ platform: "Desktop", userAgent: "x", geo: { countryIsoCode: "DE" } },
    };
    const of = (type: string, n: number, more: object) =>
      ({ ...delivery(n), id: `${type}${n}`, type, ...more }) as MailEvent;
    const events = [
      of("Bounce", 1, { bounceType: "SMTPApiError", details: "", from: "", subject: "" }),
      of("Open", 2, { isFirst: true, readSeconds: 0, reader }),
      of("Open", 3, { isFirst: false, readSeconds: 0, reader }),
      of("Click", 4, { isFirst: true, location: "HTML", link: "https://a.example/", reader }),
      of("Click", 5, { isFirst: false, location: "HTML", link: "https://a.example/", reader }),
    ];
    await hooks.make(A, ["Bounce", "Open", "Click"]);
    await hooks.make(B, ["Bounce", "Open", "Click"], {}, { firstOnly: true, withSmtpApiErrors: true });
    await append(events);
    await until("all is told", () => ids(A).length === 3 && ids(B).length === 3);
    expect(ids(A).toSorted()).toEqual(["m2", "m3", "m4"]);
    expect(ids(B).toSorted()).toEqual(["m1", "m2", "m4"]);
    expect(hooks.told(A).find((t) => t.RecordType === "Click")).toMatchObject({
      ...{ ClickLocation: "HTML", OriginalLink: "https://a.example/", Platform: "Desktop" },
      Geo: { CountryISOCode: "DE" },
    });
  });

  it("signs with each of its secrets", async () => {
    const secrets = [newSecret(), newSecret()];
    await hooks.make(A, ["Delivery"], { secrets });
    await append([delivery(1)]);
    await until("it is told", () => hooks.server.told.length === 1);
    const [told] = hooks.server.told;
    for (const secret of secrets)
      expect(
        new Webhook(secret).verify(told?.text ?? "", told?.headers as Record<string, string>),
      ).toMatchObject({
        MessageID: "m1",
      });
    expect(() =>
      new Webhook(newSecret()).verify(told?.text ?? "", told?.headers as Record<string, string>),
    ).toThrow();
  });

  it("for received mail streams its payload, retries other answers, and says how it ended", async () => {
    const payload = JSON.stringify({ From: "x", TextBody: "y".repeat(3_000_000) });
    hooks.payloads.set("m1", payload).set("m2", "{}");
    const name = "7/inbound";
    await hooks.make(name, ["Inbound"], { kind: "inbound" });
    await append([delivery(1, { type: "Inbound", subject: "" } as Partial<MailEvent>)]);
    await until("it is told", () => hooks.inbound.length === 1);
    expect(hooks.server.told[0]?.text).toBe(payload);
    expect(hooks.inbound).toEqual([["m1", "processed"]]);
    answered(404);
    await append([delivery(2, { type: "Inbound", subject: "" } as Partial<MailEvent>)]);
    await until("it waits", async () => (await rows(name)).retries === 1);
    answered(403);
    await hooks.ahead(2 * MINUTE);
    await tell(name);
    await until("it has ended", () => hooks.inbound.length === 2);
    expect(hooks.inbound[1]).toEqual(["m2", "failed"]);
  });

  it("logs each call without what proves us to it, and finds them again", async () => {
    hooks.server.answer = (told, response) =>
      response.writeHead(told.text.includes("m3") ? 400 : 200, { "X-Seen": "yes" }).end("z".repeat(10_000));
    await hooks.make(A, ["Delivery"], {
      auth: { username: "u", password: "secret" },
      headers: [{ name: "X-Key", value: "secret" }],
    });
    await append(many(0, 120));
    await until("all is logged", async () => (await calls(A)).calls.length === 120);
    const page = await calls(A, {}, { count: 50 });
    expect(page.calls).toHaveLength(50);
    const rest = await calls(A, {}, { count: 500, before: page.more });
    expect([...page.calls, ...rest.calls].map((c) => c.number)).toEqual(
      Array.from({ length: 120 }, (_, i) => 120 - i),
    );
    const failed = await calls(A, { succeeded: false });
    expect(failed.calls.map((c) => c.call.messageId).every((id) => id.startsWith("m3"))).toBe(true);
    expect(failed.calls).toHaveLength(11);
    const one = await hooks.hook<Record<string, unknown>>(A, "call", 60);
    expect(one).toMatchObject({
      headers: { authorization: "(hidden)", "x-key": "(hidden)", "content-type": "application/json" },
      reply: { headers: { "x-seen": "yes" }, body: "z".repeat(4_096) },
    });
    expect(JSON.stringify(await calls(A))).not.toContain("secret");
    expect(await calls(A, { messageId: "m7" })).toMatchObject({
      calls: [{ call: { email: "r7@x.example" } }],
    });
    expect(await hooks.hook(A, "call", 121)).toBeNull();
  });

  it("repeats one call, and a range of time", async () => {
    await hooks.make(A, ["Delivery"]);
    await append(many(0, 10));
    await until("all is told, and logged", async () => (await calls(A)).calls.length === 10);
    const number = (await calls(A, { messageId: "m4" })).calls[0]?.number;
    expect(await hooks.hook(A, "replayCall", number)).toBe(true);
    await until("it is told again", () => ids(A).filter((id) => id === "m4").length === 2);
    expect(await hooks.hook(A, "replayCall", 999)).toBe(false);
    expect(await hooks.hook(A, "replay", { from: 0, to: Date.now() + 1_000 })).toBe(true);
    await until("all is told again", () => ids(A).length === 21);
    await until("the replay has ended", async () => (await rows(A)).replays === 0);
    await append([delivery(11)]);
    await until("what is new is told once", () => ids(A).length === 22);
  });

  it("runs ten replays at once, and no more", async () => {
    hooks.server.answer = () => undefined;
    await append([delivery(0)]);
    await hooks.make(A, ["Delivery"]);
    const range = { from: 0, to: Date.now() + 1_000 };
    for (let i = 0; i < 10; i++) expect(await hooks.hook(A, "replay", range)).toBe(true);
    expect(await hooks.hook(A, "replay", range)).toBe(false);
  });

  it("forgets a person, and ends with its webhook", async () => {
    await hooks.make(A, ["Delivery"]);
    await append([...many(0, 5), delivery(2, { id: "m2/Delivery/1", email: "other@x.example" })]);
    await until("all is logged", async () => (await calls(A)).calls.length === 6);
    await hooks.hook(A, "erase", { what: { kind: "person", email: "r2@x.example" }, until: Date.now() });
    expect(JSON.stringify(await calls(A))).not.toContain("r2@x.example");
    const other = (await calls(A, { messageId: "m2" })).calls.map((c) => c.call);
    expect(other.map((c) => [c.email, c.body]).toSorted()).toEqual([
      ["", undefined],
      ["other@x.example", undefined],
    ]);
    // Also in the middle of a call.
    let isCalled = false;
    hooks.server.answer = (_told, response) => {
      isCalled = true;
      setTimeout(() => response.end(), 500);
    };
    await append([delivery(49)]);
    await until("a call is under way", () => isCalled);
    hooks.settings.delete(A);
    await hooks.hook(A, "destroy");
    await new Promise((done) => setTimeout(done, 1_000));
    await append([delivery(50)]);
    await tell(A);
    expect(await hooks.hook(A, "tables")).toBe(0);
    expect(ids(A)).toHaveLength(7);
  });

  it("goes on by itself when its settings cannot be read for a while", async () => {
    await hooks.make(A, ["Delivery"]);
    hooks.away = true;
    await hooks.hook(A, "changed");
    await append(many(0, 3));
    expect(hooks.server.told).toEqual([]);
    hooks.away = false;
    await tell(A);
    await until("all is told", () => ids(A).length === 3);
  });
});
