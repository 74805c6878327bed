/** The schedule is the Outbox's (src/mail/schedule.ts); it is tried here beside the pace that it goes with. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { GIVE_UP_AFTER_MS, MAX_GIVE_UP_AFTER_MS, nextTry } from "../../src/mail/schedule.ts";

const MINUTE = 60_000;
const T = 1_700_000_000_000;

describe("nextTry", () => {
  it("waits 1, 5, 15, 30 minutes, 1, 2, 4, 8 hours, then 8 hours again", () => {
    const waits = [1, 2, 3, 4, 5, 6, 7, 8, 9, 50].map((n) => nextTry(n, T, GIVE_UP_AFTER_MS, T, 0.5));
    expect(waits.map((w) => (Number(w) - T) / MINUTE)).toEqual([1, 5, 15, 30, 60, 120, 240, 480, 480, 480]);
  });

  it("spreads by a tenth either way", () => {
    expect(nextTry(3, T, GIVE_UP_AFTER_MS, T, 0)).toBe(T + 13.5 * MINUTE);
    expect(nextTry(3, T, GIVE_UP_AFTER_MS, T, 1)).toBe(T + 16.5 * MINUTE);
  });

  it("makes a last try at the end, and gives up there", () => {
    const end = T + 10 * MINUTE;
    expect(nextTry(5, T, 10 * MINUTE, T + 5 * MINUTE, 0.5)).toBe(end);
    expect(nextTry(6, T, 10 * MINUTE, end, 0.5)).toBe("give up");
    expect(nextTry(6, T, 10 * MINUTE, end + 1_000 * MINUTE, 0.5)).toBe("give up");
  });

  it("gives up after five days whatever is asked, counted from acceptance", () => {
    expect(nextTry(9, T, 10 * MAX_GIVE_UP_AFTER_MS, T + MAX_GIVE_UP_AFTER_MS, 0.5)).toBe("give up");
  });

  it("always comes to an end, after about 16 tries in 72 hours", () => {
    fc.assert(
      fc.property(fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })), (random) => {
        let now = T;
        let tries = 1;
        for (;;) {
          const due = nextTry(tries, T, GIVE_UP_AFTER_MS, now, random.next().value ?? 0);
          if (due === "give up") break;
          expect(due).toBeGreaterThan(now);
          now = due;
          tries++;
        }
        expect(now).toBeLessThanOrEqual(T + GIVE_UP_AFTER_MS);
        expect(tries).toBeGreaterThanOrEqual(15);
        expect(tries).toBeLessThanOrEqual(18);
      }),
    );
  });
});
