/**
 * A recipient unsubscribes from the stream of a message that they got, and takes that back. Both may run twice. The door calls this, and
 * whoever reads mail to an unsubscribe address.
 */
import { markActive } from "../archive/bounces.ts";
import type { Mailbox } from "../mail/message.ts";
import type { LinkedRecipient } from "../mail/tracking-link.ts";
import { within } from "../mail/within.ts";
import type { SuppressionCause } from "../schema/directory.ts";
import { findSuppression, resubscribe as removeOwn, type Suppressed, suppress } from "../suppress/list.ts";
import { findLinkedMessages, type LinkedNeeds } from "./linked.ts";

export interface UnsubscribeNeeds extends LinkedNeeds {
  directory: D1Database;
  now(): number;
  /** Tells the server's Outboxes and its event log what the directory has. */
  announce(serverId: number, changes: { stream: string; email: string; removed: boolean }[]): Promise<void>;
  log(event: string, fields: Record<string, unknown>): void;
}

/** An object's answer is a matter of milliseconds. */
const TELL_MS = 3_000;

/** Someone whom a stream mails, or does not. */
export interface Subscriber extends Suppressed {
  /** Of the message with the link. */
  from: Mailbox;
  cause: SuppressionCause;
}

/** undefined when the message is not kept any more, or the person was removed from it. */
export async function findSubscriber(
  needs: LinkedNeeds,
  { serverId, messageId, index }: LinkedRecipient,
): Promise<Subscriber | undefined> {
  const linked = (await findLinkedMessages(needs, serverId, [messageId])).get(messageId);
  const email = linked?.recipients[index];
  if (!linked || !email) return undefined;
  const { stream, from, tag, metadata } = linked;
  return { serverId, stream, email, from, cause: { messageId, tag, metadata } };
}

/** `at`: when they wished it; a later change of their mind holds. Durable when it returns. */
export async function unsubscribe(
  needs: UnsubscribeNeeds,
  { serverId, stream, email, cause }: Omit<Subscriber, "from">,
  at: number,
): Promise<void> {
  const wish = { serverId, stream, email, reason: "ManualSuppression", origin: "Recipient" } as const;
  const suppressed = await suppress(needs.directory, [{ ...wish, since: at, cause }], needs.now());
  await tell(
    needs,
    serverId,
    suppressed.map((s) => ({ stream: s.stream, email: s.email, removed: false })),
  );
}

/** False when it is not the recipient's own doing that they are not mailed. */
export async function resubscribe(
  needs: UnsubscribeNeeds,
  { serverId, stream, email }: Suppressed,
): Promise<boolean> {
  if (!(await removeOwn(needs.directory, { serverId, stream, email }, needs.now()))) return false;
  await tell(needs, serverId, [{ stream, email, removed: true }]);
  try {
    // It may have bounced before it was unsubscribed.
    await markActive(needs.archive(serverId), serverId, stream, [email]);
  } catch (error) {
    // They are mailed all the same; the bounce says so when somebody activates it.
    needs.log("bounces not marked", { serverId, error: String(error) });
  }
  return true;
}

/** `own`: by an unsubscribing, which they can take back. */
export async function standing(
  needs: Pick<UnsubscribeNeeds, "directory">,
  who: Suppressed,
): Promise<"subscribed" | "own" | "other"> {
  const found = await findSuppression(needs.directory, who);
  if (!found) return "subscribed";
  return found.reason === "ManualSuppression" && found.origin === "Recipient" ? "own" : "other";
}

async function tell(
  { announce, log }: UnsubscribeNeeds,
  serverId: number,
  changes: { stream: string; email: string; removed: boolean }[],
): Promise<void> {
  if (changes.length === 0) return;
  try {
    await within(TELL_MS, announce(serverId, changes));
  } catch (error) {
    // An Outbox that was not reached reads the change in the directory, within half a minute, and the log does by the next sweep.
    log("suppressions not announced", { serverId, error: String(error) });
  }
}
