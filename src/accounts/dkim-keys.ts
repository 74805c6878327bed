/** Makes the DKIM keys of a domain: one of each algorithm, since RFC 8463 §3 wants RSA beside Ed25519 while verifiers learn it. */
import { drizzle } from "drizzle-orm/d1";
import { type Algorithm, newKeyPair } from "../compose/keys.ts";
import { dkimKeys } from "../schema/directory.ts";
import { seal } from "./secret.ts";

export interface NewDkimKeys {
  domainId: number;
  /** `pending` until its record is seen in the DNS; a key signs while it is `active`. */
  state: "pending" | "active";
  /** The private keys are sealed with it. */
  deploymentSecret: string;
}

export interface PublishedKey {
  /** The record is at <selector>._domainkey.<domain>. */
  selector: string;
  algorithm: Algorithm;
  /** The text of the TXT record. */
  dnsRecord: string;
}

const SUFFIX: Record<Algorithm, string> = { "rsa-sha256": "rsa", "ed25519-sha256": "ed" };

export async function createDkimKeys(
  directory: D1Database,
  { domainId, state, deploymentSecret }: NewDkimKeys,
  now: number,
): Promise<PublishedKey[]> {
  const stamp = new Date(now).toISOString().replace(/\D/g, "").slice(0, 14);
  const made = await Promise.all(
    (["rsa-sha256", "ed25519-sha256"] as const).map(async (algorithm) => {
      const { privateKey, dnsRecord } = await newKeyPair(algorithm);
      const selector = stamp + SUFFIX[algorithm];
      const sealed = await seal(privateKey, deploymentSecret);
      return { domainId, selector, algorithm, privateKey: sealed, dnsRecord, state, createdAt: now };
    }),
  );
  await drizzle(directory).insert(dkimKeys).values(made);
  return made.map(({ selector, algorithm, dnsRecord }) => ({ selector, algorithm, dnsRecord }));
}
