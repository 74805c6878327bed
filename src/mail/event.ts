/**
 * What happens to messages, as the event log keeps it and as webhooks, `GET /events` and the live stream tell it. Each event is one
 * fact of one recipient, but for acceptance, which is of the message. Plain values only.
 */
import type { Reader } from "./reader.ts";

/** Postmark's words, where it has one (contract §16). */
export const EVENT_TYPES = [
  "Accepted",
  "Deferred",
  "Delivery",
  "Bounce",
  "SpamComplaint",
  "Open",
  "Click",
  "SubscriptionChange",
  "Inbound",
] as const;
export type EventType = (typeof EVENT_TYPES)[number];

interface OfMessage {
  /** The same each time that the fact is told: whoever hears it twice can know it by this. Letters, digits, "-" and "/". */
  id: string;
  /** When it happened, ms since the epoch. */
  at: number;
  stream: string;
  /** "" for a change of a suppression that no message brought about. */
  messageId: string;
  /** Lower case: the recipient; of what was received, who it is from. "" when it is about no single one. */
  email: string;
  /** "" when there is none. */
  tag: string;
  metadata: Record<string, string>;
}

export type MailEvent = OfMessage &
  (
    | { type: "Accepted"; from: string; subject: string; recipients: string[] }
    /** An attempt failed for now: what was said, and when the next is due. */
    | { type: "Deferred"; reason: string; nextTryAt?: number }
    /** "smtp;250 2.0.0 OK". */
    | { type: "Delivery"; details: string }
    /** The archive's row of the same message, recipient and type has its number, and whether the address is inactive. */
    | { type: "Bounce"; bounceType: string; details: string; from: string; subject: string }
    | { type: "SpamComplaint"; details: string; from: string; subject: string }
    | { type: "Open"; isFirst: boolean; readSeconds: number; reader: Reader }
    | { type: "Click"; isFirst: boolean; location: "HTML" | "Text"; link: string; reader: Reader }
    | {
        type: "SubscriptionChange";
        suppressed: boolean;
        /** Of what suppresses; "" once it is removed. */
        reason: "HardBounce" | "SpamComplaint" | "ManualSuppression" | "";
        origin: "Recipient" | "Customer" | "Admin";
      }
    /** Mail for the server, read and filed: `messageId` is its row's in `inbound`. */
    | { type: "Inbound"; subject: string }
  );

/** An event with its place in its server's log: numbers that rise, with gaps. */
export type LoggedEvent = MailEvent & { seq: number };
