import { describe, expect, it } from "vitest";
import { Detours, route } from "../../src/deliver/route.ts";
import type { TransportName } from "../../src/mail/outcome.ts";

const T = 1_000_000;
const MINUTE = 60_000;

function detoured(why: "blocked" | "away" = "blocked"): Detours {
  const detours = new Detours();
  for (let i = 0; i < 3; i++) detours.fails("gateway", why, `proof ${i + 1}`, T);
  return detours;
}

describe("route", () => {
  const all: TransportName[] = ["gateway", "smarthost", "cloudflare"];
  it("keeps the server's order, without what is avoided", () => {
    expect(route(all, [], undefined)).toEqual(all);
    expect(route(all, ["gateway"], undefined)).toEqual(["smarthost", "cloudflare"]);
    expect(route(all, ["smarthost"], undefined)).toEqual(["gateway", "cloudflare"]);
    expect(route(["sandbox"], ["gateway"], "gateway")).toEqual(["sandbox"]);
  });
  it("puts a transport on trial back in its place", () => {
    expect(route(all, ["gateway", "smarthost"], "gateway")).toEqual(["gateway", "cloudflare"]);
  });
  it("goes on as it would when all are avoided", () => {
    expect(route(["gateway"], ["gateway"], undefined)).toEqual(["gateway"]);
    expect(route(all, all, undefined)).toEqual(all);
  });
});

describe("a detour", () => {
  it("begins with the third proof in a row, and keeps the last as evidence", () => {
    const detours = new Detours();
    expect([1, 2, 3].map((i) => detours.fails("gateway", "blocked", `proof ${i}`, T))).toEqual([
      false,
      false,
      true,
    ]);
    expect(detours.avoided()).toEqual(["gateway"]);
    expect(detours.list()[0]).toMatchObject({ evidence: "proof 3", count: 3, since: T });
  });

  it("does not begin when the transport works in between, or the proofs are old", () => {
    const detours = new Detours();
    for (let i = 0; i < 10; i++) {
      detours.fails("gateway", "blocked", "", T);
      detours.fails("gateway", "blocked", "", T);
      detours.works("gateway");
    }
    for (let i = 0; i < 10; i++) detours.fails("smarthost", "blocked", "", T + i * 61 * MINUTE);
    expect(detours.avoided()).toEqual([]);
  });

  it("offers one trial after a quarter of an hour, and another when nobody tells how that went", () => {
    const detours = detoured();
    expect(detours.takeTrial(T + 15 * MINUTE - 1)).toBeUndefined();
    expect(detours.takeTrial(T + 15 * MINUTE)).toBe("gateway");
    expect(detours.takeTrial(T + 15 * MINUTE + 1)).toBeUndefined();
    expect(detours.takeTrial(T + 16 * MINUTE)).toBe("gateway");
  });

  it("ends when the trial is taken", () => {
    const detours = detoured();
    detours.takeTrial(T + 15 * MINUTE);
    detours.works("gateway");
    expect(detours.avoided()).toEqual([]);
  });

  it("waits twice as long after each failed trial, to six hours; sooner where it is our side that is away", () => {
    const waits = (why: "blocked" | "away") => {
      const detours = detoured(why);
      const seen: number[] = [];
      for (let i = 0; i < 7; i++) {
        const at = detours.list()[0]?.trialAt ?? 0;
        detours.takeTrial(at);
        detours.fails("gateway", why, "again", at + 1_000);
        seen.push(((detours.list()[0]?.trialAt ?? 0) - at - 1_000) / MINUTE);
      }
      return seen;
    };
    expect(waits("blocked")).toEqual([30, 60, 120, 240, 360, 360, 360]);
    expect(waits("away")).toEqual([2, 4, 8, 15, 15, 15, 15]);
  });

  it("does not take what was under way when it began for a failed trial", () => {
    const detours = detoured();
    detours.fails("gateway", "blocked", "late", T + 1_000);
    expect(detours.list()[0]).toMatchObject({
      trialEveryMs: 15 * MINUTE,
      trialAt: T + 15 * MINUTE,
      count: 4,
    });
  });

  it("is kept as plain values", () => {
    const again = new Detours(JSON.parse(JSON.stringify(detoured().list())));
    expect(again.list()).toEqual(detoured().list());
  });
});
