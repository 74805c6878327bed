/**
 * Asks the DNS over HTTPS, in the JSON form (`?name=&type=`) that Cloudflare and Google offer. A name that does not exist, or has no
 * such record, has none; a resolver that cannot say is `DnsUnavailable`, and never "there is no record".
 */
import * as z from "zod";

export interface DnsNeeds {
  fetchDns(url: string, init: RequestInit): Promise<Response>;
  dnsUrl: string;
}

/** Nobody knows at the moment: ask again later. */
export class DnsUnavailable extends Error {}

/** Resolvers give up on servers that do not answer after about four seconds. */
const TIMEOUT_MS = 5_000;
/** A DNS message is 64 KB at most; as JSON, with its escapes, no more than this. */
const MAX_ANSWER_CHARACTERS = 1_000_000;
/** RFC 1035 §3.2.2. */
const TYPES = { A: 1, NS: 2, CNAME: 5, PTR: 12, MX: 15, TXT: 16, AAAA: 28 } as const;
export type RecordType = keyof typeof TYPES;
/** RFC 1035 §4.1.1. */
const NOERROR = 0;
const NXDOMAIN = 3;

const DnsAnswer = z.object({
  Status: z.int(),
  Answer: z.array(z.object({ type: z.int(), data: z.string() })).optional(),
});

/** Each record as one text: its strings are joined, as SPF (RFC 7208 §3.3) and DKIM (RFC 6376 §3.6.2.2) want it. */
export async function lookUpTxt(name: string, needs: DnsNeeds): Promise<string[]> {
  return (await lookUp(name, "TXT", needs)).map(joinStrings);
}

/** What the name is an alias of: lower case, without the final dot. */
export async function lookUpCname(name: string, needs: DnsNeeds): Promise<string | undefined> {
  const [target] = await lookUp(name, "CNAME", needs);
  return target === undefined ? undefined : normal(target);
}

/** The most preferred first; a null MX (RFC 7505) has the exchange "". */
export async function lookUpMx(
  name: string,
  needs: DnsNeeds,
): Promise<{ preference: number; exchange: string }[]> {
  const records = (await lookUp(name, "MX", needs)).map((data) => {
    const [preference = "", exchange = ""] = data.trim().split(/\s+/);
    return { preference: Number(preference), exchange: normal(exchange) };
  });
  return records.sort((a, b) => a.preference - b.preference);
}

export async function lookUpNs(name: string, needs: DnsNeeds): Promise<string[]> {
  return (await lookUp(name, "NS", needs)).map(normal);
}

/** IPv4 and IPv6. */
export async function lookUpAddresses(name: string, needs: DnsNeeds): Promise<string[]> {
  const found = await Promise.all([lookUp(name, "A", needs), lookUp(name, "AAAA", needs)]);
  return found.flat();
}

/** As they are in a zone file, and whether there is such a name at all. */
export async function lookUpRecords(
  name: string,
  type: RecordType,
  needs: DnsNeeds,
): Promise<{ exists: boolean; data: string[] }> {
  const { Status, Answer = [] } = await ask(name, type, needs);
  if (Status === NXDOMAIN) return { exists: false, data: [] };
  if (Status !== NOERROR) throw new DnsUnavailable(`DNS: ${type} of ${name}: response code ${Status}`);
  const data = Answer.filter((record) => record.type === TYPES[type]).map((record) => record.data);
  return { exists: true, data };
}

/** The data of the records of this type, as in a zone file; those of aliases on the way are left out. */
async function lookUp(name: string, type: RecordType, needs: DnsNeeds): Promise<string[]> {
  return (await lookUpRecords(name, type, needs)).data;
}

async function ask(name: string, type: string, { fetchDns, dnsUrl }: DnsNeeds) {
  const url = new URL(dnsUrl);
  url.searchParams.set("name", name);
  url.searchParams.set("type", type);
  try {
    const response = await fetchDns(url.href, {
      headers: { Accept: "application/dns-json" },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`status ${response.status}`);
    if (text.length > MAX_ANSWER_CHARACTERS) throw new Error("an answer that is too long");
    return DnsAnswer.parse(JSON.parse(text));
  } catch (cause) {
    throw new DnsUnavailable(`DNS: ${type} of ${name} could not be asked`, { cause });
  }
}

/** Strings in quotes, with spaces between (RFC 1035 §5.1); some resolvers give the text bare. */
export function joinStrings(data: string): string {
  const text = data.trim();
  if (!text.startsWith('"')) return text;
  const strings = [...text.matchAll(/"((?:[^"\\]|\\.)*)"/gs)].map(([, inside = ""]) => inside);
  return strings.join("").replace(/\\(\d{3}|.)/gs, (_, escaped: string) => {
    return escaped.length === 3 ? String.fromCharCode(Number(escaped)) : escaped;
  });
}

function normal(name: string): string {
  return name.trim().toLowerCase().replace(/\.$/, "");
}
