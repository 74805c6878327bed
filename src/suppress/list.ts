/**
 * Whom a stream will not mail. The only writer of that table. A removed row stays as a tombstone with its time, so that
 * Outboxes which page by `changedAt` learn of removals, and so that an old bounce that is told again cannot bring back what
 * a person has since removed.
 */
import { and, asc, eq, isNull, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { type SuppressionCause, suppressions } from "../schema/directory.ts";
import type { SuppressionPlace } from "./follow.ts";

type Row = typeof suppressions.$inferSelect;

export interface Suppressed {
  serverId: number;
  stream: string;
  /** Lower case. */
  email: string;
}

export interface NewSuppression extends Pick<Row, "serverId" | "stream" | "reason" | "origin"> {
  /** Any case. */
  email: string;
  /** When its cause happened, ms: a removal after that holds. */
  since: number;
  /** The message that brought it about. */
  cause?: SuppressionCause;
}

/** Stronger: nobody but the recipient, or an operator, can take it back (§7 of the wire contract). */
const strength = (table: string) =>
  `CASE WHEN ${table}.reason = 'SpamComplaint' THEN 3
        WHEN ${table}.reason = 'ManualSuppression' AND ${table}.origin <> 'Customer' THEN 2 ELSE 1 END`;

const GIVEN = `SELECT value->>'serverId' AS server_id, value->>'stream' AS stream, value->>'email' AS email,
  value->>'reason' AS reason, value->>'origin' AS origin, value->>'since' AS since, value->>'cause' AS cause FROM json_each(?1)`;

const UPSERT = `INSERT INTO suppressions (server_id, stream, email, reason, origin, created_at, changed_at, cause)
  SELECT server_id, stream, email, reason, origin, since, ?2, cause FROM (${GIVEN}) WHERE true
  ON CONFLICT (server_id, stream, email) DO UPDATE SET reason = excluded.reason, origin = excluded.origin,
    created_at = excluded.created_at, changed_at = excluded.changed_at, cause = excluded.cause, removed_at = NULL
  WHERE CASE WHEN suppressions.removed_at IS NOT NULL THEN suppressions.removed_at <= excluded.created_at
    ELSE ${strength("excluded")} > ${strength("suppressions")} END`;

const ACTIVE = `SELECT DISTINCT s.server_id AS serverId, s.stream, s.email FROM (${GIVEN}) AS given
  JOIN suppressions AS s ON s.server_id = given.server_id AND s.stream = given.stream AND s.email = given.email
  WHERE s.removed_at IS NULL`;

/**
 * Suppresses, in one transaction. Idempotent: an active row of the same or a stronger reason stays as it is, and so does one
 * that was removed after `since`. Returns those of the given that are suppressed now, also when an earlier run did it: that
 * run may have ended before it told anybody.
 */
export async function suppress(
  directory: D1Database,
  rows: NewSuppression[],
  now: number,
): Promise<Suppressed[]> {
  if (rows.length === 0) return [];
  const given = JSON.stringify(rows.map((row) => ({ ...row, email: row.email.toLowerCase() })));
  const [, active] = await directory.batch<Suppressed>([
    directory.prepare(UPSERT).bind(given, now),
    directory.prepare(ACTIVE).bind(given),
  ]);
  return active?.results ?? [];
}

/**
 * Takes a suppression back. `kept` is one that is not ours to remove: a complaint, the recipient's own unsubscribe, an
 * operator's. Idempotent: what is not there is `absent`.
 */
export async function reactivate(
  directory: D1Database,
  serverId: number,
  stream: string,
  email: string,
  now: number,
): Promise<"removed" | "absent" | "kept"> {
  const key = [serverId, stream, email.toLowerCase()];
  const where = "server_id = ?1 AND stream = ?2 AND email = ?3 AND removed_at IS NULL";
  const [removed, left] = await directory.batch<{ email: string }>([
    directory
      .prepare(
        `UPDATE suppressions SET removed_at = ?4, changed_at = ?4 WHERE ${where} AND ${strength("suppressions")} = 1 RETURNING email`,
      )
      .bind(...key, now),
    directory.prepare(`SELECT email FROM suppressions WHERE ${where}`).bind(...key),
  ]);
  if (removed?.results.length) return "removed";
  return left?.results.length ? "kept" : "absent";
}

/** The recipient takes back their own unsubscribing, which nobody else may, and nothing that is another's. False when there is none. */
export async function resubscribe(
  directory: D1Database,
  { serverId, stream, email }: Suppressed,
  now: number,
): Promise<boolean> {
  const { meta } = await directory
    .prepare(
      `UPDATE suppressions SET removed_at = ?4, changed_at = ?4 WHERE server_id = ?1 AND stream = ?2 AND email = ?3
         AND removed_at IS NULL AND reason = 'ManualSuppression' AND origin = 'Recipient'`,
    )
    .bind(serverId, stream, email.toLowerCase(), now)
    .run();
  return meta.changes > 0;
}

/** Why the stream does not mail the address; undefined when it does. */
export async function findSuppression(
  directory: D1Database,
  { serverId, stream, email }: Suppressed,
): Promise<Pick<Row, "reason" | "origin"> | undefined> {
  const [row] = await drizzle(directory)
    .select({ reason: suppressions.reason, origin: suppressions.origin })
    .from(suppressions)
    .where(
      and(
        eq(suppressions.serverId, serverId),
        eq(suppressions.stream, stream),
        eq(suppressions.email, email.toLowerCase()),
        isNull(suppressions.removedAt),
      ),
    );
  return row;
}

export interface SuppressionEntry extends Pick<Row, "stream" | "email" | "reason" | "origin" | "changedAt"> {
  removed: boolean;
}

/** With the message that brought it about, which only those want to know who tell people. */
export type ToldSuppression = SuppressionEntry & Pick<NewSuppression, "cause">;

/** What changed, behind a place of the feed that Outboxes follow (follow.ts), oldest first. `limit` bounds one reading. */
export async function suppressionChanges(
  directory: D1Database,
  serverId: number,
  after: SuppressionPlace,
  limit: number,
): Promise<SuppressionEntry[]> {
  const rows = await drizzle(directory)
    .select(ENTRY)
    .from(suppressions)
    .where(changedAfter(serverId, after))
    .orderBy(...IN_ORDER)
    .limit(limit);
  return rows.map(({ removedAt, ...row }) => ({ ...row, removed: removedAt !== null }));
}

/** The same, for the event log. */
export async function toldSuppressions(
  directory: D1Database,
  serverId: number,
  after: SuppressionPlace,
  limit: number,
): Promise<ToldSuppression[]> {
  const rows = await drizzle(directory)
    .select({ ...ENTRY, cause: suppressions.cause })
    .from(suppressions)
    .where(changedAfter(serverId, after))
    .orderBy(...IN_ORDER)
    .limit(limit);
  return rows.map(({ removedAt, cause, ...row }) => {
    return { ...row, removed: removedAt !== null, ...(cause && { cause }) };
  });
}

const ENTRY = {
  stream: suppressions.stream,
  email: suppressions.email,
  reason: suppressions.reason,
  origin: suppressions.origin,
  removedAt: suppressions.removedAt,
  changedAt: suppressions.changedAt,
};

/** As the index has them, which ends in the table's key: no page is sorted. */
const IN_ORDER = [asc(suppressions.changedAt), asc(suppressions.stream), asc(suppressions.email)];

function changedAfter(serverId: number, { changedAt, stream, email }: SuppressionPlace) {
  const place = sql`(${suppressions.changedAt}, ${suppressions.stream}, ${suppressions.email})`;
  return and(eq(suppressions.serverId, serverId), sql`${place} > (${changedAt}, ${stream}, ${email})`);
}
