import { afterAll, beforeAll, expect, test } from "vitest";
import { createAccount, createServer } from "../../src/accounts/create.ts";
import { hooksOf } from "../../src/accounts/hooks.ts";
import { createWebhook } from "../../src/accounts/webhooks.ts";
import type { WebhookTriggers } from "../../src/schema/directory.ts";
import { type Databases, NOON, openDatabases } from "../archive/databases.ts";

const NONE: WebhookTriggers = {
  Open: { Enabled: false, PostFirstOpenOnly: false },
  Click: { Enabled: false },
  Delivery: { Enabled: false },
  Bounce: { Enabled: false, IncludeContent: false },
  SpamComplaint: { Enabled: false, IncludeContent: false },
  SubscriptionChange: { Enabled: false },
};
const ASKS: WebhookTriggers = { ...NONE, Delivery: { Enabled: true }, SubscriptionChange: { Enabled: true } };

let db: Databases;
let ours: number;
let theirs: number;

beforeAll(async () => {
  db = await openDatabases();
  const accountId = await createAccount(db.directory, "hooks", NOON);
  ours = (await createServer(db.directory, { accountId, name: "ours" }, NOON)).id;
  theirs = (await createServer(db.directory, { accountId, name: "theirs" }, NOON)).id;
});
afterAll(() => db.dispose());

function webhook(serverId: number, triggers: WebhookTriggers, status: "verified" | "unverified") {
  const store = { directory: db.directory, deploymentSecret: "a secret of the tests" };
  const settings = { url: "https://example.com/", headers: [], secrets: [], triggers, status };
  const webhook = { serverId, stream: "outbound", retryFor: "standard" as const, ...settings };
  return createWebhook(store, webhook, 0, NOON);
}

test("webhooks that are verified and ask for something, and the server's own URLs; no other server's", async () => {
  const told = await webhook(ours, ASKS, "verified");
  await webhook(ours, ASKS, "unverified");
  await webhook(ours, NONE, "verified");
  await webhook(theirs, ASKS, "verified");
  expect(told).toBeDefined();
  const expected = [
    { name: `${ours}/webhook/${told?.id}`, stream: "outbound", types: ["Delivery", "SubscriptionChange"] },
  ];
  expect(await hooksOf(db.directory, ours)).toEqual(expected);
  const url = "https://example.com/";
  await db.directory
    .prepare("UPDATE servers SET bounce_hook_url = ?1, inbound_hook_url = ?1 WHERE id = ?2")
    .bind(url, ours)
    .run();
  expect(await hooksOf(db.directory, ours)).toEqual([
    ...expected,
    { name: `${ours}/server/Bounce`, stream: "outbound", types: ["Bounce"] },
    { name: `${ours}/inbound`, types: ["Inbound"] },
  ]);
});

test("a server that does not exist has none", async () => {
  expect(await hooksOf(db.directory, 999_999)).toEqual([]);
});
