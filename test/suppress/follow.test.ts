import { expect, it } from "vitest";
import { followChanges, type SuppressionPlace } from "../../src/suppress/follow.ts";

it("reads on behind the last change of a full page, and stops at one that is not full", async () => {
  const asked: SuppressionPlace[] = [];
  const place = (i: number) => ({ changedAt: 100_000, stream: "outbound", email: `${i}` });
  const pages = followChanges(90_000, async (after, limit) => {
    asked.push(after);
    return Array.from({ length: asked.length < 3 ? limit : 7 }, (_, i) => place(asked.length * limit + i));
  });
  let read = 0;
  for await (const page of pages) read += page.length;
  expect(read).toBe(20_007);
  expect(asked).toEqual([{ changedAt: 30_000, stream: "", email: "" }, place(19_999), place(29_999)]);
});

it("ends with nothing where nothing changed", async () => {
  const pages = followChanges(0, async () => []);
  expect(await pages.next()).toEqual({ done: true, value: undefined });
});
