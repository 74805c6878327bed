/**
 * What is to be removed and what became of it: the rows of `erasures`. A server's row is made in the transaction that deletes it
 * (accounts/servers.ts); a person's is asked for by their account; a stream's is made here when its time has come.
 */
import { and, asc, eq, isNull, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { erasures } from "../schema/directory.ts";

export type Erasure = typeof erasures.$inferSelect;

/** Of an account at a time: whoever asks for more is not removing people but has a loop, and each is work for every server. */
export const MAX_OPEN = 1_000;
/** Rows made in one sweep. */
const STREAMS_A_SWEEP = 100;
/** Looked at in one run. */
const ERASURES_A_RUN = 100;
/** Numbers change places by so much each minute: any comes to the front within a day. */
const STEP = 37;

export interface NewRemoval {
  accountId: number;
  /** Lower case. */
  email: string;
  requestedBy: string;
  notify: boolean;
}

/** Its number; undefined when the account has as many that are not done as it may have. */
export async function requestRemoval(
  directory: D1Database,
  { accountId, email, requestedBy, notify }: NewRemoval,
  now: number,
): Promise<number | undefined> {
  const row = await directory
    .prepare(
      `INSERT INTO erasures (kind, account_id, email, requested_by, notify, progress, created_at)
       SELECT 'person', ?1, ?2, ?3, ?4, '{}', ?5
       WHERE (SELECT count(*) FROM erasures WHERE done_at IS NULL AND account_id = ?1) < ${MAX_OPEN} RETURNING id`,
    )
    .bind(accountId, email, requestedBy, notify ? 1 : 0, now)
    .first<{ id: number }>();
  return row?.id;
}

/** Of a person; undefined when the account never asked for it. */
export async function findRemoval(
  directory: D1Database,
  accountId: number,
  id: number,
): Promise<{ id: number; isDone: boolean } | undefined> {
  const one = and(eq(erasures.id, id), eq(erasures.accountId, accountId), eq(erasures.kind, "person"));
  const row = await drizzle(directory).select().from(erasures).where(one).get();
  return row && { id: row.id, isDone: row.doneAt !== null };
}

/** Archived streams whose time has come; each once. */
export async function queueStreams(directory: D1Database, now: number): Promise<void> {
  await directory
    .prepare(
      `INSERT INTO erasures (kind, account_id, server_id, stream, progress, created_at)
       SELECT 'stream', servers.account_id, servers.id, streams.id, '{}', ?1
       FROM streams JOIN servers ON servers.id = streams.server_id
       WHERE streams.archived_at IS NOT NULL AND streams.purge_at <= ?1 AND servers.deleted_at IS NULL AND NOT EXISTS (
         SELECT 1 FROM erasures WHERE kind = 'stream' AND server_id = servers.id AND stream = streams.id)
       LIMIT ${STREAMS_A_SWEEP}`,
    )
    .bind(now)
    .run();
}

/**
 * Of what is not done, as much as a run looks at: people last, who wait for the servers of their account that are going; and each minute
 * in another order, so that those who wait for something else keep nobody behind them from being looked at.
 */
export function openErasures(directory: D1Database, now: number): Promise<Erasure[]> {
  const minute = Math.floor(now / 60_000);
  return drizzle(directory)
    .select()
    .from(erasures)
    .where(isNull(erasures.doneAt))
    .orderBy(
      sql`${erasures.kind} = 'person'`,
      sql`(${erasures.id} + ${STEP} * ${minute}) % ${MAX_OPEN}`,
      asc(erasures.id),
    )
    .limit(ERASURES_A_RUN);
}

/** Written down before what relies on it. */
export async function keepProgress(directory: D1Database, { id }: Erasure, progress: object): Promise<void> {
  await drizzle(directory)
    .update(erasures)
    .set({ progress: { ...progress } })
    .where(eq(erasures.id, id));
}

/** The row forgets whom it was about, also when they asked themselves. */
export async function finish(directory: D1Database, { id }: Erasure, now: number): Promise<void> {
  await directory
    .prepare(
      `UPDATE erasures SET done_at = ?2, email = NULL, progress = '{}',
         requested_by = iif(lower(requested_by) = email, NULL, requested_by)
       WHERE id = ?1 AND done_at IS NULL`,
    )
    .bind(id, now)
    .run();
}
