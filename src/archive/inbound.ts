/**
 * Mail that came in for a server: looked at, and put back in line after it was blocked or failed. Ids sort by time, and keys begin
 * with the server. Who receives writes the rows; what takes up those that are `scheduled` is there too.
 */
import { and, desc, eq, getTableColumns, gte, lt, lte, type SQL, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { type InboundSummary, inbound } from "../schema/archive.ts";

export type InboundMessage = typeof inbound.$inferSelect;
export type NewInbound = typeof inbound.$inferInsert & Pick<InboundMessage, "status">;
export type InboundStatus = InboundMessage["status"];

/** What a list shows: without what may be long. */
export type ListedInbound = Omit<InboundMessage, "summary"> & {
  summary: Omit<InboundSummary, "textBody" | "htmlBody" | "strippedTextReply" | "headers">;
};

/** Addresses in lower case; what is absent does not filter. */
export interface InboundFilter {
  status: InboundStatus;
  /** Of the envelope, or of the header's To, Cc or Bcc. */
  recipient?: string;
  fromEmail?: string;
  /** Contained in the subject; ASCII letters in any case. */
  subject?: string;
  mailboxHash?: string;
  tag?: string;
  /** Milliseconds since the epoch, both inclusive. */
  from?: number;
  to?: number;
}

export interface InboundPage {
  count: number;
  offset: number;
  /** The id of the last one seen; `offset` is then ignored. */
  before?: string;
}

/** Newest first; one more than `count`, where there is one. */
export async function listInbound(
  archive: D1Database,
  serverId: number,
  { filter, page }: { filter: InboundFilter; page: InboundPage },
): Promise<{ total: number; messages: ListedInbound[] }> {
  const db = drizzle(archive);
  const where = condition(serverId, filter);
  const { count, offset, before } = page;
  const short = sql<string>`json_remove(${inbound.summary}, '$.textBody', '$.htmlBody', '$.strippedTextReply', '$.headers')`;
  const [rows, [counted]] = await db.batch([
    db
      .select({ ...getTableColumns(inbound), summary: short })
      .from(inbound)
      .where(and(where, before === undefined ? undefined : lt(inbound.id, before)))
      .orderBy(desc(inbound.id))
      .limit(count + 1)
      .offset(before === undefined ? offset : 0),
    db.select({ total: sql<number>`count(*)` }).from(inbound).where(where),
  ]);
  const messages = rows.map((row) => ({
    ...row,
    summary: JSON.parse(row.summary) as ListedInbound["summary"],
  }));
  return { total: counted?.total ?? 0, messages };
}

export async function findInbound(
  archive: D1Database,
  serverId: number,
  id: string,
): Promise<InboundMessage | undefined> {
  return drizzle(archive).select().from(inbound).where(one(serverId, id)).get();
}

/** One that is there stays as it is; false when there was one. */
export async function storeInbound(archive: D1Database, message: NewInbound): Promise<boolean> {
  const { meta } = await drizzle(archive).insert(inbound).values(message).onConflictDoNothing();
  return meta.changes > 0;
}

export interface InboundMove {
  from: InboundStatus;
  to: InboundStatus;
  /** When it was asked for, of a move that the event log is to hear of: until `inboundWasTold`, `untoldInbound` finds it. */
  untoldSince?: number;
}

/** Moves a message from one status to another; undefined when there is none that stands so. One statement: it is never moved twice. */
export async function moveInbound(
  archive: D1Database,
  { serverId, id }: { serverId: number; id: string },
  { from, to, untoldSince }: InboundMove,
): Promise<InboundMessage | undefined> {
  const [moved] = await drizzle(archive)
    .update(inbound)
    .set({ status: to, ...(untoldSince !== undefined && { untoldSince }) })
    .where(and(one(serverId, id), eq(inbound.status, from)))
    .returning();
  return moved;
}

/** What the event log is told of one that was put back in line. */
export type UntoldInbound = Pick<
  InboundMessage,
  "serverId" | "id" | "fromEmail" | "subject" | "tag" | "untoldSince"
>;

/** Those put back in line before that time of which the event log may not have heard, of all servers, oldest first. */
export async function untoldInbound(
  archive: D1Database,
  before: number,
  limit: number,
): Promise<UntoldInbound[]> {
  const { serverId, id, fromEmail, subject, tag, untoldSince } = getTableColumns(inbound);
  return drizzle(archive)
    .select({ serverId, id, fromEmail, subject, tag, untoldSince })
    .from(inbound)
    .where(lt(inbound.untoldSince, before))
    .orderBy(inbound.untoldSince)
    .limit(limit);
}

/** One that was put back in line once more since then is still to be told of. */
export async function inboundWasTold(archive: D1Database, told: UntoldInbound[]): Promise<void> {
  const db = drizzle(archive);
  const [first, ...others] = told.map(({ serverId, id, untoldSince }) =>
    db
      .update(inbound)
      .set({ untoldSince: null })
      .where(and(one(serverId, id), eq(inbound.untoldSince, untoldSince ?? 0))),
  );
  if (first) await db.batch([first, ...others]);
}

function condition(serverId: number, filter: InboundFilter): SQL | undefined {
  const { status, recipient, fromEmail, subject, mailboxHash, tag, from, to } = filter;
  return and(
    eq(inbound.serverId, serverId),
    eq(inbound.status, status),
    recipient === undefined ? undefined : reached(recipient),
    fromEmail === undefined ? undefined : eq(inbound.fromEmail, fromEmail),
    // Not LIKE: D1 takes patterns of 50 bytes at most.
    subject === undefined ? undefined : sql`instr(lower(${inbound.subject}), lower(${subject})) > 0`,
    mailboxHash === undefined ? undefined : eq(inbound.mailboxHash, mailboxHash),
    tag === undefined ? undefined : eq(inbound.tag, tag),
    from === undefined ? undefined : gte(inbound.receivedAt, from),
    to === undefined ? undefined : lte(inbound.receivedAt, to),
  );
}

function reached(recipient: string): SQL {
  const listed = sql.join(
    ["$.to", "$.cc", "$.bcc"].map(
      (path) =>
        sql`exists (select 1 from json_each(${inbound.summary}, ${path}) where lower(value->>'email') = ${recipient})`,
    ),
    sql` or `,
  );
  return sql`(lower(${inbound.originalRecipient}) = ${recipient} or ${listed})`;
}

function one(serverId: number, id: string) {
  return and(eq(inbound.serverId, serverId), eq(inbound.id, id));
}
