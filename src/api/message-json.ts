/** Outbound messages as Postmark's API shows them (§9.1 of the wire contract). */
import type { Bounce } from "../archive/bounces.ts";
import { isQueued } from "../archive/filter.ts";
import type { ListedMessage } from "../archive/read.ts";
import type { Mailbox } from "../mail/message.ts";
import type { Attempt, MessageRecord, RecipientRecord } from "../mail/record.ts";
import { replyText } from "../mail/reply.ts";
import { formatTime } from "./time.ts";

/** `Sent` once somebody's first attempt was made for all; Postmark's `Processed` means the same. */
export function statusOf(record: Pick<MessageRecord, "recipients">): "Queued" | "Sent" {
  return isQueued(record) ? "Queued" : "Sent";
}

export function messageJson(message: ListedMessage) {
  const { summary } = message;
  return {
    ...(message.tag && { Tag: message.tag }),
    MessageID: message.id,
    MessageStream: message.stream,
    To: summary.to.map(mailboxJson),
    Cc: summary.cc.map(mailboxJson),
    Bcc: summary.bcc.map(mailboxJson),
    Recipients: summary.recipients,
    ReceivedAt: formatTime(message.receivedAt),
    From: fromText(summary.from),
    Subject: message.subject,
    Attachments: summary.attachments,
    Status: message.queued ? "Queued" : "Sent",
    TrackOpens: summary.trackOpens,
    TrackLinks: summary.trackLinks,
    Metadata: summary.metadata,
    Sandboxed: summary.sandboxed,
  };
}

const mailboxJson = ({ email, name }: Mailbox) => ({ Email: email, Name: name });

/** `"Joe" <joe@example.com>`, with the quoting of RFC 5322 §3.2.4; the bare address without a name. */
function fromText({ email, name }: Mailbox): string {
  return name ? `"${name.replace(/["\\]/g, "\\$&")}" <${email}>` : email;
}

interface EventJson {
  Recipient: string;
  Type: "Delivered" | "Transient" | "Bounced";
  ReceivedAt: string;
  /** Strings only: the Java client reads no other. */
  Details: Record<string, string>;
}

/** What happened to each recipient, in order of time. A bounce that is not archived yet has the id "0". */
export function eventsJson(record: MessageRecord, bounces: Bounce[]): EventJson[] {
  const events = record.recipients.flatMap((recipient) => eventsOf(recipient, bounces));
  return events
    .sort((a, b) => a.at - b.at)
    .map(({ at, Recipient, Type, Details }) => ({ Recipient, Type, ReceivedAt: formatTime(at), Details }));
}

type Event = Omit<EventJson, "ReceivedAt"> & { at: number };

function eventsOf(recipient: RecipientRecord, bounces: Bounce[]): Event[] {
  const { email, state, attempts } = recipient;
  const events = attempts
    .filter((a) => a.result !== "bounced")
    .map((a): Event => ({ at: a.at, Recipient: email, Type: typeOf(a), Details: deliveryDetails(a) }));
  // The end of what bounced, and of what expired after its last deferral or without any attempt.
  if (state === "bounced" || state === "expired") {
    const last = attempts.at(-1);
    const Summary = last?.reply.code ? `smtp;${replyText(last.reply)}` : (recipient.reason ?? "");
    const bounce = bounces.find(
      (b) => b.email === email && (b.type === recipient.bounceType || !recipient.bounceType),
    );
    const Details = { Summary, BounceID: String(bounce?.id ?? 0) };
    events.push({ at: recipient.at, Recipient: email, Type: "Bounced", Details });
  }
  return events;
}

function typeOf({ result }: Attempt): "Delivered" | "Transient" {
  return result === "delivered" ? "Delivered" : "Transient";
}

function deliveryDetails({ reply, reason, hop }: Attempt): Record<string, string> {
  return {
    DeliveryMessage: reply.code ? `smtp;${replyText(reply)}` : reason,
    DestinationServer: hop.address ? `${hop.host} (${hop.address})` : hop.host,
    DestinationIP: hop.address,
  };
}
