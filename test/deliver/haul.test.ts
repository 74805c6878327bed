/** A consumer's call, with a Destination and an Outbox that are slow to answer, or never do: under a clock of the test's. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { NOTHING } from "../../src/deliver/lease.ts";
import { type Item, Shift, type ShiftNeeds } from "../../src/deliver/shift.ts";
import type { Claim, Hold, JobRef, MessageSource, OutboxPort, Settlement } from "../../src/mail/job.ts";

beforeEach(() => vi.useFakeTimers({ now: 1_000_000 }));
afterEach(() => vi.useRealTimers());

const never = () => new Promise<never>(() => undefined);

const SIGNED: MessageSource = { kind: "bytes", bytes: new Uint8Array(10), signed: true };

function claimOf(ref: JobRef, message: MessageSource = SIGNED): Claim {
  return {
    ...ref,
    ...{ serverId: 1, stream: "outbound", attempt: 1, recipients: [`someone@${ref.domain}`] },
    ...{ reversePath: "", acceptedAt: 0, fromDomain: "example.com", transports: ["gateway"], bounceType: "" },
    message,
  };
}

/** One Outbox, and a Destination that lets one message begin. */
function world(
  of: { outbox?: Partial<OutboxPort>; send?: () => Promise<never>; message?: MessageSource } = {},
) {
  const holds: Hold[] = [];
  const settled: Settlement[] = [];
  const log: string[] = [];
  const outbox: OutboxPort = {
    claim: async (refs) => ({ claims: refs.map((ref) => claimOf(ref, of.message)), gone: [] }),
    renew: async () => undefined,
    settle: async (given) => {
      settled.push(...given);
    },
    hold: async (given) => {
      holds.push(...given);
    },
    ...of.outbox,
  };
  let free = 1;
  const needs: Partial<ConstructorParameters<typeof Shift>[1]> = {
    now: Date.now,
    log: (event) => log.push(event),
    outbox: () => outbox,
    destination: () => ({
      talk: async (calls) =>
        calls.map((call) => {
          const { wanted } = "ask" in call ? call.ask : call.report;
          const count = Math.min(wanted, free);
          free -= count;
          return { ...NOTHING, count, lanes: 1 };
        }),
    }),
    transports: { gateway: { send: of.send ?? never } },
    ownFields: async () => "",
    keys: never,
    readObject: never,
  };
  const ends: string[] = [];
  const items = ["m0", "m1", "m2"].map(
    (messageId): Item => ({
      shard: "1/local/0",
      ref: { messageId, domain: "slow.example" },
      handedOn: () => ends.push(`${messageId} handed on`),
      failed: () => ends.push(`${messageId} failed`),
    }),
  );
  const shift = new Shift("c", needs as ShiftNeeds & ConstructorParameters<typeof Shift>[1]);
  return { shift, items, holds, settled, ends, log };
}

describe("a consumer's messages for a destination", () => {
  it("that wait to begin are given back in time, though what has begun takes long", async () => {
    const { shift, items, holds, ends } = world();
    void shift.run(new Map([["slow.example", items]]));
    await vi.advanceTimersByTimeAsync(11_000);
    expect(holds).toMatchObject([
      { domain: "slow.example", refs: [{ messageId: "m1" }, { messageId: "m2" }] },
    ]);
    expect(ends).toEqual(["m0 handed on", "m1 handed on", "m2 handed on"]);
  });
});

describe("an object that does not answer", () => {
  it("for a claim: the queue is to bring the job again, and the call ends", async () => {
    const { shift, items, ends, holds } = world({ outbox: { claim: never } });
    const run = shift.run(new Map([["slow.example", items.slice(0, 1)]]));
    await vi.advanceTimersByTimeAsync(60_000);
    await run;
    expect(ends).toEqual(["m0 failed"]);
    expect(holds).toEqual([]);
  });

  it("for an outcome is told it again", async () => {
    let told = 0;
    const settle = () => (++told === 1 ? never() : Promise.resolve());
    const { shift, items, ends } = world({ outbox: { settle }, send: async () => [] as never });
    const run = shift.run(new Map([["slow.example", items.slice(0, 1)]]));
    await vi.advanceTimersByTimeAsync(60_000);
    await run;
    expect(ends).toEqual(["m0 handed on"]);
    expect(told).toBe(2);
  });
});

describe("a store that does not answer", () => {
  it.each([
    ["the directory", "could not be signed", { kind: "bytes", bytes: new Uint8Array(10), signed: false }],
    [
      "R2",
      "the stored message can't be read now",
      { kind: "segment", key: "k", offset: 0, length: 10, signed: true },
    ],
  ] as const)("(%s) lets a message wait, and not its destination", async (_, reason, message) => {
    const { shift, items, settled } = world({ message });
    const run = shift.run(new Map([["slow.example", items.slice(0, 1)]]));
    await vi.advanceTimersByTimeAsync(60_000);
    await run;
    expect(settled).toMatchObject([{ outcomes: [{ result: "deferred", concerns: "transport", reason }] }]);
  });
});
