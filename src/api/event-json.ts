/** An event as `GET /events` shows it: Postmark's fields where a webhook of the kind has them (§16 of the wire contract). */
import * as z from "zod";
import { EVENT_TYPES, type LoggedEvent } from "../mail/event.ts";
import { readerJson } from "../notify/reader-json.ts";
import { formatTime } from "./time.ts";

export const eventSchema = z.looseObject({
  Cursor: z.string(),
  ID: z.string(),
  RecordType: z.enum(EVENT_TYPES),
  ServerID: z.int(),
  MessageStream: z.string(),
  /** null for a change of a suppression that no message brought about. */
  MessageID: z.string().nullable(),
  Tag: z.string(),
  Metadata: z.record(z.string(), z.string()),
});

export function eventJson(event: LoggedEvent, serverId: number): z.infer<typeof eventSchema> {
  const { seq, id, type, stream, messageId, tag, metadata } = event;
  return {
    Cursor: String(seq),
    ID: id,
    RecordType: type,
    ServerID: serverId,
    MessageStream: stream,
    MessageID: messageId || null,
    Tag: tag,
    Metadata: metadata,
    ...fieldsOf(event),
  };
}

function fieldsOf(event: LoggedEvent): Record<string, unknown> {
  const at = formatTime(event.at);
  const { email } = event;
  switch (event.type) {
    case "Accepted":
      return { From: event.from, Subject: event.subject, Recipients: event.recipients, AcceptedAt: at };
    case "Deferred": {
      const next = event.nextTryAt === undefined ? {} : { NextTryAt: formatTime(event.nextTryAt) };
      return { Recipient: email, Details: event.reason, DeferredAt: at, ...next };
    }
    case "Delivery":
      return { Recipient: email, Details: event.details, DeliveredAt: at };
    case "Bounce": {
      const { bounceType: Type, details: Details, from: From, subject: Subject } = event;
      return { Email: email, Type, Details, From, Subject, BouncedAt: at };
    }
    case "SpamComplaint": {
      const { details: Details, from: From, subject: Subject } = event;
      return { Email: email, Type: "SpamComplaint", Details, From, Subject, BouncedAt: at };
    }
    case "Open": {
      const { isFirst: FirstOpen, readSeconds: ReadSeconds } = event;
      return { Recipient: email, FirstOpen, ReadSeconds, ReceivedAt: at, ...readerJson(event.reader) };
    }
    case "Click": {
      const { location: ClickLocation, link: OriginalLink } = event;
      return { Recipient: email, ClickLocation, OriginalLink, ReceivedAt: at, ...readerJson(event.reader) };
    }
    case "SubscriptionChange": {
      const { origin: Origin, suppressed: SuppressSending, reason } = event;
      return { Recipient: email, Origin, SuppressSending, SuppressionReason: reason || null, ChangedAt: at };
    }
    case "Inbound":
      return { From: email, Subject: event.subject, ReceivedAt: at };
  }
}
