/** What an Outbox knows of its server, with a directory that answers late, or never. */
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { KnownServer } from "../../src/accept/known-server.ts";
import type { OutboxNeeds } from "../../src/accept/needs.ts";
import type { Store } from "../../src/accept/store.ts";
import type { ServerPolicy } from "../../src/accounts/policy.ts";
import { POLICY } from "../api/sending.ts";

beforeEach(() => {
  vi.useFakeTimers({ now: Date.UTC(2026, 1, 17) });
  vi.stubGlobal("scheduler", { wait: (ms: number) => new Promise((done) => setTimeout(done, ms)) });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const named = (name: string): ServerPolicy => ({ ...POLICY, name });

/** What the directory answers, one after the other. */
function knownServer(...answers: Promise<ServerPolicy>[]): KnownServer {
  const store = { known: () => undefined, learn() {}, changeSuppressions() {} } as unknown as Store;
  const needs = {
    now: Date.now,
    policy: () => answers.shift(),
    registerShard: async () => {},
    suppressionChanges: async () => [],
    log() {},
  } as unknown as OutboxNeeds;
  return new KnownServer(store, needs, "7/local/0");
}

const never = new Promise<never>(() => {});

it("is asked for again when the directory never answered", async () => {
  const server = knownServer(never, Promise.resolve(named("there")));
  const first = server.policy().catch(String);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(await first).toContain("not known yet");
  await vi.advanceTimersByTimeAsync(60_000);
  const second = server.policy().catch(String);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(await second).toMatchObject({ name: "there" });
});

it("is not taken as it was before a change, when it was being read just then", async () => {
  const { promise, resolve } = Promise.withResolvers<ServerPolicy>();
  const server = knownServer(promise, Promise.resolve(named("new")));
  const before = server.policy();
  server.expire();
  const after = server.policy();
  await vi.advanceTimersByTimeAsync(0);
  resolve(named("old"));
  expect(await after).toMatchObject({ name: "new" });
  expect(await before).toMatchObject({ name: "new" });
  expect(await server.policy()).toMatchObject({ name: "new" });
});
