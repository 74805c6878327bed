/**
 * Who sends as a domain, from the sums of its DMARC reports: messages are one sender's when the same organisation signed them or took
 * their return path, and those of an address that proves nothing stand for themselves. Pure.
 */
import type { DmarcSum } from "../../archive/dmarc.ts";
import { organisation } from "./organisation.ts";
import { isWithin } from "./report.ts";

/** Of one sender: providers have thousands. */
const MAX_ADDRESSES = 10;

export interface Sender {
  /** Whose domain was proven; "" when none was. */
  organisation: string;
  /** The largest first, and not all of them; "" among them is the many small ones that are not told apart. */
  addresses: { ip: string; messages: number }[];
  addressCount: number;
  messages: number;
  /** By DKIM or by SPF; by each. */
  aligned: number;
  byDkim: number;
  bySpf: number;
  /** Of those that pass by neither: signed in the domain's own name, and the signature did not hold. */
  brokenSignatures: number;
  /** Of those that pass by neither: validly signed by somebody else; SPF passed for somebody else's return path. */
  foreignSignatures: number;
  foreignReturnPaths: number;
  /** The receiver says that they were forwarded or came by a mailing list. */
  forwarded: number;
  quarantined: number;
  rejected: number;
}

/** What RFC 7489 appendix C calls it when a receiver knows of an indirect way. */
const INDIRECT = new Set(["forwarded", "trusted_forwarder", "mailing_list", "local_policy_arc"]);

/** The largest first. `domain` is whose reports they are. */
export function sendersOf(sums: readonly DmarcSum[], domain: string): Sender[] {
  const own = organisation(domain);
  const byKey = new Map<string, DmarcSum[]>();
  for (const sum of sums) {
    const who = whose(sum, own);
    const key = who || ` ${sum.sourceIp}`;
    const there = byKey.get(key);
    if (there) there.push(sum);
    else byKey.set(key, [sum]);
  }
  return [...byKey]
    .map(([key, of]) => sender(key.startsWith(" ") ? "" : key, of, own))
    .sort((a, b) => b.messages - a.messages);
}

/** Whoever signed tells more than whose return path it was: that is often a forwarder's. */
function whose({ dkimResult, dkimDomain, spfResult, spfDomain }: DmarcSum, own: string): string {
  const signer = dkimResult === "pass" && dkimDomain ? organisation(dkimDomain) : "";
  const path = spfResult === "pass" && spfDomain ? organisation(spfDomain) : "";
  // A provider that signs as the domain is known by its own return path.
  if (signer === own && path && path !== own) return path;
  return signer || path;
}

function sender(name: string, sums: DmarcSum[], own: string): Sender {
  const add = (isSo: (sum: DmarcSum) => boolean) =>
    sums.reduce((total, sum) => (isSo(sum) ? total + sum.count : total), 0);
  const failed = ({ dkimAligned, spfAligned }: DmarcSum) => !dkimAligned && !spfAligned;
  const byIp = new Map<string, number>();
  for (const { sourceIp, count } of sums) byIp.set(sourceIp, (byIp.get(sourceIp) ?? 0) + count);
  const addresses = [...byIp].map(([ip, messages]) => ({ ip, messages }));
  return {
    organisation: name,
    addresses: addresses.sort((a, b) => b.messages - a.messages).slice(0, MAX_ADDRESSES),
    addressCount: byIp.size,
    messages: add(() => true),
    aligned: add((sum) => !failed(sum)),
    byDkim: add((sum) => sum.dkimAligned),
    bySpf: add((sum) => sum.spfAligned),
    brokenSignatures: add(
      (sum) =>
        failed(sum) && sum.dkimResult !== "pass" && sum.dkimDomain !== "" && isWithin(sum.dkimDomain, own),
    ),
    foreignSignatures: add((sum) => failed(sum) && sum.dkimResult === "pass"),
    foreignReturnPaths: add((sum) => failed(sum) && sum.dkimResult !== "pass" && sum.spfResult === "pass"),
    forwarded: add((sum) => failed(sum) && INDIRECT.has(sum.reason)),
    quarantined: add((sum) => sum.disposition === "quarantine"),
    rejected: add((sum) => sum.disposition === "reject"),
  };
}
