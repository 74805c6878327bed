/**
 * Writes to the archive, many rows in one statement and all statements in one transaction. A message costs one row and
 * each recipient one more; writing the same again costs none, for a row is only replaced by one that knows more.
 */
import type { MessageRecord } from "../mail/record.ts";
import { recordVersion } from "../mail/record.ts";

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
}

/** A parameter may have 2 MB. */
const MAX_PARAMETER_BYTES = 1_500_000;

const MESSAGES = `
INSERT INTO messages (server_id, id, stream, received_at, from_email, subject, tag, summary, segment, segment_offset, segment_length)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7, value->>8, value->>9, value->>10
  FROM json_each(?1) WHERE true
ON CONFLICT (server_id, id) DO UPDATE SET segment = excluded.segment, segment_offset = excluded.segment_offset,
  segment_length = excluded.segment_length WHERE segment IS NULL AND excluded.segment IS NOT NULL`;

const RECIPIENTS = `
INSERT INTO recipients (server_id, email, message_id, state, version, record)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5 FROM json_each(?1) WHERE true
ON CONFLICT (server_id, email, message_id) DO UPDATE SET state = excluded.state, version = excluded.version, record = excluded.record
  WHERE excluded.version > version`;

const BOUNCES = `
INSERT INTO bounces (server_id, message_id, email, type, stream, tag, from_email, subject, details, bounced_at, inactive)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7, value->>8, value->>9, value->>10
  FROM json_each(?1) WHERE true
ON CONFLICT DO NOTHING`;

export async function writeRecords(
  archive: D1Database,
  records: MessageRecord[],
  bounces: NewBounce[],
): Promise<void> {
  const messages = records.map((r) => [
    r.serverId,
    r.id,
    r.stream,
    r.receivedAt,
    r.summary.from.email.toLowerCase(),
    r.subject,
    r.tag || null,
    JSON.stringify(r.summary),
    r.segment?.key ?? null,
    r.segment?.offset ?? null,
    r.segment?.length ?? null,
  ]);
  const recipients = records.flatMap((r) =>
    r.recipients.map((to) => [r.serverId, to.email, r.id, to.state, recordVersion(to), JSON.stringify(to)]),
  );
  const bounced = bounces.map((b) => [
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
  ]);
  const statements = [
    ...inserts(archive, MESSAGES, messages),
    ...inserts(archive, RECIPIENTS, recipients),
    ...inserts(archive, BOUNCES, bounced),
  ];
  if (statements.length > 0) await archive.batch(statements);
}

function inserts(archive: D1Database, sql: string, rows: unknown[][]): D1PreparedStatement[] {
  const statements: D1PreparedStatement[] = [];
  let part: string[] = [];
  let size = 0;
  const end = () => {
    if (part.length > 0) statements.push(archive.prepare(sql).bind(`[${part.join(",")}]`));
    part = [];
    size = 0;
  };
  for (const row of rows) {
    const json = JSON.stringify(row);
    // A character may take three bytes.
    if (size + json.length * 3 > MAX_PARAMETER_BYTES) end();
    part.push(json);
    size += json.length * 3;
  }
  end();
  return statements;
}
