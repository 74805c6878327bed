/** What was right when a message was handed in to be sent later, and may not be any more. Pure. */
import type { ServerPolicy } from "../accounts/policy.ts";
import type { Submission } from "../mail/message.ts";

/** Why it cannot be sent now, for people; undefined when it can. */
export function unfitFor(
  { stream: id, from }: Pick<Submission, "stream" | "from">,
  policy: ServerPolicy,
): string | undefined {
  const stream = policy.streams.find((s) => s.id === id);
  if (!stream || stream.archived) return `The message stream '${id}' was archived.`;
  const email = from.email.toLowerCase();
  const isOurs =
    policy.domains.includes(email.slice(email.lastIndexOf("@") + 1)) ||
    policy.senders.some((s) => s.email === email && s.confirmed);
  return isOurs ? undefined : `The sender '${email}' was removed.`;
}
