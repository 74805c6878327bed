/** When the Worker is believed to be away, and when somebody may ask. */
import { describe, expect, it } from "vitest";
import { Breaker, Breakers } from "../../../src/gateway/spool/breaker.ts";

describe("a breaker", () => {
  it("opens at a failure, and lets a probe through after a back-off of up to five seconds", () => {
    const breaker = new Breaker();
    expect([breaker.isOpen, breaker.mayProbe(0)]).toEqual([false, true]);
    let now = 1_000;
    const waits: number[] = [];
    for (let i = 0; i < 8; i++) {
      breaker.failed(now, now);
      expect([breaker.isOpen, breaker.mayProbe(now)]).toEqual([true, false]);
      const before = now;
      while (!breaker.mayProbe(now)) now += 10;
      waits.push(now - before);
    }
    [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000, 5_000].forEach((ms, i) => {
      expect(waits[i]).toBeGreaterThanOrEqual(ms * 0.8);
      expect(waits[i]).toBeLessThanOrEqual(ms * 1.2 + 10);
    });
    breaker.succeeded(now);
    expect([breaker.isOpen, breaker.mayProbe(now)]).toEqual([false, true]);
  });

  it("counts many that fail together as one", () => {
    const breaker = new Breaker();
    for (let i = 0; i < 30; i++) breaker.failed(1_000, 1_000 + i);
    expect(breaker.mayProbe(1_400)).toBe(true);
  });

  it("does not listen to what began before the last success", () => {
    const breaker = new Breaker();
    breaker.succeeded(2_000);
    breaker.failed(1_000, 3_000);
    expect(breaker.isOpen).toBe(false);
    breaker.failed(2_500, 3_000);
    expect(breaker.isOpen).toBe(true);
  });

  it("is half open when the Worker answers but has not taken mail", () => {
    const breaker = new Breaker();
    breaker.answered(500);
    expect(breaker.isHalfOpen).toBe(false);
    breaker.failed(1_000, 1_000);
    breaker.answered(2_000);
    expect([breaker.isOpen, breaker.isHalfOpen, breaker.mayProbe(2_001)]).toEqual([true, true, false]);
    breaker.failed(2_000, 3_000);
    expect([breaker.isOpen, breaker.isHalfOpen]).toEqual([true, false]);
    breaker.answered(9_000);
    breaker.succeeded(9_100);
    expect([breaker.isOpen, breaker.isHalfOpen]).toEqual([false, false]);
  });
});

describe("breakers of groups", () => {
  it("are kept only for what is away and has something waiting", () => {
    const groups = new Breakers();
    groups.failed("1", 0, 0);
    groups.failed("2", 0, 0);
    expect([
      groups.isOpen("1"),
      groups.mayProbe("1", 1),
      groups.isOpen("3"),
      groups.mayProbe("3", 1),
    ]).toEqual([true, false, false, true]);
    groups.forgetExcept(new Set(["2"]));
    expect([groups.isOpen("1"), groups.isOpen("2")]).toEqual([false, true]);
    groups.forget("2");
    expect(groups.isOpen("2")).toBe(false);
  });
});
