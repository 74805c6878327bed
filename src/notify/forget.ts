/** What is left of a server's events when a person, or a stream, is removed from them. Pure, but for what it has seen of the log. */
import type { ToErase } from "../mail/erasure.ts";
import type { MailEvent } from "../mail/event.ts";

export interface Forgetting {
  /** To be shown each event of a part of the log before `left` is asked of any of them. */
  look(event: MailEvent): void;
  /** undefined when nothing is; the event itself when it is not meant. */
  left(event: MailEvent): MailEvent | undefined;
}

export function forgetting({ what, until }: ToErase): Forgetting {
  if (what.kind !== "person") {
    const isMeant = (event: MailEvent) => what.kind === "server" || event.stream === what.stream;
    return {
      look: () => undefined,
      left: (event) => (event.at <= until && isMeant(event) ? undefined : event),
    };
  }
  const { email } = what;
  /** Messages that went to the person too: what is said in them may be about the person, whoever else got them. */
  const shared = new Set<string>();
  return {
    look(event) {
      if (event.messageId !== "" && event.at <= until && isOf(event, email)) shared.add(event.messageId);
    },
    left(event) {
      const isTheirs = isOf(event, email);
      if (event.at > until || !(isTheirs || shared.has(event.messageId))) return event;
      const unsaid = { ...event, metadata: {}, ...("subject" in event && { subject: "" }) } as MailEvent;
      if (unsaid.type !== "Accepted") return isTheirs ? undefined : unsaid;
      const recipients = unsaid.recipients.filter((recipient) => recipient !== email);
      return recipients.length === 0 ? undefined : { ...unsaid, recipients };
    },
  };
}

/** Whether it speaks of that recipient; acceptance speaks of all. */
export function isOf(event: MailEvent, email: string): boolean {
  return event.email === email || (event.type === "Accepted" && event.recipients.includes(email));
}
