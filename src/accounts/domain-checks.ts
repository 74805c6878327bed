/**
 * What a domain's DNS says of it, and what follows. A resolver that cannot say changes nothing (`DnsUnavailable`).
 *
 * A domain is verified from the moment at which one of its keys was first seen, and stays so: a record that is missing later is shown as
 * that, but does not stop mail, since a change of DNS provider or one bad answer would; who wants to stop sending deletes the domain.
 * A return path whose alias is gone is no longer used, because bounces would be lost; reverse-paths are our own again until it is back.
 */
import { and, eq, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { dkimKeys, domains } from "../schema/directory.ts";
import { type DkimKey, insertKeys, leadsPending, newDkimKeys, publishes } from "./dkim-keys.ts";
import { type DnsNeeds, lookUpCname, lookUpTxt } from "./dns.ts";
import { dnsNames, ownReturnPath } from "./dns-names.ts";
import type { Domain } from "./domains.ts";

export interface CheckNeeds extends DnsNeeds {
  directory: D1Database;
  now(): number;
  mailDomain: string;
}

/** Looks for the records of all keys that sign or wait, and lets those that are there take over. */
export async function checkDkim(domain: Domain, needs: CheckNeeds): Promise<void> {
  const keys = domain.keys.filter((key) => key.state !== "revoked");
  const seen = new Set<DkimKey>();
  await Promise.all(
    keys.map(async (key) => {
      const records = await lookUpTxt(`${key.selector}._domainkey.${domain.name}`, needs);
      if (records.some((record) => publishes(record, key))) seen.add(key);
    }),
  );
  const waiting = keys.find(leadsPending);
  const pair = keys.filter((key) => key.state === "pending" && seen.has(key));
  if (waiting && seen.has(waiting)) await takeOver(domain, { waiting, pair }, needs);
  else await noteRecords(domain, { seen, joins: waiting ? [] : pair }, needs);
}

/** Each step looks whether the key still waits: another call may have let it take over, and it must not revoke itself. */
async function takeOver(
  domain: Domain,
  { waiting, pair }: { waiting: DkimKey; pair: DkimKey[] },
  { directory, now }: CheckNeeds,
): Promise<void> {
  const at = now();
  const stillWaits = "EXISTS (SELECT 1 FROM dkim_keys w WHERE w.id = ?2 AND w.state = 'pending')";
  const run = (statement: string, ...more: unknown[]) =>
    directory.prepare(statement).bind(domain.id, waiting.id, ...more);
  await directory.batch([
    run(`DELETE FROM dkim_keys WHERE domain_id = ?1 AND state = 'revoked' AND ${stillWaits}`),
    run(
      `UPDATE dkim_keys SET state = 'revoked', revoked_at = ?3, private_key = '', missing_since = NULL
       WHERE domain_id = ?1 AND state = 'active' AND ${stillWaits}`,
      at,
    ),
    run(`UPDATE domains SET verified_at = coalesce(verified_at, ?3) WHERE id = ?1 AND ${stillWaits}`, at),
    run(
      `UPDATE dkim_keys SET state = 'active'
       WHERE domain_id = ?1 AND state = 'pending' AND id IN (SELECT value FROM json_each(?3)) AND ${stillWaits}`,
      JSON.stringify(pair.map((key) => key.id)),
    ),
  ]);
}

/** No key takes over: those that sign are there or missing, and one that was waiting alone may join them. */
async function noteRecords(
  domain: Domain,
  { seen, joins }: { seen: Set<DkimKey>; joins: DkimKey[] },
  { directory, now }: CheckNeeds,
): Promise<void> {
  const ids = (keys: DkimKey[]) => JSON.stringify(keys.map((key) => key.id));
  const active = domain.keys.filter((key) => key.state === "active");
  const lost = active.filter((key) => !seen.has(key) && key.missingSince === null);
  const back = active.filter((key) => seen.has(key) && key.missingSince !== null);
  const changes = [
    { keys: lost, set: `missing_since = ${Math.floor(now())}` },
    { keys: back, set: "missing_since = NULL" },
    { keys: joins, set: "state = 'active'" },
  ].filter(({ keys }) => keys.length > 0);
  if (changes.length === 0) return;
  await directory.batch(
    changes.map(({ keys, set }) =>
      directory
        .prepare(
          `UPDATE dkim_keys SET ${set} WHERE id IN (SELECT value FROM json_each(?)) AND state <> 'revoked'`,
        )
        .bind(ids(keys)),
    ),
  );
}

/** A name of our own needs no alias. */
export async function checkReturnPath(domain: Domain, needs: CheckNeeds): Promise<void> {
  const name = domain.returnPathDomain;
  if (!name) return;
  const { returnPath } = dnsNames(needs.mailDomain);
  const isOurs = name === returnPath || name === ownReturnPath(needs.mailDomain);
  const isThere = isOurs || (await lookUpCname(name, needs)) === returnPath;
  await drizzle(needs.directory)
    .update(domains)
    .set({
      returnPathVerifiedAt: isThere ? sql`coalesce(${domains.returnPathVerifiedAt}, ${needs.now()})` : null,
    })
    .where(and(eq(domains.id, domain.id), eq(domains.returnPathDomain, name)));
}

export async function checkTracking(domain: Domain, needs: CheckNeeds): Promise<void> {
  const name = domain.customTrackingDomain;
  if (!name) return;
  const isThere = (await lookUpCname(name, needs)) === dnsNames(needs.mailDomain).tracking;
  await drizzle(needs.directory)
    .update(domains)
    .set({
      customTrackingVerifiedAt: isThere
        ? sql`coalesce(${domains.customTrackingVerifiedAt}, ${needs.now()})`
        : null,
    })
    .where(and(eq(domains.id, domain.id), eq(domains.customTrackingDomain, name)));
}

/** Makes a pair that waits for its records while the old one signs. False when a pair waits already. */
export async function rotateKeys(
  domain: Domain,
  { directory, now, deploymentSecret }: Pick<CheckNeeds, "directory" | "now"> & { deploymentSecret: string },
): Promise<boolean> {
  if (domain.keys.some(leadsPending)) return false;
  const keys = await newDkimKeys(deploymentSecret, now());
  const leftovers = drizzle(directory)
    .delete(dkimKeys)
    .where(
      and(
        eq(dkimKeys.domainId, domain.id),
        eq(dkimKeys.state, "pending"),
        sql`NOT EXISTS (SELECT 1 FROM dkim_keys w WHERE w.domain_id = ${domain.id} AND w.state = 'pending' AND w.algorithm = 'rsa-sha256')`,
      ),
    )
    .toSQL();
  const [, made] = await directory.batch([
    // An Ed25519 key whose record was never published belongs to the old pair.
    directory.prepare(leftovers.sql).bind(...leftovers.params),
    insertKeys(directory, domain, { keys, state: "pending", onlyIfDomain: "has none that waits" }, now()),
  ]);
  return (made?.meta.changes ?? 0) > 0;
}
