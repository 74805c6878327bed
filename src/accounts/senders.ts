/**
 * Sender signatures: addresses that may send although nobody has verified their whole domain. Each is confirmed by a link that only
 * its mailbox gets. Values are taken as valid: the API checks them at its door.
 */
import { and, asc, count, eq, gt, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { domainOf } from "../mail/address.ts";
import { domains, senders } from "../schema/directory.ts";
import { addDomain, type Domain, findDomainByName, type Page, withKeys } from "./domains.ts";

export interface Sender extends Readonly<typeof senders.$inferSelect> {
  domain: Domain;
}

export interface NewSender {
  accountId: number;
  /** Lower case. */
  email: string;
  name: string;
  replyTo: string;
  personalNote: string;
}

/** One whose confirmation is as it is said, as the local seed wants it. */
export async function createSender(
  directory: D1Database,
  sender: { accountId: number; email: string; name: string; replyTo?: string; confirmed: boolean },
  now: number,
): Promise<number> {
  const { accountId, name, replyTo = "", confirmed } = sender;
  const email = sender.email.toLowerCase();
  const row = await drizzle(directory)
    .insert(senders)
    .values({
      accountId,
      domainId: sql`(SELECT id FROM domains WHERE account_id = ${accountId} AND name = ${domainOf(email)})`,
      email,
      name,
      replyTo,
      confirmedAt: confirmed ? now : null,
      createdAt: now,
    })
    .returning({ id: senders.id })
    .get();
  return row.id;
}

/** A new one, on a domain that comes to be with it when the account has none of the name; undefined when it exists. */
export async function addSender(
  directory: D1Database,
  { accountId, email, name, replyTo, personalNote }: NewSender,
  { deploymentSecret, now }: { deploymentSecret: string; now: number },
): Promise<Sender | undefined> {
  const db = drizzle(directory);
  const isMine = and(eq(senders.accountId, accountId), eq(senders.email, email));
  if (await db.select({ id: senders.id }).from(senders).where(isMine).get()) return undefined;
  const domain = { accountId, name: domainOf(email), implied: true };
  await addDomain(directory, domain, { deploymentSecret, now });
  const there = await findDomainByName(directory, accountId, domain.name);
  // Deleted a moment ago by another call.
  if (!there) throw new Error("the domain of a new sender is gone");
  const row = await db
    .insert(senders)
    .values({ accountId, domainId: there.id, email, name, replyTo, personalNote, createdAt: now })
    .onConflictDoNothing()
    .returning({ id: senders.id })
    .get();
  return row && findSender(directory, accountId, row.id);
}

export async function findSender(
  directory: D1Database,
  accountId: number,
  id: number,
): Promise<Sender | undefined> {
  const row = await drizzle(directory)
    .select({ sender: senders, domain: domains })
    .from(senders)
    .leftJoin(domains, eq(senders.domainId, domains.id))
    .where(and(eq(senders.id, id), eq(senders.accountId, accountId)))
    .get();
  if (!row) return undefined;
  const [domain = without(row.sender)] = row.domain ? await withKeys(directory, [row.domain]) : [];
  return { ...row.sender, domain };
}

/** By address; `total` is of the whole list. */
export async function listSenders(
  directory: D1Database,
  accountId: number,
  { count: limit, offset, after }: Page<string>,
): Promise<{ total: number; found: (typeof senders.$inferSelect)[] }> {
  const db = drizzle(directory);
  const mine = eq(senders.accountId, accountId);
  const [[all], found] = await db.batch([
    db.select({ n: count() }).from(senders).where(mine),
    db
      .select()
      .from(senders)
      .where(after === undefined ? mine : and(mine, gt(senders.email, after)))
      .orderBy(asc(senders.email))
      .limit(limit)
      .offset(after === undefined ? offset : 0),
  ]);
  return { total: all?.n ?? 0, found };
}

export async function changeSender(
  directory: D1Database,
  id: number,
  change: { name?: string; replyTo?: string; personalNote?: string },
): Promise<void> {
  // Without a value there is no statement.
  if (Object.values(change).every((value) => value === undefined)) return;
  await drizzle(directory).update(senders).set(change).where(eq(senders.id, id));
}

/** A domain that nobody asked for goes with its last sender. */
export async function deleteSender(directory: D1Database, { id, domainId }: Sender): Promise<void> {
  const unwanted = `(SELECT id FROM domains WHERE id = ?1 AND implied AND verified_at IS NULL
    AND NOT EXISTS (SELECT 1 FROM senders WHERE domain_id = ?1))`;
  await directory.batch([
    directory.prepare("DELETE FROM senders WHERE id = ?").bind(id),
    directory.prepare(`DELETE FROM dkim_keys WHERE domain_id IN ${unwanted}`).bind(domainId),
    directory.prepare(`DELETE FROM domains WHERE id IN ${unwanted}`).bind(domainId),
  ]);
}

/** A sender that was made beside the API has no domain: what can be said of it is only its name. */
function without({ accountId, email, createdAt }: typeof senders.$inferSelect): Domain {
  return {
    id: 0,
    accountId,
    name: domainOf(email),
    returnPathDomain: null,
    returnPathVerifiedAt: null,
    customTrackingDomain: null,
    customTrackingVerifiedAt: null,
    verifiedAt: null,
    implied: true,
    createdAt,
    keys: [],
  };
}
