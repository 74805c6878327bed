import { describe, expect, it } from "vitest";
import { timelineJson } from "../../src/api/timeline.ts";
import { attempt, delivered, hardBounced, message, NOON, waiting } from "../archive/databases.ts";

const TIME = (seconds: string) => `2026-02-17T07:00:${seconds}0000-05:00`;
const types = (record: Parameters<typeof timelineJson>[0]) =>
  timelineJson(record).Timeline.map((e) => e.Type);

describe("a message's timeline", () => {
  it("tells an attempt with its session", () => {
    const transcript = [
      { at: NOON + 900, command: "(connect)", reply: { code: 220, enhanced: "", text: "mx.example" } },
      { at: NOON + 950, command: "QUIT", reply: { code: 0, enhanced: "", text: "" } },
    ];
    const reply = { code: 451, enhanced: "4.7.1", text: "greylisted" };
    const first = attempt(1, {
      result: "deferred",
      reply,
      reason: "asked to wait",
      uncertain: true,
      transcript,
    });
    const record = message([
      { ...waiting("a@x.example"), attempts: [first], nextTryAt: NOON + 61_000, reason: "mx.example: 451" },
    ]);
    expect(timelineJson(record)).toEqual({
      MessageID: record.id,
      Status: "Sent",
      Recipients: [
        {
          Recipient: "a@x.example",
          State: "Waiting",
          NextTryAt: "2026-02-17T07:01:01.0000000-05:00",
          Reason: "mx.example: 451",
        },
      ],
      Timeline: [
        { At: TIME("00.000"), Type: "Accepted" },
        {
          At: TIME("01.000"),
          Type: "Attempt",
          Recipient: "a@x.example",
          Transport: "gateway",
          Host: "mx.example",
          Address: "192.0.2.1",
          TLS: "TLSv1.3 TLS_AES_256_GCM_SHA384",
          Reply: "451 4.7.1 greylisted",
          EnhancedStatus: "4.7.1",
          Reason: "asked to wait",
          Uncertain: true,
          Transcript: [
            { At: TIME("00.900"), Command: "(connect)", Reply: "220 mx.example" },
            { At: TIME("00.950"), Command: "QUIT" },
          ],
        },
        {
          At: TIME("01.000"),
          Type: "Waiting",
          Recipient: "a@x.example",
          Reason: "mx.example: 451",
          NextTryAt: "2026-02-17T07:01:01.0000000-05:00",
        },
      ],
    });
  });

  it("leaves out what is not known", () => {
    const nothing = { code: 0, enhanced: "", text: "" };
    const lost = attempt(1, { result: "deferred", reply: nothing, hop: { host: "", address: "", tls: "" } });
    const { Timeline } = timelineJson(message([{ ...waiting("a@x.example"), attempts: [lost] }]));
    expect(Timeline[1]).toEqual({
      At: TIME("01.000"),
      Type: "Attempt",
      Recipient: "a@x.example",
      Transport: "gateway",
    });
  });

  it.each([
    ["waits for its first attempt", waiting("a@x.example"), ["Accepted", "Waiting"]],
    ["was delivered", delivered("a@x.example"), ["Accepted", "Delivered"]],
    ["bounced", hardBounced("a@x.example"), ["Accepted", "Bounced"]],
    [
      "expired after an attempt",
      {
        ...waiting("a@x.example"),
        state: "expired" as const,
        at: NOON + 9_000,
        attempts: [attempt(1, { result: "deferred" as const })],
      },
      ["Accepted", "Attempt", "Expired"],
    ],
    [
      "expired without one",
      { ...waiting("a@x.example"), state: "expired" as const },
      ["Accepted", "Expired"],
    ],
    [
      "was suppressed",
      { ...waiting("a@x.example"), state: "suppressed" as const },
      ["Accepted", "Suppressed"],
    ],
    ["was cancelled", { ...waiting("a@x.example"), state: "cancelled" as const }, ["Accepted", "Cancelled"]],
    [
      "was delivered at the second attempt",
      { ...delivered("a@x.example"), attempts: [attempt(1, { result: "deferred" as const }), attempt(2)] },
      ["Accepted", "Attempt", "Delivered"],
    ],
  ])("of one that %s", (_what, recipient, expected) => {
    expect(types(message([recipient]))).toEqual(expected);
  });

  it("says why links are as they came that were to be changed", () => {
    const record = message([delivered("a@x.example")], { summary: { notTracked: "signed" } });
    expect(timelineJson(record).Timeline[0]).toEqual({
      At: TIME("00.000"),
      Type: "Accepted",
      Reason: "Its links were to be changed, and are not: it is signed.",
    });
  });

  it("is in order of time over all recipients", () => {
    const late = { ...delivered("a@x.example"), attempts: [attempt(5)] };
    const { Timeline } = timelineJson(message([late, hardBounced("b@x.example")]));
    expect(Timeline.map((e) => [e.Type, e.Recipient])).toEqual([
      ["Accepted", undefined],
      ["Bounced", "b@x.example"],
      ["Delivered", "a@x.example"],
    ]);
  });
});
