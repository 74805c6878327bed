/** A person who is removed while bulk requests wait: nobody mails them, all others get theirs, and the numbers add up. */
import { afterEach, beforeEach, expect, it } from "vitest";
import { POLICY } from "../api/sending.ts";
import { BulkWorld, eventually, messages } from "./bulk-world.ts";

let world: BulkWorld;
beforeEach(async () => {
  world = await new BulkWorld().start();
});
afterEach(() => world.remove());

const mailbox = (email: string) => ({ email, name: "" });

it("takes them out of what is not released, in any part", async () => {
  world.gate.policy = "away";
  const shared = { to: [mailbox("Ann@far.org")], cc: [mailbox("bob@far.org")] };
  const all = [...messages(3), { to: [mailbox("ann@far.org")] }, shared, ...messages(3, "s")];
  await world.submit("a", all, { perPart: 3 });
  expect(await world.call("removePerson", "ann@far.org")).toBe(true);
  world.gate.policy = POLICY;
  await world.reaches("a", "completed");
  expect(world.gate.recipients).toEqual([
    "r0@far.org",
    "r1@far.org",
    "r2@far.org",
    "bob@far.org",
    "s0@far.org",
    "s1@far.org",
    "s2@far.org",
  ]);
}, 60_000);

it("says that they are on their way while a step that names them is not answered", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  world.gate.behaviours = [promise];
  await world.submit("a", [{ to: [mailbox("ann@far.org")] }]);
  await eventually("it is being released", async () => world.gate.asked.length === 1);
  expect(await world.call("removePerson", "ann@far.org")).toBe(false);
  resolve();
  await world.reaches("a", "completed");
  expect(await world.call("removePerson", "ann@far.org")).toBe(true);
}, 60_000);

it("keeps nobody waiting while all that is not released is looked through", async () => {
  world.gate.policy = "away";
  await world.submit("a", messages(6), { perPart: 2 });
  expect(await world.call("race", "r5@far.org", "a")).toEqual(["status", "removePerson"]);
  world.gate.policy = POLICY;
  await world.reaches("a", "completed");
  expect(world.gate.recipients).not.toContain("r5@far.org");
}, 60_000);
