/** Times are written with the Eastern offset of their day. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatSecond, formatTime } from "../../src/api/time.ts";
import { formatDay, fromEastern } from "../../src/mail/eastern.ts";

describe("times", () => {
  it.each([
    [Date.UTC(2026, 1, 17, 12, 25, 1, 417), "2026-02-17T07:25:01.4170000-05:00"],
    [Date.UTC(2016, 9, 6, 8, 24, 31, 219), "2016-10-06T04:24:31.2190000-04:00"],
    // The second before and after each change of 2026.
    [Date.UTC(2026, 2, 8, 6, 59, 59), "2026-03-08T01:59:59.0000000-05:00"],
    [Date.UTC(2026, 2, 8, 7, 0, 0), "2026-03-08T03:00:00.0000000-04:00"],
    [Date.UTC(2026, 10, 1, 5, 59, 59), "2026-11-01T01:59:59.0000000-04:00"],
    [Date.UTC(2026, 10, 1, 6, 0, 0), "2026-11-01T01:00:00.0000000-05:00"],
    [Date.UTC(2026, 0, 1, 4, 59, 59, 999), "2025-12-31T23:59:59.9990000-05:00"],
  ])("%i is %s", (at, text) => {
    expect(formatTime(at)).toBe(text);
    expect(Date.parse(text.replace("0000", ""))).toBe(at);
  });

  it("have forms without a fraction and without a time", () => {
    const at = Date.UTC(2019, 11, 18, 3, 58, 33, 500);
    expect(formatSecond(at)).toBe("2019-12-17T22:58:33-05:00");
    expect(formatDay(at)).toBe("2019-12-17");
  });

  it("name the instant they are of, whenever that is", () => {
    const instants = fc.integer({ min: Date.UTC(1990, 0, 1), max: Date.UTC(2099, 0, 1) });
    fc.assert(
      fc.property(instants, (at) => {
        const text = formatTime(at);
        expect(text).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}-0[45]:00$/);
        expect(Date.parse(text.replace(/0000(?=-)/, ""))).toBe(at);
        // And a wall clock read back is that instant, but in the hour that comes twice.
        const wall = Date.parse(`${text.slice(0, 23)}Z`);
        expect([at, at - 3_600_000]).toContain(fromEastern(wall));
      }),
      { numRuns: 2000 },
    );
  });
});
