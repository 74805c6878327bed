/** Rows of templates: kept, checked and pushed to other servers. */
import type { Row, Table } from "./row.ts";
import { template } from "./sending.ts";
import type { Tenant, World } from "./world.ts";

const MAX_TEMPLATES = 100;
const LAYOUT = { TemplateType: "Layout", Subject: undefined, TextBody: "{{{ @content }}}" };

function fields(world: World) {
  const Alias = world.unique("alias");
  return { Name: Alias, Alias, Subject: "To {{name}}", TextBody: "Hello {{name}}" };
}

const templateCodes = (but: (world: World, more: object) => object): NonNullable<Row["codes"]> => ({
  1120: (world) => ({ body: but(world, { Name: " " }) }),
  1121: (world) => ({ body: but(world, { TextBody: "x".repeat(1_900_001) }) }),
  1122: (world) => ({ body: but(world, { TextBody: "{{#open}}" }) }),
});

const one = async (world: World, tenant: Tenant) => ({
  idOrAlias: String((await template(world, tenant)).id),
});
const layout = (world: World, tenant: Tenant) => template(world, tenant, LAYOUT);
const layoutId = async (world: World, tenant: Tenant) => ({
  idOrAlias: String((await layout(world, tenant)).id),
});

/** A server that has as many templates as it may; the rows are those that the API would have made. */
async function full(world: World, tenant: Tenant, left = 0): Promise<Tenant> {
  const server = await world.server(tenant);
  await world.sql(
    "DIRECTORY",
    `INSERT INTO templates (server_id, alias, name, type, subject, text_body, created_at, updated_at)
     SELECT ?1, 'full' || value, 'Full', 'Standard', 'Full', 'Full', 1, 1 FROM json_each(?2)`,
    server.serverId,
    JSON.stringify(Array.from({ length: MAX_TEMPLATES - left }, (_, i) => i)),
  );
  return server;
}

function push(source: Tenant, destination: Tenant) {
  return { SourceServerID: source.serverId, DestinationServerID: destination.serverId, PerformChanges: true };
}

export const templates: Table = {
  "GET /templates": {},
  "GET /templates/:idOrAlias": { ids: one, absent: 1101 },
  "POST /templates": {
    body: fields,
    empty: 1120,
    wrongField: { TemplateType: 403 },
    codes: {
      ...templateCodes((world, more) => ({ ...fields(world), ...more })),
      1105: async (world, tenant) => ({ as: await full(world, tenant), body: fields(world) }),
      1123: (world) => ({ body: { ...fields(world), ...LAYOUT, Subject: "One" } }),
      1131: (world) => ({ body: { ...fields(world), ...LAYOUT, TextBody: "Nothing" } }),
    },
  },
  "PUT /templates/:idOrAlias": {
    ids: one,
    body: (world) => ({ Name: world.unique("name"), TextBody: "Changed" }),
    absent: 1101,
    empty: 1109,
    codes: {
      ...templateCodes((_, more) => more),
      1123: async (world, tenant) => ({ ids: await layoutId(world, tenant), body: { Subject: "One" } }),
      1131: async (world, tenant) => ({ ids: await layoutId(world, tenant), body: { TextBody: "Nothing" } }),
    },
  },
  "DELETE /templates/:idOrAlias": {
    ids: one,
    absent: 1101,
    codes: {
      1130: async (world, tenant) => {
        const { id, alias } = await layout(world, tenant);
        await template(world, tenant, { LayoutTemplate: alias });
        return { ids: { idOrAlias: String(id) } };
      },
    },
  },
  "POST /templates/validate": {
    body: { Subject: "To {{name}}", HtmlBody: "<p>{{name}}</p>", TestRenderModel: { name: "you" } },
    empty: 1120,
    wrongField: { TestRenderModel: 1122 },
    codes: {
      1121: () => ({ body: { TextBody: "x".repeat(5 * 1024 * 1024 + 1) } }),
      1122: () => ({ body: { TextBody: "Hello", LayoutTemplate: "no-such-layout" } }),
      1123: () => ({ body: { TextBody: "{{{ @content }}}", TemplateType: "Layout", LayoutTemplate: "any" } }),
    },
  },
  "PUT /templates/push": {
    body: async (world, tenant) => {
      const source = await world.server(tenant);
      await template(world, source);
      return push(source, await world.server(tenant));
    },
    empty: 601,
    codes: {
      601: async (world, tenant) => ({ body: push(tenant, world.theirs) }),
      1105: async (world, tenant) => {
        const source = await world.server(tenant);
        await template(world, source);
        return { body: push(source, await full(world, tenant)) };
      },
      1124: async (world, tenant) => ({ body: push(await world.server(tenant), tenant) }),
      1125: async (world, tenant) => {
        const [source, destination] = [await world.server(tenant), await world.server(tenant)];
        await template(world, source, { Alias: "both" });
        await template(world, destination, { ...LAYOUT, Alias: "both" });
        return { body: push(source, destination) };
      },
    },
  },
};
