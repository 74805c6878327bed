/**
 * What the event log is to be told of a message: the facts that its recipients' records hold beyond those it was told before. Pure, and
 * the same fact has the same id however often it is told: made of the MessageID and the recipient's place, since a hash of each would
 * cost more than the event.
 */
import type { MailEvent } from "../mail/event.ts";
import type { Attempt } from "../mail/record.ts";
import { replyText } from "../mail/reply.ts";
import { bounceDetails, bounceTypeName } from "../track/record.ts";
import type { MessageProgress, PackedMessage, RecipientProgress } from "./pack.ts";

/** A report that we send ourselves is nobody's message, and nobody waits to hear what became of it. */
export function untoldEvents(message: PackedMessage, progress: MessageProgress): MailEvent[] {
  if (message.isDsn) return [];
  const { id: messageId, stream, tag, subject, acceptedAt, summary } = message;
  const { metadata, from, recipients } = summary;
  const common = { stream, messageId, tag, metadata };
  const events: MailEvent[] = [];
  if (progress.told === undefined)
    events.push({
      ...common,
      id: `${messageId}/Accepted`,
      ...{ at: acceptedAt, email: "", type: "Accepted", from: from.email, subject, recipients },
    });
  let position = 0;
  for (const [g, group] of message.groups.entries()) {
    const at = progress.groups[g];
    for (const [r, email] of group.recipients.entries()) {
      const place = position++;
      const told = progress.told?.[place] ?? 0;
      const recipient = at?.recipients[r];
      if (!recipient) continue;
      for (const attempt of deferrals(recipient, told)) {
        const isLast = attempt === recipient.attempts.at(-1) && recipient.state === "waiting";
        events.push({
          ...common,
          id: `${messageId}/Deferred/${place}/${attempt.number}`,
          ...{ at: attempt.at, email, type: "Deferred", reason: whyDeferred(attempt) },
          ...(isLast && at?.nextTryAt !== undefined ? { nextTryAt: at.nextTryAt } : {}),
        });
      }
      const end = told % 2 === 0 && told > 0 ? undefined : ending(recipient);
      if (!end) continue;
      const id = `${messageId}/${end.type}/${place}`;
      if (end.type === "Delivery") events.push({ ...common, id, at: recipient.at, email, ...end });
      else events.push({ ...common, id, at: recipient.at, email, ...end, from: from.email, subject });
    }
  }
  return events;
}

/** Told of nothing is 0; else one more than the version, which counts two for each attempt and one for the end. */
function deferrals({ attempts }: RecipientProgress, told: number): Attempt[] {
  const attemptsTold = told === 0 ? 0 : (told - 1) >> 1;
  return attempts.filter(({ number, result }) => result === "deferred" && number > attemptsTold);
}

type Ending = { type: "Delivery"; details: string } | { type: "Bounce"; bounceType: string; details: string };

function ending(recipient: RecipientProgress): Ending | undefined {
  const { state } = recipient;
  if (state === "delivered") return { type: "Delivery", details: bounceDetails(recipient) };
  if (state !== "bounced" && state !== "expired") return undefined;
  return { type: "Bounce", bounceType: bounceTypeName(recipient), details: bounceDetails(recipient) };
}

function whyDeferred({ reply, reason }: Attempt): string {
  return reply.code > 0 ? replyText(reply) : reason;
}
