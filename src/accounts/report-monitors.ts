/**
 * Domains whose DMARC and TLS reports we read, each with an address of its own. An account's is made when it is first asked for;
 * anybody's is a record of the DMARC API, whose token is known by its hash alone.
 */
import { and, eq, or } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { domainOf } from "../mail/address.ts";
import { reportMonitors } from "../schema/directory.ts";
import { hashToken } from "./token.ts";

export type Monitor = Readonly<typeof reportMonitors.$inferSelect>;

/** Anybody may make records without a token: what no honest crowd reaches, and what a database bears. */
const RECORDS_PER_HOUR = 200;
/** A domain's people try more than once, and not for ever. */
const RECORDS_PER_DOMAIN = 20;
const HOUR_MS = 3_600_000;
/** In the address, which is in the DNS for all to read: it only has to differ. */
const PUBLIC_TOKEN_BYTES = 10;

/** Where mail with reports goes. */
export function reportsHost(mailDomain: string): string {
  return `dmarc.${mailDomain}`;
}

export function reportsAddress({ publicToken }: Pick<Monitor, "publicToken">, mailDomain: string): string {
  return `re+${publicToken}@${reportsHost(mailDomain)}`;
}

/** Whose reports come to this address; undefined for any that is not one of these. */
export async function monitorOfAddress(
  directory: D1Database,
  address: string,
  mailDomain: string,
): Promise<Monitor | undefined> {
  if (domainOf(address) !== reportsHost(mailDomain)) return undefined;
  const token = /^re\+([0-9a-f]{20})@/.exec(address.toLowerCase())?.[1];
  if (token === undefined) return undefined;
  return drizzle(directory).select().from(reportMonitors).where(eq(reportMonitors.publicToken, token)).get();
}

/** The one of a domain of an account. */
export async function monitorOfAccount(
  directory: D1Database,
  accountId: number,
  domain: string,
  now: number,
): Promise<Monitor> {
  const db = drizzle(directory);
  const isIt = and(eq(reportMonitors.accountId, accountId), eq(reportMonitors.domain, domain));
  const there = await db.select().from(reportMonitors).where(isIt).get();
  if (there) return there;
  await db
    .insert(reportMonitors)
    .values({ accountId, domain, publicToken: newPublicToken(), createdAt: now })
    .onConflictDoNothing();
  const made = await db.select().from(reportMonitors).where(isIt).get();
  if (!made) throw new Error(`no monitor of ${domain} after it was made`);
  return made;
}

/** A record of the DMARC API. "too many" when anybody has made more of late than can be meant. */
export async function createRecord(
  directory: D1Database,
  { domain, email }: { domain: string; email: string },
  now: number,
): Promise<{ monitor: Monitor; token: string } | "too many"> {
  const token = crypto.randomUUID();
  // Both bounds are in the statement that inserts, so that requests at the same time do not pass them together.
  const monitor = await directory
    .prepare(
      `INSERT INTO report_monitors (domain, email, public_token, token_hash, created_at)
       SELECT ?1, ?2, ?3, ?4, ?5
       WHERE (SELECT count(*) FROM report_monitors WHERE domain = ?1) < ${RECORDS_PER_DOMAIN}
         AND coalesce((SELECT created_at FROM report_monitors ORDER BY id DESC LIMIT 1 OFFSET ${RECORDS_PER_HOUR - 1}), 0)
           <= ?5 - ${HOUR_MS}
       RETURNING id`,
    )
    .bind(domain, email.toLowerCase(), newPublicToken(), await hashToken(token), now)
    .first<{ id: number }>();
  if (!monitor) return "too many";
  const made = await drizzle(directory)
    .select()
    .from(reportMonitors)
    .where(eq(reportMonitors.id, monitor.id))
    .get();
  if (!made) throw new Error("a record is gone as soon as it was made");
  return { monitor: made, token };
}

/** The first use of a token that was mailed to who lost theirs ends the one that was lost. */
export async function monitorOfToken(directory: D1Database, token: string): Promise<Monitor | undefined> {
  const hash = await hashToken(token);
  const db = drizzle(directory);
  const found = await db
    .select()
    .from(reportMonitors)
    .where(or(eq(reportMonitors.tokenHash, hash), eq(reportMonitors.recoveryHash, hash)))
    .get();
  if (found?.recoveryHash !== hash) return found;
  await db
    .update(reportMonitors)
    .set({ tokenHash: hash, recoveryHash: null })
    .where(and(eq(reportMonitors.id, found.id), eq(reportMonitors.recoveryHash, hash)));
  return found;
}

export async function changeEmail(directory: D1Database, id: number, email: string): Promise<void> {
  await drizzle(directory)
    .update(reportMonitors)
    .set({ email: email.toLowerCase() })
    .where(eq(reportMonitors.id, id));
}

export async function deleteMonitor(directory: D1Database, id: number): Promise<void> {
  await drizzle(directory).delete(reportMonitors).where(eq(reportMonitors.id, id));
}

/** A new token; the old one, and one that was mailed, end. */
export async function rotateToken(directory: D1Database, id: number): Promise<string> {
  const token = crypto.randomUUID();
  await drizzle(directory)
    .update(reportMonitors)
    .set({ tokenHash: await hashToken(token), recoveryHash: null })
    .where(eq(reportMonitors.id, id));
  return token;
}

export interface Recovery {
  domain: string;
  email: string;
  /** Works beside the old one until it is first used: who asks for it without being the owner breaks nothing. */
  token: string;
}

/**
 * Tokens for the records of a domain or an e-mail address, to be mailed to their owners; none for one that was sent a message within
 * the hour, so that nobody is flooded.
 */
export async function startRecovery(directory: D1Database, owner: string, now: number): Promise<Recovery[]> {
  const db = drizzle(directory);
  const owned = owner.includes("@") ? eq(reportMonitors.email, owner) : eq(reportMonitors.domain, owner);
  const found = await db.select().from(reportMonitors).where(owned).limit(RECORDS_PER_DOMAIN).all();
  const started: Recovery[] = [];
  for (const { id, domain, email, recoverySentAt } of found) {
    if (!email || (recoverySentAt !== null && recoverySentAt > now - HOUR_MS)) continue;
    const token = crypto.randomUUID();
    await db
      .update(reportMonitors)
      .set({ recoveryHash: await hashToken(token), recoverySentAt: now })
      .where(eq(reportMonitors.id, id));
    started.push({ domain, email, token });
  }
  return started;
}

function newPublicToken(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(PUBLIC_TOKEN_BYTES));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
