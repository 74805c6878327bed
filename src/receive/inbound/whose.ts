/** Whose inbound address a recipient is: "<hash>+anything@inbound.example.com", or anything at a server's own inbound domain. */
import { and, eq, isNull, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { inboundHost } from "../../accounts/inbound-domain.ts";
import { domainOf } from "../../mail/address.ts";
import { servers } from "../../schema/directory.ts";

export interface InboundServer {
  id: number;
  /** Above it mail is blocked; 0 for never. */
  spamThreshold: number;
  rawEmailEnabled: boolean;
  /** "" when mail is only read by the API. */
  hookUrl: string;
}

/** undefined when it is nobody's any more. */
export async function serverOf(
  directory: D1Database,
  recipient: string,
  mailDomain: string,
): Promise<InboundServer | undefined> {
  const domain = domainOf(recipient);
  const local = localPart(recipient).toLowerCase();
  const isOurs =
    domain === inboundHost(mailDomain)
      ? eq(servers.inboundHash, local.split("+", 1)[0] ?? "")
      : and(eq(servers.inboundDomain, domain), sql`${servers.inboundDomain} <> ''`);
  return drizzle(directory)
    .select({
      id: servers.id,
      spamThreshold: servers.inboundSpamThreshold,
      rawEmailEnabled: servers.rawEmailEnabled,
      hookUrl: servers.inboundHookUrl,
    })
    .from(servers)
    .where(and(isOurs, isNull(servers.deletedAt)))
    .get();
}

/** What stands after the "+" of the local part, as it was written; "" when nothing does. */
export function mailboxHash(address: string): string {
  const local = localPart(address);
  const plus = local.indexOf("+");
  return plus < 0 ? "" : local.slice(plus + 1);
}

function localPart(address: string): string {
  return address.slice(0, Math.max(0, address.lastIndexOf("@")));
}
