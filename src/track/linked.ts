/**
 * Whose a link is: it names a message and a place in it, and who that is stands in the message's record alone, so that a link tells
 * nobody an address, and one of a person who was removed leads to nobody.
 */
import { findLinked } from "../archive/linked.ts";
import type { Mailbox } from "../mail/message.ts";
import type { MessageRecord } from "../mail/record.ts";

export interface LinkedNeeds {
  archive(serverId: number): D1Database;
  /** Of these messages, those that their Outboxes still have. Throws when one of them cannot be asked. */
  heldRecords(serverId: number, messageIds: string[]): Promise<MessageRecord[]>;
}

export interface Linked {
  stream: string;
  /** "" when there is none. */
  tag: string;
  metadata: Record<string, string>;
  from: Mailbox;
  /** By the place that links name; "" for who was removed. */
  recipients: string[];
}

/** By MessageID; what is in none of the two is kept nowhere any more. Throws when that cannot be said. */
export async function findLinkedMessages(
  needs: LinkedNeeds,
  serverId: number,
  messageIds: string[],
): Promise<Map<string, Linked>> {
  const found = new Map<string, Linked>();
  const left = () => [...new Set(messageIds)].filter((id) => !found.has(id));
  const lookInArchive = async () => {
    for (const row of await findLinked(needs.archive(serverId), serverId, left()))
      found.set(row.id, toLinked(row));
  };
  if (messageIds.length > 0) await lookInArchive();
  if (left().length === 0) return found;
  for (const record of await needs.heldRecords(serverId, left())) found.set(record.id, toLinked(record));
  // In between, an Outbox may have told the archive of one and let go of it.
  if (left().length > 0) await lookInArchive();
  return found;
}

function toLinked({
  stream,
  tag,
  summary,
}: Pick<MessageRecord, "stream" | "summary"> & { tag: string | null }): Linked {
  const { metadata, from, recipients } = summary;
  return { stream, tag: tag ?? "", metadata, from, recipients };
}
