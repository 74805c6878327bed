/**
 * A pack: the messages that one turn of an Outbox committed together, as one row. Rows written are billed and each commit
 * is one flush of the disk, so what arrives together is stored together. The messages' description never
 * changes; their state does, and is kept apart from it.
 */
import type { DsnWish } from "../mail/dsn.ts";
import type { JobRef } from "../mail/job.ts";
import type { TransportName } from "../mail/outcome.ts";
import type {
  Attempt,
  MessageRecord,
  MessageSummary,
  RecipientRecord,
  RecipientState,
} from "../mail/record.ts";
import { recordVersion } from "../mail/record.ts";

/** A pack's row must stay under the 2 MB of a Durable Object's row, with room for state (fit.ts). */
export const PACK_BODY_BYTES = 1_000_000;
/** Settling rewrites a pack's state, so a pack is kept small enough that this is cheap. */
export const PACK_MESSAGES = 64;
/** And each of these has a state: by SMTP a message may have a thousand, and then it is alone in its pack. */
export const PACK_RECIPIENTS = 256;

/** A message's recipients at one domain. */
export interface Group {
  domain: string;
  /** Bare, lower case. */
  recipients: string[];
}

export interface PackedMessage {
  id: string;
  /** Milliseconds since the epoch. */
  acceptedAt: number;
  stream: string;
  subject: string;
  tag: string;
  summary: MessageSummary;
  groups: Group[];
  fromDomain: string;
  returnPathDomain: string;
  bounceType: string;
  giveUpAt: number;
  /** Why nobody gets it: it was accepted only to be recorded as refused. */
  refusal?: string;
  /** The type of its bounce then: SMTPApiError unless it is said. */
  refusalType?: string;
  /** What its sender asked to be told by mail. */
  dsn?: DsnWish;
  /** It goes by these alone, whatever its server goes by: a probe. */
  transports?: TransportName[];
  /** A DSN: sent from the null reverse-path, so that nobody answers it (RFC 5321 §4.5.5). */
  isDsn?: true;
  /** Where its bytes, not yet signed, are in the pack's body; or the R2 object that holds them alone. */
  body: { offset: number; length: number } | { large: string; length: number };
}

export interface RecipientProgress {
  state: RecipientState;
  at: number;
  reason?: string;
  bounceType?: string;
  attempts: Attempt[];
}

export interface GroupProgress {
  /** Attempts that ended. */
  attempts: number;
  /** While waiting after a deferral: when the next is due. */
  nextTryAt?: number;
  recipients: RecipientProgress[];
}

export interface MessageProgress {
  groups: GroupProgress[];
  /** The DKIM-Signature fields, once made: every later try and the archive use the same bytes. */
  signature?: string;
  /** Where R2 has the signed bytes. */
  segment?: { key: string; offset: number; length: number };
  /** Which DSNs were made, by address. */
  notified?: Record<string, string[]>;
  /** The version that the archive has; 0 for none. */
  archived: number;
  /** What the event log was told of each recipient, group by group: their records' versions and one more. */
  told?: number[];
}

export interface Pack {
  id: number;
  messages: PackedMessage[];
  progress: MessageProgress[];
  /** Whether the row still holds the bytes. */
  hasBody: boolean;
}

export type Counts = Record<RecipientState, number>;

export function noCounts(): Counts {
  return { waiting: 0, delivered: 0, bounced: 0, expired: 0, suppressed: 0, cancelled: 0 };
}

export function countPack(progress: MessageProgress[]): Counts {
  const counts = noCounts();
  for (const message of progress)
    for (const group of message.groups) for (const recipient of group.recipients) counts[recipient.state]++;
  return counts;
}

/**
 * How a message begins: everyone waits, except those that the stream's suppressions name. Where nobody can be told of those, they
 * have bounced for the reason given, as all have when the message itself is refused.
 */
export function newProgress(
  message: PackedMessage,
  inactive: ReadonlySet<string>,
  refuseInactive?: string,
): MessageProgress {
  const begin = (email: string): RecipientProgress => {
    const at = message.acceptedAt;
    const reason = message.refusal ?? (inactive.has(email) ? refuseInactive : undefined);
    if (reason !== undefined)
      return {
        state: "bounced",
        at,
        reason,
        bounceType: message.refusalType ?? "SMTPApiError",
        attempts: [],
      };
    return { state: inactive.has(email) ? "suppressed" : "waiting", at, attempts: [] };
  };
  return {
    archived: 0,
    groups: message.groups.map((g) => ({ attempts: 0, recipients: g.recipients.map(begin) })),
  };
}

export function isWaiting(group: GroupProgress): boolean {
  return group.recipients.some((r) => r.state === "waiting");
}

export function messageVersion(progress: MessageProgress): number {
  let version = progress.segment ? 2 : 1;
  for (const group of progress.groups) for (const r of group.recipients) version += recordVersion(r);
  return version;
}

/** As `told` has it when all is told. */
export function recipientVersions({ groups }: MessageProgress): number[] {
  return groups.flatMap((group) => group.recipients.map((recipient) => recordVersion(recipient) + 1));
}

export function isTold(progress: MessageProgress): boolean {
  return recipientVersions(progress).every((version, i) => (progress.told?.[i] ?? 0) >= version);
}

/** The message as the archive and the API see it. `why` says what a group waits for that has no next try of its own. */
export function toRecord(
  serverId: number,
  message: PackedMessage,
  progress: MessageProgress,
  why: (ref: JobRef) => { until?: number; reason: string } | undefined,
): MessageRecord {
  const recipients: RecipientRecord[] = [];
  message.groups.forEach((group, g) => {
    const wait = why({ messageId: message.id, domain: group.domain });
    const at = progress.groups[g];
    group.recipients.forEach((email, r) => {
      const of = at?.recipients[r];
      if (!at || !of) return;
      const { state, attempts, bounceType } = of;
      const nextTryAt =
        state === "waiting" ? Math.max(at.nextTryAt ?? 0, wait?.until ?? 0) || undefined : undefined;
      const reason = state === "waiting" ? (wait?.reason ?? of.reason) : of.reason;
      recipients.push({ email, state, at: of.at, attempts, bounceType, nextTryAt, reason });
    });
  });
  const { id, stream, subject, tag, summary, acceptedAt: receivedAt } = message;
  return { serverId, id, stream, receivedAt, subject, tag, summary, segment: progress.segment, recipients };
}
