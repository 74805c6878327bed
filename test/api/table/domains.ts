/** Rows of domains and sender signatures. */
import type { Row, Table } from "./row.ts";
import type { Tenant, World } from "./world.ts";

/** Whom the deployment must not write to is kept in its own server's Outbox, which learns it by mail that bounces. */
const ASKED_ELSEWHERE = "tried in senders.test.ts, where the gate is the test's";

const name = (world: World) => `${world.unique("domain")}.example.net`;

async function domain(world: World, tenant: Tenant) {
  return { id: String((await world.make(tenant, "POST", "/domains", { Name: name(world) })).ID) };
}

const fields = (world: World) => ({ FromEmail: `me@${name(world)}`, Name: "Some One" });

async function sender(world: World, tenant: Tenant) {
  return { id: String((await world.make(tenant, "POST", "/senders", fields(world))).ID) };
}

/** One whose mailbox may be asked again: the last time is a while ago. */
async function waiting(world: World, tenant: Tenant) {
  const ids = await sender(world, tenant);
  await world.sql("DIRECTORY", "UPDATE senders SET asked_at = '[]' WHERE id = ?", Number(ids.id));
  return ids;
}

const anyDomain: Row = { ids: domain, absent: 510 };
const rotation = async (world: World, tenant: Tenant, path: string, action: string) => {
  await world.sql("DIRECTORY", "UPDATE dkim_keys SET state = 'active'");
  await world.make(tenant, "POST", `${path}/${action}`);
};

const senderCodes = (but: (world: World, more: object) => object): NonNullable<Row["codes"]> => ({
  520: (world) => ({ body: but(world, { Name: " " }) }),
  521: (world) => ({ body: but(world, { Name: "x".repeat(256) }) }),
  522: (world) => ({ body: but(world, { ReplyToEmail: "nobody" }) }),
});

export const domains: Table = {
  "GET /domains": {},
  "POST /domains": {
    body: (world) => {
      const Name = name(world);
      return { Name, ReturnPathDomain: `bounces.${Name}` };
    },
    empty: 514,
    codes: {
      503: () => ({ body: { Name: "gmail.com" } }),
      511: (world) => ({ body: { Name: name(world), ReturnPathDomain: "bounces.elsewhere.example" } }),
      512: (_, tenant) => ({ body: { Name: `${tenant.name}.example.org` } }),
      515: () => ({ body: { Name: "x".repeat(256) } }),
      516: () => ({ body: { Name: "two words" } }),
      521: (world) => ({ body: { Name: name(world), ReturnPathDomain: "x".repeat(256) } }),
    },
  },
  "GET /domains/:id": anyDomain,
  "GET /domains/:id/dmarc": {
    ...anyDomain,
    query: { fromdate: "2026-01-01", todate: "2026-01-31" },
    codes: { 522: () => ({ query: { fromdate: "2026-02-02", todate: "2026-02-01" } }) },
  },
  "PUT /domains/:id": {
    ...anyDomain,
    body: { ReturnPathDomain: "" },
    empty: 502,
    codes: {
      511: () => ({ body: { CustomTrackingDomain: "links.elsewhere.example" } }),
      521: () => ({ body: { CustomTrackingDomain: "x".repeat(256) } }),
    },
  },
  "DELETE /domains/:id": anyDomain,
  "PUT /domains/:id/verifydkim": anyDomain,
  "PUT /domains/:id/verifyreturnpath": anyDomain,
  "PUT /domains/:id/verifycustomtracking": anyDomain,
  "POST /domains/:id/verifyspf": anyDomain,
  "POST /domains/:id/rotatedkim": {
    absent: 510,
    // Only keys that sign can be followed by others.
    ids: async (world, tenant) => {
      const ids = await domain(world, tenant);
      await world.sql("DIRECTORY", "UPDATE dkim_keys SET state = 'active'");
      return ids;
    },
    codes: {
      505: async (world, tenant) => {
        const ids = await domain(world, tenant);
        await rotation(world, tenant, `/domains/${ids.id}`, "rotatedkim");
        return { ids };
      },
    },
  },
  "GET /senders": {},
  "POST /senders": {
    body: fields,
    empty: 520,
    codes: {
      ...senderCodes((world, more) => ({ ...fields(world), ...more })),
      406: ASKED_ELSEWHERE,
      503: () => ({ body: { FromEmail: "me@gmail.com", Name: "Me" } }),
      504: async (world, tenant) => {
        const body = fields(world);
        await world.make(tenant, "POST", "/senders", body);
        return { body };
      },
    },
  },
  "GET /senders/:id": { ids: sender, absent: 501 },
  "PUT /senders/:id": {
    ids: sender,
    body: { Name: "Another Name" },
    absent: 501,
    empty: 502,
    codes: senderCodes((_, more) => more),
  },
  "DELETE /senders/:id": { ids: sender, absent: 501 },
  "POST /senders/:id/resend": {
    ids: waiting,
    absent: 501,
    codes: {
      406: ASKED_ELSEWHERE,
      429: async (world, tenant) => {
        const ids = await sender(world, tenant);
        const asked = JSON.stringify([Date.now(), Date.now()]);
        await world.sql("DIRECTORY", "UPDATE senders SET asked_at = ? WHERE id = ?", asked, Number(ids.id));
        return { ids };
      },
      506: async (world, tenant) => {
        const ids = await sender(world, tenant);
        await world.sql("DIRECTORY", "UPDATE senders SET confirmed_at = 1 WHERE id = ?", Number(ids.id));
        return { ids };
      },
    },
  },
  "POST /senders/:id/verifyspf": { ids: sender, absent: 501 },
  "POST /senders/:id/requestnewdkim": {
    ids: async (world, tenant) => {
      const ids = await sender(world, tenant);
      await world.sql("DIRECTORY", "UPDATE dkim_keys SET state = 'active'");
      return ids;
    },
    absent: 501,
    codes: {
      505: async (world, tenant) => {
        const ids = await sender(world, tenant);
        await rotation(world, tenant, `/senders/${ids.id}`, "requestnewdkim");
        return { ids };
      },
    },
  },
};
