/** What a reply means, at each stage of a session. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { meaning, type Stage } from "../../src/smtp/meaning.ts";
import { noReply, parseReply } from "../../src/smtp/reply-text.ts";

const STAGES: Stage[] = ["connect", "greeting", "helo", "tls", "mail", "rcpt", "data", "message"];

describe("meaning", () => {
  it.each([
    ["message", "250 2.0.0 queued", "delivered", "recipient"],
    ["message", "250 ok", "delivered", "recipient"],
    // Only after the data is a yes a delivery.
    ["rcpt", "250 ok", "deferred", "destination"],
    ["data", "250 ok", "deferred", "destination"],
    ["message", "354 go on", "deferred", "destination"],
    ["greeting", "554 5.7.1 blocked", "deferred", "destination"],
    ["greeting", "421 too busy", "deferred", "destination"],
    ["helo", "550 who are you", "deferred", "destination"],
    ["tls", "454 4.7.0 not now", "deferred", "destination"],
    ["mail", "550 5.7.1 SPF fails", "bounced", "destination"],
    ["mail", "553 5.1.8 no such sender domain", "bounced", "recipient"],
    ["mail", "451 4.7.1 rate limit", "deferred", "destination"],
    ["mail", "452 4.3.1 no space", "deferred", "destination"],
    ["mail", "552 5.3.4 too big", "bounced", "recipient"],
    ["mail", "503 5.5.1 hello first", "deferred", "recipient"],
    ["rcpt", "550 5.1.1 unknown", "bounced", "recipient"],
    ["rcpt", "550 unknown", "bounced", "recipient"],
    ["rcpt", "550 5.7.1 blocked by reputation", "bounced", "destination"],
    ["rcpt", "550 your IP is on a blacklist", "bounced", "destination"],
    ["rcpt", "450 4.2.0 mailbox busy", "deferred", "recipient"],
    ["rcpt", "450 busy", "deferred", "recipient"],
    ["rcpt", "452 4.2.2 over quota", "deferred", "recipient"],
    ["rcpt", "452 mailbox full", "deferred", "recipient"],
    ["rcpt", "452 4.5.3 too many recipients", "deferred", "recipient"],
    ["rcpt", "552 5.5.3 too many recipients", "deferred", "recipient"],
    ["rcpt", "552 too many recipients", "deferred", "recipient"],
    ["rcpt", "552 5.2.2 mailbox full", "bounced", "recipient"],
    ["rcpt", "451 4.7.1 Greylisted, try again in 300 seconds", "deferred", "recipient"],
    [
      "rcpt",
      "450 4.7.1 <a@b.example>: Recipient address rejected: Greylisting in action",
      "deferred",
      "recipient",
    ],
    ["rcpt", "451 4.7.1 service unavailable", "deferred", "destination"],
    ["rcpt", "451 4.4.3 DNS trouble", "deferred", "destination"],
    ["rcpt", "421 4.7.0 go away", "deferred", "destination"],
    ["data", "554 no valid recipients", "bounced", "recipient"],
    ["data", "451 4.3.0 trouble", "deferred", "destination"],
    ["message", "550 5.7.1 spam", "bounced", "destination"],
    ["message", "554 refused", "bounced", "recipient"],
    ["message", "552 5.3.4 too big", "bounced", "recipient"],
    ["message", "550 5.6.0 bad content", "bounced", "recipient"],
    ["message", "451 trouble", "deferred", "destination"],
    ["message", "452 4.2.2 over quota", "deferred", "recipient"],
    // The reply code decides; the enhanced one only tells what it is about.
    ["rcpt", "450 5.1.1 unknown", "deferred", "recipient"],
    ["rcpt", "550 4.2.1 later", "bounced", "recipient"],
    ["message", "999 what", "deferred", "destination"],
  ] as const)("at %s, %s: %s, concerns the %s", (stage, text, result, concerns) => {
    expect(meaning(parseReply(text), stage)).toEqual({ result, concerns });
  });

  it("defers what had no reply, and takes it for the destination's", () => {
    for (const stage of STAGES)
      expect(meaning(noReply("4.4.2"), stage)).toEqual({ result: "deferred", concerns: "destination" });
  });

  it("is final for nothing but a 5xx, and delivered for nothing but a 2xx after the data", () => {
    const reply = fc.record({
      code: fc.integer({ min: 0, max: 999 }),
      enhanced: fc.constantFrom("", "2.0.0", "4.2.2", "5.1.1", "5.7.1", "5.5.3"),
      text: fc.string(),
    });
    fc.assert(
      fc.property(reply, fc.constantFrom(...STAGES), (r, stage) => {
        const { result } = meaning(r, stage);
        if (result === "bounced") expect(Math.floor(r.code / 100)).toBe(5);
        if (result === "delivered") expect([Math.floor(r.code / 100), stage]).toEqual([2, "message"]);
      }),
    );
  });
});
