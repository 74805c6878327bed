/**
 * Which opens or clicks a search asks for, and a page of them: what the two lists have in common. Both go through the index of one
 * server's stream by time, or through what one recipient was sent.
 */
import { and, desc, eq, gte, lte, type SQL, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import type { Reader } from "../mail/reader.ts";
import type { clicks, opens } from "../schema/archive.ts";
import { idsOf } from "./find.ts";
import type { Page } from "./page.ts";

/** Words of readers and places fit in any case; what is absent does not filter. */
export interface SeenFilter {
  stream: string;
  /** Lower case. */
  recipient?: string;
  tag?: string;
  client: Partial<Reader["client"]>;
  os: Partial<Reader["os"]>;
  platform?: Reader["platform"];
  /** Its name or its code. */
  country?: string;
  region?: string;
  city?: string;
  /** Milliseconds since the epoch, both inclusive. */
  from?: number;
  to?: number;
}

/** `after` is the sort key of the row before the page; its offset is then nothing. */
export type SeenPage = Page & { after?: (string | number)[] };

export interface SeenQuery {
  of: SeenFilter | { messageId: string };
  page: SeenPage;
}

type Table = typeof opens | typeof clicks;

/** Newest first; `more` says whether there is a row behind the page. `order` makes the time's order whole. */
export async function listSeen<T extends Table>(
  archive: D1Database,
  { table, order }: { table: T; order: SQL[] },
  serverId: number,
  { of, page }: SeenQuery,
): Promise<{ total: number; rows: T["$inferSelect"][]; more: boolean }> {
  const db = drizzle(archive);
  const where = condition(table, serverId, of);
  const after = page.after && sql`(${list(order)}) < (${list(page.after.map((part) => sql`${part}`))})`;
  const [rows, [counted]] = await db.batch([
    db
      .select()
      .from(table as Table)
      .where(and(where, after))
      .orderBy(...order.map((column) => desc(column)))
      .limit(page.count + 1)
      .offset(page.after ? 0 : page.offset),
    db
      .select({ total: sql<number>`count(*)` })
      .from(table as Table)
      .where(where),
  ]);
  const more = rows.length > page.count;
  return { total: counted?.total ?? 0, rows: rows.slice(0, page.count) as T["$inferSelect"][], more };
}

const list = (parts: SQL[]) => sql.join(parts, sql`, `);

function condition(table: Table, serverId: number, of: SeenQuery["of"]): SQL | undefined {
  const ours = eq(table.serverId, serverId);
  if ("messageId" in of) return and(ours, eq(table.messageId, of.messageId));
  const { stream, recipient, tag, client, os, platform, country, region, city, from, to } = of;
  const told = (path: string, word: string | undefined) =>
    word === undefined ? undefined : sql`${table.reader} ->> ${`$.${path}`} = ${word} collate nocase`;
  const either = (a: SQL | undefined, b: SQL | undefined) => a && sql`(${a} or ${b})`;
  return and(
    ours,
    // With the plus the stream's index is none for SQLite, which then goes by what the recipient was sent.
    recipient === undefined ? eq(table.stream, stream) : sql`+${table.stream} = ${stream}`,
    recipient === undefined
      ? undefined
      : sql`${table.messageId} in ${idsOf(serverId, { stream, recipient })}`,
    recipient === undefined ? undefined : eq(table.email, recipient),
    tag === undefined ? undefined : eq(table.tag, tag),
    told("client.name", client.name),
    told("client.company", client.company),
    told("client.family", client.family),
    told("os.name", os.name),
    told("os.company", os.company),
    told("os.family", os.family),
    told("platform", platform),
    either(told("geo.country", country), told("geo.countryIsoCode", country)),
    either(told("geo.region", region), told("geo.regionIsoCode", region)),
    told("geo.city", city),
    from === undefined ? undefined : gte(table.at, from),
    to === undefined ? undefined : lte(table.at, to),
  );
}
