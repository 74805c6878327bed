/** Which addresses are ours to take mail for, and what for: inbound addresses, those that we signed, those for reports and complaints. */
import { and, eq, isNotNull, isNull, ne, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { ownReturnPath } from "../accounts/dns-names.ts";
import { inboundHost } from "../accounts/inbound-domain.ts";
import { monitorOfAddress, reportsHost } from "../accounts/report-monitors.ts";
import { domainOf } from "../mail/address.ts";
import type { OwnDomains } from "../mail/ingress.ts";
import {
  parseComplaintAddress,
  parseProbeAddress,
  parseReturnPath,
  type SignedFor,
} from "../mail/return-path.ts";
import { type LinkedRecipient, parseUnsubscribeAddress } from "../mail/tracking-link.ts";
import { domains, servers } from "../schema/directory.ts";

/** As the partial index of these domains has it. */
const HAS_DOMAIN = and(ne(servers.inboundDomain, sql`''`), isNull(servers.deletedAt));

export interface OwnAddressNeeds {
  directory: D1Database;
  returnPathKey(): Promise<CryptoKey>;
  trackingKey(): Promise<CryptoKey>;
  mailDomain: string;
}

export type OwnAddress =
  /** A reverse-path of ours, or the address for complaints in a message's header. */
  | { kind: "signed"; of: SignedFor }
  /** Where complaints of all messages go: the address that a provider's feedback loop is given. */
  | { kind: "complaints" }
  /** Takes a probe, to report it as undeliverable. */
  | { kind: "probe"; of: SignedFor }
  | { kind: "unsubscribe"; of: LinkedRecipient }
  /** Of DMARC and TLS. */
  | { kind: "reports" }
  | { kind: "inbound" };

export function complaintsAddress(mailDomain: string): string {
  return `complaints@${ownReturnPath(mailDomain)}`;
}

export async function ownDomains({ directory, mailDomain }: OwnAddressNeeds): Promise<OwnDomains> {
  const db = drizzle(directory);
  const [returnPaths, inbound] = await db.batch([
    db
      .selectDistinct({ name: domains.returnPathDomain })
      .from(domains)
      // One that is not verified may be the name of somebody's mail server.
      .where(isNotNull(domains.returnPathVerifiedAt)),
    db.select({ name: servers.inboundDomain }).from(servers).where(HAS_DOMAIN),
  ]);
  const returnPath = new Set([ownReturnPath(mailDomain), ...returnPaths.flatMap((r) => r.name ?? [])]);
  const own = [inboundHost(mailDomain), reportsHost(mailDomain)];
  return { inbound: [...own, ...inbound.map((r) => r.name)], returnPath: [...returnPath] };
}

export async function isOwnAddress(address: string, needs: OwnAddressNeeds): Promise<boolean> {
  return (await ownAddress(address, needs)) !== undefined;
}

/**
 * "<hash>+anything@inbound.example.com", anything at a server's own inbound domain, "re+<token>@dmarc.example.com", or what this
 * deployment signed; undefined for any other.
 */
export async function ownAddress(address: string, needs: OwnAddressNeeds): Promise<OwnAddress | undefined> {
  const { directory, mailDomain } = needs;
  const domain = domainOf(address);
  if (domain === inboundHost(mailDomain))
    return (await isInboundAddress(address, directory)) ? { kind: "inbound" } : undefined;
  if (domain === reportsHost(mailDomain))
    return (await monitorOfAddress(directory, address, mailDomain)) ? { kind: "reports" } : undefined;
  if (address.toLowerCase() === complaintsAddress(mailDomain)) return { kind: "complaints" };
  const key = await needs.returnPathKey();
  const of = (await parseReturnPath(key, address)) ?? (await parseComplaintAddress(key, address));
  if (of) return { kind: "signed", of };
  const probe = await parseProbeAddress(key, address);
  if (probe) return { kind: "probe", of: probe };
  const linked = await parseUnsubscribeAddress(await needs.trackingKey(), address);
  if (linked) return { kind: "unsubscribe", of: linked };
  return (await isInboundDomain(domain, directory)) ? { kind: "inbound" } : undefined;
}

async function isInboundAddress(address: string, directory: D1Database): Promise<boolean> {
  const local = address.slice(0, address.lastIndexOf("@")).toLowerCase();
  const hash = local.split("+", 1)[0] ?? "";
  const row = await drizzle(directory)
    .select({ id: servers.id })
    .from(servers)
    .where(and(eq(servers.inboundHash, hash), isNull(servers.deletedAt)))
    .get();
  return row !== undefined;
}

async function isInboundDomain(domain: string, directory: D1Database): Promise<boolean> {
  const row = await drizzle(directory)
    .select({ id: servers.id })
    .from(servers)
    .where(and(eq(servers.inboundDomain, domain), HAS_DOMAIN))
    .get();
  return row !== undefined;
}
