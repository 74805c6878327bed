/** What the event log is told of a received message: when it was filed, and each time that it is put back in line. */
import type { InboundMessage } from "../../archive/inbound.ts";
import type { MailEvent } from "../../mail/event.ts";

type Told = Pick<InboundMessage, "id" | "fromEmail" | "subject" | "tag">;

/** The event's id is the message's own: the same, however often the same message is taken. */
export function inboundEvent({ id, fromEmail, subject, tag }: Told, at: number): MailEvent {
  const of = { stream: "inbound", messageId: id, email: fromEmail, tag, metadata: {} };
  return { id, at, type: "Inbound", subject, ...of };
}

/** Two requests to do it within a minute are one. */
export async function againEvent(message: Told, at: number): Promise<MailEvent> {
  const text = new TextEncoder().encode(`again\n${message.id}\n${Math.floor(at / 60_000)}`);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", text));
  const hex = Array.from(digest, (b) => b.toString(16).padStart(2, "0")).join("");
  const id = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
  return { ...inboundEvent(message, at), id };
}
