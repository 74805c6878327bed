/**
 * Which messages a search asks for: once as a condition on the archive's rows, once as a predicate on records that the archive
 * does not have yet. Both must agree, and both with what the index finds (search.ts), or a message would come and go as it is archived.
 */
import { and, eq, gte, lt, type SQL, sql } from "drizzle-orm";
import { parseMessageId } from "../mail/message-id.ts";
import type { MessageRecord } from "../mail/record.ts";
import { messages, recipients } from "../schema/archive.ts";
import { partOfWords, piecesOf, subjectWords } from "./search.ts";

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
  /** Each of its words is in the subject, or part of a word there; case and what stands between words do not count. */
  subject?: string;
  /** The exact value of one key. */
  metadata?: { key: string; value: string };
}

export function isQueued(record: Pick<MessageRecord, "recipients">): boolean {
  return record.recipients.some((r) => r.state === "waiting" && r.attempts.length === 0);
}

/** The archive's side of isQueued: a record's version is 0 exactly while it waits and nothing was tried. */
export const QUEUED: SQL = sql`exists (select 1 from ${recipients} where ${recipients.serverId} = ${messages.serverId}
  and ${recipients.messageId} = ${messages.id} and ${recipients.version} = 0)`;

export function matches(record: MessageRecord, filter: MessageFilter): boolean {
  const { recipient, fromEmail, tag, queued, from, to, subject, metadata } = filter;
  const { summary } = record;
  return (
    record.stream === filter.stream &&
    (recipient === undefined || record.recipients.some((r) => r.email === recipient)) &&
    (fromEmail === undefined || summary.from.email.toLowerCase() === fromEmail) &&
    (tag === undefined || record.tag === tag) &&
    (queued === undefined || isQueued(record) === queued) &&
    (from === undefined || listedAt(record) >= from) &&
    (to === undefined || listedAt(record) <= to) &&
    (subject === undefined || isSubjectOf(record, subject)) &&
    (metadata === undefined ||
      (Object.hasOwn(summary.metadata, metadata.key) && summary.metadata[metadata.key] === metadata.value))
  );
}

/** The archive's keys are made of ids: of a message that was moved while it was scheduled, the time is that which it was to have first. */
function listedAt({ id, receivedAt }: MessageRecord): number {
  return parseMessageId(id)?.acceptedAt ?? receivedAt;
}

function isSubjectOf(record: MessageRecord, search: string): boolean {
  const pieces = piecesOf(search);
  const words = subjectWords(record.subject);
  return pieces.length > 0 && pieces.every((piece) => words.includes(partOfWords(piece)));
}

/** All but whether it is queued, on a row of messages. */
export function condition(serverId: number, filter: MessageFilter): SQL | undefined {
  const { recipient, fromEmail, tag, from, to, subject, metadata } = filter;
  const pieces = subject === undefined ? [] : piecesOf(subject);
  return and(
    eq(messages.serverId, serverId),
    // Ids begin with their time, so a range of time is a range of the key.
    from === undefined ? undefined : gte(messages.id, firstIdOf(from)),
    to === undefined ? undefined : lt(messages.id, firstIdOf(to + 1)),
    eq(messages.stream, filter.stream),
    recipient === undefined
      ? undefined
      : sql`exists (select 1 from ${recipients} where ${recipients.serverId} = ${serverId}
          and ${recipients.email} = ${recipient} and ${recipients.messageId} = ${messages.id})`,
    fromEmail === undefined ? undefined : eq(messages.fromEmail, fromEmail),
    tag === undefined ? undefined : eq(messages.tag, tag),
    // Not LIKE: D1 takes patterns of 50 bytes at most.
    pieces.length === 0
      ? undefined
      : sql`not exists (select 1 from json_each(${JSON.stringify(pieces.map(partOfWords))}) as part
          where instr(${messages.words}, part.value) = 0)`,
    subject !== undefined && pieces.length === 0 ? sql`false` : undefined,
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
