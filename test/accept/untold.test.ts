import { describe, expect, it } from "vitest";
import {
  isTold,
  type MessageProgress,
  newProgress,
  type PackedMessage,
  recipientVersions,
} from "../../src/accept/pack.ts";
import { untoldEvents } from "../../src/accept/untold.ts";
import type { Attempt } from "../../src/mail/record.ts";

const id = "018bcfe5-6800-8000-8000-000000000000";
const message: PackedMessage = {
  ...{ id, acceptedAt: 1_000, stream: "outbound", subject: "s", tag: "t" },
  summary: {
    from: { email: "a@example.com", name: "" },
    ...{ to: [], cc: [], bcc: [], attachments: [], metadata: { order: "7" } },
    recipients: ["x@one.example", "y@one.example", "z@two.example"],
    ...{ trackOpens: false, trackLinks: "None", sandboxed: false },
  },
  groups: [
    { domain: "one.example", recipients: ["x@one.example", "y@one.example"] },
    { domain: "two.example", recipients: ["z@two.example"] },
  ],
  ...{ fromDomain: "example.com", returnPathDomain: "bounces.example.com", bounceType: "" },
  ...{ giveUpAt: 9_000_000, body: { offset: 0, length: 10 } },
};

const attempt = (number: number, code: number): Attempt => ({
  ...{ number, transport: "gateway", at: 2_000 + number, reason: "", uncertain: false, transcript: [] },
  result: code < 300 ? "delivered" : code < 500 ? "deferred" : "bounced",
  reply: { code, enhanced: `${String(code)[0]}.0.0`, text: "text" },
  hop: { host: "mx", address: "192.0.2.1", tls: "" },
});

function told(progress: MessageProgress): string[] {
  const events = untoldEvents(message, progress);
  progress.told = recipientVersions(progress);
  return events.map((e) => `${e.type} ${e.email}`.trim());
}

describe("what the event log is told of a message", () => {
  it("is each fact once, as they come", () => {
    const progress = newProgress(message, new Set());
    const [x, y, z] = progress.groups.flatMap((g) => g.recipients);
    if (!x || !y || !z) throw new Error("three recipients");
    expect(isTold(progress)).toBe(false);
    expect(told(progress)).toEqual(["Accepted"]);
    expect(isTold(progress)).toBe(true);
    expect(told(progress)).toEqual([]);
    x.attempts.push(attempt(1, 451));
    y.attempts.push(attempt(1, 451));
    expect(told(progress)).toEqual(["Deferred x@one.example", "Deferred y@one.example"]);
    x.attempts.push(attempt(2, 250));
    x.state = "delivered";
    y.attempts.push(attempt(2, 452));
    expect(isTold(progress)).toBe(false);
    expect(told(progress)).toEqual(["Delivery x@one.example", "Deferred y@one.example"]);
    y.attempts.push(attempt(3, 550));
    y.state = "bounced";
    y.bounceType = "HardBounce";
    z.state = "suppressed";
    expect(untoldEvents(message, progress)).toEqual([
      {
        ...{
          id: `${id}/Bounce/1`,
          at: y.at,
          stream: "outbound",
          messageId: id,
          email: "y@one.example",
          tag: "t",
        },
        ...{ metadata: { order: "7" }, type: "Bounce", bounceType: "HardBounce" },
        ...{ details: "smtp;550 5.0.0 text", from: "a@example.com", subject: "s" },
      },
    ]);
  });

  it("is all at once when it was late, with the next try of the last attempt alone", () => {
    const progress = newProgress(message, new Set());
    const [x, , z] = progress.groups.flatMap((g) => g.recipients);
    const [first] = progress.groups;
    if (!x || !z || !first) throw new Error("three recipients");
    x.attempts.push(attempt(1, 451), attempt(2, 451));
    first.nextTryAt = 77_000;
    z.attempts.push(attempt(1, 250));
    z.state = "delivered";
    const events = untoldEvents(message, progress);
    expect(events.map((e) => [e.type, e.id.slice(id.length), "nextTryAt" in e && e.nextTryAt])).toEqual([
      ["Accepted", "/Accepted", false],
      ["Deferred", "/Deferred/0/1", false],
      ["Deferred", "/Deferred/0/2", 77_000],
      ["Delivery", "/Delivery/2", false],
    ]);
  });

  it("has the same ids each time, and goes on where it was cut off between the log and the mark", () => {
    const progress = newProgress(message, new Set(["z@two.example"]), "suppressed");
    const before = untoldEvents(message, progress);
    expect(before.map((e) => e.type)).toEqual(["Accepted", "Bounce"]);
    expect(untoldEvents(message, progress)).toEqual(before);
  });

  it("leaves out the attempts that a long story has dropped, and says nothing of a report of our own", () => {
    const progress = newProgress(message, new Set());
    const [x] = progress.groups.flatMap((g) => g.recipients);
    if (!x) throw new Error("a recipient");
    progress.told = [1 + 2 * 29, 1, 1];
    x.attempts = Array.from({ length: 24 }, (_, i) => attempt(i + 7, 451));
    expect(untoldEvents(message, progress).map((e) => e.id)).toEqual([`${id}/Deferred/0/30`]);
    expect(untoldEvents({ ...message, isDsn: true }, newProgress(message, new Set()))).toEqual([]);
  });
});
