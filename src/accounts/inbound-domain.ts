/** Whether a domain's mail comes to us: what a server's own inbound domain must show before we take mail for it. */
import { type DnsNeeds, lookUpMx } from "./dns.ts";
import { reportsHost } from "./report-monitors.ts";

/** Where mail for inbound addresses goes; a customer's MX points to it, or to the hosts that its own MX records name. */
export function inboundHost(mailDomain: string): string {
  return `inbound.${mailDomain}`;
}

/** Names whose mail is ours already: no server may have them. */
export function isReserved(domain: string, mailDomain: string): boolean {
  const hosts = [inboundHost(mailDomain), `bounces.${mailDomain}`, reportsHost(mailDomain)];
  return hosts.includes(domain);
}

/** Throws `DnsUnavailable` when nobody can say. */
export async function pointsToUs(domain: string, mailDomain: string, needs: DnsNeeds): Promise<boolean> {
  const host = inboundHost(mailDomain);
  const [theirs, ours] = await Promise.all([lookUpMx(domain, needs), lookUpMx(host, needs)]);
  const hosts = new Set([host, ...ours.map((mx) => mx.exchange)]);
  // A null MX (RFC 7505) says that no mail is taken, on whichever side.
  return theirs.some(({ exchange }) => exchange !== "" && hosts.has(exchange));
}
