/** Rows of the endpoints that send: single messages, batches, templates and bulk requests. */
import type { Row, Table } from "./row.ts";
import { from, type Tenant, type World } from "./world.ts";

const NOBODY = "3fa85f64-5717-4562-b3fc-2c963f66afa6";

export function message(tenant: Tenant, more: object = {}) {
  return { From: from(tenant), To: "someone@example.com", Subject: "Hello", TextBody: "Hello", ...more };
}

export function templated(tenant: Tenant, alias: string, more: object = {}) {
  const { Subject: _, TextBody: __, ...rest } = message(tenant);
  return { ...rest, TemplateAlias: alias, TemplateModel: { name: "you" }, ...more };
}

export async function template(world: World, tenant: Tenant, more: object = {}) {
  const Alias = world.unique("alias");
  const body = { Name: Alias, Alias, Subject: "To {{name}}", TextBody: "Hello {{name}}", ...more };
  const made = await world.make<{ TemplateId: number }>(tenant, "POST", "/templates", body);
  return { alias: Alias, id: made.TemplateId };
}

function bulk(tenant: Tenant, more: object = {}) {
  const { To, ...shared } = message(tenant);
  return { ...shared, Messages: [{ To }], ...more };
}

async function bulkId(world: World, tenant: Tenant) {
  return { id: String((await world.make(tenant, "POST", "/email/bulk", bulk(tenant))).Id) };
}

/** Of any one message; `make` gives the right one, with some fields otherwise. */
function messageCodes(
  make: (world: World, tenant: Tenant, more: object) => unknown,
  noStream = 1235,
): NonNullable<Row["codes"]> {
  const but = (more: object) => async (world: World, tenant: Tenant) => ({
    body: await make(world, tenant, more),
  });
  return {
    300: but({ Tag: "two\nlines" }),
    400: but({ From: "somebody@elsewhere.example" }),
    401: async (world, tenant) => {
      const From = `${world.unique("asked")}@unconfirmed.example`;
      await world.make(tenant, "POST", "/senders", { FromEmail: From, Name: "Asked" });
      return { body: await make(world, tenant, { From }) };
    },
    411: but({ Attachments: [{ Name: "it.exe", Content: "AA==", ContentType: "application/octet-stream" }] }),
    [noStream]: but({ MessageStream: "no-such-stream" }),
    1236: but({ MessageStream: "inbound" }),
  };
}

async function inactive(world: World, tenant: Tenant): Promise<string> {
  const EmailAddress = `${world.unique("gone")}@example.com`;
  const body = { Suppressions: [{ EmailAddress }] };
  await world.make(tenant, "POST", "/message-streams/outbound/suppressions", body);
  return EmailAddress;
}

const oneTemplated = async (world: World, tenant: Tenant, more: object) =>
  templated(tenant, (await template(world, tenant)).alias, more);

const inHours = (hours: number) => new Date(Date.now() + hours * 3_600_000).toISOString();

const scheduled: Row = {
  ids: async (world, tenant) => {
    const later = message(tenant, { SendAt: inHours(1) });
    return { id: String((await world.make(tenant, "POST", "/email", later)).MessageID) };
  },
  absent: 701,
  nobodys: { id: NOBODY },
};

export const sending: Table = {
  "POST /email": {
    body: (_, tenant) => message(tenant),
    nothing: 402,
    empty: 300,
    codes: {
      ...messageCodes((_, tenant, more) => message(tenant, more)),
      406: async (world, tenant) => ({ body: message(tenant, { To: await inactive(world, tenant) }) }),
    },
  },
  "POST /email/batch": {
    body: (_, tenant) => [message(tenant), message(tenant)],
    empty: 402,
    codes: { 410: (_, tenant) => ({ body: Array.from({ length: 501 }, () => message(tenant)) }) },
  },
  "POST /email/withTemplate": {
    body: (world, tenant) => oneTemplated(world, tenant, {}),
    nothing: 402,
    empty: 300,
    wrongField: { TemplateModel: 1122 },
    codes: {
      ...messageCodes(oneTemplated),
      406: async (world, tenant) => ({
        body: await oneTemplated(world, tenant, { To: await inactive(world, tenant) }),
      }),
      1101: (_, tenant) => ({ body: templated(tenant, "no-such-template") }),
      1120: async (world, tenant) => ({
        body: await oneTemplated(world, tenant, { TemplateModel: undefined }),
      }),
      1122: async (world, tenant) => ({
        body: await oneTemplated(world, tenant, { TemplateModel: { "@content": 1 } }),
      }),
      1123: async (world, tenant) => ({ body: await oneTemplated(world, tenant, { TextBody: "Its own" }) }),
    },
  },
  "POST /email/batchWithTemplates": {
    body: async (world, tenant) => ({ Messages: [await oneTemplated(world, tenant, {})] }),
    nothing: 402,
    empty: 403,
    // Each of its items is refused for itself.
    wrongField: { Messages: 0 },
    codes: {
      410: (_, tenant) => ({
        body: { Messages: Array.from({ length: 501 }, () => templated(tenant, "any")) },
      }),
    },
  },
  "POST /email/bulk": {
    body: (_, tenant) => bulk(tenant),
    nothing: 402,
    empty: 11,
    codes: {
      ...messageCodes((_, tenant, more) => bulk(tenant, more), 1226),
      11: (_, tenant) => ({ body: bulk(tenant, { Tag: "two\nlines", ReplyTo: "nobody" }) }),
      1101: (_, tenant) => ({
        body: bulk(tenant, { Subject: undefined, TextBody: undefined, TemplateAlias: "no-such-template" }),
      }),
      1122: (_, tenant) => ({ body: bulk(tenant, { TextBody: "{{#open}}" }) }),
      1123: async (world, tenant) => ({
        body: bulk(tenant, { TextBody: undefined, TemplateAlias: (await template(world, tenant)).alias }),
      }),
    },
  },
  "GET /email/scheduled": { query: { messagestream: "outbound" } },
  "GET /email/scheduled/:id": scheduled,
  "PATCH /email/scheduled/:id": {
    ...scheduled,
    body: () => ({ SendAt: inHours(2) }),
    empty: 300,
  },
  "DELETE /email/scheduled/:id": scheduled,
  "GET /email/bulk": {},
  "GET /email/bulk/:id": { ids: bulkId, absent: 12, nobodys: { id: NOBODY } },
  "DELETE /email/bulk/:id": { ids: bulkId, absent: 12, nobodys: { id: NOBODY } },
};
