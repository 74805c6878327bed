import { describe, expect, test } from "vitest";
import { retriesRemaining, verdictOf } from "../../src/notify/retry.ts";

const reply = (status: number, headers: Record<string, string> = {}) => ({ status, headers, body: "" });
const first = { kind: "outbound", retries: 0, now: 0 } as const;

describe("what follows from a hook's answer", () => {
  test("any 2xx is done", () => expect(verdictOf(reply(204), first)).toEqual({ next: "done" }));

  test.each([301, 400, 403, 404, 410])("an outbound hook's %i drops the event", (status) => {
    expect(verdictOf(reply(status), first)).toEqual({ next: "dropped" });
  });

  test.each([408, 429, 500, 503])("%i is tried again after a minute", (status) => {
    expect(verdictOf(reply(status), first)).toEqual({ next: "retry", at: 60_000 });
  });

  test("an inbound hook's 404 is tried again, its 403 is not", () => {
    expect(verdictOf(reply(404), { ...first, kind: "inbound" }).next).toBe("retry");
    expect(verdictOf(reply(403), { ...first, kind: "inbound" }).next).toBe("dropped");
  });

  test.each([
    ["outbound", [1, 5, 10, 10, 10, 15]],
    ["inbound", [1, 5, 10, 10, 10, 15, 30, 60, 120, 360]],
  ] as const)("the %s schedule ends", (kind, minutes) => {
    const answer = { failure: "The connection failed." };
    minutes.forEach((delay, retries) => {
      expect(verdictOf(answer, { kind, retries, now: 5 })).toEqual({ next: "retry", at: 5 + delay * 60_000 });
      expect(retriesRemaining(kind, retries)).toBe(minutes.length - retries);
    });
    expect(verdictOf(answer, { kind, retries: minutes.length, now: 5 })).toEqual({ next: "dropped" });
    expect(retriesRemaining(kind, minutes.length)).toBe(0);
  });

  test.each([
    ["300", 300_000],
    ["Thu, 01 Jan 1970 00:05:00 GMT", 300_000],
    ["1", 60_000],
    ["999999999", 3_600_000],
    ["soon", 60_000],
  ])("Retry-After %s is honoured within bounds", (retryAfter, at) => {
    expect(verdictOf(reply(429, { "retry-after": retryAfter }), first)).toEqual({ next: "retry", at });
  });

  test("for three days, where that is asked for", () => {
    const answer = { failure: "The connection failed." };
    let sum = 0;
    for (let retries = 0; retries < 20; retries++) {
      const verdict = verdictOf(answer, { ...first, retryFor: "threeDays", retries });
      if (verdict.next !== "retry") throw new Error(`retry ${retries} is ${verdict.next}`);
      sum += verdict.at;
    }
    expect(sum).toBe((70 * 60 + 21) * 60_000);
    expect(verdictOf(answer, { ...first, retryFor: "threeDays", retries: 20 })).toEqual({ next: "dropped" });
    expect(retriesRemaining("outbound", 0, "threeDays")).toBe(20);
  });
});
