/**
 * Servers of an account: found, listed, changed and deleted. A deleted one is found nowhere from that moment; what is left of it goes
 * in the background (erase/).
 */
import { and, asc, count, eq, gt, isNull, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { accounts, servers } from "../schema/directory.ts";
import { createServer, type NewServer, type Server, type ServerSettings } from "./create.ts";
import { seal } from "./secret.ts";
import { hashToken, newToken } from "./token.ts";
import type { TokenNeeds } from "./tokens.ts";

/** Which of a server's settings another server has already. */
export type Taken = { taken: "name" | "inboundDomain" };

export interface ServerFilter {
  /** A part of the name, in any case. */
  name?: string;
  count: number;
  offset: number;
  /** Those behind this number; `offset` then does not count. */
  after?: number;
}

/** Others who make servers at the same moment: more tries than that are a fault. */
const MAX_TRIES = 5;

/** With its first token, which is in the result whether it is kept or not. */
export async function addServer(
  { directory, deploymentSecret }: Pick<TokenNeeds, "directory" | "deploymentSecret">,
  server: NewServer,
  now: number,
): Promise<{ server: Server; token: string } | Taken> {
  for (let tried = 1; ; tried++) {
    const serverId = await nextNumber(directory);
    const token = newToken(serverId);
    const first = { serverId, hash: await hashToken(token), sealed: await seal(token, deploymentSecret) };
    try {
      const made = await unlessTaken(() => createServer(directory, server, now, first));
      return "taken" in made ? made : { server: made, token };
    } catch (error) {
      const why = `${error} ${(error as Error).cause}`;
      if (tried === MAX_TRIES || !/UNIQUE constraint failed: servers\.id/.test(why)) throw error;
    }
  }
}

/** The one that the directory would give: never one that a server had before, since objects and tokens have it in their names. */
async function nextNumber(directory: D1Database): Promise<number> {
  const last = await directory
    .prepare("SELECT seq FROM sqlite_sequence WHERE name = 'servers'")
    .first<{ seq: number }>();
  return (last?.seq ?? 0) + 1;
}

/** With an account, only one of its own. */
export async function findServer(
  directory: D1Database,
  serverId: number,
  accountId?: number,
): Promise<Server | undefined> {
  return drizzle(directory).select().from(servers).where(one(serverId, accountId)).get();
}

/** In the order in which they were made. `isMore` says whether there are others behind them. */
export async function listServers(
  directory: D1Database,
  accountId: number,
  filter: ServerFilter,
): Promise<{ total: number; servers: Server[]; isMore: boolean }> {
  const db = drizzle(directory);
  const { name, after } = filter;
  const matching = and(
    eq(servers.accountId, accountId),
    isNull(servers.deletedAt),
    // Not LIKE, whose patterns D1 limits to 50 bytes.
    name === undefined ? undefined : sql`instr(lower(${servers.name}), lower(${name})) > 0`,
  );
  const [[counted], found] = await db.batch([
    db.select({ total: count() }).from(servers).where(matching),
    db
      .select()
      .from(servers)
      .where(and(matching, after === undefined ? undefined : gt(servers.id, after)))
      .orderBy(asc(servers.id))
      .limit(filter.count + 1)
      .offset(after === undefined ? filter.offset : 0),
  ]);
  const isMore = found.length > filter.count;
  return { total: counted?.total ?? 0, servers: found.slice(0, filter.count), isMore };
}

/** What is absent stays as it is; undefined when there is no such server. */
export async function changeServer(
  directory: D1Database,
  serverId: number,
  change: Partial<ServerSettings>,
): Promise<Server | Taken | undefined> {
  if (Object.values(change).every((value) => value === undefined)) return findServer(directory, serverId);
  return unlessTaken(async () => {
    const [row] = await drizzle(directory).update(servers).set(change).where(one(serverId)).returning();
    return row;
  });
}

/**
 * The server that no longer exists; undefined when there was none. Its erasure is queued in the same transaction: nothing of a
 * deleted server is ever left lying.
 */
export async function deleteServer(
  directory: D1Database,
  { accountId, serverId }: { accountId: number; serverId: number },
  now: number,
): Promise<Server | "not permitted" | undefined> {
  const server = await findServer(directory, serverId, accountId);
  if (!server) return undefined;
  const where = `id = ?1 AND account_id = ?2 AND deleted_at IS NULL
    AND EXISTS (SELECT 1 FROM accounts WHERE accounts.id = ?2 AND server_deletion)`;
  const [, deleted] = await directory.batch([
    directory
      .prepare(
        `INSERT INTO erasures (kind, account_id, server_id, created_at)
         SELECT 'server', account_id, id, ?3 FROM servers WHERE ${where}`,
      )
      .bind(serverId, accountId, now),
    directory.prepare(`UPDATE servers SET deleted_at = ?3 WHERE ${where}`).bind(serverId, accountId, now),
  ]);
  if (deleted?.meta.changes) return server;
  // Another request deleted it in between, or the account may not.
  return (await mayDelete(directory, accountId)) ? undefined : "not permitted";
}

async function mayDelete(directory: D1Database, accountId: number): Promise<boolean> {
  const { serverDeletion } = accounts;
  const row = await drizzle(directory)
    .select({ serverDeletion })
    .from(accounts)
    .where(eq(accounts.id, accountId))
    .get();
  return row?.serverDeletion ?? false;
}

function one(serverId: number, accountId?: number) {
  return and(
    eq(servers.id, serverId),
    accountId === undefined ? undefined : eq(servers.accountId, accountId),
    isNull(servers.deletedAt),
  );
}

/** The directory alone can tell: two requests may want the same name at once. */
async function unlessTaken<T>(write: () => Promise<T>): Promise<T | Taken> {
  try {
    return await write();
  } catch (error) {
    const why = `${error} ${(error as Error).cause}`;
    if (/UNIQUE constraint failed: servers\.account_id, servers\.name/.test(why)) return { taken: "name" };
    if (/UNIQUE constraint failed: servers\.inbound_domain/.test(why)) return { taken: "inboundDomain" };
    throw error;
  }
}
