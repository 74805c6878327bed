/**
 * Makes accounts, servers and what belongs to them. Values are taken as valid: the API checks them at its door, and the local
 * seed gives its own.
 */
import { isNull, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { accounts, servers, streams, tokens } from "../schema/directory.ts";
import { seal } from "./secret.ts";
import { DEFAULT_STREAMS, GIVE_UP_AFTER_HOURS } from "./streams.ts";
import { hashToken, newToken } from "./token.ts";

export type Server = typeof servers.$inferSelect;
/** What its owner may set of a server. */
export type ServerSettings = Omit<Server, "id" | "accountId" | "inboundHash" | "createdAt" | "deletedAt">;
export type NewServer = Pick<Server, "accountId" | "name"> & Partial<ServerSettings>;

export interface NewToken {
  kind: "server" | "account";
  accountId: number;
  /** For a server's token. */
  serverId?: number;
  /** One that exists already, as the local home's; a new one is made without it. */
  token?: string;
  /** With it the token is kept beside its hash, sealed; else nobody can read it again. */
  deploymentSecret?: string;
}

export async function createAccount(directory: D1Database, name: string, now: number): Promise<number> {
  const row = await drizzle(directory)
    .insert(accounts)
    .values({ name, createdAt: now })
    .returning({ id: accounts.id })
    .get();
  return row.id;
}

export interface FirstToken {
  /** The server's number, which the token names. */
  serverId: number;
  hash: string;
  sealed: string;
}

/**
 * A server with its three streams, and with its first token where one is given, in one transaction: never one without the others.
 * A number that is given and taken is refused by the directory.
 */
export async function createServer(
  directory: D1Database,
  {
    deliveryType = "Live",
    trackOpens = false,
    trackLinks = "None",
    transports = ["gateway"],
    ...more
  }: NewServer,
  now: number,
  first?: FirstToken,
): Promise<Server> {
  const db = drizzle(directory);
  const { accountId } = more;
  const inboundHash = crypto.randomUUID().replaceAll("-", "");
  // The streams find their server by its hash: its number is not known before the transaction.
  const serverId = sql<number>`(select ${servers.id} from ${servers} where ${servers.inboundHash} = ${inboundHash})`;
  const [[server]] = await db.batch([
    db
      .insert(servers)
      .values({
        ...(first && { id: first.serverId }),
        ...{ ...more, deliveryType, trackOpens, trackLinks, transports, inboundHash, createdAt: now },
      })
      .returning(),
    db.insert(streams).values(
      DEFAULT_STREAMS.map((stream) => ({
        ...stream,
        serverId,
        giveUpAfterHours: GIVE_UP_AFTER_HOURS,
        createdAt: now,
      })),
    ),
    ...(first
      ? [
          db.insert(tokens).values({
            ...{ kind: "server", accountId, serverId, hash: first.hash, createdAt: now },
            sealed: sql`case when (select ${accounts.showTokensOnce} from ${accounts} where ${accounts.id} = ${accountId}) then null else ${first.sealed} end`,
          }),
        ]
      : []),
  ]);
  if (!server) throw new Error("the directory gave a new server no number");
  return server;
}

/** Stores a token's hash and returns the token. Harmless to repeat with the same token. */
export async function createToken(
  directory: D1Database,
  { kind, accountId, serverId, token = newToken(serverId ?? accountId), deploymentSecret }: NewToken,
  now: number,
): Promise<string> {
  const hash = await hashToken(token);
  const sealed = deploymentSecret ? await seal(token, deploymentSecret) : null;
  await drizzle(directory)
    .insert(tokens)
    .values({ hash, sealed, kind, accountId, serverId: serverId ?? null, createdAt: now })
    .onConflictDoUpdate({ target: tokens.hash, set: { sealed }, setWhere: isNull(tokens.sealed) });
  return token;
}
