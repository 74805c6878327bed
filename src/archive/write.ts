/**
 * Writes to the archive, many rows in one statement and all statements in one transaction. A message costs a row and
 * another in the index (search.ts), each recipient one more, and what is written together shares the few rows that count it (count.ts).
 * Writing the same again costs none, for a row is only replaced by one that knows more.
 */
import type { MessageRecord, RecipientRecord } from "../mail/record.ts";
import { recordVersion } from "../mail/record.ts";
import { countBounces, countSent } from "./count.ts";
import { countMessages, indexMessages } from "./index-messages.ts";
import { withRows } from "./rows.ts";
import { LAST_PLACE, lowestKey, subjectWords } from "./search.ts";

export interface NewBounce {
  serverId: number;
  messageId: string;
  email: string;
  type: string;
  stream: string;
  tag: string;
  fromEmail: string;
  subject: string;
  details: string;
  bouncedAt: number;
  inactive: boolean;
  /** The R2 object with the report that brought it; absent for what was said at delivery. */
  dump?: string;
}

/** A key is the first that is free of those that its id may have, and as many on as there are before it in its batch. */
const MESSAGES = `
INSERT INTO messages (server_id, id, key, stream, received_at, from_email, tag, subject, words, summary,
  segment, segment_offset, segment_length)
SELECT value->>0, value->>1,
  coalesce((SELECT max(id) + 1 FROM search_docsize
    WHERE id BETWEEN CAST(value->>2 AS INTEGER) AND CAST(value->>2 AS INTEGER) + ${LAST_PLACE}), CAST(value->>2 AS INTEGER))
    + (value->>3),
  value->>4, value->>5, value->>6, value->>7, value->>8, value->>9, value->10, value->>11, value->>12, value->>13
FROM json_each(?1) WHERE true
ON CONFLICT (server_id, id) DO UPDATE SET segment = excluded.segment, segment_offset = excluded.segment_offset,
  segment_length = excluded.segment_length WHERE segment IS NULL AND excluded.segment IS NOT NULL`;

const RECIPIENTS = `
INSERT INTO recipients (server_id, email, message_id, state, version, record)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->5 FROM json_each(?1) WHERE true
ON CONFLICT (server_id, email, message_id) DO UPDATE SET state = excluded.state, version = excluded.version, record = excluded.record
  WHERE excluded.version > version`;

const BOUNCES = `
INSERT INTO bounces (server_id, message_id, email, type, stream, tag, from_email, subject, details, bounced_at, inactive, dump)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7, value->>8, value->>9, value->>10, value->>11
  FROM json_each(?1) WHERE true
ON CONFLICT DO NOTHING`;

export async function writeRecords(
  archive: D1Database,
  records: MessageRecord[],
  bounces: NewBounce[],
): Promise<void> {
  const places = placesOf(records);
  const messages = records.map((r) => [
    ...[r.serverId, r.id, String(lowestKey(r.id)), places.get(r.id) ?? 0],
    ...[r.stream, r.receivedAt, r.summary.from.email.toLowerCase(), r.tag || null],
    ...[r.subject, subjectWords(r.subject), r.summary],
    ...[r.segment?.key ?? null, r.segment?.offset ?? null, r.segment?.length ?? null],
  ]);
  const known = newestOf(records);
  const recipients = known.map(({ message: { serverId, id }, to }) => [
    ...[serverId, to.email, id, to.state, recordVersion(to), to],
  ]);
  const each = onceEach(bounces, (b) => [b.serverId, b.messageId, b.email, b.type]);
  const bounced = each.map((b) => [
    b.serverId,
    b.messageId,
    b.email,
    b.type,
    b.stream,
    b.tag || null,
    b.fromEmail,
    b.subject,
    b.details,
    b.bouncedAt,
    b.inactive ? 1 : 0,
    b.dump ?? null,
  ]);
  // Counting compares what comes with what is there, so it goes before.
  const statements = [
    ...countMessages(archive, records),
    ...withRows(archive, MESSAGES, messages),
    ...indexMessages(archive, records),
    ...countSent(archive, known),
    ...withRows(archive, RECIPIENTS, recipients),
    ...countBounces(archive, each),
    ...withRows(archive, BOUNCES, bounced),
  ];
  if (statements.length > 0) await archive.batch(statements);
}

/** For each message, how many before it in the batch may have the same keys. */
function placesOf(records: MessageRecord[]): Map<string, number> {
  const ids = [...new Set(records.map((r) => r.id))].sort();
  const taken = new Map<bigint, number>();
  const places = new Map<string, number>();
  for (const id of ids) {
    const key = lowestKey(id);
    const place = taken.get(key) ?? 0;
    taken.set(key, place + 1);
    places.set(id, place);
  }
  return places;
}

interface Known {
  message: MessageRecord;
  to: RecipientRecord;
}

/** Each recipient once, as who knows most of it has it: also when a message is among the records twice. */
function newestOf(records: MessageRecord[]): Known[] {
  const all = records.flatMap((message) => message.recipients.map((to): Known => ({ message, to })));
  all.sort((a, b) => recordVersion(b.to) - recordVersion(a.to));
  return onceEach(all, ({ message, to }) => [message.serverId, message.id, to.email]);
}

function onceEach<T>(of: T[], key: (item: T) => unknown[]): T[] {
  const seen = new Map<string, T>();
  for (const item of of) {
    const name = JSON.stringify(key(item));
    if (!seen.has(name)) seen.set(name, item);
  }
  return [...seen.values()];
}
