/** An Outbox's shelf over a store whose rows are in memory, and may fail to be written. */
import { describe, expect, it } from "vitest";
import { CLAIM_MS } from "../../src/mail/job.ts";
import { Rows } from "./rows.ts";

const T = 1_000_000;
const ref = { messageId: "m0", domain: "x.example" };

/** A message that was deferred once. */
function tried(rows: Rows, nextTryAt: number): void {
  const pack = rows.add("m0");
  Object.assign(pack.progress[0]?.groups[0] ?? {}, { attempts: 1, nextTryAt });
  rows.change(pack);
}

describe("a shelf that begins anew", () => {
  it("grants no retry that may be under way, and leaves it with the consumer that renews it", () => {
    const rows = new Rows();
    tried(rows, T - 1);
    const { lines } = rows.shelf(T);
    lines.lapse(T + 1);
    expect(lines.handOver(T + 1, 10)).toEqual([]);
    expect(lines.claim(ref, "another", T + 1)).toBe(false);
    expect(lines.isClaimed(ref, T + 1)).toBe(true);
    lines.renew([ref], "at it", T + 4_000);
    lines.lapse(T + CLAIM_MS + 1);
    expect(lines.claim(ref, "another", T + CLAIM_MS + 1)).toBe(false);
    expect(lines.claim(ref, "at it", T + CLAIM_MS + 1)).toBe(true);
  });

  it("waits for a next try that is not due yet", () => {
    const rows = new Rows();
    tried(rows, T + 60_000);
    const { lines } = rows.shelf(T);
    lines.lapse(T + CLAIM_MS);
    expect(lines.handOver(T + CLAIM_MS, 10)).toEqual([]);
    expect(lines.wakeAt(T)).toBe(T + 60_000);
  });
});
