/** What the directory has of a server, a stream or a person. The rows of servers and of their Outboxes go last: they say where to look. */
import type { EraseNeeds } from "./needs.ts";

/** Rows a statement. */
const ROWS_A_STEP = 5_000;

const OF_SERVERS = [
  "tokens",
  "smtp_tokens",
  "templates",
  "inbound_rules",
  "webhooks",
  "suppressions",
  "streams",
] as const;
const OF_STREAMS = ["smtp_tokens", "webhooks", "suppressions"] as const;

/** Those without a rowid. */
const KEYS: Record<string, string> = {
  suppressions: "server_id, stream, email",
  streams: "server_id, id",
};

/** False when time was up first. */
export async function removeServerSettings(
  directory: D1Database,
  serverId: number,
  hasTime: () => boolean,
): Promise<boolean> {
  for (const table of OF_SERVERS)
    do if (!hasTime()) return false;
    while (await removeRows(directory, table, { serverId }));
  return true;
}

/** The stream's own row stays: its name is not given again, and who would have it back is told why not. */
export async function removeStreamSettings(
  directory: D1Database,
  of: { serverId: number; stream: string },
  hasTime: () => boolean,
): Promise<boolean> {
  for (const table of OF_STREAMS)
    do if (!hasTime()) return false;
    while (await removeRows(directory, table, of));
  return true;
}

/** The last rows of a server, together: none is left without the others. */
export async function removeServer(directory: D1Database, serverId: number): Promise<void> {
  await directory.batch([
    directory.prepare("DELETE FROM shards WHERE server_id = ?").bind(serverId),
    directory.prepare("DELETE FROM servers WHERE id = ? AND deleted_at IS NOT NULL").bind(serverId),
  ]);
}

/** A complaint, and the person's own unsubscription: without them we could not keep to what they asked for. */
const THEIR_OWN = "origin = 'Recipient' AND reason IN ('SpamComplaint', 'ManualSuppression')";

/**
 * Suppressions of a person but their own, and rules on mail from them. First they are taken back, so that an Outbox which reads the
 * directory learns it too; then each Outbox is told; then the rows go. It happens at the time up to which all is removed: the event log,
 * if it reads of it, forgets it with the rest.
 */
export async function removePersonSettings(
  needs: EraseNeeds,
  { serverId, email, shards, until }: { serverId: number; email: string; shards: string[]; until: number },
): Promise<void> {
  const { directory } = needs;
  const where = `server_id = ?1 AND stream IN (SELECT id FROM streams WHERE server_id = ?1) AND email = ?2`;
  const [, gone] = await directory.batch<{ stream: string }>([
    directory
      .prepare(
        `UPDATE suppressions SET removed_at = ?3, changed_at = ?3
         WHERE ${where} AND removed_at IS NULL AND NOT (${THEIR_OWN})`,
      )
      .bind(serverId, email, until),
    directory
      .prepare(`SELECT stream FROM suppressions WHERE ${where} AND removed_at IS NOT NULL`)
      .bind(serverId, email),
  ]);
  const changes = (gone?.results ?? []).map(({ stream }) => ({ stream, email, removed: true }));
  if (changes.length > 0)
    await Promise.all(shards.map((shard) => needs.outbox(shard).changeSuppressions(changes)));
  await directory.batch([
    directory
      .prepare(`DELETE FROM suppressions WHERE ${where} AND removed_at IS NOT NULL`)
      .bind(serverId, email),
    // What stays tells of no message.
    directory
      .prepare(`UPDATE suppressions SET cause = NULL WHERE ${where} AND cause IS NOT NULL`)
      .bind(serverId, email),
    directory.prepare("DELETE FROM inbound_rules WHERE server_id = ?1 AND rule = ?2").bind(serverId, email),
  ]);
}

async function removeRows(
  directory: D1Database,
  table: string,
  { serverId, stream }: { serverId: number; stream?: string },
): Promise<boolean> {
  const key = KEYS[table] ?? "id";
  const where = stream === undefined ? "server_id = ?1" : "server_id = ?1 AND stream = ?2";
  const statement = directory.prepare(
    `DELETE FROM ${table} WHERE (${key}) IN (SELECT ${key} FROM ${table} WHERE ${where} LIMIT ${ROWS_A_STEP})`,
  );
  const { meta } = await (stream === undefined
    ? statement.bind(serverId)
    : statement.bind(serverId, stream)
  ).run();
  return meta.changes > 0;
}
