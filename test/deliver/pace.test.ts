import { describe, expect, it } from "vitest";
import type { Evidence } from "../../src/deliver/evidence.ts";
import type { Answer } from "../../src/deliver/lease.ts";
import { Pace } from "../../src/deliver/pace.ts";
import type { Rule } from "../../src/deliver/providers.ts";
import { simulate } from "./pace-simulator.ts";
import { seeded } from "./seeded.ts";

const RULE: Rule = { connections: 20, perSecond: Number.POSITIVE_INFINITY, tls: "opportunistic" };
const T = 1_000_000;
const MINUTE = 60_000;

function evidence(end: Partial<Evidence> = {}): Evidence {
  return {
    transport: "gateway",
    result: "delivered",
    concerns: "recipient",
    reply: { code: 250, enhanced: "", text: "" },
    reason: "",
    at: T,
    ...end,
  };
}
const DOWN = evidence({
  result: "deferred",
  concerns: "destination",
  reply: { code: 0, enhanced: "", text: "" },
  reason: "connection refused",
});
const SLOW = evidence({ result: "deferred", reply: { code: 421, enhanced: "4.7.0", text: "too many" } });
const UNKNOWN_USER = evidence({
  result: "bounced",
  reply: { code: 550, enhanced: "5.1.1", text: "no such user" },
});
const BLOCKED = evidence({
  result: "deferred",
  concerns: "destination",
  reply: { code: 421, enhanced: "4.7.1", text: "your IP is listed at Spamhaus" },
});

const open = (rule: Partial<Rule> = {}, kept?: ConstructorParameters<typeof Pace>[2]) =>
  new Pace({ ...RULE, ...rule }, seeded(1), kept);

/** A whole consumer's call: begins what it may, and all of it ends so. */
function attempt(pace: Pace, now: number, wanted: number, end: Evidence, claimer = `c${now}`): Answer {
  const answer = pace.lease(now, { claimer, wanted });
  if (answer.count > 0)
    pace.report(now, {
      claimer,
      wanted: 0,
      evidence: Array.from({ length: answer.count }, () => end),
      underWay: 0,
      lanes: answer.lanes,
    });
  return answer;
}

function stopped(now = T): Pace {
  const pace = open();
  attempt(pace, now, 5, DOWN);
  return pace;
}

describe("a lease", () => {
  it("lets one message of an unknown destination begin at once", () => {
    const answer = open().lease(T, { claimer: "a", wanted: 1 });
    expect(answer).toMatchObject({ count: 1, lanes: 1, firstMs: 0, avoid: [] });
    expect(answer.wait).toBeUndefined();
  });

  it("starts small where nothing is known, and leaves room for others", () => {
    const pace = open();
    const flood = pace.lease(T, { claimer: "flood", wanted: 2_000 });
    expect(flood.count).toBe(10);
    expect(flood.lanes).toBe(3);
    expect(pace.lease(T, { claimer: "reset", wanted: 1 })).toMatchObject({ count: 1, lanes: 1 });
  });

  it("grows with what is delivered, to the rule and not beyond", () => {
    const pace = open({ connections: 8 });
    for (let i = 0; i < 200; i++) attempt(pace, T + i, 2_000, evidence());
    const state = pace.describe(T + 200);
    expect(state.connections).toEqual({ used: 0, allowed: 8 });
    expect(state.window).toBe(2_000);
  });

  it("forgets what it learned when nothing came for long", () => {
    const pace = open();
    for (let i = 0; i < 50; i++) attempt(pace, T + i, 100, evidence());
    expect(pace.describe(T + 60).window).toBeGreaterThan(20);
    expect(pace.describe(T + 11 * MINUTE).window).toBe(20);
  });

  it("tells to wait when all connections are busy, says which, and admits a few", () => {
    const pace = open({ connections: 1 });
    pace.lease(T, { claimer: "a", wanted: 10 });
    const { count, wait } = pace.lease(T, { claimer: "b", wanted: 10 });
    expect(count).toBe(0);
    expect(wait).toMatchObject({ reason: "1 of 1 connections busy", admit: 2 });
    expect(wait?.until).toBeGreaterThan(T);
  });

  it("has no more connections than messages, so that a few that take long leave the rest to others", () => {
    const pace = open();
    const slow = ["a", "b", "c"].map((claimer) => {
      const { count, lanes } = pace.lease(T, { claimer, wanted: 10 });
      return { claimer, count, lanes };
    });
    expect(slow.map(({ lanes }) => lanes)).toEqual([3, 1, 1]);
    for (const { claimer, count, lanes } of slow) {
      const evidence = Array.from({ length: count - 1 }, () => UNKNOWN_USER);
      pace.report(T + 1, { claimer, wanted: 0, evidence, underWay: 1, lanes });
    }
    expect(pace.describe(T + 1).connections).toEqual({ used: 3, allowed: 5 });
    expect(pace.lease(T + 1, { claimer: "d", wanted: 1 })).toMatchObject({ count: 1, lanes: 1 });
  });

  it("lapses when its consumer dies, and not while it reports", () => {
    const pace = open({ connections: 1 });
    pace.lease(T, { claimer: "a", wanted: 10 });
    pace.report(T + 14_000, { claimer: "a", wanted: 0, evidence: [], underWay: 10, lanes: 1 });
    expect(pace.lease(T + 28_000, { claimer: "b", wanted: 1 }).count).toBe(0);
    expect(pace.lease(T + 29_001, { claimer: "b", wanted: 1 }).count).toBe(1);
  });

  it("is known again to an object that lost its memory, by its next report", () => {
    const pace = open({ connections: 5 });
    pace.report(T, { claimer: "a", wanted: 0, evidence: [], underWay: 18, lanes: 5 });
    expect(pace.lease(T, { claimer: "b", wanted: 10 }).count).toBe(0);
  });

  it("does not count what a consumer could not begin after all", () => {
    const pace = open({ connections: 1 });
    attempt(pace, T, 3, evidence({ result: "none" }));
    expect(pace.describe(T).underWay).toBe(0);
    expect(pace.describe(T).recent).toEqual([]);
  });
});

describe("a rate", () => {
  it("gives turns one after another, over all consumers", () => {
    const pace = open({ perSecond: 10 });
    const a = pace.lease(T, { claimer: "a", wanted: 5 });
    const b = pace.lease(T, { claimer: "b", wanted: 5 });
    expect([a.count, a.firstMs, a.everyMs]).toEqual([5, 0, 100]);
    expect([b.count, b.firstMs, b.everyMs]).toEqual([5, 500, 100]);
  });

  it("gives none further ahead than a consumer stays, and says why the rest waits", () => {
    const pace = open({ perSecond: 2 });
    expect(pace.lease(T, { claimer: "a", wanted: 50 }).count).toBe(6);
    expect(pace.lease(T, { claimer: "b", wanted: 50 }).wait).toMatchObject({
      reason: "2 messages a second at most",
      admit: 6,
    });
  });

  it("lets one begin even below one message in three seconds", () => {
    const pace = open({ perSecond: 0.1 });
    expect(pace.lease(T, { claimer: "a", wanted: 5 }).count).toBe(1);
    expect(pace.lease(T, { claimer: "b", wanted: 5 }).count).toBe(0);
    expect(pace.lease(T + 10_000, { claimer: "c", wanted: 5 }).count).toBe(1);
  });
});

describe("a destination that is down", () => {
  it("is stopped after five failures in a row, with the reason", () => {
    const pace = open();
    attempt(pace, T, 4, DOWN);
    expect(pace.describe(T).state).toBe("open");
    attempt(pace, T + 1, 1, DOWN);
    expect(pace.describe(T + 1)).toMatchObject({ state: "stopped", stop: { until: T + 1 + MINUTE } });
    const { count, wait } = pace.lease(T + 2, { claimer: "x", wanted: 1_000 });
    expect(count).toBe(0);
    expect(wait).toMatchObject({
      reason: "connection refused; stopped since 1970-01-01 00:16 UTC",
      admit: 1,
    });
    expect(wait?.until).toBeGreaterThanOrEqual(T + 1 + MINUTE);
  });

  it("says in words what was found out without a reply", () => {
    const pace = open();
    const reply = { code: 0, enhanced: "4.4.3", text: "" };
    attempt(pace, T, 5, { ...DOWN, reply, reason: "DNS look-up failed" });
    expect(pace.describe(T).stop).toMatchObject({ reason: "4.4.3 DNS look-up failed" });
  });

  it("is not stopped when something else answers in between, or by failures that are far apart", () => {
    const pace = open();
    for (let i = 0; i < 20; i++) {
      attempt(pace, T + i, 4, DOWN);
      attempt(pace, T + i, 1, UNKNOWN_USER, "other");
    }
    expect(pace.describe(T + 20).state).toBe("open");
    const slowly = open();
    for (let i = 0; i < 20; i++) attempt(slowly, T + i * 16 * MINUTE, 1, DOWN);
    expect(slowly.describe(T + 20 * 16 * MINUTE).state).toBe("open");
  });

  it("gets one message at a time to try it", () => {
    const pace = stopped();
    const later = T + MINUTE;
    expect(pace.lease(later, { claimer: "a", wanted: 100 })).toMatchObject({ count: 1, lanes: 1 });
    const { wait } = pace.lease(later, { claimer: "b", wanted: 100 });
    expect(wait?.reason).toBe(
      "connection refused; stopped since 1970-01-01 00:16 UTC; one message is trying it",
    );
    expect(pace.describe(later).state).toBe("probing");
  });

  it("waits twice as long after each failed try, to half an hour", () => {
    const pace = stopped();
    let now = T + MINUTE;
    const waits: number[] = [];
    for (let i = 0; i < 8; i++) {
      attempt(pace, now, 10, DOWN);
      const { stop } = pace.describe(now);
      waits.push(((stop?.until ?? 0) - now) / MINUTE);
      now = stop?.until ?? 0;
    }
    expect(waits).toEqual([2, 4, 8, 16, 30, 30, 30, 30]);
  });

  it("opens from a small start when the try succeeds, or when it only bounces that recipient", () => {
    for (const end of [evidence(), UNKNOWN_USER]) {
      const pace = stopped();
      attempt(pace, T + MINUTE, 10, end);
      expect(pace.describe(T + MINUTE)).toMatchObject({ state: "open", connections: { allowed: 5 } });
      expect(pace.lease(T + MINUTE, { claimer: "b", wanted: 100 }).count).toBe(
        10 + Number(end.result === "delivered"),
      );
    }
  });

  it("does not count what was begun before it stopped, good or bad", () => {
    const pace = open();
    const { lanes } = pace.lease(T, { claimer: "early", wanted: 10 });
    attempt(pace, T, 5, DOWN);
    const report = { claimer: "early", wanted: 0, lanes };
    pace.report(T + 1, { ...report, evidence: [DOWN, DOWN, DOWN], underWay: 7 });
    pace.report(T + 2, { ...report, evidence: [evidence()], underWay: 6 });
    expect(pace.describe(T + 3)).toMatchObject({ state: "stopped", stop: { everyMs: MINUTE } });
  });

  it("is tried when its time comes, though something that was begun before hangs, and by who has nothing to do with that", () => {
    const pace = open();
    const { lanes } = pace.lease(T, { claimer: "hangs", wanted: 1 });
    attempt(pace, T, 5, DOWN);
    const hangs = { claimer: "hangs", evidence: [], underWay: 1, lanes };
    for (let now = T; now < T + MINUTE; now += 4_000) pace.report(now, { ...hangs, wanted: 0 });
    const later = T + MINUTE;
    expect(pace.report(later, { ...hangs, wanted: 5 })).toMatchObject({ count: 0, wait: { admit: 1 } });
    expect(pace.lease(later, { claimer: "a", wanted: 5 })).toMatchObject({ count: 1, lanes: 1 });
    expect(pace.lease(later, { claimer: "b", wanted: 5 }).count).toBe(0);
    pace.report(later, { ...hangs, wanted: 0, evidence: [DOWN], underWay: 0 });
    expect(pace.describe(later)).toMatchObject({ state: "probing", stop: { everyMs: MINUTE } });
  });

  it("is tried over a connection beside those that hang: the gateway counts them all", () => {
    const pace = open();
    const hanging = ["a", "b", "c"].map((claimer) => ({ claimer, ...pace.lease(T, { claimer, wanted: 3 }) }));
    const [first] = hanging;
    if (!first) throw new Error("three leases");
    for (let i = 0; i < 5; i++)
      pace.report(T, { ...first, wanted: 0, evidence: [DOWN], underWay: first.count });
    for (let now = T; now <= T + MINUTE; now += 4_000)
      for (const { claimer, count, lanes } of hanging)
        pace.report(now, { claimer, wanted: 0, evidence: [], underWay: count, lanes });
    expect(pace.describe(T + MINUTE).connections.used).toBe(5);
    expect(pace.lease(T + MINUTE, { claimer: "d", wanted: 1 })).toMatchObject({ count: 1, connections: 6 });
  });

  it("is tried again when the consumer that tried it died, or found the message gone", () => {
    const pace = stopped();
    pace.lease(T + MINUTE, { claimer: "dies", wanted: 1 });
    expect(pace.lease(T + MINUTE + 16_000, { claimer: "next", wanted: 1 }).count).toBe(1);
    const gone = stopped();
    attempt(gone, T + MINUTE, 1, evidence({ result: "none" }));
    expect(gone.lease(T + MINUTE, { claimer: "next", wanted: 1 }).count).toBe(1);
  });
});

describe("a destination that says slow down", () => {
  it("gets half, after a pause that doubles; more of the same replies count once", () => {
    const pace = open();
    for (let i = 0; i < 100; i++) attempt(pace, T + i * 10, 100, evidence());
    attempt(pace, T + 1_000, 50, SLOW);
    const { limits } = pace.describe(T + 1_000);
    expect(limits).toMatchObject({ connections: 10, pausedUntil: T + 3_000, reason: "421 4.7.0 too many" });
    attempt(pace, T + 3_001, 1, SLOW);
    expect(pace.describe(T + 3_001).limits).toMatchObject({ connections: 5, pausedUntil: T + 7_001 });
  });

  it("keeps a consumer for a short pause, and sends it home for a long one", () => {
    const pace = open();
    attempt(pace, T, 1, SLOW);
    expect(pace.lease(T, { claimer: "a", wanted: 5 })).toMatchObject({ count: 0, askAgainMs: 2_000 });
    attempt(pace, T + 2_000, 1, SLOW);
    const { wait } = pace.lease(T + 2_000, { claimer: "b", wanted: 5 });
    expect(wait).toMatchObject({
      until: T + 6_000,
      reason: "421 4.7.0 too many; slowed down since 1970-01-01 00:16 UTC",
    });
  });

  it("is remembered through an eviction for a day, and no longer", () => {
    const first = open();
    attempt(first, T, 1, SLOW);
    const day = 24 * 60 * MINUTE;
    expect(open({}, first.kept()).describe(T + day).limits).toMatchObject({ since: T });
    const later = open({}, first.kept());
    expect(later.describe(T + day + 1).limits).toBeUndefined();
    expect(later.kept().limits).toBeUndefined();
  });

  it("says since when, however often it said so", () => {
    const pace = open();
    attempt(pace, T, 1, SLOW);
    attempt(pace, T + 2_000, 1, SLOW);
    expect(pace.describe(T + 2_000).limits).toMatchObject({ at: T + 2_000, since: T });
  });

  it("rises step by step while it takes mail, until no limit is left", () => {
    const pace = open();
    attempt(pace, T, 1, SLOW);
    let now = T;
    const seen: number[] = [];
    for (let i = 0; i < 60 && pace.describe(now).limits; i++) {
      now += 13_000;
      attempt(pace, now, 1, evidence());
      seen.push(pace.describe(now).limits?.connections ?? 99);
    }
    expect(seen.slice(0, 4)).toEqual([3, 4, 5, 6]);
    expect(seen.at(-1)).toBe(99);
  });

  it("never goes to nothing", () => {
    const pace = open();
    let now = T;
    for (let i = 0; i < 50; i++) {
      attempt(pace, now, 1, SLOW);
      now = (pace.describe(now).limits?.pausedUntil ?? now) + 1;
      expect(attempt(pace, now, 1, evidence({ result: "none" })).count).toBe(1);
      now += 10_000;
    }
    const { limits } = pace.describe(now);
    expect([limits?.connections, limits?.perSecond]).toEqual([1, 0.5]);
  });
});

describe("a destination that blocks a transport", () => {
  it("is avoided after three such replies in a row, keeps the evidence, and goes on at once by another", () => {
    const pace = open();
    for (let i = 0; i < 3; i++) attempt(pace, T + i * 10_000, 1, BLOCKED);
    const now = T + 20_000;
    const { detours, state } = pace.describe(now);
    expect(state).toBe("open");
    expect(detours).toEqual([
      {
        transport: "gateway",
        since: now,
        evidence: "421 4.7.1 your IP is listed at Spamhaus",
        count: 3,
        trialAt: now + 15 * MINUTE,
        trialEveryMs: 15 * MINUTE,
      },
    ]);
    expect(pace.lease(now + 1, { claimer: "a", wanted: 5 })).toMatchObject({ avoid: ["gateway"] });
  });

  it("is tried again by one message, and by that way for good when it is taken", () => {
    const pace = open();
    for (let i = 0; i < 3; i++) attempt(pace, T + i * 10_000, 1, BLOCKED);
    const later = T + 20_000 + 15 * MINUTE;
    expect(pace.lease(later, { claimer: "a", wanted: 5 }).trial).toBe("gateway");
    expect(pace.lease(later, { claimer: "b", wanted: 5 }).trial).toBeUndefined();
    pace.report(later, { claimer: "a", wanted: 0, evidence: [evidence()], underWay: 0, lanes: 1 });
    expect(pace.describe(later).detours).toEqual([]);
  });

  it("is not down when it refuses what tries it", () => {
    const pace = open();
    for (let i = 0; i < 3; i++) attempt(pace, T + i * 10_000, 1, BLOCKED);
    attempt(pace, T + 30_000, 5, DOWN);
    const later = T + 30_000 + MINUTE;
    const reply = { code: 550, enhanced: "5.7.1", text: "blocked by Spamhaus" };
    attempt(pace, later, 1, evidence({ result: "bounced", concerns: "destination", reply }));
    expect(pace.describe(later).state).toBe("open");
  });

  it("outlives the object's memory", () => {
    const pace = open();
    for (let i = 0; i < 3; i++) attempt(pace, T + i * 10_000, 1, BLOCKED);
    attempt(pace, T + 40_000, 5, DOWN);
    const again = open({}, JSON.parse(JSON.stringify(pace.kept())));
    expect(again.kept()).toEqual(pace.kept());
    expect(again.describe(T + 40_001).state).toBe("stopped");
  });

  it("changes nothing that is kept when mail just goes out", () => {
    const pace = open();
    const before = JSON.stringify(pace.kept());
    for (let i = 0; i < 100; i++) attempt(pace, T + i * 100, 20, evidence());
    expect(JSON.stringify(pace.kept())).toBe(before);
  });
});

describe("a destination that is said to be back", () => {
  it("gets one message at once, and the shortest wait when that fails", () => {
    const pace = stopped();
    for (let i = 0, now = T; i < 4; i++) {
      now = pace.describe(now).stop?.until ?? 0;
      attempt(pace, now, 1, DOWN);
    }
    const now = T + 20 * MINUTE;
    expect(pace.lease(now, { claimer: "early", wanted: 5 }).count).toBe(0);
    pace.resume(now);
    expect(pace.lease(now, { claimer: "a", wanted: 5 }).count).toBe(1);
    expect(pace.lease(now, { claimer: "b", wanted: 5 }).count).toBe(0);
    pace.report(now, { claimer: "a", wanted: 0, evidence: [DOWN], underWay: 0, lanes: 1 });
    expect(pace.describe(now).stop).toMatchObject({ until: now + MINUTE, since: T });
  });

  it("is not tried again for being said so again at once", () => {
    const pace = stopped();
    pace.resume(T);
    attempt(pace, T, 1, DOWN);
    pace.resume(T + 9_999);
    expect(pace.describe(T + 9_999).state).toBe("stopped");
    pace.resume(T + 10_000);
    expect(pace.describe(T + 10_000).state).toBe("to be probed");
  });

  it("has no pause any more, and the speed that it asked for", () => {
    const pace = open();
    attempt(pace, T, 1, SLOW);
    attempt(pace, T + 2_000, 1, SLOW);
    pace.resume(T + 2_001);
    const { limits } = pace.describe(T + 2_001);
    expect(limits).toMatchObject({ connections: 1, pausedUntil: T + 2_001, since: T });
    expect(pace.lease(T + 2_001, { claimer: "a", wanted: 1 }).count).toBe(1);
  });

  it("is tried once by each way that it refuses, and after a failure no sooner than before", () => {
    const pace = open();
    for (let i = 0; i < 3; i++) attempt(pace, T + i * 10_000, 1, BLOCKED);
    const now = T + MINUTE;
    pace.resume(now);
    expect(pace.lease(now, { claimer: "a", wanted: 1 }).trial).toBe("gateway");
    pace.report(now, { claimer: "a", wanted: 0, evidence: [BLOCKED], underWay: 0, lanes: 1 });
    expect(pace.describe(now).detours).toMatchObject([{ trialAt: now + 30 * MINUTE }]);
    expect(pace.lease(now + 2 * MINUTE, { claimer: "b", wanted: 1 }).trial).toBeUndefined();
  });

  it("that is open stays as it is", () => {
    const pace = open();
    const before = JSON.stringify(pace.kept());
    pace.resume(T);
    expect(JSON.stringify(pace.kept())).toBe(before);
  });
});

describe("a rule that is learned later", () => {
  it("holds from then on", () => {
    const pace = open();
    for (let i = 0; i < 200; i++) attempt(pace, T + i, 100, evidence());
    expect(pace.describe(T + 200).connections.allowed).toBe(20);
    pace.follow({ ...RULE, connections: 3, perSecond: 2 });
    expect(pace.describe(T + 200)).toMatchObject({ connections: { allowed: 3 }, perSecond: 2 });
    expect(pace.lease(T + 200, { claimer: "a", wanted: 100 }).everyMs).toBe(500);
  });
});

describe("a clock that was wrong", () => {
  const DAY = 86_400_000;
  it("holds nothing for longer than we would have said", () => {
    const before = open({ perSecond: 1 });
    for (let i = 0; i < 3; i++) attempt(before, T + 5 * DAY + i * 10_000, 1, BLOCKED);
    attempt(before, T + 5 * DAY + 60_000, 1, SLOW);
    before.lease(T + 5 * DAY + 70_000, { claimer: "ahead", wanted: 100 });
    expect(before.lease(T, { claimer: "now", wanted: 1 })).toMatchObject({
      count: 1,
      firstMs: 0,
      trial: "gateway",
    });
    const down = stopped(T + 5 * DAY);
    expect(down.lease(T, { claimer: "now", wanted: 1 }).wait?.until).toBeLessThan(T + 2 * MINUTE);
    expect(down.lease(T + 2 * MINUTE, { claimer: "later", wanted: 1 }).count).toBe(1);
  });
  it("ends a lease that a jump forward made old, and takes it again from its report", () => {
    const pace = open({ connections: 1 });
    pace.lease(T, { claimer: "a", wanted: 5 });
    pace.report(T + 5 * DAY, { claimer: "a", wanted: 0, evidence: [], underWay: 5, lanes: 1 });
    expect(pace.lease(T + 5 * DAY, { claimer: "b", wanted: 1 }).count).toBe(0);
  });
});

describe("simulated destinations", () => {
  const healthy = { latencyMs: 50, maxConnections: 1_000, maxPerSecond: 1e6, away: [] };
  const base = { rule: RULE, server: healthy, messages: 1_000, perJob: 100, untilMs: 7_200_000 };

  it("delivers to a healthy one near the speed that its connections allow", () => {
    const run = simulate({ ...base, seed: 1, messages: 5_000 });
    expect([run.broken, run.delivered, run.attempts]).toEqual([[], 5_000, 5_000]);
    // 20 connections at 50 ms are 400 a second.
    expect(run.doneAt).toBeLessThan(25_000);
  });

  it("tries a dead one at most once a minute after the first cohort, and delivers when it is back", () => {
    const server = { ...healthy, away: [[0, 3_600_000]] as [number, number][] };
    const run = simulate({ ...base, seed: 2, server });
    const tries = run.attemptedAt.filter((at) => at > 20_000 && at < 3_600_000);
    for (let i = 1; i < tries.length; i++)
      expect((tries[i] ?? 0) - (tries[i - 1] ?? 0)).toBeGreaterThanOrEqual(MINUTE);
    expect(run.attemptedAt.filter((at) => at <= 20_000).length).toBeLessThanOrEqual(24);
    expect([run.broken, run.delivered]).toEqual([[], 1_000]);
    // A stop lasts half an hour at most.
    expect(run.doneAt).toBeLessThan(3_600_000 + 1_800_000 + 60_000);
  });

  it("finds the speed of one that takes two connections and ten messages a second", () => {
    const server = { ...healthy, maxConnections: 2, maxPerSecond: 10 };
    const run = simulate({ ...base, seed: 3, server });
    expect([run.broken, run.delivered]).toEqual([[], 1_000]);
    expect(run.attempts).toBeLessThan(1_150);
    expect(run.doneAt).toBeLessThan(600_000);
  });

  it("holds what must hold in 150 random worlds", () => {
    for (let seed = 1; seed <= 150; seed++) {
      const random = seeded(seed);
      const pick = (...of: number[]) => of[Math.floor(random() * of.length)] ?? 0;
      const rule: Rule = { ...RULE, connections: pick(1, 2, 5, 20), perSecond: pick(1, 10, Infinity) };
      const from = pick(0, 10_000, 100_000);
      const run = simulate({
        seed,
        rule,
        server: {
          latencyMs: pick(5, 50, 1_000),
          maxConnections: pick(1, 3, 1_000),
          maxPerSecond: pick(2, 20, 1e6),
          away: [[from, from + pick(0, 30_000, 600_000)]],
        },
        messages: pick(1, 30, 80),
        perJob: pick(1, 10, 100),
        untilMs: 6 * 3_600_000,
        deaths: pick(0, 0.02),
        evictions: pick(0, 0.05),
      });
      const told = `seed ${seed}`;
      expect(run.broken, told).toEqual([]);
      expect(run.maxUnderWay, told).toBeLessThanOrEqual(2_000);
      // Everything is delivered once the faults are over; nothing hangs.
      expect(run.waitingAtEnd, told).toBe(0);
    }
  });
});
