/**
 * The SQL of a search for messages: which keys the index finds, newest first, and how many there are. What it costs depends on what it
 * finds and not on what the archive has: a word is looked up, words together are looked up by the rarest of them while it is rare, and
 * all messages of a stream are not counted but added up from their hours.
 */
import { type SQL, sql } from "drizzle-orm";
import { messageCounts, messages, recipients } from "../schema/archive.ts";
import { condition, type MessageFilter } from "./filter.ts";
import { HOUR_MS } from "./index-messages.ts";
import type { Place } from "./page.ts";
import { expressions, idPrefixOf, keyRange } from "./search.ts";

/**
 * Of a word with so many messages, looking into each of them is no faster than going through the other words' lists: a list takes 30 ns a
 * message, and a message some microseconds.
 */
const MANY = 200;

/** Keys are given as text. */
const key = (of: bigint) => sql`cast(${of.toString()} as integer)`;

export interface Search {
  serverId: number;
  filter: MessageFilter;
  /** Ids of messages that are not to be found, though they are there. */
  except: string[];
}

/** The ids of what the index finds for a filter: a part of an `in`. */
export function idsOf(serverId: number, filter: MessageFilter): SQL {
  const { low, high } = keyRange(filter);
  const prefix = sql.raw(idPrefixOf("search.rowid"));
  return sql`(select ${messages.id} from search cross join ${messages} on ${messages.serverId} = ${serverId}
    and ${messages.id} >= ${prefix} and ${messages.id} < ${prefix} || 'g' and ${messages.key} = search.rowid
    where search match ${expressions(serverId, filter).join(" AND ")} and rowid between ${key(low)} and ${key(high)})`;
}

interface Keys {
  low: bigint;
  high: bigint;
}

/** What the two below refer to: the parts of their `with`, of which there may be none. */
export function withParts(search: Search): SQL[] {
  const { serverId, filter, except } = search;
  const { low, high } = keyRange(filter);
  const all = expressions(serverId, filter);
  const parts: SQL[] = [];
  // Joins are `cross` for their order: from the few to the many.
  if (except.length > 0)
    parts.push(sql`excepted(key) as materialized (select ${messages.key} from json_each(${JSON.stringify(except)}) as one
      cross join ${messages} on ${messages.id} = one.value where ${condition(serverId, filter)})`);
  if (all.length > 1)
    parts.push(
      sql`probe(expression, number) as materialized (select value, (select count(*) from (select 1 from search
        where search match value and rowid between ${key(low)} and ${key(high)} limit ${sql.raw(String(MANY))}))
        from json_each(${JSON.stringify(all)}))`,
      sql`rarest(expression, number) as materialized (select * from probe order by number limit 1)`,
    );
  if (filter.queued !== undefined)
    parts.push(
      sql`untried(key) as materialized (select distinct ${messages.key} from ${recipients} cross join ${messages}
        on ${messages.serverId} = ${recipients.serverId} and ${messages.id} = ${recipients.messageId}
        where ${recipients.serverId} = ${serverId} and ${recipients.version} = 0 and ${condition(serverId, filter)}
        ${except.length > 0 ? sql`and ${messages.key} not in (select key from excepted)` : sql``})`,
    );
  return parts;
}

interface Newest {
  most: number;
  skip: number;
  /** Only what comes after this place. */
  after?: Place;
}

/** The keys found, as a column `key`: a part of a `from`. */
export function found(search: Search, newest?: Newest): SQL {
  const { serverId, filter } = search;
  const range = keyRange(filter);
  const below = newest?.after && BigInt(newest.after.key);
  const keys = below !== undefined && below <= range.high ? { ...range, high: below - 1n } : range;
  const column = sql.raw(filter.queued ? "key" : "rowid");
  // Who was the last of a page, and then was archived, has got an earlier place and is not to come again.
  const others = newest?.after
    ? sql`and ${column} not in (select ${messages.key} from ${messages} where ${messages.serverId} = ${serverId}
        and ${messages.id} = ${newest.after.id})`
    : sql``;
  const limited = newest ? sql`${others} order by 1 desc limit ${newest.most} offset ${newest.skip}` : sql``;
  return filter.queued
    ? sql`(select key from untried where key between ${key(keys.low)} and ${key(keys.high)} ${limited})`
    : sql`(select rowid as key from search where ${indexed(search, keys)} ${limited})`;
}

function indexed({ serverId, filter, except }: Search, { low, high }: Keys): SQL {
  const all = expressions(serverId, filter);
  const many = sql.raw(String(MANY));
  const prefix = sql.raw(idPrefixOf("search.rowid"));
  const one = sql`exists (select 1 from ${messages} where ${condition(serverId, filter)}
    and ${messages.id} >= ${prefix} and ${messages.id} < ${prefix} || 'g' and ${messages.key} = search.rowid)`;
  const parts = [
    all.length === 1
      ? sql`search match ${all[0]}`
      : sql`search match (select iif(number < ${many}, expression, ${all.join(" AND ")}) from rarest)
          and ((select number from rarest) = ${many} or ${one})`,
    sql`rowid between ${key(low)} and ${key(high)}`,
  ];
  if (except.length > 0) parts.push(sql`rowid not in (select key from excepted)`);
  if (filter.queued === false) parts.push(sql`rowid not in (select key from untried)`);
  return sql.join(parts, sql` and `);
}

/** How many are found: an expression. */
export function howMany(search: Search): SQL {
  const { serverId, filter, except } = search;
  const { stream, queued, from, to, ...words } = filter;
  const isPlain = Object.values(words).every((value) => value === undefined);
  if (queued || !isPlain) return sql`(select count(*) from ${found(search)})`;
  const { hours, edges } = splitHours(from, to);
  const all: MessageFilter = { stream };
  const inEdges = edges.map(
    (edge) =>
      sql` + (select count(*) from search where ${indexed({ serverId, filter: all, except: [] }, keyRange(edge))})`,
  );
  const without = sql`${except.length > 0 ? sql` - (select count(*) from excepted)` : sql``}${
    queued === false ? sql` - (select count(*) from untried)` : sql``
  }`;
  return sql`(select coalesce(sum(${messageCounts.count}), 0) from ${messageCounts}
    where ${messageCounts.serverId} = ${serverId} and ${messageCounts.stream} = ${stream}
    and ${messageCounts.hour} >= ${hours.first} and ${messageCounts.hour} < ${hours.end})
    ${sql.join(inEdges, sql``)}${without}`;
}

/** The end of an hour, long after all messages. */
const LAST_TIME = 10_000_000 * HOUR_MS - 1;

/** A range of time as the hours that lie in it whole, and what is left at its ends. */
export function splitHours(
  from?: number,
  to?: number,
): { hours: { first: number; end: number }; edges: { from: number; to: number }[] } {
  const [start, last] = [Math.max(0, from ?? 0), Math.min(LAST_TIME, to ?? LAST_TIME)];
  const [first, end] = [Math.ceil(start / HOUR_MS), Math.floor((last + 1) / HOUR_MS)];
  if (start > last) return { hours: { first: 0, end: 0 }, edges: [] };
  if (first > end) return { hours: { first: 0, end: 0 }, edges: [{ from: start, to: last }] };
  const edges = [
    { from: start, to: first * HOUR_MS - 1 },
    { from: end * HOUR_MS, to: last },
  ].filter((edge) => edge.from <= edge.to);
  return { hours: { first, end }, edges };
}
