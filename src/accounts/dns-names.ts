/** The names below the deployment's mail domain that its customers' DNS points to; docs/dns.md says what each of them holds. */
export interface DnsNames {
  /** What a return-path domain is an alias of: its MX takes our bounces, its SPF names our gateways. */
  returnPath: string;
  /** What a domain for tracked links is an alias of. */
  tracking: string;
  /** For `include:` in an SPF record. */
  spf: string;
}

export function dnsNames(mailDomain: string): DnsNames {
  return { returnPath: `pm.${mailDomain}`, tracking: `track.${mailDomain}`, spf: `spf.${mailDomain}` };
}

/** Where the reverse-paths are of domains that have no return path of their own. */
export function ownReturnPath(mailDomain: string): string {
  return `bounces.${mailDomain}`;
}
