/**
 * A server's API tokens: listed, made and revoked. Each is found by its hash; it is kept sealed beside it, because the API shows it,
 * unless its account shows a token once, when it is made.
 */

import { and, asc, eq, inArray, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { accounts, tokens } from "../schema/directory.ts";
import type { Scope } from "./policy.ts";
import { open, seal } from "./secret.ts";
import { hashToken, newToken } from "./token.ts";

/** As Postmark has it: one in use, one to rotate to, one to spare. */
export const MAX_TOKENS = 3;

export interface TokenSettings {
  name: string;
  scope: Scope;
  /** As allow-list.ts reads them. */
  allowedIps: string[];
  ratePerMinute: number | null;
}

export interface ServerToken extends TokenSettings {
  id: number;
  serverId: number;
  /** null when nobody can read it again. */
  token: string | null;
  /** Milliseconds since the epoch. */
  createdAt: number;
}

export interface TokenNeeds {
  directory: D1Database;
  deploymentSecret: string;
  log(event: string, fields: Record<string, unknown>): void;
}

/** The new token is in the result, kept or not; undefined when the server has as many as it may, or is no more. */
export async function addToken(
  { directory, deploymentSecret }: TokenNeeds,
  { accountId, serverId, ...settings }: { accountId: number; serverId: number } & TokenSettings,
  now: number,
): Promise<ServerToken | undefined> {
  const token = newToken(serverId);
  const { name, scope, allowedIps, ratePerMinute } = settings;
  const row = await directory
    .prepare(
      `INSERT INTO tokens (hash, sealed, kind, account_id, server_id, name, scope, allowed_ips, rate_per_minute, created_at)
       SELECT ?1, CASE WHEN (SELECT show_tokens_once FROM accounts WHERE id = ?3) THEN NULL ELSE ?2 END, 'server', ?3, ?4, ?5, ?6, ?7, ?8, ?9
       WHERE (SELECT count(*) FROM tokens WHERE server_id = ?4) < ${MAX_TOKENS}
         AND EXISTS (SELECT 1 FROM servers WHERE id = ?4 AND account_id = ?3 AND deleted_at IS NULL)
       RETURNING id`,
    )
    .bind(
      await hashToken(token),
      await seal(token, deploymentSecret),
      accountId,
      serverId,
      name,
      scope,
      JSON.stringify(allowedIps),
      ratePerMinute,
      now,
    )
    .first<{ id: number }>();
  return row ? { ...settings, id: row.id, serverId, token, createdAt: now } : undefined;
}

/** Of each of these servers, in the order in which they were made. */
export async function listTokens(
  { directory, deploymentSecret, log }: TokenNeeds,
  serverIds: number[],
): Promise<ServerToken[]> {
  const { id, serverId, name, scope, allowedIps, ratePerMinute, createdAt, sealed } = tokens;
  const rows = await drizzle(directory)
    .select({
      ...{ id, name, scope, allowedIps, ratePerMinute, createdAt },
      serverId: sql<number>`${serverId}`,
      // Those that were made before the account came to show them once.
      sealed: sql<string | null>`case when ${accounts.showTokensOnce} then null else ${sealed} end`,
    })
    .from(tokens)
    .innerJoin(accounts, eq(accounts.id, tokens.accountId))
    .where(
      and(
        inArray(serverId, sql`(select value from json_each(${JSON.stringify(serverIds)}))`),
        eq(tokens.kind, "server"),
      ),
    )
    .orderBy(asc(id));
  return Promise.all(
    rows.map(async ({ sealed, ...row }) => {
      try {
        return { ...row, token: sealed === null ? null : await open(sealed, deploymentSecret) };
      } catch (error) {
        // The deployment's secret was changed: the token still works, by its hash, and nobody can read it again.
        log("token cannot be opened", { token: row.id, error: String(error) });
        return { ...row, token: null };
      }
    }),
  );
}

/** "last" when it is the only one that may do everything, and `keepFull` asks for one to stay. */
export async function deleteToken(
  directory: D1Database,
  { serverId, id, keepFull }: { serverId: number; id: number; keepFull: boolean },
): Promise<"deleted" | "last" | "absent"> {
  const condition = `id = ?1 AND server_id = ?2 AND kind = 'server'`;
  const another = `EXISTS (SELECT 1 FROM tokens WHERE server_id = ?2 AND kind = 'server' AND scope = 'full' AND id <> ?1)`;
  const deleted = await directory
    .prepare(`DELETE FROM tokens WHERE ${condition} AND (NOT ?3 OR scope <> 'full' OR ${another})`)
    .bind(id, serverId, keepFull ? 1 : 0)
    .run();
  if (deleted.meta.changes > 0) return "deleted";
  const there = await directory.prepare(`SELECT 1 FROM tokens WHERE ${condition}`).bind(id, serverId).first();
  return there ? "last" : "absent";
}
