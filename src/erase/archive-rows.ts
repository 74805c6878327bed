/** A deleted server's rows in the archive, table by table, so many at a time; and what a stream or a person has there beside messages. */
import { unindexMessages } from "../archive/index-messages.ts";
import type { EraseNeeds } from "./needs.ts";
import { deleteObjects, largeKey } from "./objects.ts";

/** Rows a statement: it takes a fraction of a second, where D1 allows thirty. */
const ROWS_A_STEP = 5_000;
/** Each with a row in the index, which costs more, and with an object to look for. */
const MESSAGES_A_STEP = 1_000;
/** Each with an object. */
const INBOUND_A_STEP = 500;

/** Their keys: tables without a rowid are deleted from by key. */
const TABLES = {
  clicks: "server_id, message_id, email, link",
  opens: "server_id, message_id, email",
  bounces: "id",
  recipients: "server_id, message_id, email",
  counters: "server_id, tag, day, stream, name",
  message_counts: "server_id, stream, hour",
  seen_marks: "server_id, kind",
};

/** False when time was up first. */
export async function removeServerRows(
  needs: EraseNeeds,
  serverId: number,
  hasTime: () => boolean,
): Promise<boolean> {
  const archive = needs.archive(serverId);
  const steps = [
    () => removeMessages(needs, serverId),
    () => removeInbound(needs, serverId),
    ...Object.keys(TABLES).map(
      (table) => () => removeRows(archive, table as keyof typeof TABLES, { serverId }),
    ),
  ];
  for (const step of steps)
    do if (!hasTime()) return false;
    while (await step());
  return true;
}

/** What counts a stream's messages. */
export async function removeStreamCounts(
  archive: D1Database,
  { serverId, stream }: { serverId: number; stream: string },
  hasTime: () => boolean,
): Promise<boolean> {
  for (const table of ["counters", "message_counts"] as const)
    do if (!hasTime()) return false;
    while (await removeRows(archive, table, { serverId, stream }));
  return true;
}

/** Mail that came in, with its objects; from one sender only when one is named. False when there was none. */
export async function removeInbound(
  needs: EraseNeeds,
  serverId: number,
  fromEmail?: string,
): Promise<boolean> {
  const archive = needs.archive(serverId);
  const { results } = await archive
    .prepare(
      `SELECT id, raw, payload FROM inbound WHERE server_id = ?1 AND (?2 IS NULL OR from_email = ?2) LIMIT ${INBOUND_A_STEP}`,
    )
    .bind(serverId, fromEmail ?? null)
    .all<{ id: string; raw: string; payload: string }>();
  if (results.length === 0) return false;
  await deleteObjects(
    needs.mail,
    results.flatMap((r) => (r.payload ? [r.raw, r.payload] : [r.raw])),
  );
  await archive
    .prepare("DELETE FROM inbound WHERE server_id = ?1 AND id IN (SELECT value FROM json_each(?2))")
    .bind(serverId, JSON.stringify(results.map((r) => r.id)))
    .run();
  return true;
}

/** Reports about the person that came after their message was gone: nothing else leads to them. False when there was none. */
export async function removeLateBounces(
  needs: EraseNeeds,
  { serverId, email }: { serverId: number; email: string },
): Promise<boolean> {
  const archive = needs.archive(serverId);
  const { results } = await archive
    .prepare(
      `SELECT id, dump FROM bounces WHERE server_id = ?1 AND email = ?2 AND dump IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM messages WHERE messages.server_id = ?1 AND messages.id = bounces.message_id)
       LIMIT ${ROWS_A_STEP}`,
    )
    .bind(serverId, email)
    .all<{ id: number; dump: string }>();
  if (results.length === 0) return false;
  await deleteObjects(
    needs.mail,
    results.map((r) => r.dump),
  );
  await archive
    .prepare("DELETE FROM bounces WHERE id IN (SELECT value FROM json_each(?1))")
    .bind(JSON.stringify(results.map((r) => r.id)))
    .run();
  return true;
}

async function removeMessages(needs: EraseNeeds, serverId: number): Promise<boolean> {
  const archive = needs.archive(serverId);
  const { results } = await archive
    .prepare(
      `SELECT id, received_at AS receivedAt FROM messages WHERE server_id = ?1 LIMIT ${MESSAGES_A_STEP}`,
    )
    .bind(serverId)
    .all<{ id: string; receivedAt: number }>();
  if (results.length === 0) return false;
  const ids = results.map((r) => r.id);
  await deleteObjects(needs.mail, results.map(largeKey));
  await archive.batch([
    ...unindexMessages(archive, serverId, ids),
    archive
      .prepare("DELETE FROM messages WHERE server_id = ?1 AND id IN (SELECT value FROM json_each(?2))")
      .bind(serverId, JSON.stringify(ids)),
  ]);
  return true;
}

/** Whether there were any. */
async function removeRows(
  db: D1Database,
  table: keyof typeof TABLES,
  { serverId, stream }: { serverId: number; stream?: string },
): Promise<boolean> {
  const key = TABLES[table];
  const where = stream === undefined ? "server_id = ?1" : "server_id = ?1 AND stream = ?2";
  const statement = db.prepare(
    `DELETE FROM ${table} WHERE (${key}) IN (SELECT ${key} FROM ${table} WHERE ${where} LIMIT ${ROWS_A_STEP})`,
  );
  const { meta } = await (stream === undefined
    ? statement.bind(serverId)
    : statement.bind(serverId, stream)
  ).run();
  return meta.changes > 0;
}
