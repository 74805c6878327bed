import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { HandOver } from "../../src/accept/hand-over.ts";
import type { KnownServer } from "../../src/accept/known-server.ts";
import type { OutboxNeeds } from "../../src/accept/needs.ts";
import type { DeliveryJob } from "../../src/mail/job.ts";
import { Rows } from "./rows.ts";

beforeEach(() => vi.useFakeTimers({ now: 2_000_000 }));
afterEach(() => vi.useRealTimers());

describe("handing over", () => {
  it("goes on when the queue does not answer for once, and offers it the same again", async () => {
    const rows = new Rows();
    rows.add("m0");
    const shelf = rows.shelf();
    shelf.lines.lapse(Date.now());
    const sent: DeliveryJob[][] = [];
    const needs: Partial<OutboxNeeds> = {
      now: Date.now,
      log: () => undefined,
      send: (jobs) => (sent.push(jobs) === 1 ? new Promise<void>(() => undefined) : Promise.resolve()),
    };
    const server = { shard: "7/local/0" } as KnownServer;
    const handOver = new HandOver(shelf, server, needs as OutboxNeeds);
    const first = handOver.run();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await first).toBeGreaterThan(2_000_000);
    expect(await handOver.run()).toBeUndefined();
    const jobs = [{ v: 1, shard: "7/local/0", refs: [{ messageId: "m0", domain: "x.example" }] }];
    expect(sent).toEqual([jobs, jobs]);
  });
});
