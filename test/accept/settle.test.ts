import { describe, expect, it } from "vitest";
import { messageVersion, newProgress, type PackedMessage } from "../../src/accept/pack.ts";
import { expire, settle } from "../../src/accept/settle.ts";
import type { Settlement } from "../../src/mail/job.ts";
import type { Outcome } from "../../src/mail/outcome.ts";

const HOUR = 3_600_000;
const message: PackedMessage = {
  id: "018bcfe5-6800-8000-8000-000000000000",
  acceptedAt: 1_000_000,
  stream: "outbound",
  subject: "s",
  tag: "",
  summary: {
    from: { email: "a@example.com", name: "" },
    to: [],
    cc: [],
    bcc: [],
    recipients: ["x@one.example", "y@one.example", "z@two.example"],
    attachments: [],
    metadata: {},
    trackOpens: false,
    trackLinks: "None",
    sandboxed: false,
  },
  groups: [
    { domain: "one.example", recipients: ["x@one.example", "y@one.example"] },
    { domain: "two.example", recipients: ["z@two.example"] },
  ],
  fromDomain: "example.com",
  returnPathDomain: "bounces.example.com",
  bounceType: "",
  giveUpAt: 1_000_000 + 72 * HOUR,
  body: { offset: 0, length: 10 },
};

function outcome(recipient: string, code: number, enhanced: string): Outcome {
  return {
    recipient,
    result: code < 300 ? "delivered" : code < 500 ? "deferred" : "bounced",
    reply: { code, enhanced, text: "text" },
    hop: { host: "mx.one.example", address: "192.0.2.1", tls: "" },
    reason: "",
    concerns: "recipient",
    uncertain: false,
    at: 2_000_000,
    transcript: [],
  };
}

function settlement(attempt: number, outcomes: Outcome[]): Settlement {
  const { id: messageId } = message;
  return {
    messageId,
    domain: "one.example",
    attempt,
    transport: "gateway",
    signature: "DKIM: x\r\n",
    outcomes,
  };
}

const context = { now: 2_000_000, random: 0.5 };

describe("settling an attempt", () => {
  it("makes each recipient what its own reply says, and leaves other domains alone", () => {
    const progress = newProgress(message, new Set());
    const settled = settle(
      message,
      progress,
      settlement(1, [outcome("x@one.example", 250, "2.0.0"), outcome("Y@one.example", 550, "5.1.1")]),
      context,
    );
    expect(settled).toEqual({ changed: true, hardBounced: ["y@one.example"] });
    expect(progress.groups[0]?.recipients.map((r) => r.state)).toEqual(["delivered", "bounced"]);
    expect(progress.groups[0]?.recipients[1]).toMatchObject({
      bounceType: "HardBounce",
      reason: "mx.one.example: 550 5.1.1 text",
    });
    expect(progress.groups[1]?.recipients[0]?.state).toBe("waiting");
    expect(progress.signature).toBe("DKIM: x\r\n");
  });

  it("keeps who was deferred waiting, with its reason and next try, and tries only that one again", () => {
    const progress = newProgress(message, new Set());
    settle(
      message,
      progress,
      settlement(1, [outcome("x@one.example", 250, "2.0.0"), outcome("y@one.example", 451, "4.7.1")]),
      context,
    );
    const [group] = progress.groups;
    expect(group?.nextTryAt).toBe(2_000_000 + 60_000);
    expect(group?.recipients[1]).toMatchObject({
      state: "waiting",
      reason: "mx.one.example: 451 4.7.1 text",
    });
    settle(message, progress, settlement(2, [outcome("y@one.example", 250, "2.0.0")]), context);
    expect(group?.recipients.map((r) => [r.state, r.attempts.length])).toEqual([
      ["delivered", 1],
      ["delivered", 2],
    ]);
    expect(group?.nextTryAt).toBeUndefined();
  });

  it("changes nothing when it comes twice, late, or for an attempt that is not due", () => {
    const progress = newProgress(message, new Set());
    const first = settlement(1, [
      outcome("x@one.example", 451, "4.7.1"),
      outcome("y@one.example", 451, "4.7.1"),
    ]);
    settle(message, progress, first, context);
    const before = structuredClone(progress);
    expect(settle(message, progress, first, context).changed).toBe(false);
    expect(settle(message, progress, settlement(3, []), context).changed).toBe(false);
    expect(progress).toEqual(before);
  });

  it("never makes a final recipient wait again", () => {
    const progress = newProgress(message, new Set(["x@one.example"]));
    settle(message, progress, settlement(1, [outcome("x@one.example", 451, "4.7.1")]), context);
    expect(progress.groups[0]?.recipients[0]?.state).toBe("suppressed");
  });

  it("gives up when the message's time is over, and says what it waited for", () => {
    const progress = newProgress(message, new Set());
    const late = { now: message.giveUpAt - 1_000, random: 0.5 };
    settle(
      message,
      progress,
      settlement(1, [outcome("x@one.example", 452, "4.2.2"), outcome("y@one.example", 250, "2.0.0")]),
      late,
    );
    expect(progress.groups[0]?.recipients[0]).toMatchObject({ state: "expired", bounceType: "SoftBounce" });
    expect(progress.groups[0]?.nextTryAt).toBeUndefined();
  });

  it("takes no address for bad whose server, or our relay, never let us ask about it", () => {
    for (const concerns of ["destination", "transport"] as const) {
      const progress = newProgress(message, new Set());
      const refused: Outcome = { ...outcome("x@one.example", 550, ""), result: "deferred", concerns };
      const { hardBounced } = settle(message, progress, settlement(1, [refused]), {
        now: message.giveUpAt - 1_000,
        random: 0.5,
      });
      expect(hardBounced).toEqual([]);
      expect(progress.groups[0]?.recipients[0]).toMatchObject({ state: "expired", bounceType: "SoftBounce" });
    }
  });

  it("counts no attempt when our own side failed before anything was sent: the key stays, the reason is told", () => {
    const progress = newProgress(message, new Set());
    const away = ["x@one.example", "y@one.example"].map(
      (recipient): Outcome => ({
        ...outcome(recipient, 451, ""),
        reply: { code: 0, enhanced: "", text: "" },
        hop: { host: "", address: "", tls: "" },
        concerns: "transport",
        reason: "gateway unreachable",
      }),
    );
    settle(message, progress, settlement(1, away), context);
    expect(progress.groups[0]).toMatchObject({ attempts: 0, nextTryAt: 2_000_000 + 60_000 });
    expect(progress.groups[0]?.recipients[0]).toMatchObject({
      state: "waiting",
      reason: "gateway unreachable",
      attempts: [],
    });
    const both = [outcome("x@one.example", 250, "2.0.0"), outcome("y@one.example", 250, "2.0.0")];
    expect(settle(message, progress, settlement(1, both), context).changed).toBe(true);
  });

  it("expires what never had an attempt", () => {
    const progress = newProgress(message, new Set());
    const [, group] = progress.groups;
    if (group) expire(group, "two.example: paused", 5_000_000);
    expect(group?.recipients[0]).toMatchObject({
      state: "expired",
      reason: "two.example: paused",
      at: 5_000_000,
    });
  });

  it("raises the version with each fact, so that the archive takes only what is newer", () => {
    const progress = newProgress(message, new Set());
    const versions = [messageVersion(progress)];
    settle(message, progress, settlement(1, [outcome("x@one.example", 451, "4.7.1")]), context);
    versions.push(messageVersion(progress));
    settle(message, progress, settlement(2, [outcome("x@one.example", 250, "2.0.0")]), context);
    versions.push(messageVersion(progress));
    progress.segment = { key: "k", offset: 0, length: 1 };
    versions.push(messageVersion(progress));
    expect(versions).toEqual([...new Set(versions)].sort((a, b) => a - b));
  });
});
