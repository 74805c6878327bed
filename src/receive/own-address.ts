/** Which addresses are ours to take mail for: servers' inbound addresses and domains, and signed return paths. */
import { and, eq, isNotNull, isNull, ne, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { inboundHost } from "../accounts/inbound-domain.ts";
import { domainOf } from "../mail/address.ts";
import type { OwnDomains } from "../mail/ingress.ts";
import { parseReturnPath } from "../mail/return-path.ts";
import { domains, servers } from "../schema/directory.ts";

/** As the partial index of these domains has it. */
const HAS_DOMAIN = and(ne(servers.inboundDomain, sql`''`), isNull(servers.deletedAt));

export interface OwnAddressNeeds {
  directory: D1Database;
  returnPathKey(): Promise<CryptoKey>;
  mailDomain: string;
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
  const returnPath = new Set([`bounces.${mailDomain}`, ...returnPaths.flatMap((r) => r.name ?? [])]);
  return { inbound: [inboundHost(mailDomain), ...inbound.map((r) => r.name)], returnPath: [...returnPath] };
}

/** "<hash>+anything@inbound.example.com", anything at a server's own inbound domain, or a return path that this deployment signed. */
export async function isOwnAddress(address: string, needs: OwnAddressNeeds): Promise<boolean> {
  const domain = domainOf(address);
  if (domain === inboundHost(needs.mailDomain)) return isInboundAddress(address, needs.directory);
  if ((await parseReturnPath(await needs.returnPathKey(), address)) !== undefined) return true;
  return isInboundDomain(domain, needs.directory);
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
