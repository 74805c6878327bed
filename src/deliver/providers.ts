/**
 * Large providers as data: the addresses' domains that are theirs, the MX hosts that tell who else's mail they take, and how
 * much we give them to begin with. Add an entry, or a name to one, to teach it another.
 *
 * The numbers are from general knowledge, not measured: starting points below what these providers are commonly said to bear
 * from a sender of good standing. Replies lower them for as long as they must. What replies mean is in evidence.ts.
 */
export interface Rule {
  /** Connections to the provider at a time, over all gateways. */
  connections: number;
  /** Messages a second. */
  perSecond: number;
  /** `require` never sends in clear. MTA-STS holds in both, and most large providers publish it. */
  tls: "opportunistic" | "require";
}

export interface Provider {
  /** Of addresses; known without asking anybody. */
  domains: string[];
  /** MX hosts are these or below them. */
  mx: string[];
  rule: Rule;
  /**
   * Each domain that it takes mail for has the rule for itself. A filter stands before mail servers of others and judges for each of
   * them: one customer that is slow or away says nothing of the next. Without it all of them count together.
   */
  apart?: true;
}

const rule = (connections: number, perSecond: number): Rule => ({
  connections,
  perSecond,
  tls: "opportunistic",
});

/** By the destination's name. */
export const PROVIDERS: Record<string, Provider> = {
  // Gmail and Google Workspace: gmail-smtp-in.l.google.com, aspmx.l.google.com, smtp.google.com.
  "gmail.com": {
    domains: ["gmail.com", "googlemail.com"],
    mx: ["google.com", "googlemail.com"],
    rule: rule(20, 100),
  },
  // Microsoft for consumers: outlook-com.olc.protection.outlook.com.
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
    mx: ["olc.protection.outlook.com"],
    rule: rule(15, 50),
  },
  // Microsoft 365, whose reputation is another than the consumers': example-com.mail.protection.outlook.com, *.mx.microsoft.
  "mail.protection.outlook.com": {
    domains: [],
    mx: ["mail.protection.outlook.com", "mx.microsoft"],
    rule: rule(20, 50),
  },
  // Yahoo and AOL: mta5.am0.yahoodns.net.
  "yahoo.com": {
    domains: ["yahoo.com", "ymail.com", "rocketmail.com", "aol.com", "yahoo.co.uk", "yahoo.fr", "yahoo.de"],
    mx: ["yahoodns.net"],
    rule: rule(10, 30),
  },
  // Also domains of one's own at iCloud: mx01.mail.icloud.com.
  "icloud.com": {
    domains: ["icloud.com", "me.com", "mac.com"],
    mx: ["mail.icloud.com"],
    rule: rule(8, 20),
  },
  "gmx.net": {
    domains: ["gmx.net", "gmx.de", "gmx.at", "gmx.ch", "gmx.com", "web.de", "mail.com"],
    mx: ["gmx.net", "web.de", "mail.com"],
    rule: rule(5, 10),
  },
  "t-online.de": {
    domains: ["t-online.de", "magenta.de"],
    mx: ["t-online.de"],
    rule: rule(4, 5),
  },
  "orange.fr": { domains: ["orange.fr", "wanadoo.fr"], mx: ["orange.fr"], rule: rule(2, 5) },
  "free.fr": { domains: ["free.fr"], mx: ["free.fr"], rule: rule(2, 5) },
  "comcast.net": { domains: ["comcast.net", "xfinity.com"], mx: ["comcast.net"], rule: rule(5, 10) },
  "mail.ru": { domains: ["mail.ru", "bk.ru", "inbox.ru", "list.ru"], mx: ["mail.ru"], rule: rule(5, 20) },
  "yandex.ru": {
    domains: ["yandex.ru", "yandex.com", "ya.ru"],
    mx: ["yandex.ru", "yandex.net"],
    rule: rule(5, 20),
  },
  // Also companies at Tencent Exmail: mxbiz1.qq.com.
  "qq.com": { domains: ["qq.com", "foxmail.com"], mx: ["qq.com"], rule: rule(3, 5) },
  "163.com": { domains: ["163.com", "126.com", "yeah.net"], mx: ["netease.com"], rule: rule(3, 5) },
  // Filters: mxa-00123456.gslb.pphosted.com, eu-smtp-inbound-1.mimecast.com, d123456.a.ess.barracudanetworks.com,
  // cluster5.us.messagelabs.com (Symantec), mx1.hc1234-56.iphmx.com (Cisco).
  "pphosted.com": {
    domains: [],
    mx: ["pphosted.com", "ppe-hosted.com"],
    rule: rule(15, 30),
    apart: true,
  },
  "mimecast.com": {
    domains: [],
    mx: ["mimecast.com", "mimecast.co.za"],
    rule: rule(15, 30),
    apart: true,
  },
  "barracudanetworks.com": {
    domains: [],
    mx: ["barracudanetworks.com"],
    rule: rule(15, 30),
    apart: true,
  },
  "messagelabs.com": { domains: [], mx: ["messagelabs.com"], rule: rule(10, 30), apart: true },
  "iphmx.com": { domains: [], mx: ["iphmx.com"], rule: rule(10, 30), apart: true },
  // Hosts of many small domains.
  "messagingengine.com": {
    domains: ["fastmail.com", "fastmail.fm"],
    mx: ["messagingengine.com"],
    rule: rule(10, 30),
  },
  "zoho.com": {
    domains: ["zoho.com", "zohomail.com"],
    mx: ["zoho.com", "zoho.eu", "zoho.in"],
    rule: rule(5, 20),
  },
};

const NAME_OF_MX = new Map(
  Object.entries(PROVIDERS).flatMap(([name, { mx }]) => mx.map((host) => [host, name] as const)),
);

/** DNS allows no more in 253 bytes. */
const MAX_LABELS = 127;

/** The provider that an MX host belongs to. Whole labels count: google.com.example.net is nobody's. */
export function providerOfHost(host: string): string | undefined {
  const labels = host.toLowerCase().replace(/\.$/, "").split(".").slice(-MAX_LABELS);
  for (let i = 0; i < labels.length; i++) {
    const name = NAME_OF_MX.get(labels.slice(i).join("."));
    if (name) return name;
  }
  return undefined;
}
