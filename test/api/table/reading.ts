/** Rows of what is read of mail: messages, opens and clicks, received mail, bounces and statistics. */
import type { Row, Table } from "./row.ts";
import { from, type Tenant, type World } from "./world.ts";

const PROBE = { Transport: "smarthost" };
const NOBODY = "3fa85f64-5717-4562-b3fc-2c963f66afa6";

const message = (name: string): Row => ({
  ids: (_, tenant) => ({ [name]: tenant.messageId }),
  absent: 701,
  nobodys: { [name]: NOBODY },
});

/** As mail to the server would have left it. */
async function received(world: World, { serverId }: Tenant, status: string): Promise<{ id: string }> {
  const id = crypto.randomUUID();
  const address = { email: "someone@example.com", name: "Some One", mailboxHash: "" };
  const summary = {
    from: address,
    to: [address],
    cc: [],
    bcc: [],
    replyTo: "",
    date: "Tue, 17 Feb 2026 07:25:01 -0500",
    headers: [{ name: "X-Ours", value: "yes" }],
    attachments: [{ name: "a.txt", contentType: "text/plain", contentLength: 2, contentId: "" }],
    textBody: "Hello",
    htmlBody: "",
    strippedTextReply: "",
  };
  await world.sql(
    "ARCHIVE",
    `INSERT INTO inbound (server_id, id, received_at, status, from_email, original_recipient, mailbox_hash, tag, subject, blocked_reason, raw, summary)
     VALUES (?1, ?2, ?3, ?4, 'someone@example.com', 'hash@inbound.example.com', '', '', 'Hello', NULL, 'nowhere', ?5)`,
    serverId,
    id,
    Date.now(),
    status,
    JSON.stringify(summary),
  );
  return { id };
}

const inbound = (status: string, nobodys = { id: NOBODY }): Row => ({
  ids: (world, tenant) => received(world, tenant, status),
  absent: 701,
  nobodys,
});

async function bounce(world: World, { serverId, messageId, name }: Tenant, type = "HardBounce") {
  const email = `${world.unique("bounced")}@example.com`;
  await world.sql(
    "DIRECTORY",
    `INSERT INTO suppressions (server_id, stream, email, reason, origin, created_at, changed_at)
     VALUES (?1, 'outbound', ?2, ?3, 'Recipient', ?4, ?4)`,
    serverId,
    email,
    type === "HardBounce" ? type : "SpamComplaint",
    Date.now(),
  );
  const [row] = await world.sql<{ id: number }>(
    "ARCHIVE",
    `INSERT INTO bounces (server_id, message_id, email, type, stream, tag, from_email, subject, details, bounced_at, inactive)
     VALUES (?1, ?2, ?3, ?4, 'outbound', 'table', ?5, 'Hello', '550 5.1.1 gone', ?6, 1) RETURNING id`,
    serverId,
    messageId,
    email,
    type,
    `sender@${name}.example.org`,
    Date.now(),
  );
  return { id: String(row?.id) };
}
const bounced = (world: World, tenant: Tenant) => bounce(world, tenant);

const destination: Row = {
  ids: async (world, tenant) => {
    const domain = `${world.unique("full")}.example`;
    const message = { From: from(tenant), To: `mailbox-full@${domain}`, Subject: "s", TextBody: "t" };
    await world.make(tenant, "POST", "/email", message);
    return { domain };
  },
  absent: 1490,
  nobodys: { domain: "nobody.example" },
};

const statistics: Row = {
  query: { fromdate: "2026-01-01", todate: "2026-12-31", messagestream: "outbound" },
  codes: {
    1226: () => ({ query: { messagestream: "no-such-stream" } }),
    1502: () => ({ query: { fromdate: "2026-02-02", todate: "2026-02-01" } }),
  },
};
const STATISTICS =
  " /sends /bounces /spam /tracked /opens /opens/platforms /opens/emailclients /opens/readtimes /clicks /clicks/browserfamilies /clicks/platforms /clicks/location";

export const reading: Table = {
  "GET /messages/outbound": { query: { recipient: "someone@example.com" } },
  "GET /messages/outbound/:id/details": message("id"),
  "GET /messages/outbound/:id/dump": message("id"),
  "GET /messages/outbound/:id/timeline": message("id"),
  "GET /messages/outbound/opens": {},
  "GET /messages/outbound/opens/:messageid": message("messageid"),
  "GET /messages/outbound/clicks": {},
  "GET /messages/outbound/clicks/:messageid": message("messageid"),
  "GET /messages/inbound": {},
  "GET /messages/inbound/:id/details": inbound("processed"),
  "GET /messages/inbound/:id/dump": inbound("processed"),
  "PUT /messages/inbound/:id/bypass": inbound("blocked"),
  "PUT /messages/inbound/:id/retry": inbound("failed"),
  "GET /events": {
    query: { after: "0", types: "Delivery,Accepted", messagestream: "outbound" },
  },
  "GET /destinations": { query: { count: "5", offset: "0" } },
  "GET /destinations/:domain": destination,
  "POST /destinations/:domain/resume": destination,
  "GET /deliverystats": {},
  // By a transport that is not there: what comes back later would be taken for a change by the next refusal.
  "POST /bounces/probe": { body: PROBE },
  "GET /bounces/probe/:id": {
    ids: async (world, tenant) => ({
      id: String((await world.make(tenant, "POST", "/bounces/probe", PROBE)).ID),
    }),
    absent: 1001,
    nobodys: { id: NOBODY },
  },
  "GET /bounces": {},
  "GET /bounces/tags": {},
  "GET /bounces/:id": { ids: bounced, absent: 1001 },
  "GET /bounces/:id/dump": { ids: bounced, absent: 1001 },
  "PUT /bounces/:id/activate": {
    ids: bounced,
    absent: 1001,
    codes: {
      1003: async (world, tenant) => ({ ids: await bounce(world, tenant, "SpamComplaint") }),
    },
  },
  ...Object.fromEntries(STATISTICS.split(" ").map((below) => [`GET /stats/outbound${below}`, statistics])),
};
