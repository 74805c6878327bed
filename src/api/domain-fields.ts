/**
 * A domain on the wire, as both /domains and /senders show it. Postmark has one key of each kind and shows it in three pairs of fields:
 * those are the RSA keys. `DKIMKeys` is ours and has all of them.
 */
import * as z from "zod";
import { type DkimKey, isSafeToRemove, isWeak, leadsPending } from "../accounts/dkim-keys.ts";
import { DnsUnavailable } from "../accounts/dns.ts";
import { dnsNames } from "../accounts/dns-names.ts";
import type { Domain } from "../accounts/domains.ts";
import { asciiDomain } from "../mail/address.ts";
import { type Result, refused, Unavailable } from "./error.ts";

/** RFC 1035 §2.3.4, as Postmark counts it. */
const MAX_NAME = 255;

const STATES = { pending: "Pending", active: "Active", revoked: "Revoked" } as const;
const ALGORITHMS = { "rsa-sha256": "rsa", "ed25519-sha256": "ed25519" } as const;

/** What an item of a list has beside its number and name. */
export const domainFlags = z.object({
  SPFVerified: z.boolean(),
  DKIMVerified: z.boolean(),
  WeakDKIM: z.boolean(),
  ReturnPathDomainVerified: z.boolean(),
  CustomTrackingVerified: z.boolean(),
});

/** Everything but the number and name. What is not set is "". */
export const domainFields = domainFlags.extend({
  SPFHost: z.string(),
  SPFTextValue: z.string(),
  DKIMHost: z.string(),
  DKIMTextValue: z.string(),
  DKIMPendingHost: z.string(),
  DKIMPendingTextValue: z.string(),
  DKIMRevokedHost: z.string(),
  DKIMRevokedTextValue: z.string(),
  SafeToRemoveRevokedKeyFromDNS: z.boolean(),
  DKIMUpdateStatus: z.enum(["Pending", "Verified"]),
  DKIMKeys: z.array(
    z.object({
      Host: z.string(),
      TextValue: z.string(),
      Algorithm: z.enum(["rsa", "ed25519"]),
      State: z.enum(["Pending", "Active", "Revoked"]),
      /** Of one that signs: whether its record was there when it was last looked for. */
      InDNS: z.boolean(),
      SafeToRemoveFromDNS: z.boolean(),
    }),
  ),
  ReturnPathDomain: z.string(),
  ReturnPathDomainCNAMEValue: z.string(),
  CustomTrackingDomain: z.string(),
  CustomTrackingDomainCNAMEValue: z.string(),
});

export function showFlags(domain: Domain): z.infer<typeof domainFlags> {
  const active = rsaKey(domain, "active");
  return {
    // SPF is asked of the reverse-path's domain, which is ours or an alias of ours: a customer's own record has nothing to add.
    SPFVerified: true,
    DKIMVerified: active !== undefined && active.missingSince === null,
    WeakDKIM: active !== undefined && isWeak(active),
    ReturnPathDomainVerified: domain.returnPathVerifiedAt !== null,
    CustomTrackingVerified: domain.customTrackingVerifiedAt !== null,
  };
}

export function showSpf(domain: Domain, mailDomain: string) {
  return { SPFHost: domain.name, SPFTextValue: `v=spf1 a mx include:${dnsNames(mailDomain).spf} ~all` };
}

export function showDomain(domain: Domain, mailDomain: string, now: number): z.infer<typeof domainFields> {
  const [active, pending, revoked] = (["active", "pending", "revoked"] as const).map((state) =>
    rsaKey(domain, state),
  );
  const hostOf = (key: DkimKey | undefined) => (key ? host(domain, key) : "");
  const names = dnsNames(mailDomain);
  return {
    ...showFlags(domain),
    ...showSpf(domain, mailDomain),
    DKIMHost: hostOf(active),
    DKIMTextValue: active?.dnsRecord ?? "",
    DKIMPendingHost: hostOf(pending),
    DKIMPendingTextValue: pending?.dnsRecord ?? "",
    DKIMRevokedHost: hostOf(revoked),
    DKIMRevokedTextValue: revoked?.dnsRecord ?? "",
    SafeToRemoveRevokedKeyFromDNS: revoked !== undefined && isSafeToRemove(revoked, now),
    DKIMUpdateStatus: domain.keys.some(leadsPending) ? "Pending" : "Verified",
    DKIMKeys: domain.keys.map((key) => ({
      Host: host(domain, key),
      TextValue: key.dnsRecord,
      Algorithm: ALGORITHMS[key.algorithm],
      State: STATES[key.state],
      InDNS: key.state === "active" && key.missingSince === null,
      SafeToRemoveFromDNS: isSafeToRemove(key, now),
    })),
    ReturnPathDomain: domain.returnPathDomain ?? "",
    ReturnPathDomainCNAMEValue: names.returnPath,
    CustomTrackingDomain: domain.customTrackingDomain ?? "",
    CustomTrackingDomainCNAMEValue: domain.customTrackingDomain ? names.tracking : "",
  };
}

function rsaKey(domain: Domain, state: DkimKey["state"]): DkimKey | undefined {
  return domain.keys.findLast((key) => key.state === state && key.algorithm === "rsa-sha256");
}

function host(domain: Domain, key: DkimKey): string {
  return `${key.selector}._domainkey.${domain.name}`;
}

/**
 * A name that must be below the domain, as lower-case A-labels; null for "", which clears it. `code` is the family's for a value that
 * cannot be.
 */
export function readSubdomain(
  text: string,
  { field, domain, code }: { field: string; domain: string; code: number },
): Result<string | null> {
  const given = text.trim();
  if (given === "") return { ok: null };
  if (given.length > MAX_NAME)
    return refused(521, `Invalid '${field}'. It is limited to ${MAX_NAME} characters.`);
  const name = asciiDomain(given)?.toLowerCase();
  if (name?.endsWith(`.${domain}`)) return { ok: name };
  return refused(code, `Invalid '${field}'. It must be a subdomain of ${domain}.`);
}

/** Strictly: whatever is no number of ours is the number of nothing. */
export function readId(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** A DNS that cannot be asked is no answer: the caller is told to come again, and nothing has changed. */
export async function looked<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (cause) {
    if (!(cause instanceof DnsUnavailable)) throw cause;
    throw new Unavailable("The DNS cannot be asked at the moment. Please try again.", { cause });
  }
}
