/** Which addresses are ours to take mail for: servers' inbound addresses and signed return paths. */
import { eq, isNotNull } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { domainOf } from "../mail/address.ts";
import type { OwnDomains } from "../mail/ingress.ts";
import { parseReturnPath } from "../mail/return-path.ts";
import { domains, servers } from "../schema/directory.ts";

export interface OwnAddressNeeds {
  directory: D1Database;
  returnPathKey(): Promise<CryptoKey>;
  mailDomain: string;
}

export async function ownDomains({ directory, mailDomain }: OwnAddressNeeds): Promise<OwnDomains> {
  const rows = await drizzle(directory)
    .selectDistinct({ name: domains.returnPathDomain })
    .from(domains)
    .where(isNotNull(domains.returnPathDomain));
  const returnPath = new Set([`bounces.${mailDomain}`, ...rows.flatMap((r) => r.name ?? [])]);
  return { inbound: [`inbound.${mailDomain}`], returnPath: [...returnPath] };
}

/** "<hash>+anything@inbound.example.com", or a return path that this deployment signed. */
export async function isOwnAddress(address: string, needs: OwnAddressNeeds): Promise<boolean> {
  const domain = domainOf(address);
  if (domain === `inbound.${needs.mailDomain}`) return isInboundAddress(address, needs.directory);
  return (await parseReturnPath(await needs.returnPathKey(), address)) !== undefined;
}

async function isInboundAddress(address: string, directory: D1Database): Promise<boolean> {
  const local = address.slice(0, address.lastIndexOf("@")).toLowerCase();
  const hash = local.split("+", 1)[0] ?? "";
  const row = await drizzle(directory)
    .select({ id: servers.id })
    .from(servers)
    .where(eq(servers.inboundHash, hash))
    .get();
  return row !== undefined;
}
