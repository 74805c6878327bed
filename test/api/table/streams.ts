/** Rows of what a server's streams have: themselves, SMTP tokens, webhooks, suppressions and inbound rules. */
import { until } from "../../journeys/system.ts";
import type { Ids, Row, Table } from "./row.ts";
import type { Tenant, World } from "./world.ts";

const MAX_SMTP_TOKENS = 20;
const MAX_WEBHOOKS = 30;
const MAX_STREAMS = 10;
const nobodys = { stream: "no-such-stream" };
const HOOK = "https://hook.example.com/";

const own = (_: World, { name }: Tenant) => ({ stream: `stream-of-${name}` });

function fields(world: World, more: object = {}) {
  return { ID: world.unique("s"), Name: "A stream", MessageStreamType: "Broadcasts", ...more };
}

async function stream(world: World, tenant: Tenant): Promise<string> {
  return String((await world.make(tenant, "POST", "/message-streams", fields(world))).ID);
}

/** On a server of its own, for a server has ten at most. */
async function archived(world: World, tenant: Tenant): Promise<{ as: Tenant; id: string }> {
  const as = await world.server(tenant);
  const id = await stream(world, as);
  await world.make(as, "POST", `/message-streams/${id}/archive`);
  return { as, id };
}

async function fill(world: World, as: Tenant, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await stream(world, as);
}

const fieldCodes = (but: (world: World, more: object) => object): NonNullable<Row["codes"]> => ({
  1223: (world) => ({ body: but(world, { Name: " " }) }),
  1224: (world) => ({ body: but(world, { Name: "x".repeat(101) }) }),
  1231: (world) => ({ body: but(world, { Description: "x".repeat(1_001) }) }),
  1234: (world) => ({ body: but(world, { Description: "<b>bold</b>" }) }),
  1239: (world) => ({ body: but(world, { SubscriptionManagementConfiguration: handling("None") }) }),
  1240: (world) => ({ body: but(world, { SubscriptionManagementConfiguration: handling("Some") }) }),
});
const handling = (UnsubscribeHandlingType: string) => ({ UnsubscribeHandlingType });

const webhookCodes = (url: object): NonNullable<Row["codes"]> => ({
  1354: () => ({ body: { ...url, Url: "gopher://hook.example" } }),
  1355: () => ({ body: "" }),
  1358: () => ({ body: { ...url, HttpHeaders: [{ Name: "two words", Value: "x" }] } }),
  1361: () => ({ body: { ...url, HttpHeaders: [{ Name: "X-Ours", Value: "two\nlines" }] } }),
  1362: () => ({ body: { ...url, Status: "tired" } }),
  1363: () => ({ body: { ...url, Status: "verified" } }),
  1364: () => ({
    body: { ...url, Url: "http://127.0.0.1:9/", Verify: true, Triggers: { Click: { Enabled: true } } },
  }),
});

/** For a stream has 30 webhooks at most. */
const onAnother = (world: World, tenant: Tenant) => world.server(tenant);

async function webhook(world: World, tenant: Tenant) {
  return { id: String((await world.make(tenant, "POST", "/webhooks", { Url: HOOK })).ID) };
}

const tellings = new Map<number, Promise<Ids>>();

/** A webhook that was told something, and the number of that call; once for each server, since it takes a moment. */
function toldWebhook(world: World, tenant: Tenant): Promise<Ids> {
  const known = tellings.get(tenant.serverId) ?? tellWebhook(world, tenant);
  tellings.set(tenant.serverId, known);
  return known;
}

async function tellWebhook(world: World, tenant: Tenant): Promise<Ids> {
  const Triggers = { SubscriptionChange: { Enabled: true } };
  const body = { Url: world.sink("told"), Triggers };
  const { ID } = await world.make(tenant, "POST", "/webhooks", body);
  // Calls are numbered by webhook: theirs is to have a number that ours has not.
  const count = tenant === world.theirs ? 50 : 1;
  const Suppressions = Array.from({ length: count }, () => someone(world).Suppressions[0]);
  await world.make(tenant, "POST", "/message-streams/outbound/suppressions", { Suppressions });
  let delivery: number | undefined;
  await until("the webhook is told", async () => {
    const { Deliveries } = await world.make<{ Deliveries: { ID: number }[] }>(
      ...[tenant, "GET", `/webhooks/${ID}/deliveries`],
    );
    delivery = Deliveries[0]?.ID;
    return delivery === count;
  });
  return { id: String(ID), delivery: String(delivery) };
}

async function signedWebhook(world: World, tenant: Tenant): Promise<Ids> {
  const { id } = await webhook(world, tenant);
  const { ID } = await world.make(tenant, "POST", `/webhooks/${id}/secrets`);
  return { id, secret: String(ID) };
}

async function smtpToken(world: World, tenant: Tenant) {
  const ids = own(world, tenant);
  const made = await world.make(tenant, "POST", `/message-streams/${ids.stream}/smtp-tokens`, {});
  return { ...ids, id: String(made.ID) };
}

const someone = (world: World) => ({ Suppressions: [{ EmailAddress: `${world.unique("a")}@example.com` }] });
const suppressionCodes: NonNullable<Row["codes"]> = {
  1410: (world) => ({
    body: { Suppressions: Array.from({ length: 51 }, () => someone(world).Suppressions[0]) },
  }),
};

const rule = (world: World) => ({ Rule: `${world.unique("spam")}@example.com` });

export const streams: Table = {
  "GET /message-streams": { query: { IncludeArchivedStreams: "true" } },
  "GET /message-streams/:stream": { ids: own, absent: 1226, nobodys },
  "POST /message-streams": {
    as: (world, tenant) => world.server(tenant),
    body: (world) => fields(world, { Description: "Of the table" }),
    empty: 1222,
    codes: {
      ...fieldCodes(fields),
      1221: (world) => ({ body: fields(world, { MessageStreamType: "Fast" }) }),
      1222: (world) => ({ body: fields(world, { ID: "" }) }),
      1225: async (world, tenant) => {
        const as = await world.server(tenant);
        await fill(world, as, MAX_STREAMS - 3);
        return { as, body: fields(world) };
      },
      1227: (world) => ({ body: fields(world, { ID: "Upper Case" }) }),
      1228: (world) => ({ body: fields(world, { MessageStreamType: "Inbound" }) }),
      1230: (world) => ({ body: fields(world, { ID: "outbound" }) }),
      1233: (world) => ({ body: fields(world, { ID: "pm-ours" }) }),
      1237: (world) => ({ body: fields(world, { ID: "all" }) }),
    },
  },
  "PATCH /message-streams/:stream": {
    ids: own,
    body: { Name: "Another name", Description: "Changed" },
    absent: 1226,
    nobodys,
    codes: fieldCodes((_, more) => more),
  },
  "POST /message-streams/:stream/archive": {
    as: (world, tenant) => world.server(tenant),
    ids: async (world, tenant) => ({ stream: await stream(world, tenant) }),
    absent: 1226,
    nobodys,
    codes: { 1229: () => ({ ids: { stream: "outbound" } }) },
  },
  "POST /message-streams/:stream/unarchive": {
    as: (world, tenant) => world.server(tenant),
    ids: async (world, tenant) => {
      const id = await stream(world, tenant);
      await world.make(tenant, "POST", `/message-streams/${id}/archive`);
      return { stream: id };
    },
    absent: 1226,
    nobodys,
    codes: {
      1225: async (world, tenant) => {
        const { as, id } = await archived(world, tenant);
        await fill(world, as, MAX_STREAMS - 3);
        return { as, ids: { stream: id } };
      },
      1232: async (world, tenant) => {
        const { as, id } = await archived(world, tenant);
        await world.sql(
          "DIRECTORY",
          "UPDATE streams SET purge_at = 1 WHERE server_id = ? AND id = ?",
          as.serverId,
          id,
        );
        return { as, ids: { stream: id } };
      },
    },
  },
  "GET /message-streams/:stream/smtp-tokens": { ids: own, absent: 1226, nobodys },
  "POST /message-streams/:stream/smtp-tokens": {
    ids: own,
    body: (world) => ({ Name: world.unique("smtp ") }),
    absent: 1226,
    nobodys,
    codes: {
      1451: () => ({ body: { Name: "x".repeat(1_000) } }),
      1457: () => ({ ids: { stream: "inbound" } }),
      1458: async (world, tenant) => {
        const as = await world.server(tenant);
        for (let i = 0; i < MAX_SMTP_TOKENS; i++)
          await world.make(as, "POST", "/message-streams/outbound/smtp-tokens", {});
        return { as, ids: { stream: "outbound" }, body: {} };
      },
      1459: async (world, tenant) => {
        const { as, id } = await archived(world, tenant);
        return { as, ids: { stream: id }, body: {} };
      },
      1460: async (world, tenant) => ({
        as: await world.server(tenant, { SmtpApiActivated: false }),
        ids: { stream: "outbound" },
        body: {},
      }),
    },
  },
  "DELETE /message-streams/:stream/smtp-tokens/:id": {
    ids: smtpToken,
    absent: { stream: 1226, id: 1450 },
    nobodys,
  },
  "GET /webhooks": {
    codes: { 1226: () => ({ query: { MessageStream: "no-such-stream" } }) },
  },
  "GET /webhooks/:id": { ids: webhook, absent: 1352 },
  "DELETE /webhooks/:id": { ids: webhook, absent: 1352 },
  "POST /webhooks": {
    as: (world, tenant) => world.server(tenant),
    body: {
      Url: HOOK,
      HttpAuth: { Username: "user", Password: "secret" },
      HttpHeaders: [{ Name: "X-Ours", Value: "yes" }],
      Triggers: { Bounce: { Enabled: true, IncludeContent: true }, Click: { Enabled: true } },
    },
    empty: 1354,
    codes: {
      ...webhookCodes({ Url: HOOK }),
      1226: () => ({ body: { Url: HOOK, MessageStream: "no-such-stream" } }),
      1350: async (world, tenant) => {
        const { as, id } = await archived(world, tenant);
        return { as, body: { Url: HOOK, MessageStream: id } };
      },
      1351: () => ({ body: { Url: HOOK, MessageStream: "inbound" } }),
      1356: () => ({ body: { Url: HOOK, ID: 5 } }),
      1359: async (world, tenant) => {
        const as = await world.server(tenant);
        for (let i = 0; i < MAX_WEBHOOKS; i++) await webhook(world, as);
        return { as, body: { Url: HOOK } };
      },
    },
  },
  "PUT /webhooks/:id": {
    ids: webhook,
    body: { Url: `${HOOK}changed`, Triggers: { Open: { Enabled: true } } },
    absent: 1352,
    codes: { ...webhookCodes({}), 1357: () => ({ body: { ID: 5 } }) },
  },
  "POST /webhooks/:id/verify": { as: onAnother, ids: webhook, absent: 1352 },
  "GET /webhooks/:id/statistics": { as: onAnother, ids: webhook, absent: 1352 },
  "GET /webhooks/:id/deliveries": {
    ids: toldWebhook,
    absent: 1352,
    query: { count: "5", trigger: "SubscriptionChange", status: "delivered" },
  },
  "GET /webhooks/:id/deliveries/:delivery": { ids: toldWebhook, absent: 1352 },
  "POST /webhooks/:id/deliveries/:delivery/replay": { ids: toldWebhook, absent: 1352 },
  "POST /webhooks/:id/replay": {
    ids: toldWebhook,
    body: { From: "2020-01-01", To: "2020-01-02T03:04:05Z", Triggers: ["SubscriptionChange"] },
    absent: 1352,
    empty: 403,
    codes: {
      1359: "ten replays have to be under way (test/notify/hook.test.ts)",
      1361: () => ({ body: { From: "2020-01-02", To: "2020-01-01" } }),
    },
  },
  "POST /webhooks/:id/resume": { ids: toldWebhook, body: { Trigger: "Click" }, absent: 1352 },
  "GET /webhooks/:id/secrets": { as: onAnother, ids: signedWebhook, absent: 1352 },
  "POST /webhooks/:id/secrets": {
    as: onAnother,
    ids: signedWebhook,
    absent: 1352,
    codes: {
      1359: async (world, tenant) => {
        const ids = await signedWebhook(world, tenant);
        await world.make(tenant, "POST", `/webhooks/${ids.id}/secrets`);
        return { ids };
      },
    },
  },
  "DELETE /webhooks/:id/secrets/:secret": { as: onAnother, ids: signedWebhook, absent: 1352 },
  "GET /message-streams/:stream/suppressions/dump": {
    ids: own,
    absent: 1226,
    nobodys,
    codes: {
      1404: () => ({ query: { SuppressionReason: "Whim" } }),
      1405: () => ({ query: { Origin: "Elsewhere" } }),
    },
  },
  "POST /message-streams/:stream/suppressions": {
    ids: own,
    body: someone,
    absent: 1226,
    nobodys,
    empty: 1409,
    codes: suppressionCodes,
  },
  "POST /message-streams/:stream/suppressions/delete": {
    ids: own,
    body: someone,
    absent: 1226,
    nobodys,
    empty: 1409,
    codes: suppressionCodes,
  },
  "GET /triggers/inboundrules": {},
  "POST /triggers/inboundrules": {
    body: rule,
    empty: 809,
    codes: {
      810: async (world, tenant) => {
        const body = rule(world);
        await world.make(tenant, "POST", "/triggers/inboundrules", body);
        return { body };
      },
      813: () => ({ body: { Rule: "two words" } }),
    },
  },
  "DELETE /triggers/inboundrules/:id": {
    ids: async (world, tenant) => ({
      id: String((await world.make(tenant, "POST", "/triggers/inboundrules", rule(world))).ID),
    }),
    absent: 812,
  },
};
