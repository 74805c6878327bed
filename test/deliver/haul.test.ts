/** A consumer's call, with a Destination and an Outbox that are slow to answer, or never do: under a clock of the test's. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { NOTHING } from "../../src/deliver/lease.ts";
import { type Item, Shift, type ShiftNeeds } from "../../src/deliver/shift.ts";
import type { Claim, Hold, JobRef, OutboxPort } from "../../src/mail/job.ts";

beforeEach(() => vi.useFakeTimers({ now: 1_000_000 }));
afterEach(() => vi.useRealTimers());

const never = () => new Promise<never>(() => undefined);

function claimOf(ref: JobRef): Claim {
  return {
    ...ref,
    ...{ serverId: 1, stream: "outbound", attempt: 1, recipients: [`someone@${ref.domain}`] },
    ...{ reversePath: "", acceptedAt: 0, fromDomain: "example.com", transports: ["gateway"], bounceType: "" },
    message: { kind: "bytes", bytes: new Uint8Array(10), signed: true },
  };
}

/** One Outbox, and a Destination that lets one message begin. */
function world(of: { outbox?: Partial<OutboxPort>; send?: () => Promise<never> } = {}) {
  const holds: Hold[] = [];
  const log: string[] = [];
  const outbox: OutboxPort = {
    claim: async (refs) => ({ claims: refs.map(claimOf), gone: [] }),
    renew: async () => undefined,
    settle: async () => undefined,
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
  return { shift, items, holds, ends, log };
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
