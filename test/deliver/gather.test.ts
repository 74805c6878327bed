import { describe, expect, it } from "vitest";
import { Gather } from "../../src/deliver/gather.ts";

const turn = () => new Promise((resolve) => setTimeout(resolve, 0));

describe("Gather", () => {
  it("takes along what comes in the same turn, and what gathers during a trip goes in the next", async () => {
    const trips: number[][] = [];
    let arrive: () => void = () => undefined;
    const gather = new Gather<number, number>(async (items) => {
      trips.push(items);
      await new Promise<void>((resolve) => {
        arrive = resolve;
      });
      return items.map((i) => i * 10);
    }, 100);
    const first = [gather.add(1), gather.add(2)];
    await turn();
    const second = [gather.add(3), gather.add(4), gather.add(5)];
    arrive();
    expect(await Promise.all(first)).toEqual([10, 20]);
    arrive();
    expect(await Promise.all(second)).toEqual([30, 40, 50]);
    expect(trips).toEqual([
      [1, 2],
      [3, 4, 5],
    ]);
  });

  it("tells a trip's failure to its own callers only, and goes on", async () => {
    const gather = new Gather<number, number>(async (items) => {
      if (items.includes(1)) throw new Error("lost");
      return items;
    }, 1);
    const ends = await Promise.allSettled([gather.add(1), gather.add(2)]);
    expect(ends.map((e) => e.status)).toEqual(["rejected", "fulfilled"]);
    expect(await gather.add(3)).toBe(3);
  });

  it("takes no more than a trip bears", async () => {
    const sizes: number[] = [];
    const gather = new Gather<number, number>(async (items) => {
      sizes.push(items.length);
      return items;
    }, 4);
    await Promise.all(Array.from({ length: 10 }, (_, i) => gather.add(i)));
    expect(sizes).toEqual([4, 4, 2]);
  });

  it("waits for those who are known to come, and for nobody else", async () => {
    const trips: number[][] = [];
    let coming = 3;
    const trip = async (items: number[]) => {
      trips.push(items);
      return items;
    };
    const gather = new Gather<number, number>(trip, 100, { ms: 60_000, more: (waiting) => waiting < coming });
    const all = [gather.add(1)];
    await turn();
    all.push(gather.add(2));
    await turn();
    expect(trips).toEqual([]);
    all.push(gather.add(3));
    expect(await Promise.all(all)).toEqual([1, 2, 3]);
    coming = 1;
    expect(await gather.add(4)).toBe(4);
    expect(trips).toEqual([[1, 2, 3], [4]]);
  });

  it("goes without those who do not come in time", async () => {
    const gather = new Gather<number, number>(async (items) => items, 100, { ms: 5, more: () => true });
    expect(await gather.add(1)).toBe(1);
  });
});
