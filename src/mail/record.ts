/** What is remembered of a message and of each of its recipients: the archive's rows, and the Outbox's state before. */
import type { Mailbox, Tracking } from "./message.ts";
import type { NextHop, Outcome, TransportName } from "./outcome.ts";
import type { Exchange, Reply } from "./reply.ts";

/** Everything but `waiting` is final; a recipient is in exactly one of these. */
export const RECIPIENT_STATES = [
  "waiting",
  "delivered",
  "bounced",
  "expired",
  "suppressed",
  "cancelled",
] as const;
export type RecipientState = (typeof RECIPIENT_STATES)[number];

export interface Attempt {
  /** Counted from 1, for the message's recipients at one domain together. */
  number: number;
  transport: TransportName;
  /** Milliseconds since the epoch: when it ended. */
  at: number;
  result: Outcome["result"];
  reply: Reply;
  hop: NextHop;
  reason: string;
  uncertain: boolean;
  transcript: Exchange[];
}

/** A recipient's story. */
export interface RecipientRecord {
  email: string;
  state: RecipientState;
  /** When the state was reached, ms. */
  at: number;
  attempts: Attempt[];
  /** While waiting: when the next attempt is due, and why it waits. */
  nextTryAt?: number;
  reason?: string;
  /** Postmark's type, for what bounced or expired. */
  bounceType?: string;
}

/**
 * How many facts a record holds: each attempt adds two, being final one more. It never sinks, and is 0 while nothing was
 * tried. The last attempt's number is counted rather than the attempts, of which only the latest are kept.
 */
export function recordVersion({ attempts, state }: Pick<RecipientRecord, "attempts" | "state">): number {
  return (attempts.at(-1)?.number ?? 0) * 2 + (state === "waiting" ? 0 : 1);
}

/** Why a message's texts, or some of them, lead where they led, though they were to be changed. */
export type NotTracked = "signed" | "encrypted" | "too complex" | "too large" | "charset" | "failed";

/** What lists and details show of a message beside its own columns. */
export interface MessageSummary {
  from: Mailbox;
  to: Mailbox[];
  cc: Mailbox[];
  bcc: Mailbox[];
  /** Bare lower-case addresses, each once; "" in the place of one who was removed since. */
  recipients: string[];
  /** File names. */
  attachments: string[];
  metadata: Record<string, string>;
  trackOpens: boolean;
  trackLinks: Tracking;
  /** How many of its links lead through us; absent for none. */
  trackedLinks?: number;
  notTracked?: NotTracked;
  /** Its links differ for each recipient: stored bytes have a blank where they name one (mail/tracking-link.ts). */
  personal?: true;
  sandboxed: boolean;
  /** Of a message that was handed in to be sent later: when it was, and for when. */
  scheduled?: { at: number; sendAt: number };
}

/** A message as it is searched and shown, and how each recipient stands. */
export interface MessageRecord {
  serverId: number;
  id: string;
  stream: string;
  receivedAt: number;
  subject: string;
  /** "" when there is none. */
  tag: string;
  summary: MessageSummary;
  segment?: { key: string; offset: number; length: number };
  recipients: RecipientRecord[];
  /** Only while its time has not come: when it will be sent. Its id and all its times are those that it is to have then. */
  sendAt?: number;
}
