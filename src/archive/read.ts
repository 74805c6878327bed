/**
 * Reads messages from the archive, and lists them together with those that it does not have yet. Keys begin with the server
 * and ids sort by time: nothing here can see another server's rows.
 */
import { and, eq, type SQL, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { SQLiteAsyncDialect } from "drizzle-orm/sqlite-core";
import type { MessageRecord, MessageSummary } from "../mail/record.ts";
import { messages, recipients } from "../schema/archive.ts";
import { isQueued, type MessageFilter, matches, QUEUED } from "./filter.ts";
import { found, howMany, type Search, withParts } from "./find.ts";
import { idPrefixOf, LAST_PLACE, lowestKey } from "./search.ts";

/** Where a page ended: the key of its last message, as text, and its id. */
export interface Place {
  key: string;
  id: string;
}

export interface Page {
  count: number;
  offset: number;
}

export interface MessagePage extends Page {
  /** Then `offset` has no meaning. */
  after?: Place;
}

/** What a list shows of a message. */
export interface ListedMessage extends Omit<MessageRecord, "recipients"> {
  queued: boolean;
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
  segment: string | null;
  segment_offset: number | null;
  segment_length: number | null;
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
  query: { filter: MessageFilter; page: MessagePage; pending: MessageRecord[] },
): Promise<{ total: number; messages: ListedMessage[]; next?: Place }> {
  const { filter, page } = query;
  const pending = new Map(query.pending.map((record) => [record.id, record]));
  const matching = [...pending.values()].filter((record) => matches(record, filter));
  const places = matching.map((r): Place => ({ key: keyOfPending(r.id), id: r.id }));
  const except = [...pending.keys()];
  const [rows, total] = await readPage(archive, { serverId, filter, except }, page, places);

  const listed = rows.slice(0, page.count).flatMap((row): ListedMessage[] => {
    const record = row.pending === null ? undefined : pending.get(row.pending);
    if (record) return [{ ...record, queued: isQueued(record) }];
    // The index may be a moment ahead of a message that is being removed.
    return row.id === null ? [] : [fromRow(serverId, { ...row, id: row.id })];
  });
  const last = rows.length > page.count ? rows[page.count - 1] : undefined;
  const next = last && { key: last.key, id: last.pending ?? last.id ?? "" };
  return { total: matching.length + total, messages: listed, next };
}

/** After all that could be archived beside it. */
function keyOfPending(id: string): string {
  return (lowestKey(id) | LAST_PLACE).toString();
}

async function readPage(
  archive: D1Database,
  search: Search,
  { count, offset, after }: MessagePage,
  places: Place[],
): Promise<[ListedRow[], number]> {
  const below = after && BigInt(after.key);
  const skip = after ? 0 : offset;
  // One more, which says whether there are more.
  const most = count + 1;
  const rest = below === undefined ? places : places.filter(({ key, id }) => isAfter({ key, id }, after));
  const waiting = JSON.stringify(rest.map(({ key, id }) => [key, id]));
  const prefix = sql.raw(idPrefixOf("page.key"));
  // Who was the last of a page, and then was archived, has got an earlier place and is not to come again.
  const shown = after ? { ...search, except: [...search.except, after.id] } : search;
  const paged = sql`${withParts(shown)}, page(key, pending) as materialized (
      select key, pending from (
        select key, null as pending from ${found(shown, { below, most: skip + most })}
        union all select cast(value->>0 as integer), value->>1 from json_each(${waiting}))
      order by key desc, pending desc limit ${most} offset ${skip})
    select cast(page.key as text) as key, page.pending as pending, messages.id, stream, received_at, subject, tag, summary, segment,
      segment_offset, segment_length, ${QUEUED} as queued
    from page left join ${messages} on page.pending is null and ${messages.serverId} = ${search.serverId}
      and ${messages.id} >= ${prefix} and ${messages.id} < ${prefix} || 'g' and ${messages.key} = page.key
    order by page.key desc, page.pending desc`;
  const counted = sql`${withParts(search)} select ${howMany(search)} as total`;
  // Together, so that both see the same.
  const [rows, totals] = await archive.batch([prepared(archive, paged), prepared(archive, counted)]);
  const [{ total } = { total: 0 }] = (totals?.results ?? []) as { total: number }[];
  return [(rows?.results ?? []) as ListedRow[], total];
}

function isAfter({ key, id }: Place, place: Place | undefined): boolean {
  if (!place) return true;
  const [a, b] = [BigInt(key), BigInt(place.key)];
  return a === b ? id < place.id : a < b;
}

function prepared(archive: D1Database, query: SQL): D1PreparedStatement {
  const { sql: text, params } = dialect.sqlToQuery(query);
  return archive.prepare(text).bind(...params);
}

function fromRow(serverId: number, row: ListedRow & { id: string }): ListedMessage {
  const { id, stream, subject, received_at: receivedAt, segment: key, segment_offset, segment_length } = row;
  const segment =
    key === null ? undefined : { key, offset: segment_offset ?? 0, length: segment_length ?? 0 };
  const summary = JSON.parse(row.summary) as MessageSummary;
  return {
    serverId,
    id,
    stream,
    receivedAt,
    subject,
    tag: row.tag ?? "",
    summary,
    segment,
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
