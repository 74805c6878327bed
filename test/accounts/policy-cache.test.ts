import { expect, it } from "vitest";
import type { ServerPolicy } from "../../src/accounts/policy.ts";
import { PolicyCache } from "../../src/accounts/policy-cache.ts";
import { POLICY } from "../api/sending.ts";

it("keeps no policy that was asked for before a change, when that was made meanwhile", async () => {
  const { promise, resolve } = Promise.withResolvers<ServerPolicy>();
  const answers = [promise, Promise.resolve({ ...POLICY, name: "new" })];
  const cache = new PolicyCache(
    async () => answers.shift(),
    () => 1_000_000,
  );
  const before = cache.byServer(POLICY.serverId, "local");
  cache.forget(POLICY.serverId);
  resolve({ ...POLICY, name: "old" });
  expect(await before).toMatchObject({ name: "old" });
  expect(await cache.byServer(POLICY.serverId, "local")).toMatchObject({ name: "new" });
  expect(answers).toEqual([]);
});
