/**
 * Message streams: the ways in which a server's mail is kept apart. Values are taken as valid; what only the directory can tell
 * (an ID that exists, a server with as many streams as it may have) is told in one statement with the change, so that two
 * requests at once cannot both pass.
 */
import { and, asc, desc, eq, isNull, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { GIVE_UP_AFTER_MS } from "../mail/schedule.ts";
import { streams } from "../schema/directory.ts";

export type Stream = typeof streams.$inferSelect;
export type StreamType = Stream["type"];
export type UnsubscribeHandling = Stream["unsubscribeHandling"];

/** Of a server, without archived ones. */
export const MAX_STREAMS = 10;
/** With archived ones: each Outbox keeps them all, and making and archiving must not go on for ever. */
const MAX_KEPT_STREAMS = 100;
export const PURGE_AFTER_DAYS = 45;
const PURGE_AFTER_MS = PURGE_AFTER_DAYS * 86_400_000;
export const GIVE_UP_AFTER_HOURS = GIVE_UP_AFTER_MS / 3_600_000;

/** The streams that a new server has, as Postmark gives them. */
export const DEFAULT_STREAMS = [
  {
    id: "outbound",
    name: "Default Transactional Stream",
    type: "Transactional",
    unsubscribeHandling: "None",
  },
  { id: "inbound", name: "Default Inbound Stream", type: "Inbound", unsubscribeHandling: "None" },
  { id: "broadcast", name: "Default Broadcast Stream", type: "Broadcasts", unsubscribeHandling: "Postmark" },
] as const;

/** In the order in which they were made; a new server's three as they stand above. */
export function listStreams(
  directory: D1Database,
  serverId: number,
  { type, withArchived = false }: { type?: StreamType; withArchived?: boolean } = {},
): Promise<Stream[]> {
  return drizzle(directory)
    .select()
    .from(streams)
    .where(
      and(
        eq(streams.serverId, serverId),
        type === undefined ? undefined : eq(streams.type, type),
        withArchived ? undefined : isNull(streams.archivedAt),
      ),
    )
    .orderBy(asc(streams.createdAt), desc(streams.id));
}

export async function findStream(
  directory: D1Database,
  serverId: number,
  id: string,
): Promise<Stream | undefined> {
  return drizzle(directory).select().from(streams).where(one(serverId, id)).get();
}

export interface NewStream {
  id: string;
  name: string;
  description: string | null;
  type: StreamType;
  unsubscribeHandling: UnsubscribeHandling;
}

/** The stream, or why there can be none. */
export async function createStream(
  directory: D1Database,
  serverId: number,
  stream: NewStream,
  now: number,
): Promise<Stream | "exists" | "second inbound" | "too many"> {
  const { id, name, description, type, unsubscribeHandling } = stream;
  const made = await directory
    .prepare(
      `INSERT INTO streams (server_id, id, name, description, type, give_up_after_hours, unsubscribe_handling, created_at)
       SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 WHERE ${HAS_ROOM}
         AND NOT EXISTS (SELECT 1 FROM streams WHERE server_id = ?1 AND type = 'Inbound' AND ?5 = 'Inbound')
       ON CONFLICT DO NOTHING`,
    )
    .bind(serverId, id, name, description, type, GIVE_UP_AFTER_HOURS, unsubscribeHandling, now)
    .run();
  const there = await listStreams(directory, serverId, { withArchived: true });
  const found = there.find((s) => s.id === id);
  if (made.meta.changes > 0 && found) return found;
  if (found) return "exists";
  return type === "Inbound" && there.some((s) => s.type === "Inbound") ? "second inbound" : "too many";
}

const HAS_ROOM = `(SELECT count(*) FROM streams WHERE server_id = ?1 AND archived_at IS NULL) < ${MAX_STREAMS}
  AND (SELECT count(*) FROM streams WHERE server_id = ?1) < ${MAX_KEPT_STREAMS}`;

export type StreamChange = Partial<Pick<Stream, "name" | "description" | "unsubscribeHandling">>;

/** What is absent stays as it is; undefined when there is no such stream. */
export async function changeStream(
  directory: D1Database,
  { serverId, id }: { serverId: number; id: string },
  change: StreamChange,
  now: number,
): Promise<Stream | undefined> {
  const [row] = await drizzle(directory)
    .update(streams)
    .set({ ...change, updatedAt: now })
    .where(one(serverId, id))
    .returning();
  return row;
}

/** Archives, and says when what is left of the stream goes. One that is archived keeps its times. */
export async function archiveStream(
  directory: D1Database,
  { serverId, id }: { serverId: number; id: string },
  now: number,
): Promise<Stream | undefined> {
  const [row] = await drizzle(directory)
    .update(streams)
    .set({
      archivedAt: sql`coalesce(${streams.archivedAt}, ${now})`,
      purgeAt: sql`coalesce(${streams.purgeAt}, ${now + PURGE_AFTER_MS})`,
    })
    .where(one(serverId, id))
    .returning();
  return row;
}

/** The stream as it was, or why it stays archived. One that is not archived is given as it is. */
export async function unarchiveStream(
  directory: D1Database,
  { serverId, id }: { serverId: number; id: string },
  now: number,
): Promise<Stream | "absent" | "too late" | "too many"> {
  await directory
    .prepare(
      `UPDATE streams SET archived_at = NULL, purge_at = NULL
       WHERE server_id = ?1 AND id = ?2 AND archived_at IS NOT NULL AND purge_at > ?3
         AND (SELECT count(*) FROM streams WHERE server_id = ?1 AND archived_at IS NULL) < ${MAX_STREAMS}`,
    )
    .bind(serverId, id, now)
    .run();
  const stream = await findStream(directory, serverId, id);
  if (!stream) return "absent";
  if (stream.archivedAt === null) return stream;
  return (stream.purgeAt ?? 0) > now ? "too many" : "too late";
}

function one(serverId: number, id: string) {
  return and(eq(streams.serverId, serverId), eq(streams.id, id));
}
