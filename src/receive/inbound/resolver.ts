/**
 * The DNS as mailauth asks it: answers and failures are those of Node's `dns.promises.resolve`. One resolver is for one message, and
 * stops asking after a number of questions and a time: a record that leads to others may not make us ask on and on.
 */
import { type DnsNeeds, joinStrings, lookUpRecords, type RecordType } from "../../accounts/dns.ts";

/** SPF may take ten lookups, each of them some questions; signatures and DMARC about twenty more. */
const MAX_QUESTIONS = 60;
/** RFC 1035 §2.3.4. */
const MAX_LABEL = 63;
const MAX_NAME = 253;

const TYPES: readonly string[] = ["A", "AAAA", "CNAME", "MX", "NS", "PTR", "TXT"] satisfies RecordType[];

interface Exchange {
  priority: number;
  exchange: string;
}

/** What the library says that it takes; MX has records of its own, as in Node. */
export type Resolver = (name: string, type: string) => Promise<string[]>;

export function boundedResolver(needs: DnsNeeds, maxMs: number): Resolver {
  const until = Date.now() + maxMs;
  let asked = 0;
  return async (name, type) => {
    if (!isRecordType(type)) throw failure("ENODATA", name);
    if (!canExist(name)) throw failure("EBADNAME", name);
    if (++asked > MAX_QUESTIONS || Date.now() >= until) throw failure("ETIMEOUT", name);
    let answer: Awaited<ReturnType<typeof lookUpRecords>>;
    try {
      answer = await lookUpRecords(name, type, needs);
    } catch {
      // Whatever is wrong with the DNS, another time may do.
      throw failure("ETIMEOUT", name);
    }
    if (!answer.exists) throw failure("ENOTFOUND", name);
    if (answer.data.length === 0) throw failure("ENODATA", name);
    return answer.data.map((data) => recordOf(type, data)) as string[];
  };
}

function isRecordType(type: string): type is RecordType {
  return TYPES.includes(type);
}

function canExist(name: string): boolean {
  const labels = name.replace(/\.$/, "").split(".");
  return name.length <= MAX_NAME && labels.every((label) => label !== "" && label.length <= MAX_LABEL);
}

function recordOf(type: RecordType, data: string): string | Exchange {
  if (type === "TXT") return joinStrings(data);
  if (type === "A" || type === "AAAA") return data.trim();
  const [first = "", second = ""] = data.trim().split(/\s+/);
  if (type === "MX") return { priority: Number(first), exchange: second.replace(/\.$/, "") };
  return first.replace(/\.$/, "");
}

function failure(code: string, name: string): Error {
  return Object.assign(new Error(`${code} ${name}`), { code });
}
