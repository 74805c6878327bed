/** What a webhook is told of an event, in Postmark's words (§16 of the wire contract). Pure. */
import type { LoggedEvent } from "../mail/event.ts";
import { bounceTypeOf } from "../smtp/bounce-types.ts";
import { readerJson } from "./reader-json.ts";

/** What the archive knows of a bounce and its event does not. */
export interface BounceFacts {
  id: number;
  /** Whether it keeps its address from being mailed, now. */
  inactive: boolean;
  hasDump: boolean;
}

export interface PayloadOf {
  serverId: number;
  /** Of a bounce or a complaint; without it the archive has none any more. */
  bounce?: BounceFacts;
  /** What came back, for a hook that wants it with the bounce. */
  content?: string;
}

/** Events that have a payload of their own. Received mail has one too, which is made when it comes in (receive/inbound/). */
export type PayloadEvent = Extract<
  LoggedEvent,
  { type: "Open" | "Click" | "Delivery" | "Bounce" | "SpamComplaint" | "SubscriptionChange" }
>;

export function hasPayload(event: LoggedEvent): event is PayloadEvent {
  return event.type !== "Accepted" && event.type !== "Deferred" && event.type !== "Inbound";
}

export function payloadOf(event: PayloadEvent, of: PayloadOf): Record<string, unknown> {
  const common = {
    RecordType: event.type,
    MessageStream: event.stream,
    MessageID: event.messageId || null,
    Tag: event.tag,
    Metadata: event.metadata,
  };
  return { ...common, ...fieldsOf(event, of) };
}

function fieldsOf(event: PayloadEvent, of: PayloadOf): Record<string, unknown> {
  const at = formatHookTime(event.at);
  const { serverId: ServerID } = of;
  const { email: Recipient } = event;
  switch (event.type) {
    case "Delivery":
      return { ServerID, Recipient, DeliveredAt: at, Details: event.details };
    case "Bounce":
    case "SpamComplaint":
      return bounceFields(event, of, at);
    case "Open": {
      const { isFirst: FirstOpen, readSeconds: ReadSeconds, reader } = event;
      return { Recipient, ReceivedAt: at, FirstOpen, ReadSeconds, ...readerJson(reader) };
    }
    case "Click": {
      const { location: ClickLocation, link: OriginalLink, reader } = event;
      return { Recipient, ReceivedAt: at, ClickLocation, OriginalLink, ...readerJson(reader) };
    }
    case "SubscriptionChange": {
      const { suppressed: SuppressSending, origin: Origin, reason, messageId, tag } = event;
      const SuppressionReason = reason || null;
      const change = { ServerID, Recipient, ChangedAt: at, Origin, SuppressSending, SuppressionReason };
      // What no message brought about has nothing of one.
      return messageId === "" ? { ...change, Tag: tag || null } : change;
    }
  }
}

function bounceFields(
  event: Extract<PayloadEvent, { type: "Bounce" | "SpamComplaint" }>,
  { serverId, bounce, content }: PayloadOf,
  at: string,
): Record<string, unknown> {
  const Type = event.type === "Bounce" ? event.bounceType : event.type;
  const { code, name, description } = bounceTypeOf(Type);
  return {
    ID: bounce?.id ?? 0,
    Type,
    TypeCode: code,
    Name: name,
    ServerID: serverId,
    Description: description,
    Details: event.details,
    Email: event.email,
    From: event.from,
    BouncedAt: at,
    DumpAvailable: bounce?.hasDump ?? false,
    Inactive: bounce?.inactive ?? false,
    // What the recipient said themselves is not ours to take back.
    CanActivate: event.type === "Bounce",
    Subject: event.subject,
    ...(content !== undefined && { Content: content }),
  };
}

/** "2026-02-17T12:25:01.4170000Z" */
export function formatHookTime(at: number): string {
  return new Date(at).toISOString().replace("Z", "0000Z");
}
