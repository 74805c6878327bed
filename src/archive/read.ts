/**
 * Reads messages from the archive, and lists them together with those that it does not have yet. Keys begin with the server
 * and ids sort by time: nothing here can see another server's rows.
 */
import { and, eq, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import type { MessageRecord, MessageSummary } from "../mail/record.ts";
import { messages, recipients } from "../schema/archive.ts";
import { condition, isQueued, type MessageFilter, matches, QUEUED } from "./filter.ts";

export interface Page {
  count: number;
  offset: number;
}

/** What a list shows of a message. */
export interface ListedMessage extends Omit<MessageRecord, "recipients"> {
  queued: boolean;
}

/** As SQLite gives a row of a query that is not drizzle's own; all but the id are null for what is not archived. */
interface ListedRow {
  id: string;
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

/**
 * A page of the server's messages, newest first, and how many there are in all. `pending` is what the archive has not, or
 * has an older version of, and must be read before this is called: then a message that is archived in between is still
 * listed, and once. SQLite merges the two by id, so that only the page travels.
 */
export async function listMessages(
  archive: D1Database,
  serverId: number,
  query: { filter: MessageFilter; page: Page; pending: MessageRecord[] },
): Promise<{ total: number; messages: ListedMessage[] }> {
  const { filter, page } = query;
  const pending = new Map(query.pending.map((record) => [record.id, record]));
  const found = [...pending.values()].filter((record) => matches(record, filter));
  const ids = (records: Iterable<MessageRecord>) => JSON.stringify(Array.from(records, (r) => r.id));
  // Left out when there is none, as is usual: the check counts as another row read.
  const known = sql`and ${messages.id} not in (select value from json_each(${ids(pending.values())}))`;
  const archived = sql`from ${messages} where ${condition(serverId, filter)} ${pending.size > 0 ? known : sql``}`;

  const db = drizzle(archive);
  // Side by side: drizzle's batch takes no query of this kind.
  const [rows, [counted]] = await Promise.all([
    db.all<ListedRow>(sql`
      select page.id, stream, received_at, subject, tag, summary, segment, segment_offset, segment_length, ${QUEUED} as queued
      from (select ${messages.id} as id ${archived} union all select value from json_each(${ids(found)})
        order by 1 desc limit ${page.count} offset ${page.offset}) as page
      left join ${messages} on ${messages.serverId} = ${serverId} and ${messages.id} = page.id
      order by page.id desc`),
    db.all<{ total: number }>(sql`select count(*) as total ${archived}`),
  ]);
  const listed = rows.map((row): ListedMessage => {
    const record = pending.get(row.id);
    return record ? { ...record, queued: isQueued(record) } : fromRow(serverId, row);
  });
  return { total: found.length + (counted?.total ?? 0), messages: listed };
}

function fromRow(serverId: number, row: ListedRow): ListedMessage {
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
      .where(
        // The key has the address before the message, so the message's own list leads to its rows.
        and(
          eq(recipients.serverId, serverId),
          sql`${recipients.email} in (select value from json_each((select ${messages.summary} from ${messages} where ${one}), '$.recipients'))`,
          eq(recipients.messageId, messageId),
        ),
      ),
  ]);
  if (!row) return undefined;
  const { segment: key, segmentOffset, segmentLength, fromEmail: _, tag, ...columns } = row;
  const place = row.summary.recipients;
  return {
    ...columns,
    tag: tag ?? "",
    segment: key === null ? undefined : { key, offset: segmentOffset ?? 0, length: segmentLength ?? 0 },
    recipients: records.map((r) => r.record).sort((a, b) => place.indexOf(a.email) - place.indexOf(b.email)),
  };
}
