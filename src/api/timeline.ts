/**
 * A message's whole story, in order of time: when it was accepted, each attempt with its session, what it waits for, how it
 * ended. Ours, not Postmark's, though in its style; what is not known or does not apply is left out.
 */
import * as z from "zod";
import type { Attempt, MessageRecord, NotTracked, RecipientRecord, RecipientState } from "../mail/record.ts";
import { replyText } from "../mail/reply.ts";
import { statusOf } from "./message-json.ts";
import { formatTime } from "./time.ts";

type EntryType =
  | "Scheduled"
  | "Accepted"
  | "Attempt"
  | "Waiting"
  | "Delivered"
  | "Bounced"
  | "Expired"
  | "Suppressed"
  | "Cancelled";

interface Entry {
  at: number;
  type: EntryType;
  recipient?: string;
  attempt?: Attempt;
  reason?: string;
  nextTryAt?: number;
}

const STATES: Record<RecipientState, string> = {
  waiting: "Waiting",
  delivered: "Delivered",
  bounced: "Bounced",
  expired: "Expired",
  suppressed: "Suppressed",
  cancelled: "Cancelled",
};

const AS_IT_CAME: Record<NotTracked, string> = {
  signed: "it is signed",
  encrypted: "it is encrypted",
  "too complex": "it has more parts than is looked into",
  "too large": "a text is too large",
  charset: "a text's characters could not be written back without loss",
  failed: "that failed",
};

const optional = z.string().optional();

export const timelineSchema = z.object({
  MessageID: z.string(),
  Status: z.enum(["Queued", "Sent", "Scheduled"]),
  Recipients: z.array(
    z.object({ Recipient: z.string(), State: z.string(), NextTryAt: optional, Reason: optional }),
  ),
  Timeline: z.array(
    z.object({
      At: z.string(),
      Type: z.string(),
      Recipient: optional,
      Transport: optional,
      Host: optional,
      Address: optional,
      TLS: optional,
      Reply: optional,
      EnhancedStatus: optional,
      Reason: optional,
      NextTryAt: optional,
      Uncertain: z.boolean().optional(),
      Transcript: z.array(z.object({ At: z.string(), Command: z.string(), Reply: optional })).optional(),
    }),
  ),
});

export function timelineJson(record: MessageRecord) {
  // Sorting is stable: what an entry follows from stays before it within a millisecond.
  const entries = [
    ...beginning(record),
    ...record.recipients.flatMap((r) => entriesOf(r, record.receivedAt)),
  ];
  return {
    MessageID: record.id,
    Status: statusOf(record),
    Recipients: record.recipients.map((r) => ({
      Recipient: r.email,
      State: STATES[r.state],
      ...given("NextTryAt", r.nextTryAt && formatTime(r.nextTryAt)),
      ...given("Reason", r.reason),
    })),
    Timeline: entries.sort((a, b) => a.at - b.at).map(entryJson),
  };
}

/** What is scheduled was handed in long before, and is accepted into an Outbox when its time comes. */
function beginning({ receivedAt, sendAt, summary: { scheduled, notTracked } }: MessageRecord): Entry[] {
  const entries: Entry[] = [];
  if (scheduled)
    entries.push({
      at: scheduled.at,
      type: "Scheduled",
      reason: `It was handed in to be sent at ${formatTime(scheduled.sendAt)}.`,
    });
  if (sendAt !== undefined) return entries;
  const reason = notTracked && `Its links were to be changed, and are not: ${AS_IT_CAME[notTracked]}.`;
  entries.push({ at: receivedAt, type: "Accepted", reason });
  return entries;
}

function entriesOf(recipient: RecipientRecord, acceptedAt: number): Entry[] {
  const { email, state, at, attempts, reason, nextTryAt } = recipient;
  const entries = attempts.map((attempt): Entry => {
    const type =
      attempt.result === "delivered" ? "Delivered" : attempt.result === "bounced" ? "Bounced" : "Attempt";
    return { at: attempt.at, type, recipient: email, attempt };
  });
  const last = entries.at(-1);
  if (state === "waiting") {
    entries.push({ at: last?.at ?? acceptedAt, type: "Waiting", recipient: email, reason, nextTryAt });
  } else if (STATES[state] !== last?.type) {
    // Whatever ended it was no attempt.
    entries.push({ at, type: STATES[state] as EntryType, recipient: email, reason });
  }
  return entries;
}

function entryJson({ at, type, recipient, attempt, reason, nextTryAt }: Entry) {
  return {
    At: formatTime(at),
    Type: type,
    ...given("Recipient", recipient),
    ...given("Transport", attempt?.transport),
    ...given("Host", attempt?.hop.host),
    ...given("Address", attempt?.hop.address),
    ...given("TLS", attempt?.hop.tls),
    ...given("Reply", attempt && replyText(attempt.reply)),
    ...given("EnhancedStatus", attempt?.reply.enhanced),
    ...given("Reason", attempt?.reason || reason),
    ...given("NextTryAt", nextTryAt && formatTime(nextTryAt)),
    ...given("Uncertain", attempt?.uncertain),
    ...given(
      "Transcript",
      attempt?.transcript.length &&
        attempt.transcript.map((said) => ({
          At: formatTime(said.at),
          Command: said.command,
          ...given("Reply", replyText(said.reply)),
        })),
    ),
  };
}

/** The key with its value, or nothing at all. */
function given<K extends string, V>(key: K, value: V): { [P in K]?: Exclude<V, undefined | "" | 0 | false> } {
  return (value ? { [key]: value } : {}) as { [P in K]?: Exclude<V, undefined | "" | 0 | false> };
}
