/**
 * The message that a signed address names. The archive knows it for as long as messages are kept; one that it does not have yet is in its
 * Outbox. Asks the directory first whether its server is still there: nothing is remembered for one that is gone.
 */
import { and, eq, isNull } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { findMessage } from "../archive/read.ts";
import { parseMessageId } from "../mail/message-id.ts";
import type { MessageRecord } from "../mail/record.ts";
import type { SentMessage, SignedFor } from "../mail/return-path.ts";
import { servers } from "../schema/directory.ts";

export interface FindNeeds {
  directory: D1Database;
  archive(serverId: number): D1Database;
  /** Those that Outboxes hold still. Throws when one cannot say. */
  heldRecords(serverId: number, messageIds: string[]): Promise<MessageRecord[]>;
}

export interface Sought extends SentMessage {
  /** undefined when nobody has it any more. */
  message?: MessageRecord;
}

/** Servers of one place in a region: as many as one look into the archive may name. */
const MAX_SERVERS = 20_000;

/** undefined when its server is gone, or cannot be told. Throws when a database or an Outbox is away. */
export async function seek(of: SignedFor, needs: FindNeeds): Promise<Sought | undefined> {
  const { messageId } = of;
  const serverId = of.serverId ?? (await serverOf(messageId, needs));
  if (serverId === undefined || !(await isServer(needs.directory, serverId))) return undefined;
  const inArchive = () => findMessage(needs.archive(serverId), serverId, messageId);
  // An Outbox lets go only of what the archive has: it may have done so between the first two questions.
  const held = async () => (await needs.heldRecords(serverId, [messageId]))[0];
  const message = (await inArchive()) ?? (await held()) ?? (await inArchive());
  return { serverId, messageId, ...(message && { message }) };
}

async function isServer(directory: D1Database, serverId: number): Promise<boolean> {
  const row = await drizzle(directory)
    .select({ id: servers.id })
    .from(servers)
    .where(and(eq(servers.id, serverId), isNull(servers.deletedAt)))
    .get();
  return row !== undefined;
}

/** Of old mail, whose address names no server: one of those with an Outbox where the id says, that has such a message. */
async function serverOf(messageId: string, needs: FindNeeds): Promise<number | undefined> {
  const place = parseMessageId(messageId);
  if (!place) return undefined;
  const { results } = await needs.directory
    .prepare(`SELECT server_id AS id FROM shards WHERE name LIKE ? LIMIT ${MAX_SERVERS}`)
    .bind(`%/${place.region}/${place.number}`)
    .all<{ id: number }>();
  const archives = Map.groupBy(
    results.map((r) => r.id),
    (id) => needs.archive(id),
  );
  for (const [archive, ids] of archives) {
    const row = await archive
      .prepare(
        "SELECT server_id AS id FROM messages WHERE server_id IN (SELECT value FROM json_each(?1)) AND id = ?2",
      )
      .bind(JSON.stringify(ids), messageId)
      .first<{ id: number }>();
    if (row) return row.id;
  }
  return undefined;
}
