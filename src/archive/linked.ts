/** What a link of a message has to know of it, for many messages at once. */
import { and, eq, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { messages } from "../schema/archive.ts";

/** Of a server's messages, those that the archive has. */
export function findLinked(archive: D1Database, serverId: number, messageIds: string[]) {
  const { id, stream, tag, summary } = messages;
  return drizzle(archive)
    .select({ id, stream, tag, summary })
    .from(messages)
    .where(
      and(
        eq(messages.serverId, serverId),
        // One parameter, however many they are.
        sql`${messages.id} IN (SELECT value FROM json_each(${JSON.stringify(messageIds)}))`,
      ),
    );
}
