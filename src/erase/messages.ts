/**
 * Messages in the archive, and their bytes: found by the index, and removed whole or, where others got them too, without the person and
 * their content. The bytes go first and the rows in one transaction, so that what was interrupted is found again. A word
 * that no message has any more, an address too, stays in the index's own storage, where no query finds it, until FTS5 merges that part.
 */
import { and, eq, lte, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { idsOf } from "../archive/find.ts";
import { indexMessages, uncountMessages, unindexMessages } from "../archive/index-messages.ts";
import { withRows } from "../archive/rows.ts";
import { subjectWords } from "../archive/search.ts";
import type { RecipientRecord } from "../mail/record.ts";
import { bounces, messages, recipients } from "../schema/archive.ts";
import type { EraseNeeds } from "./needs.ts";
import { blank, deleteObjects, largeKey } from "./objects.ts";
import { summaryWithout, withoutAddress } from "./scrub.ts";

/** In a step: with 50 recipients each, 5,000 rows of each table, far below what D1 does in its 30 s. */
const MESSAGES_A_STEP = 100;

type Message = typeof messages.$inferSelect;

export interface Meant {
  serverId: number;
  stream: string;
  /** Of everybody without one. */
  email?: string;
  /** Accepted until then, ms. */
  until: number;
  /** Ids of those that an Outbox still holds: it would write them again. */
  except: string[];
}

/** One step; false when nothing was left to do. */
export async function removeSome(needs: EraseNeeds, meant: Meant): Promise<boolean> {
  const found = await find(needs.archive(meant.serverId), meant);
  if (found.length === 0) return false;
  const ranges = found.flatMap(({ segment: key, segmentOffset: offset, segmentLength: length }) =>
    key !== null && offset !== null && length !== null ? [{ key, offset, length }] : [],
  );
  await blank(needs.mail, ranges);
  await deleteObjects(needs.mail, [...found.map(largeKey), ...(await dumpsOf(needs, meant, found))]);
  await removeRows(needs.archive(meant.serverId), meant, found);
  return true;
}

/** Reports that came back for these: each names recipients, and may return what was sent. */
async function dumpsOf(needs: EraseNeeds, { serverId }: Meant, found: Message[]): Promise<string[]> {
  const ids = JSON.stringify(found.map((m) => m.id));
  const { results } = await needs
    .archive(serverId)
    .prepare(
      `SELECT DISTINCT dump FROM bounces
       WHERE server_id = ?1 AND message_id IN (SELECT value FROM json_each(?2)) AND dump IS NOT NULL`,
    )
    .bind(serverId, ids)
    .all<{ dump: string }>();
  return results.map((r) => r.dump);
}

function find(archive: D1Database, { serverId, stream, email, until, except }: Meant): Promise<Message[]> {
  const filter = { stream, ...(email === undefined ? {} : { recipient: email }) };
  return drizzle(archive)
    .select()
    .from(messages)
    .where(
      and(
        eq(messages.serverId, serverId),
        sql`${messages.id} in ${idsOf(serverId, filter)}`,
        lte(messages.receivedAt, until),
        sql`${messages.id} not in (select value from json_each(${JSON.stringify(except)}))`,
      ),
    )
    .limit(MESSAGES_A_STEP);
}

async function removeRows(archive: D1Database, { serverId, email }: Meant, found: Message[]): Promise<void> {
  const isShared = (m: Message) =>
    email !== undefined && m.summary.recipients.some((r) => r !== email && r !== "");
  const shared = found.filter(isShared);
  const whole = found.filter((m) => !isShared(m)).map((m) => m.id);
  await archive.batch([
    ...unindexMessages(
      archive,
      serverId,
      found.map((m) => m.id),
    ),
    ...uncountMessages(archive, serverId, whole),
    ...["clicks", "opens", "bounces", "recipients"].map((table) =>
      rowsOf(archive, table, { serverId, ids: whole }),
    ),
    archive
      .prepare("DELETE FROM messages WHERE server_id = ?1 AND id IN (SELECT value FROM json_each(?2))")
      .bind(serverId, JSON.stringify(whole)),
    ...(email === undefined || shared.length === 0
      ? []
      : await takeOut(archive, { serverId, email }, shared)),
  ]);
}

function rowsOf(
  archive: D1Database,
  table: string,
  { serverId, ids, email }: { serverId: number; ids: string[]; email?: string },
): D1PreparedStatement {
  const where = "server_id = ?1 AND message_id IN (SELECT value FROM json_each(?2))";
  const bound = [serverId, JSON.stringify(ids)];
  return email === undefined
    ? archive.prepare(`DELETE FROM ${table} WHERE ${where}`).bind(...bound)
    : archive.prepare(`DELETE FROM ${table} WHERE ${where} AND email = ?3`).bind(...bound, email);
}

const MESSAGES = `
UPDATE messages SET subject = '', words = new.value->>2, summary = new.value->>3, segment = NULL, segment_offset = NULL,
  segment_length = NULL
FROM json_each(?1) AS new WHERE messages.server_id = new.value->>0 AND messages.id = new.value->>1`;

const RECORDS = `
UPDATE recipients SET record = new.value->>3 FROM json_each(?1) AS new
WHERE server_id = new.value->>0 AND message_id = new.value->>1 AND email = new.value->>2`;

const REPORTS = `
UPDATE bounces SET subject = '', details = new.value->>1, dump = NULL FROM json_each(?1) AS new WHERE bounces.id = new.value->>0`;

/** Statements by which messages that others got too forget the person, and what they said. */
async function takeOut(
  archive: D1Database,
  { serverId, email }: { serverId: number; email: string },
  shared: Message[],
): Promise<D1PreparedStatement[]> {
  const ids = shared.map((m) => m.id);
  const [kept, reports] = await othersOf(archive, { serverId, ids });
  const others = kept.filter((r) => r.email !== email);
  const changed = others.flatMap(({ messageId, email: other, record }) => {
    const clean = withoutAddress(record, email);
    return JSON.stringify(clean) === JSON.stringify(record)
      ? []
      : [[serverId, messageId, other, JSON.stringify({ ...clean, email: other })]];
  });
  const records = Map.groupBy(others, (r) => r.messageId);
  const left = shared.map((m) => ({
    ...m,
    subject: "",
    tag: m.tag ?? "",
    summary: summaryWithout(m.summary, email),
    segment: undefined,
    recipients: (records.get(m.id) ?? []).map((r): RecipientRecord => r.record),
  }));
  return [
    ...["clicks", "opens", "bounces", "recipients"].map((table) =>
      rowsOf(archive, table, { serverId, ids, email }),
    ),
    ...withRows(
      archive,
      MESSAGES,
      left.map((m) => [serverId, m.id, subjectWords(""), JSON.stringify(m.summary)]),
    ),
    ...withRows(archive, RECORDS, changed),
    ...withRows(
      archive,
      REPORTS,
      reports.map((b) => [b.id, withoutAddress(b.details, email)]),
    ),
    ...indexMessages(archive, left),
  ];
}

function othersOf(archive: D1Database, { serverId, ids }: { serverId: number; ids: string[] }) {
  const db = drizzle(archive);
  const listed = sql`(select value from json_each(${JSON.stringify(ids)}))`;
  const { messageId, email, record } = recipients;
  return db.batch([
    db
      .select({ messageId, email, record })
      .from(recipients)
      .where(and(eq(recipients.serverId, serverId), sql`${messageId} in ${listed}`)),
    db
      .select({ id: bounces.id, details: bounces.details })
      .from(bounces)
      .where(and(eq(bounces.serverId, serverId), sql`${bounces.messageId} in ${listed}`)),
  ]);
}
