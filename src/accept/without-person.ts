/** Takes a person out of mail that waits to become messages: nobody mails them out of it any more. Pure. */
import type { Mailbox, Submission } from "../mail/message.ts";
import type { BulkMessage } from "./bulk-message.ts";
import type { Head } from "./schedule-store.ts";

interface Addressed {
  to?: Mailbox[];
  cc?: Mailbox[];
  bcc?: Mailbox[];
}

function others(email: string, { to = [], cc = [], bcc = [] }: Addressed) {
  const isOther = (mailbox: Mailbox) => mailbox.email.toLowerCase() !== email;
  return { to: to.filter(isOther), cc: cc.filter(isOther), bcc: bcc.filter(isOther) };
}

export function isTo(email: string, { to = [], cc = [], bcc = [] }: Addressed): boolean {
  return [...to, ...cc, ...bcc].some((mailbox) => mailbox.email.toLowerCase() === email);
}

/** A message to nobody, which is never sent, counts as failed when its turn comes: then the request's numbers still add up. */
export function bulkMessageWithout(email: string, message: BulkMessage): BulkMessage {
  if (!isTo(email, message)) return message;
  const left = others(email, message);
  return left.to.length + left.cc.length + left.bcc.length === 0 ? {} : { ...message, ...left };
}

/** undefined when nobody else gets it. */
export function scheduledWithout(
  email: string,
  { head, submission }: { head: Head; submission: Submission },
): { head: Head; submission: Submission } | undefined {
  const left = others(email, submission);
  if (left.to.length + left.cc.length + left.bcc.length === 0) return undefined;
  const groups = head.groups.flatMap((group) => {
    const recipients = group.recipients.filter((r) => r !== email);
    return recipients.length === 0 ? [] : [{ ...group, recipients }];
  });
  const recipients = head.summary.recipients.filter((r) => r !== email);
  const summary = { ...head.summary, ...others(email, head.summary), recipients };
  return { head: { ...head, groups, summary }, submission: { ...submission, ...left } };
}
