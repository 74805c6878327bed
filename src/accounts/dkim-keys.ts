/**
 * The DKIM keys of a domain: a pair at a time, one of each algorithm, since RFC 8463 §3 wants RSA beside Ed25519 while verifiers
 * learn it. A domain has one pair that waits at most.
 *
 *   pending   made, and its record not yet seen in the DNS; it does not sign
 *   active    seen in the DNS; it signs
 *   revoked   another pair took over; its private key is gone, its record must stay until what it signed has arrived
 *
 * RSA leads: when the record of a waiting RSA key is seen, it takes over and all active keys are revoked. The Ed25519 key beside it
 * becomes active when its own record is seen too, then or later.
 */
import { drizzle } from "drizzle-orm/d1";
import { type Algorithm, newKeyPair } from "../compose/keys.ts";
import { dkimKeys } from "../schema/directory.ts";
import { seal } from "./secret.ts";

export type DkimKey = typeof dkimKeys.$inferSelect;

export interface PublishedKey {
  /** The record is at <selector>._domainkey.<domain>. */
  selector: string;
  algorithm: Algorithm;
  /** The text of the TXT record. */
  dnsRecord: string;
}

export interface NewDkimKey extends PublishedKey {
  /** Sealed. */
  privateKey: string;
}

/** "pm" is how Postmark's selectors end. */
const SUFFIX: Record<Algorithm, string> = { "rsa-sha256": "pm", "ed25519-sha256": "ed" };
const RANDOM_CHARACTERS = 4;
/** Mail that was signed before a key was revoked may wait for days, and its signatures hold for seven (compose/sign.ts). */
const ON_THE_WAY_MS = 7 * 86_400_000;
/** RFC 8301 §3.2: signers should have 2048 bits, which are 294 bytes of SubjectPublicKeyInfo. */
const MIN_RSA_BYTES = 294;

/** A pair with fresh selectors: accounts may share a domain, so the time alone would not do. */
export async function newDkimKeys(deploymentSecret: string, now: number): Promise<NewDkimKey[]> {
  const stamp = new Date(now).toISOString().replace(/\D/g, "").slice(0, 14);
  const random = crypto.randomUUID().slice(0, RANDOM_CHARACTERS);
  return Promise.all(
    (["rsa-sha256", "ed25519-sha256"] as const).map(async (algorithm) => {
      const { privateKey, dnsRecord } = await newKeyPair(algorithm);
      const selector = `${stamp}${random}${SUFFIX[algorithm]}`;
      return { selector, algorithm, dnsRecord, privateKey: await seal(privateKey, deploymentSecret) };
    }),
  );
}

/** Makes a pair for a domain that is there. */
export async function createDkimKeys(
  directory: D1Database,
  {
    domainId,
    state,
    deploymentSecret,
  }: { domainId: number; state: "pending" | "active"; deploymentSecret: string },
  now: number,
): Promise<PublishedKey[]> {
  const keys = await newDkimKeys(deploymentSecret, now);
  await drizzle(directory)
    .insert(dkimKeys)
    .values(keys.map((key) => ({ ...key, domainId, state, createdAt: now })));
  return keys.map(({ selector, algorithm, dnsRecord }) => ({ selector, algorithm, dnsRecord }));
}

const GUARD = {
  "has no key": "",
  "has none that waits": "AND o.state = 'pending' AND o.algorithm = 'rsa-sha256'",
};

/** Inserts a pair for a domain that may have been made in the same batch, unless another call was first. */
export function insertKeys(
  directory: D1Database,
  domain: { accountId: number; name: string },
  {
    keys,
    state,
    onlyIfDomain,
  }: { keys: NewDkimKey[]; state: DkimKey["state"]; onlyIfDomain: keyof typeof GUARD },
  now: number,
): D1PreparedStatement {
  return directory
    .prepare(
      `INSERT INTO dkim_keys (domain_id, selector, algorithm, private_key, dns_record, state, created_at)
       SELECT d.id, k.value ->> 'selector', k.value ->> 'algorithm', k.value ->> 'privateKey', k.value ->> 'dnsRecord', ?1, ?2
       FROM domains d, json_each(?3) k
       WHERE d.account_id = ?4 AND d.name = ?5
         AND NOT EXISTS (SELECT 1 FROM dkim_keys o WHERE o.domain_id = d.id ${GUARD[onlyIfDomain]})`,
    )
    .bind(state, now, JSON.stringify(keys), domain.accountId, domain.name);
}

/** Whether it is the RSA key of a pair that waits. */
export function leadsPending(key: DkimKey): boolean {
  return key.state === "pending" && key.algorithm === "rsa-sha256";
}

/** Whether its record is no longer needed. */
export function isSafeToRemove(key: DkimKey, now: number): boolean {
  return key.state === "revoked" && (key.revokedAt ?? now) + ON_THE_WAY_MS <= now;
}

export function isWeak({ algorithm, dnsRecord }: Pick<DkimKey, "algorithm" | "dnsRecord">): boolean {
  return algorithm === "rsa-sha256" && atob(tagsOf(dnsRecord).get("p") ?? "").length < MIN_RSA_BYTES;
}

/** Whether a TXT record publishes this key, however it is spaced, whatever else it says (RFC 6376 §3.6.1). */
export function publishes(record: string, { dnsRecord }: Pick<DkimKey, "dnsRecord">): boolean {
  const [theirs, ours] = [tagsOf(record), tagsOf(dnsRecord)];
  return theirs.get("p") === ours.get("p") && (theirs.get("k") ?? "rsa") === ours.get("k");
}

function tagsOf(record: string): Map<string, string> {
  return new Map(
    record.split(";").map((tag) => {
      const [name = "", ...value] = tag.split("=");
      return [name.trim(), value.join("=").replace(/\s/g, "")];
    }),
  );
}
