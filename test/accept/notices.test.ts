/** Which DSNs are due, and that each is due once. */
import { describe, expect, it } from "vitest";
import { dueNotices, markNotified } from "../../src/accept/notices.ts";
import type { MessageProgress, PackedMessage, RecipientProgress } from "../../src/accept/pack.ts";
import type { Notify } from "../../src/mail/ingress.ts";

const HOUR = 3_600_000;
const NOW = 10 * HOUR;

function message(notify: Notify[] | undefined): PackedMessage {
  return {
    id: "id",
    acceptedAt: NOW,
    groups: [{ domain: "x.example", recipients: ["a@x.example"] }],
    giveUpAt: NOW + 72 * HOUR,
    ...(notify
      ? { dsn: { reversePath: "s@y.example", ret: "HDRS", recipients: { "a@x.example": { notify } } } }
      : {}),
  } as unknown as PackedMessage;
}

function progress(state: RecipientProgress["state"], reply?: string): MessageProgress {
  const [code = "0", enhanced = "", ...text] = (reply ?? "").split(" ");
  const attempt = {
    number: 1,
    at: NOW,
    reply: { code: Number(code), enhanced, text: text.join(" ") },
    hop: { host: "mx" },
    reason: "",
  };
  const recipient = { state, at: NOW, attempts: reply === undefined ? [] : [attempt] };
  return { archived: 0, groups: [{ attempts: 1, recipients: [recipient] }] } as unknown as MessageProgress;
}

const due = (notify: Notify[] | undefined, state: MessageProgress, now = NOW) =>
  dueNotices(message(notify), state, now).map(({ kind, recipients }) => [
    kind,
    recipients[0]?.action,
    recipients[0]?.status,
  ]);

describe("a DSN is due", () => {
  it("when what was asked for has come to be, with the remote's status or our own", () => {
    expect(due(["SUCCESS"], progress("delivered", "250 2.1.5 ok"))).toEqual([
      ["SUCCESS", "relayed", "2.1.5"],
    ]);
    expect(due(["FAILURE"], progress("bounced", "550 5.1.1 no"))).toEqual([["FAILURE", "failed", "5.1.1"]]);
    expect(due(["FAILURE"], progress("bounced"))).toEqual([["FAILURE", "failed", "5.0.0"]]);
    expect(due(["FAILURE"], progress("expired", "451 4.7.1 later"))).toEqual([
      ["FAILURE", "failed", "5.4.7"],
    ]);
    expect(due(["FAILURE"], progress("suppressed"))).toEqual([["FAILURE", "failed", "5.7.1"]]);
  });

  it("for a delay only once an attempt failed and an hour has passed", () => {
    const waiting = progress("waiting", "451 4.7.1 later");
    expect(due(["DELAY"], waiting)).toEqual([]);
    expect(due(["DELAY"], waiting, NOW + HOUR)).toEqual([["DELAY", "delayed", "4.7.1"]]);
    expect(due(["DELAY"], progress("waiting"), NOW + HOUR)).toEqual([]);
  });

  it("never without having been asked for", () => {
    expect(due(undefined, progress("bounced", "550 5.1.1 no"))).toEqual([]);
    expect(due(["SUCCESS"], progress("bounced", "550 5.1.1 no"))).toEqual([]);
    expect(due(["FAILURE"], progress("delivered", "250 2.0.0 ok"))).toEqual([]);
  });

  it("once for each fate", () => {
    const asked = message(["DELAY", "FAILURE"]);
    const later = NOW + HOUR;
    const waiting = progress("waiting", "451 4.7.1 later");
    for (const notice of dueNotices(asked, waiting, later)) markNotified(waiting, notice);
    expect(dueNotices(asked, waiting, later)).toEqual([]);
    const bounced = { ...progress("bounced", "550 5.1.1 no"), notified: waiting.notified };
    expect(dueNotices(asked, bounced, later).map((n) => n.kind)).toEqual(["FAILURE"]);
  });
});
