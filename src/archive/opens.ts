/** Lists the first opens of recipients. */
import { sql } from "drizzle-orm";
import { opens } from "../schema/archive.ts";
import { listSeen, type SeenQuery } from "./seen.ts";

export type Open = typeof opens.$inferSelect;

const ORDER = [sql`${opens.at}`, sql`${opens.messageId}`, sql`${opens.email}`];

export function listOpens(archive: D1Database, serverId: number, query: SeenQuery) {
  return listSeen(archive, { table: opens, order: ORDER }, serverId, query);
}

/** What a page that begins behind this one is asked with. */
export function openKey({ at, messageId, email }: Open): (string | number)[] {
  return [at, messageId, email];
}
