import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Loan, RateLeases, RateWindows } from "../../src/accounts/rate-limit.ts";

const MINUTE = 60_000;
const START = Date.UTC(2026, 1, 17, 12);

/** One Outbox, and isolates that share its clock. */
function world(isolates = 1) {
  const clock = { now: START, asked: 0 };
  const windows = new RateWindows();
  const leases = Array.from({ length: isolates }, () => new RateLeases(() => clock.now));
  const call = (perMinute: number, { token = "t", isolate = 0 } = {}) =>
    (leases[isolate] as RateLeases).retryAfter({ token, perMinute }, async (request) => {
      clock.asked++;
      return windows.lend(request, clock.now);
    });
  return { clock, call };
}

describe("a token's requests in a minute", () => {
  it.each([1, 5, 59, 60, 61, 100, 999])(
    "are %d, and then it is told when the next minute begins",
    async (limit) => {
      const { clock, call } = world();
      clock.now = START + 17_300;
      for (let i = 0; i < limit; i++) expect(await call(limit)).toBe(0);
      expect(await call(limit)).toBe(43);
      clock.now = START + MINUTE - 1;
      expect(await call(limit)).toBe(1);
      clock.now = START + MINUTE;
      for (let i = 0; i < limit; i++) expect(await call(limit)).toBe(0);
      expect(await call(limit)).toBe(60);
    },
  );

  it("are never more over all isolates, whatever they ask for and when", async () => {
    const steps = fc.array(
      fc.record({ isolate: fc.nat(3), calls: fc.integer({ min: 1, max: 40 }), waitMs: fc.nat(9_000) }),
      { maxLength: 30 },
    );
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 500 }), steps, async (limit, steps) => {
        const { clock, call } = world(4);
        const allowed = new Map<number, number>();
        for (const { isolate, calls, waitMs } of steps) {
          clock.now += waitMs;
          const minute = Math.floor(clock.now / MINUTE);
          const answers = await Promise.all(Array.from({ length: calls }, () => call(limit, { isolate })));
          const ok = answers.filter((seconds) => seconds === 0).length;
          allowed.set(minute, (allowed.get(minute) ?? 0) + ok);
          for (const seconds of answers) expect(seconds >= 0 && seconds <= 60).toBe(true);
        }
        for (const count of allowed.values()) expect(count).toBeLessThanOrEqual(limit);
      }),
    );
  });

  it("are all there for those who ask at the same time", async () => {
    const { call } = world();
    const answers = await Promise.all(Array.from({ length: 150 }, () => call(100)));
    expect(answers.filter((seconds) => seconds === 0)).toHaveLength(100);
  });

  it("cost an Outbox few questions, also when many are refused", async () => {
    const { clock, call } = world();
    for (let i = 0; i < 30_000; i++) await call(20_000);
    // 20 unasked; then 20, 40, 80, 160, 320 and 334 at a time; and one after which all is refused.
    expect(clock.asked).toBe(5 + Math.ceil((20_000 - 620) / 334) + 1);
  });

  it("cost nothing while they are few and the limit is high", async () => {
    const { clock, call } = world();
    for (let i = 0; i < 1_200; i++) expect(await call(1_200_000)).toBe(0);
    expect(clock.asked).toBe(0);
    await call(1_200_000);
    expect(clock.asked).toBe(1);
  });

  it("are left to those who use them: isolates that asked once keep little from the others", async () => {
    const { call } = world(200);
    for (let isolate = 0; isolate < 200; isolate++) expect(await call(600, { isolate })).toBe(0);
    let more = 0;
    while ((await call(600)) === 0) more++;
    expect(more).toBe(400);
  });

  it("are left to other isolates by one that asks for many at the same time", async () => {
    const { call } = world(2);
    for (let burst = 0; burst < 40; burst++)
      expect(await Promise.all(Array.from({ length: 100 }, () => call(20_000)))).toEqual(Array(100).fill(0));
    for (let i = 0; i < 10_000; i++) expect(await call(20_000, { isolate: 1 })).toBe(0);
  });

  it("are each token's own", async () => {
    const { call } = world();
    expect([await call(1), await call(1), await call(1, { token: "other" })]).toEqual([0, 60, 0]);
  });

  it("are there again when the clock was set back, and not only when it is as late again", async () => {
    const { clock, call } = world();
    for (let i = 0; i < 5; i++) expect(await call(5)).toBe(0);
    expect(await call(5)).toBe(60);
    clock.now -= 60 * MINUTE;
    for (let i = 0; i < 5; i++) expect(await call(5)).toBe(0);
    expect(await call(5)).toBe(60);
  });

  it("go uncounted while nobody can count them, and are counted again after", async () => {
    const { clock, call } = world();
    const leases = new RateLeases(() => clock.now);
    let asked = 0;
    const away = () => {
      asked++;
      return Promise.reject(new Error("away"));
    };
    for (let i = 0; i < 50; i++) expect(await leases.retryAfter({ token: "t", perMinute: 9 }, away)).toBe(0);
    expect(asked).toBe(1);
    clock.now += 1_000;
    const none = async (): Promise<Loan> => ({ requests: 0, forMs: 5_000 });
    expect(await leases.retryAfter({ token: "t", perMinute: 9 }, none)).toBe(5);
    expect(await call(1)).toBe(0);
  });

  it("are counted again by one that is answered while another is not", async () => {
    const { clock } = world();
    const leases = new RateLeases(() => clock.now);
    const token = { token: "t", perMinute: 9 };
    const lends = async (): Promise<Loan> => ({ requests: 1, forMs: 60_000 });
    const both = [
      leases.retryAfter(token, () => Promise.reject(new Error("away"))),
      leases.retryAfter(token, lends),
    ];
    expect(await Promise.all(both)).toEqual([0, 0]);
    const none = async (): Promise<Loan> => ({ requests: 0, forMs: 60_000 });
    expect(await leases.retryAfter(token, none)).toBe(60);
  });
});
