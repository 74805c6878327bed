/** Lists the first clicks of recipients on links. */
import { sql } from "drizzle-orm";
import { clicks } from "../schema/archive.ts";
import { listSeen, type SeenQuery } from "./seen.ts";

export type Click = typeof clicks.$inferSelect;

const ORDER = [sql`${clicks.at}`, sql`${clicks.messageId}`, sql`${clicks.email}`, sql`${clicks.link}`];

export function listClicks(archive: D1Database, serverId: number, query: SeenQuery) {
  return listSeen(archive, { table: clicks, order: ORDER }, serverId, query);
}

/** What a page that begins behind this one is asked with. */
export function clickKey({ at, messageId, email, link }: Click): (string | number)[] {
  return [at, messageId, email, link];
}
