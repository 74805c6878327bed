import { expect, it } from "vitest";
import { fitted, STATE_BYTES } from "../../src/accept/fit.ts";
import { type MessageProgress, messageVersion } from "../../src/accept/pack.ts";
import type { Attempt } from "../../src/mail/record.ts";

function attempt(number: number, text: string): Attempt {
  const reply = { code: 451, enhanced: "4.7.1", text };
  const transcript = Array.from({ length: 8 }, (_, at) => ({
    at,
    command: "MAIL FROM:<a@b.example>",
    reply,
  }));
  const hop = { host: "mx.x.example", address: "192.0.2.1", tls: "" };
  return {
    number,
    transport: "gateway",
    at: number,
    result: "deferred",
    reply,
    hop,
    reason: text,
    uncertain: false,
    transcript,
  };
}

/** Messages to one recipient each, who was tried so often. */
function progressOf(messages: number, attempts: number, text: string): MessageProgress[] {
  return Array.from({ length: messages }, () => ({
    archived: 0,
    groups: [
      {
        attempts,
        recipients: [
          {
            state: "waiting",
            at: 1,
            reason: text,
            attempts: Array.from({ length: attempts }, (_, n) => attempt(n + 1, text)),
          },
        ],
      },
    ],
  }));
}

it("what fits is stored as it is", () => {
  const progress = progressOf(8, 5, "later");
  const before = structuredClone(progress);
  expect(JSON.parse(fitted(progress))).toEqual(before);
  expect(progress).toEqual(before);
});

it.each([
  ["many attempts", 64, 24, "y".repeat(100)],
  ["many messages", 400, 3, "y".repeat(100)],
  ["long replies of three bytes a character", 300, 1, "\u5ef6".repeat(1_000)],
])("of %s the oldest goes first, and the last says how it stands", (_, messages, attempts, text) => {
  const progress = progressOf(messages, attempts, text);
  const versions = progress.map(messageVersion);
  const stored = fitted(progress);
  expect(new TextEncoder().encode(stored).length).toBeLessThanOrEqual(STATE_BYTES + messages * 400);
  expect(JSON.parse(stored)).toEqual(progress);
  expect(progress.map(messageVersion)).toEqual(versions);
  for (const { groups } of progress) {
    const kept = groups[0]?.recipients[0]?.attempts ?? [];
    expect(kept.at(-1)).toMatchObject({ number: attempts, reply: { code: 451 } });
    expect(kept.map((a) => a.number)).toEqual(kept.map((_, i) => attempts - kept.length + 1 + i));
  }
});
