/**
 * Which messages a search asks for: once as a condition on the archive's rows, once as a predicate on records that the archive
 * does not have yet. Both must agree, or a message would come and go as it is archived.
 */
import { and, eq, gte, lt, type SQL, sql } from "drizzle-orm";
import type { MessageRecord } from "../mail/record.ts";
import { messages, recipients } from "../schema/archive.ts";

/** Addresses in lower case; what is absent does not filter. */
export interface MessageFilter {
  stream: string;
  recipient?: string;
  fromEmail?: string;
  tag?: string;
  /** Whether somebody still waits for a first attempt. */
  queued?: boolean;
  /** Milliseconds since the epoch, both inclusive. */
  from?: number;
  to?: number;
  /** Contained in the subject; ASCII letters in any case, as SQLite's lower() has it. */
  subject?: string;
  /** The exact value of one key. */
  metadata?: { key: string; value: string };
}

export function isQueued(record: Pick<MessageRecord, "recipients">): boolean {
  return record.recipients.some((r) => r.state === "waiting" && r.attempts.length === 0);
}

/**
 * The archive's side of isQueued: a record's version is 0 exactly while it waits and nothing was tried. The join is `cross` for
 * its order: SQLite would else go through all recipients of the server for each message.
 */
export const QUEUED: SQL = sql`exists (
  select 1 from json_each(${messages.summary}, '$.recipients') as listed
  cross join ${recipients} on ${recipients.serverId} = ${messages.serverId} and ${recipients.email} = listed.value
    and ${recipients.messageId} = ${messages.id}
  where ${recipients.version} = 0)`;

export function matches(record: MessageRecord, filter: MessageFilter): boolean {
  const { recipient, fromEmail, tag, queued, from, to, subject, metadata } = filter;
  const { summary } = record;
  return (
    record.stream === filter.stream &&
    (recipient === undefined || record.recipients.some((r) => r.email === recipient)) &&
    (fromEmail === undefined || summary.from.email.toLowerCase() === fromEmail) &&
    (tag === undefined || record.tag === tag) &&
    (queued === undefined || isQueued(record) === queued) &&
    (from === undefined || record.receivedAt >= from) &&
    (to === undefined || record.receivedAt <= to) &&
    (subject === undefined || lowerAscii(record.subject).includes(lowerAscii(subject))) &&
    (metadata === undefined ||
      (Object.hasOwn(summary.metadata, metadata.key) && summary.metadata[metadata.key] === metadata.value))
  );
}

export function condition(serverId: number, filter: MessageFilter): SQL | undefined {
  const { recipient, fromEmail, tag, queued, from, to, subject, metadata } = filter;
  // Ids begin with their time, so a range of time is a range of the key.
  const fromId = from === undefined ? undefined : firstIdOf(from);
  const endId = to === undefined ? undefined : firstIdOf(to + 1);
  return and(
    eq(messages.serverId, serverId),
    fromId === undefined ? undefined : gte(messages.id, fromId),
    endId === undefined ? undefined : lt(messages.id, endId),
    eq(messages.stream, filter.stream),
    recipient === undefined
      ? undefined
      : sql`${messages.id} in (select ${recipients.messageId} from ${recipients} where ${and(
          eq(recipients.serverId, serverId),
          eq(recipients.email, recipient),
          fromId === undefined ? undefined : gte(recipients.messageId, fromId),
          endId === undefined ? undefined : lt(recipients.messageId, endId),
        )})`,
    fromEmail === undefined ? undefined : eq(messages.fromEmail, fromEmail),
    tag === undefined ? undefined : eq(messages.tag, tag),
    queued === undefined ? undefined : queued ? QUEUED : sql`not ${QUEUED}`,
    // Not LIKE: D1 takes patterns of 50 bytes at most.
    subject === undefined ? undefined : sql`instr(lower(${messages.subject}), lower(${subject})) > 0`,
    metadata === undefined
      ? undefined
      : sql`exists (select 1 from json_each(${messages.summary}, '$.metadata') as pair
          where pair.key = ${metadata.key} and pair.value = ${metadata.value})`,
  );
}

const MAX_TIME = 0xffff_ffff_ffff;

/** The lowest string that an id of this millisecond can be: its first 48 bits. */
function firstIdOf(time: number): string {
  const hex = Math.max(0, Math.min(Math.floor(time), MAX_TIME))
    .toString(16)
    .padStart(12, "0");
  return `${hex.slice(0, 8)}-${hex.slice(8)}`;
}

function lowerAscii(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}
