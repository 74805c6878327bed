import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Commits } from "../../src/accept/commit.ts";
import type { Shelf } from "../../src/accept/shelf.ts";
import type { Store } from "../../src/accept/store.ts";

beforeEach(() => void vi.stubGlobal("scheduler", { wait: () => Promise.resolve() }));
afterEach(() => void vi.unstubAllGlobals());

it.each([
  ["messages", 150_001, 150_001],
  ["domains of a few messages", 3_001, 150_001],
])("an Outbox in whose memory there are too many %s sends callers on", async (_, size, lines) => {
  const shelf = { size, lines: { size: lines } } as unknown as Shelf;
  const store = { transaction: (write: () => unknown) => write() } as unknown as Store;
  const commits = new Commits(store, shelf, () => {}, Date.now);
  expect(await commits.accept({ shard: "7/local/0", messages: [] })).toEqual({ kind: "overloaded" });
});
