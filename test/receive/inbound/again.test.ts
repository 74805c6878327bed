/** Who puts mail back in line hears that it is, whatever the event log does: cron tells that later. */
import { afterEach, expect, it, vi } from "vitest";
import { tellAgain } from "../../../src/receive/inbound/again.ts";

afterEach(() => void vi.useRealTimers());

it("does not wait for an event log that never answers", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const logged: string[] = [];
  const message = { serverId: 7, id: "i", fromEmail: "a@b.example", subject: "s", tag: "", untoldSince: 1 };
  let isAsked = false;
  const needs = {
    now: () => 2,
    log: (event: string) => void logged.push(event),
    tellEvents: () => {
      isAsked = true;
      return new Promise<never>(() => undefined);
    },
  };
  const told = tellAgain({} as D1Database, 7, { messages: [message], needs });
  while (!isAsked) await new Promise(setImmediate);
  vi.advanceTimersByTime(60_000);
  await told;
  expect(logged).toEqual(["inbound mail not told of again"]);
});
