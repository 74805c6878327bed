import { describe, expect, it } from "vitest";
import { Lines } from "../../src/accept/lines.ts";
import { CLAIM_MS } from "../../src/mail/job.ts";

const NEVER = Number.MAX_SAFE_INTEGER;
const ref = (messageId: string, domain = "a.example") => ({ messageId, domain });
const ids = (refs: { messageId: string }[]) => refs.map((r) => r.messageId);

function lines(count: number, domain = "a.example"): Lines {
  const all = new Lines();
  for (let i = 0; i < count; i++) all.add(ref(`m${i}`, domain), NEVER);
  return all;
}

describe("lines", () => {
  it("hand over what is ready once, in order", () => {
    const all = lines(3);
    expect(ids(all.handOver(0, 10))).toEqual(["m0", "m1", "m2"]);
    expect(all.handOver(0, 10)).toEqual([]);
  });

  it("hand over again, ever more rarely, what no consumer claimed", () => {
    const all = lines(1);
    all.handOver(0, 10);
    all.lapse(59_999);
    expect(all.handOver(59_999, 10)).toEqual([]);
    all.lapse(60_000);
    expect(all.handOver(60_000, 10)).toHaveLength(1);
    all.lapse(120_000);
    expect(all.handOver(120_000, 10)).toEqual([]);
    all.lapse(180_000);
    expect(all.handOver(180_000, 10)).toHaveLength(1);
  });

  it("flow but for what is held or waits for its next try", () => {
    const all = lines(3);
    all.add(ref("later"), NEVER, { dueAt: 100 });
    for (const id of ["h0", "h1"]) all.add(ref(id, "held.example"), NEVER);
    expect(all.flowing(0)).toBe(5);
    all.hold({ domain: "held.example", refs: [], until: 50, reason: "", admit: 1 });
    expect(all.flowing(0)).toBe(3);
    expect(all.flowing(50)).toBe(5);
    all.handOver(0, 2);
    expect(all.flowing(0)).toBe(3);
    all.wait(ref("m0"), 100);
    all.remove(ref("m1"));
    expect(all.flowing(0)).toBe(1);
  });

  it("hand over again as soon as ever what was claimed since, or what the queue did not take", () => {
    const all = lines(1);
    for (const now of [0, 100_000, 200_000]) {
      all.handOver(now, 10);
      all.claim(ref("m0"), "one", now);
      all.wait(ref("m0"), now + 100_000);
      all.lapse(now + 100_000);
    }
    for (let i = 0; i < 5; i++) all.handBack(all.handOver(300_000, 10));
    expect(all.handOver(300_000, 10)).toHaveLength(1);
    expect(all.wakeAt(300_000)).toBe(360_000);
  });

  it("grant a claim to one claimer, until it lapses", () => {
    const all = lines(1);
    all.handOver(0, 10);
    expect(all.claim(ref("m0"), "one", 0)).toBe(true);
    expect(all.claim(ref("m0"), "two", 0)).toBe(false);
    all.renew([ref("m0")], "one", CLAIM_MS - 1);
    all.lapse(CLAIM_MS);
    expect(all.claim(ref("m0"), "two", CLAIM_MS)).toBe(false);
    all.lapse(2 * CLAIM_MS);
    expect(ids(all.handOver(2 * CLAIM_MS, 10))).toEqual(["m0"]);
    expect(all.claim(ref("m0"), "two", 2 * CLAIM_MS)).toBe(true);
  });

  it("after a restart grant nothing that may be claimed, and take back who renews", () => {
    const all = new Lines();
    all.add(ref("m0"), NEVER, { perhapsClaimedUntil: CLAIM_MS });
    expect(all.handOver(0, 10)).toEqual([]);
    expect(all.claim(ref("m0"), "two", 1)).toBe(false);
    all.renew([ref("m0")], "one", CLAIM_MS - 1);
    all.lapse(CLAIM_MS + 1);
    expect(all.claim(ref("m0"), "two", CLAIM_MS + 1)).toBe(false);
    expect(all.claim(ref("m0"), "one", CLAIM_MS + 1)).toBe(true);
  });

  it("refuse a claim on what waits for its next try", () => {
    const all = lines(1);
    all.handOver(0, 10);
    all.claim(ref("m0"), "one", 0);
    all.wait(ref("m0"), 300_000);
    expect(all.claim(ref("m0"), "two", 1)).toBe(false);
    expect(all.wakeAt(1)).toBe(300_000);
    all.lapse(300_000);
    expect(all.handOver(300_000, 10)).toHaveLength(1);
  });

  it("keep a held domain's mail back, and nobody else's", () => {
    const all = lines(10_000, "dead.example");
    all.add(ref("other", "b.example"), NEVER);
    const first = all.handOver(0, 100);
    all.hold({ domain: "dead.example", refs: first, until: 60_000, reason: "connect timed out", admit: 1 });
    expect(ids(all.handOver(1, 2_000))).toEqual(["other"]);
    all.remove(ref("other", "b.example"));
    expect(all.why(ref("m500", "dead.example"), 0)).toEqual({ until: 60_000, reason: "connect timed out" });
    expect(all.wakeAt(1)).toBe(60_000);
    // Then one goes as a probe, and the rest wait for how it fares.
    expect(all.handOver(60_000, 2_000)).toHaveLength(1);
    expect(all.handOver(60_000, 2_000)).toEqual([]);
    // Each success lets twice as many go, until the hold is no limit any more.
    const more: number[] = [];
    for (let i = 0; i < 12; i++) {
      all.release("dead.example", 60_001 + i);
      more.push(all.handOver(60_001 + i, 2_000).length);
    }
    expect(more.slice(0, 4)).toEqual([1, 2, 4, 8]);
    expect(all.heldBecause("dead.example")).toBeUndefined();
    expect(more.reduce((a, b) => a + b) + 1).toBe(1_000);
  });

  it("let twice as many go each minute, though what went first takes long, or is lost", () => {
    const all = lines(8, "slow.example");
    all.hold({ domain: "slow.example", refs: [], until: 1_000, reason: "stopped", admit: 1 });
    expect(all.handOver(1_000, 10)).toHaveLength(1);
    all.claim(ref("m0", "slow.example"), "one", 1_000);
    const went: number[] = [];
    for (let now = 16_000; now <= 181_000; now += 15_000) {
      all.renew([ref("m0", "slow.example")], "one", now - 1);
      all.lapse(now);
      for (const { messageId } of all.handOver(now, 10)) {
        went.push(now);
        all.claim(ref(messageId, "slow.example"), "another", now);
        all.wait(ref(messageId, "slow.example"), 9_000_000);
      }
    }
    // One beside the one that takes long, three, seven.
    expect(went).toEqual([61_000, 76_000, 91_000, 106_000, 121_000, 121_000, 121_000]);
    const lost = lines(2, "lost.example");
    lost.hold({ domain: "lost.example", refs: [], until: 1_000, reason: "stopped", admit: 1 });
    expect(lost.handOver(1_000, 10)).toHaveLength(1);
    lost.claim(ref("m0", "lost.example"), "one", 60_999);
    expect(lost.wakeAt(60_999)).toBe(61_000);
    expect(lost.handOver(61_000, 10)).toHaveLength(1);
  });

  it("leave with its consumer what another gives back who had the same job", () => {
    const all = lines(2);
    const refs = all.handOver(0, 10);
    expect(all.claim(ref("m0"), "one", 0)).toBe(true);
    all.hold({ domain: "a.example", refs, until: 0, reason: "busy", admit: 10 });
    expect(ids(all.handOver(1, 10))).toEqual(["m1"]);
    expect(all.claim(ref("m0"), "two", 1)).toBe(false);
    all.renew([ref("m0")], "one", CLAIM_MS - 1);
    expect(all.isClaimed(ref("m0"), CLAIM_MS)).toBe(true);
  });

  it("tell how many wait for each domain, for what and until when", () => {
    const all = lines(3);
    all.add(ref("d0", "due.example"), NEVER, { dueAt: 200 });
    all.add(ref("d1", "due.example"), NEVER, { dueAt: 100 });
    all.add(ref("h0", "held.example"), NEVER);
    all.hold({ domain: "held.example", refs: [], until: 50, reason: "connect timed out", admit: 1 });
    expect(all.waiting(0)).toEqual([
      { domain: "a.example", waiting: 3, next: ref("m0") },
      { domain: "due.example", waiting: 2, nextTryAt: 100, next: ref("d1", "due.example") },
      {
        ...{ domain: "held.example", waiting: 1, nextTryAt: 50, reason: "connect timed out" },
        next: ref("h0", "held.example"),
      },
    ]);
    expect(all.waiting(60, new Set(["held.example", "none.example"]))).toEqual([
      { domain: "held.example", waiting: 1, next: ref("h0", "held.example") },
    ]);
    all.handOver(0, 1);
    all.claim(ref("m0"), "one", 0);
    expect(all.waiting(0, new Set(["a.example"]))).toMatchObject([{ waiting: 3 }]);
  });

  it("go at once when they are resumed, as many as were to be admitted, and nobody else's", () => {
    const all = new Lines();
    for (const id of ["h0", "h1", "h2"]) all.add(ref(id, "held.example"), NEVER);
    all.hold({ domain: "held.example", refs: [], until: 60_000, reason: "stopped", admit: 1 });
    for (const domain of ["due.example", "other.example"])
      all.add(ref("d0", domain), NEVER, { dueAt: 90_000 });
    expect(all.handOver(1, 10)).toEqual([]);
    all.resume(new Set(["held.example", "due.example", "none.example"]), 1);
    expect(all.wakeAt(1)).toBe(1);
    expect(all.handOver(1, 10)).toEqual([ref("h0", "held.example"), ref("d0", "due.example")]);
    expect(all.handOver(1, 10)).toEqual([]);
    expect(all.waiting(1, new Set(["other.example"]))).toMatchObject([{ nextTryAt: 90_000 }]);
  });

  it("take back what the queue refused", () => {
    const all = lines(2);
    all.handBack(all.handOver(0, 10));
    expect(all.handOver(0, 10)).toHaveLength(2);
  });

  it("name what has waited past its time, even when it is held", () => {
    const all = new Lines();
    all.add(ref("m0"), 1_000);
    all.hold({ domain: "a.example", refs: [], until: 9_000, reason: "x", admit: 1 });
    expect(all.lapse(999)).toEqual([]);
    expect(ids(all.lapse(1_000))).toEqual(["m0"]);
  });

  it("let the last try go that is due at the end of a message's time, and that one alone", () => {
    const all = new Lines();
    for (const id of ["m0", "m1"]) all.add(ref(id, `${id}.example`), 1_000, { dueAt: 1_000 });
    all.hold({ domain: "m1.example", refs: [], until: 9_000, reason: "stopped", admit: 1 });
    expect(all.lapse(1_000)).toEqual([]);
    expect(all.handOver(1_000, 10)).toEqual([ref("m0", "m0.example")]);
    // Held, it was not to be tried; and what no consumer took is not handed over for ever.
    expect(all.lapse(1_001)).toEqual([ref("m1", "m1.example")]);
    all.remove(ref("m1", "m1.example"));
    expect(all.lapse(61_000)).toEqual([ref("m0", "m0.example")]);
  });

  it("forget what is final", () => {
    const all = lines(1);
    all.remove(ref("m0"));
    expect(all.size).toBe(0);
    expect(all.handOver(0, 10)).toEqual([]);
    expect(all.wakeAt(0)).toBeUndefined();
  });
});
