/**
 * The domains of an account. Values are taken as valid: the API checks them at its door. A domain and its first keys are made in one
 * transaction, and an account has a domain once.
 */
import { and, asc, count, eq, gt, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { dkimKeys, domains, senders } from "../schema/directory.ts";
import { type DkimKey, insertKeys, newDkimKeys } from "./dkim-keys.ts";

export interface Domain extends Readonly<typeof domains.$inferSelect> {
  /** Oldest first. */
  keys: DkimKey[];
}

export interface NewDomain {
  accountId: number;
  /** Lower-case A-labels. */
  name: string;
  returnPathDomain?: string;
  /** Made because a sender signature needs it (schema/directory.ts). */
  implied?: boolean;
}

export interface DomainChange {
  /** null clears it. */
  returnPathDomain?: string | null;
  customTrackingDomain?: string | null;
}

export interface Page<K> {
  count: number;
  offset: number;
  /** Behind this one, whatever `offset` says. */
  after?: K;
}

/** One that is there and verified, as the local seed wants it; its keys are made apart. */
export async function createDomain(
  directory: D1Database,
  domain: { accountId: number; name: string; returnPathDomain?: string; verified: boolean },
  now: number,
): Promise<number> {
  const verifiedAt = domain.verified ? now : null;
  const returnPathDomain = domain.returnPathDomain?.toLowerCase() || null;
  const row = await drizzle(directory)
    .insert(domains)
    .values({
      accountId: domain.accountId,
      name: domain.name.toLowerCase(),
      returnPathDomain,
      returnPathVerifiedAt: returnPathDomain ? verifiedAt : null,
      verifiedAt,
      createdAt: now,
    })
    .returning({ id: domains.id })
    .get();
  return row.id;
}

/**
 * A new domain with a pair of keys that wait for their records. undefined when the account has it already; one that only a sender
 * signature needed until now becomes a domain like any other.
 */
export async function addDomain(
  directory: D1Database,
  domain: NewDomain,
  { deploymentSecret, now }: { deploymentSecret: string; now: number },
): Promise<Domain | undefined> {
  const { accountId, name, returnPathDomain = null, implied = false } = domain;
  const db = drizzle(directory);
  const there = await findDomainByName(directory, accountId, name);
  if (there) {
    if (implied || !there.implied) return undefined;
    await db.update(domains).set({ implied: false }).where(eq(domains.id, there.id));
    if (returnPathDomain) await changeDomain(directory, there, { returnPathDomain });
    return findDomain(directory, accountId, there.id);
  }
  const keys = await newDkimKeys(deploymentSecret, now);
  const insert = db
    .insert(domains)
    .values({ accountId, name, returnPathDomain, implied, createdAt: now })
    .onConflictDoNothing()
    .toSQL();
  const [made] = await directory.batch([
    directory.prepare(insert.sql).bind(...insert.params),
    insertKeys(directory, { accountId, name }, { keys, state: "pending", onlyIfDomain: "has no key" }, now),
  ]);
  // Nothing was inserted: another call was first.
  return made?.meta.changes ? findDomainByName(directory, accountId, name) : undefined;
}

export async function findDomain(
  directory: D1Database,
  accountId: number,
  id: number,
): Promise<Domain | undefined> {
  return findWhere(directory, and(eq(domains.id, id), eq(domains.accountId, accountId)));
}

export async function findDomainByName(
  directory: D1Database,
  accountId: number,
  name: string,
): Promise<Domain | undefined> {
  return findWhere(directory, and(eq(domains.accountId, accountId), eq(domains.name, name)));
}

async function findWhere(directory: D1Database, where: ReturnType<typeof and>): Promise<Domain | undefined> {
  const db = drizzle(directory);
  const [[row], keys] = await db.batch([
    db.select().from(domains).where(where),
    db
      .select({ key: dkimKeys })
      .from(domains)
      .innerJoin(dkimKeys, eq(dkimKeys.domainId, domains.id))
      .where(where)
      .orderBy(asc(dkimKeys.id)),
  ]);
  return row && { ...row, keys: keys.map(({ key }) => key) };
}

/** By name; `total` is of the whole list. */
export async function listDomains(
  directory: D1Database,
  accountId: number,
  { count: limit, offset, after }: Page<string>,
): Promise<{ total: number; found: Domain[] }> {
  const db = drizzle(directory);
  const mine = eq(domains.accountId, accountId);
  const [[all], rows] = await db.batch([
    db.select({ n: count() }).from(domains).where(mine),
    db
      .select()
      .from(domains)
      .where(after === undefined ? mine : and(mine, gt(domains.name, after)))
      .orderBy(asc(domains.name))
      .limit(limit)
      .offset(after === undefined ? offset : 0),
  ]);
  return { total: all?.n ?? 0, found: await withKeys(directory, rows) };
}

/** Domains with their keys; a list of ids is one parameter. */
export async function withKeys(
  directory: D1Database,
  rows: (typeof domains.$inferSelect)[],
): Promise<Domain[]> {
  const ids = JSON.stringify(rows.map((row) => row.id));
  const keys = await drizzle(directory)
    .select()
    .from(dkimKeys)
    .where(sql`${dkimKeys.domainId} IN (SELECT value FROM json_each(${ids}))`)
    .orderBy(asc(dkimKeys.id));
  const byDomain = Map.groupBy(keys, (key) => key.domainId);
  return rows.map((row) => ({ ...row, keys: byDomain.get(row.id) ?? [] }));
}

/** What is set anew is not verified; what is set to what it was stays as it is, and so does what is not given. */
export async function changeDomain(
  directory: D1Database,
  { id }: Pick<Domain, "id">,
  { returnPathDomain, customTrackingDomain }: DomainChange,
): Promise<void> {
  const set = (name: "return_path" | "custom_tracking", value: string | null) =>
    directory
      .prepare(
        `UPDATE domains SET ${name}_domain = ?1,
           ${name}_verified_at = CASE WHEN ${name}_domain IS ?1 THEN ${name}_verified_at END
         WHERE id = ?2`,
      )
      .bind(value, id);
  const changes = [
    ...(returnPathDomain === undefined ? [] : [set("return_path", returnPathDomain)]),
    ...(customTrackingDomain === undefined ? [] : [set("custom_tracking", customTrackingDomain)]),
  ];
  if (changes.length > 0) await directory.batch(changes);
}

/** With its keys and its sender signatures. */
export async function deleteDomain(directory: D1Database, id: number): Promise<void> {
  const db = drizzle(directory);
  await db.batch([
    db.delete(dkimKeys).where(eq(dkimKeys.domainId, id)),
    db.delete(senders).where(eq(senders.domainId, id)),
    db.delete(domains).where(eq(domains.id, id)),
  ]);
}
