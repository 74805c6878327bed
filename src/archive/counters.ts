/**
 * Reads the counters (count.ts says what each counts): sums over a range of days, by one part of their names. Never looks at messages:
 * the key begins with the server, the tag and the day, so a range reads its days' rows and no others.
 */
import { and, asc, eq, gte, lt, lte, type SQL, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { counters } from "../schema/archive.ts";

export interface CounterRange {
  serverId: number;
  /** undefined: all messages, tagged or not. */
  tag?: string;
  /** undefined: all streams. */
  stream?: string;
  /** Eastern days, "2026-02-17", both inclusive. */
  fromDay?: string;
  toDay?: string;
}

/** What a name of theirs begins with. */
export type CounterKind = "Sent" | "Bounce" | "Open" | "Click";

export interface DayCount {
  day: string;
  key: string;
  count: number;
}

/** By day, then by the `part`th part of the names ("Open/first/WebMail": 0, 1, 2); names without that part are left out. */
export function countsByDay(
  archive: D1Database,
  range: CounterRange,
  kind: CounterKind,
  part: number,
): Promise<DayCount[]> {
  // The names hold no quotation marks, so that a name is a JSON array as soon as it is punctuated like one.
  const key = sql<string>`('["' || replace(${counters.name}, '/', '","') || '"]') ->> ${sql.raw(String(part))}`;
  const count = sql<number>`sum(${counters.count})`;
  return drizzle(archive)
    .select({ day: counters.day, key: key.as("key"), count })
    .from(counters)
    .where(
      and(
        within(range),
        gte(counters.name, `${kind}/`),
        lt(counters.name, `${kind}0`),
        sql`${key} IS NOT NULL`,
      ),
    )
    .groupBy(counters.day, sql`2`)
    .having(sql`${count} <> 0`)
    .orderBy(asc(counters.day), sql`2`);
}

/** Over all days, by whole names. */
export function totalCounts(
  archive: D1Database,
  range: CounterRange,
): Promise<{ name: string; count: number }[]> {
  return drizzle(archive)
    .select({ name: counters.name, count: sql<number>`sum(${counters.count})` })
    .from(counters)
    .where(within(range))
    .groupBy(counters.name);
}

function within({ serverId, tag = "", stream, fromDay, toDay }: CounterRange): SQL | undefined {
  return and(
    eq(counters.serverId, serverId),
    eq(counters.tag, tag),
    fromDay === undefined ? undefined : gte(counters.day, fromDay),
    toDay === undefined ? undefined : lte(counters.day, toDay),
    stream === undefined ? undefined : eq(counters.stream, stream),
  );
}
