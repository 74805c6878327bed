/** Rows of servers and of their tokens. */
import type { Row, Table } from "./row.ts";
import type { Tenant, World } from "./world.ts";

const fields = (world: World) => ({ Name: world.unique("server "), Color: "Green" });

/** Of the settings; `make` is what else the body needs. */
const settingCodes = (make: (world: World) => object): NonNullable<Row["codes"]> => ({
  602: async (world, tenant) => {
    // Who has it had to point its MX record here, which is tried where domains are.
    const other = await world.server(tenant);
    const domain = `${world.unique("in")}.example.net`;
    await world.sql(
      "DIRECTORY",
      "UPDATE servers SET inbound_domain = ? WHERE id = ?",
      domain,
      other.serverId,
    );
    await world.mx(domain);
    return { body: { ...make(world), InboundDomain: domain } };
  },
  603: async (world, tenant) => {
    const { Name } = fields(world);
    await world.server(tenant, { Name });
    return { body: { ...make(world), Name } };
  },
  606: (world) => ({ body: { ...make(world), BounceHookUrl: "gopher://hook.example" } }),
  607: (world) => ({ body: { ...make(world), Color: "Beige" } }),
  608: (world) => ({ body: { ...make(world), Name: " " } }),
  610: (world) => ({ body: { ...make(world), InboundDomain: "no domain" } }),
  611: (world) => ({ body: { ...make(world), InboundSpamThreshold: 31 } }),
  612: (world) => ({ body: { ...make(world), TrackLinks: "Some" } }),
});
const NO_BODY = { 609: () => ({ body: "" }) };

const tokenCodes: NonNullable<Row["codes"]> = {
  1485: () => ({ body: { Name: "x".repeat(101) } }),
  1486: () => ({ body: { Scope: "write" } }),
  1487: () => ({ body: { AllowedIps: ["everywhere"] } }),
  1488: () => ({ body: { RatePerMinute: 0 } }),
};

async function another(world: World, tenant: Tenant) {
  return { id: String((await world.server(tenant)).serverId) };
}

async function withTokens(world: World, tenant: Tenant, more: number): Promise<Tenant> {
  const server = await world.server(tenant);
  for (let i = 0; i < more; i++) await world.make(server, "POST", "/server/tokens", {});
  return server;
}

/** One of the server that may go; a former one of the same test goes first, for a server has three at most. */
async function spare(world: World, tenant: Tenant): Promise<string> {
  const { Tokens } = await world.make<{ Tokens: { ID: number; Name: string }[] }>(
    tenant,
    "GET",
    "/server/tokens",
  );
  for (const { ID } of Tokens.filter((token) => token.Name === "spare"))
    await world.make(tenant, "DELETE", `/server/tokens/${ID}`);
  return String((await world.make(tenant, "POST", "/server/tokens", { Name: "spare" })).ID);
}

export const servers: Table = {
  "GET /server": {},
  "PUT /server": { body: { Color: "Red" }, codes: { ...settingCodes(() => ({})), ...NO_BODY } },
  "GET /servers": { query: { name: "server" } },
  "POST /servers": {
    body: fields,
    empty: 608,
    codes: {
      ...settingCodes(fields),
      ...NO_BODY,
      613: (world) => ({ body: { ...fields(world), DeliveryType: "Slow" } }),
    },
  },
  "GET /servers/:id": { ids: another, absent: 601 },
  "PUT /servers/:id": {
    ids: another,
    body: fields,
    absent: 601,
    codes: { ...settingCodes(() => ({})), ...NO_BODY },
  },
  "DELETE /servers/:id": {
    ids: another,
    absent: 601,
    codes: {
      604: async (world) => {
        const account = await world.account(world.unique("account"));
        await world.sql(
          "DIRECTORY",
          "UPDATE accounts SET server_deletion = 0 WHERE id = ?",
          account.accountId,
        );
        return { as: account, ids: { id: String(account.serverId) } };
      },
    },
  },
  "GET /server/tokens": {},
  "POST /server/tokens": {
    as: (world, tenant) => world.server(tenant),
    body: (world) => ({ Name: world.unique("token"), Scope: "read", AllowedIps: ["192.0.2.0/24"] }),
    codes: {
      ...tokenCodes,
      1483: async (world, tenant) => ({ as: await withTokens(world, tenant, 2), body: {} }),
    },
  },
  "DELETE /server/tokens/:id": {
    ids: async (world, tenant) => ({ id: await spare(world, tenant) }),
    absent: 1482,
    codes: {
      1484: async (world, tenant) => {
        const server = await world.server(tenant);
        const { Tokens } = await world.make<{ Tokens: { ID: number }[] }>(server, "GET", "/server/tokens");
        return { as: server, ids: { id: String(Tokens[0]?.ID) } };
      },
    },
  },
  "GET /servers/:id/tokens": { ids: another, absent: 601 },
  "POST /servers/:id/tokens": {
    ids: another,
    body: (world) => ({ Name: world.unique("token"), RatePerMinute: 60 }),
    absent: 601,
    codes: {
      ...tokenCodes,
      1483: async (world, tenant) => ({
        ids: { id: String((await withTokens(world, tenant, 2)).serverId) },
        body: {},
      }),
    },
  },
  "DELETE /servers/:id/tokens/:token": {
    ids: async (world, tenant) => ({ id: String(tenant.serverId), token: await spare(world, tenant) }),
    absent: { id: 601, token: 1482 },
  },
};
