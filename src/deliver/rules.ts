/**
 * How we treat destinations, as data: one entry for each large provider, and one for everybody else. Domains that share
 * their MX hosts share one destination, so that a provider sees one well-behaved sender. Add a line to teach it another.
 */
export interface Rule {
  /** Connections to the provider at a time, over all gateways. */
  connections: number;
  /** Messages a second. */
  perSecond: number;
  /** `require` never sends in clear. MTA-STS holds in both, and most large providers publish it. */
  tls: "opportunistic" | "require";
}

const EVERYBODY_ELSE: Rule = { connections: 20, perSecond: Number.POSITIVE_INFINITY, tls: "opportunistic" };

/**
 * By the destination's name. The numbers are starting points below what these providers are known to bear from a
 * sender of good standing; replies lower them for as long as they must.
 */
const PROVIDERS: Record<string, { domains: string[]; rule: Rule }> = {
  "gmail.com": {
    domains: ["gmail.com", "googlemail.com"],
    rule: { connections: 20, perSecond: 100, tls: "opportunistic" },
  },
  "outlook.com": {
    domains: [
      "outlook.com",
      "hotmail.com",
      "live.com",
      "msn.com",
      "hotmail.co.uk",
      "hotmail.fr",
      "outlook.fr",
    ],
    rule: { connections: 15, perSecond: 50, tls: "opportunistic" },
  },
  "yahoo.com": {
    domains: ["yahoo.com", "ymail.com", "rocketmail.com", "aol.com", "yahoo.co.uk", "yahoo.fr", "yahoo.de"],
    rule: { connections: 10, perSecond: 30, tls: "opportunistic" },
  },
  "icloud.com": {
    domains: ["icloud.com", "me.com", "mac.com"],
    rule: { connections: 8, perSecond: 20, tls: "opportunistic" },
  },
  "gmx.net": {
    domains: ["gmx.net", "gmx.de", "gmx.at", "gmx.ch", "gmx.com", "web.de", "mail.com"],
    rule: { connections: 5, perSecond: 10, tls: "opportunistic" },
  },
  "t-online.de": {
    domains: ["t-online.de", "magenta.de"],
    rule: { connections: 4, perSecond: 5, tls: "opportunistic" },
  },
  "orange.fr": {
    domains: ["orange.fr", "wanadoo.fr"],
    rule: { connections: 2, perSecond: 5, tls: "opportunistic" },
  },
  "free.fr": {
    domains: ["free.fr"],
    rule: { connections: 2, perSecond: 5, tls: "opportunistic" },
  },
  "comcast.net": {
    domains: ["comcast.net", "xfinity.com"],
    rule: { connections: 5, perSecond: 10, tls: "opportunistic" },
  },
  "mail.ru": {
    domains: ["mail.ru", "bk.ru", "inbox.ru", "list.ru"],
    rule: { connections: 5, perSecond: 20, tls: "opportunistic" },
  },
};

const NAME_OF = new Map(
  Object.entries(PROVIDERS).flatMap(([name, { domains }]) =>
    domains.map((domain) => [domain, name] as const),
  ),
);

/** The Destination that stands for a domain: itself, or its provider. */
export function destinationOf(domain: string): string {
  return NAME_OF.get(domain) ?? domain;
}

/** Destinations without an entry here share so many objects. */
const OBJECTS = 32;

/** The name of the object that keeps a destination. */
export function objectOf(destination: string): string {
  if (Object.hasOwn(PROVIDERS, destination)) return destination;
  const hash = [...destination].reduce((h, c) => (Math.imul(h, 31) + (c.codePointAt(0) ?? 0)) >>> 0, 7);
  return `shared/${hash % OBJECTS}`;
}

export function ruleOf(destination: string): Rule {
  return (Object.hasOwn(PROVIDERS, destination) && PROVIDERS[destination]?.rule) || EVERYBODY_ELSE;
}
