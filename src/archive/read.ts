/**
 * Reads messages from the archive, and lists them together with those that it does not have yet. Keys begin with the server
 * and ids sort by time: nothing here can see another server's rows.
 */
import { and, eq, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { SQLiteAsyncDialect } from "drizzle-orm/sqlite-core";
import type { MessageRecord, MessageSummary } from "../mail/record.ts";
import { messages, recipients } from "../schema/archive.ts";
import { isQueued, type MessageFilter, QUEUED } from "./filter.ts";
import { found, howMany, type Search, withParts } from "./find.ts";
import { extentOf, type MessagePage, type Place, placeOfPending } from "./page.ts";
import { NOTHING_PENDING, type Pending } from "./pending.ts";
import { idPrefixOf } from "./search.ts";

export interface ListQuery {
  filter: MessageFilter;
  page: MessagePage;
}

/** What a list shows of a message. */
export interface ListedMessage extends Omit<MessageRecord, "recipients" | "segment"> {
  queued: boolean;
}

export interface ListedMessages {
  total: number;
  messages: ListedMessage[];
  next?: Place;
}

/** As SQLite gives a row of a query that is not drizzle's own; what is not archived has only its place and its id. */
interface ListedRow {
  key: string;
  pending: string | null;
  id: string | null;
  stream: string;
  received_at: number;
  subject: string;
  tag: string | null;
  summary: string;
  queued: number;
}

const dialect = new SQLiteAsyncDialect();

/**
 * A page of the server's messages, newest first, how many there are in all, and where the page ended if there are more. `pending` is
 * what the archive has not, or has an older version of, and must be read before this is called: then a message that is archived
 * in between is still listed, and once. SQLite merges the two by their keys, so that only the page travels.
 */
export async function listMessages(
  archive: D1Database,
  serverId: number,
  query: ListQuery & { pending?: Pending },
): Promise<ListedMessages> {
  const { filter, page, pending = NOTHING_PENDING } = query;
  const search: Search = { serverId, filter, except: pending.ids };
  const [total, rows] = await readPage(archive, search, page, pending.records);

  const records = new Map(pending.records.map((record) => [record.id, record]));
  const listed = rows.slice(0, page.count).flatMap((row): ListedMessage[] => {
    const record = row.pending === null ? undefined : records.get(row.pending);
    if (record) return [{ ...record, queued: isQueued(record) }];
    // The index may be a moment ahead of a message that is being removed.
    return row.id === null ? [] : [fromRow(serverId, { ...row, id: row.id })];
  });
  const last = rows.length > page.count ? rows[page.count - 1] : undefined;
  const next = last && { key: last.key, id: last.pending ?? last.id ?? "" };
  return { total: pending.matching + total, messages: listed, next };
}

/**
 * In one statement, so that both see the same: how many the archive has of what is asked for, and the page's rows. `hits` are what the page
 * may need of the archive; where they end there is no more, and nothing else has to be counted.
 */
async function readPage(
  archive: D1Database,
  search: Search,
  page: MessagePage,
  pending: MessageRecord[],
): Promise<[number, ListedRow[]]> {
  const { after } = page;
  const { skip, most } = extentOf(page);
  // Only SQLite knows how many of the archive's come before the page when others stand between them.
  const isMerged = pending.length > 0;
  const limits = isMerged ? { skip: 0, most: skip + most } : { skip, most };
  const merged = sql`select key, null from hits union all select cast(value->>0 as integer), value->>1
    from json_each(${placesOf(pending)}) order by 1 desc, 2 desc limit ${most} offset ${skip}`;
  const parts = [
    ...withParts(search),
    sql`hits(key) as materialized ${found(search, { ...limits, after })}`,
    sql`page(key, pending) as materialized (${isMerged ? merged : sql`select key, null from hits`})`,
    sql`place(key, pending, prefix) as materialized (select key, pending, ${sql.raw(idPrefixOf("key"))} from page)`,
  ];
  const total = after
    ? howMany(search)
    : sql`(select iif(number < ${limits.most} and (number > 0 or ${limits.skip} = 0), ${limits.skip} + number, ${howMany(search)})
        from (select count(*) as number from hits))`;
  const query = sql`with ${sql.join(parts, sql`, `)}
    select counted.total, cast(place.key as text) as key, place.pending as pending, messages.id, stream, received_at, subject, tag,
      summary, ${QUEUED} as queued
    from (select ${total} as total) as counted left join place on true
    left join ${messages} on place.pending is null and ${messages.serverId} = ${search.serverId}
      and ${messages.id} >= place.prefix and ${messages.id} < place.prefix || 'g' and ${messages.key} = place.key`;
  const { sql: text, params } = dialect.sqlToQuery(query);
  const { results } = await archive
    .prepare(text)
    .bind(...params)
    .all<{ total: number } & (ListedRow | { key: null })>();
  // Without anything to list there is one row still, which has the total alone.
  const rows = results.flatMap((row) => (row.key === null ? [] : [row]));
  return [results[0]?.total ?? 0, rows.sort(byPlace)];
}

/** They come so already, and SQLite does not promise it; to sort them there costs a fifth of the whole. */
function byPlace(a: ListedRow, b: ListedRow): number {
  if (a.key.length !== b.key.length) return b.key.length - a.key.length;
  if (a.key !== b.key) return a.key < b.key ? 1 : -1;
  return (a.pending ?? "") < (b.pending ?? "") ? 1 : -1;
}

function placesOf(pending: MessageRecord[]): string {
  return JSON.stringify(pending.map((record) => placeOfPending(record.id)).map(({ key, id }) => [key, id]));
}

function fromRow(serverId: number, row: ListedRow & { id: string }): ListedMessage {
  const { id, stream, subject, received_at: receivedAt } = row;
  const summary = JSON.parse(row.summary) as MessageSummary;
  return {
    serverId,
    id,
    stream,
    receivedAt,
    subject,
    tag: row.tag ?? "",
    summary,
    queued: row.queued === 1,
  };
}

/** One message with each recipient's story; undefined when the archive has none of this id for this server. */
export async function findMessage(
  archive: D1Database,
  serverId: number,
  messageId: string,
): Promise<MessageRecord | undefined> {
  const db = drizzle(archive);
  const one = and(eq(messages.serverId, serverId), eq(messages.id, messageId));
  const [[row], records] = await db.batch([
    db.select().from(messages).where(one),
    db
      .select({ record: recipients.record })
      .from(recipients)
      .where(and(eq(recipients.serverId, serverId), eq(recipients.messageId, messageId))),
  ]);
  if (!row) return undefined;
  const {
    segment: key,
    segmentOffset,
    segmentLength,
    fromEmail: _,
    key: __,
    words: ___,
    tag,
    ...columns
  } = row;
  const place = row.summary.recipients;
  return {
    ...columns,
    tag: tag ?? "",
    segment: key === null ? undefined : { key, offset: segmentOffset ?? 0, length: segmentLength ?? 0 },
    recipients: records.map((r) => r.record).sort((a, b) => place.indexOf(a.email) - place.indexOf(b.email)),
  };
}
