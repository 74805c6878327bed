/** What the event log is told of a received message: when it was filed, and each time that it is put back in line. */
import type { InboundMessage } from "../../archive/inbound.ts";
import type { MailEvent } from "../../mail/event.ts";
import { eventId } from "../../mail/event-id.ts";

type Told = Pick<InboundMessage, "id" | "fromEmail" | "subject" | "tag">;

/** The event's id is the message's own: the same, however often the same message is taken. */
export function inboundEvent({ id, fromEmail, subject, tag }: Told, at: number): MailEvent {
  const of = { stream: "inbound", messageId: id, email: fromEmail, tag, metadata: {} };
  return { id, at, type: "Inbound", subject, ...of };
}

/** `at` is when it was put back in line: the same, however often that is told. */
export async function againEvent(message: Told, at: number): Promise<MailEvent> {
  return { ...inboundEvent(message, at), id: await eventId("again", message.id, at) };
}
