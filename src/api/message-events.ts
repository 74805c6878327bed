/** `MessageEvents` of a message's details (§9.1 of the wire contract): what happened to each recipient, in order of time. */
import * as z from "zod";
import type { Bounce } from "../archive/bounces.ts";
import type { MessageFacts } from "../archive/message-facts.ts";
import type { Attempt, MessageRecord, RecipientRecord } from "../mail/record.ts";
import { replyText } from "../mail/reply.ts";
import { formatTime } from "./time.ts";

export const eventSchema = z.object({
  Recipient: z.string(),
  Type: z.enum(["Delivered", "Transient", "Opened", "Bounced", "LinkClicked"]),
  ReceivedAt: z.string(),
  /** Strings only: the Java client reads no other. */
  Details: z.record(z.string(), z.string()),
});
type EventJson = z.infer<typeof eventSchema>;
type Event = Omit<EventJson, "ReceivedAt"> & { at: number };

/** A bounce that is not archived yet has the id "0". */
export function eventsJson(record: MessageRecord, { bounces, opens, clicks }: MessageFacts): EventJson[] {
  const events = [
    ...record.recipients.flatMap((recipient) => deliveryEvents(recipient, bounces)),
    ...opens.map(({ email, at, reader }): Event => {
      const Summary = `Email opened with ${reader.client.name} on ${reader.os.name}`;
      return { at, Recipient: email, Type: "Opened", Details: { Summary } };
    }),
    ...clicks.map(({ email, at, link, location, reader }): Event => {
      const Summary = `Link clicked with ${reader.client.name} on ${reader.os.name}`;
      return {
        at,
        Recipient: email,
        Type: "LinkClicked",
        Details: { Summary, Link: link, ClickLocation: location },
      };
    }),
  ];
  return events
    .sort((a, b) => a.at - b.at)
    .map(({ at, Recipient, Type, Details }) => ({ Recipient, Type, ReceivedAt: formatTime(at), Details }));
}

function deliveryEvents(recipient: RecipientRecord, bounces: Bounce[]): Event[] {
  const { email, state, attempts } = recipient;
  const events = attempts
    .filter((a) => a.result !== "bounced")
    .map((a): Event => ({ at: a.at, Recipient: email, Type: typeOf(a), Details: deliveryDetails(a) }));
  const theirs = bounces.filter((b) => b.email === email);
  // The end of what bounced, and of what expired after its last deferral or without any attempt.
  const isOver = state === "bounced" || state === "expired";
  const end = isOver
    ? theirs.find((b) => b.type === recipient.bounceType || !recipient.bounceType)
    : undefined;
  if (isOver) {
    const last = attempts.at(-1);
    const Summary = last?.reply.code ? `smtp;${replyText(last.reply)}` : (recipient.reason ?? "");
    events.push(bounced(email, recipient.at, Summary, end?.id ?? 0));
  }
  // What came back by mail, after it was taken. A complaint is no bounce.
  const later = theirs.filter((b) => b !== end && b.type !== "SpamComplaint");
  return [...events, ...later.map((b) => bounced(email, b.bouncedAt, b.details, b.id))];
}

function bounced(email: string, at: number, Summary: string, id: number): Event {
  return { at, Recipient: email, Type: "Bounced", Details: { Summary, BounceID: String(id) } };
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
