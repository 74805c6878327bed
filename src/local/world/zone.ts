/**
 * What the world's DNS says: every domain's mail goes to the local MX, but for a few domains that show what goes wrong, and what was
 * set over HTTP. Records that were set are kept in a file. It answers questions; dns.ts and doh.ts carry them.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export const MX_HOST = "mx.world.test";
/** Mail for a domain with this MX goes on to the front door: all hosts have one port here, and it is the world's. */
export const FRONT_DOOR_HOST = "front-door.world.test";
/** Hosts of the MX whose STARTTLS is missing or wrong, each at a loopback address of its own. */
export const HOSTS = {
  [MX_HOST]: "127.0.0.1",
  [`notls.${MX_HOST}`]: "127.0.0.2",
  [`badtls.${MX_HOST}`]: "127.0.0.3",
};

export const SETTABLE = ["TXT", "MX", "CNAME", "A"] as const;
export type RecordType = (typeof SETTABLE)[number];

/** `data` as in a zone file without quotes: "10 mx.world.test", "v=spf1 -all", "127.0.0.1". */
export interface DnsRecord {
  name: string;
  type: RecordType;
  data: string;
}

export interface Answer {
  rcode: "NOERROR" | "NXDOMAIN" | "SERVFAIL";
  records: DnsRecord[];
}

/** A chain of aliases longer than it is a loop, as resolvers see it. */
const MAX_ALIASES = 8;
const MAX_RECORDS = 10_000;
/** RFC 1035 §2.3.4. */
const MAX_NAME = 253;
const MAX_VALUE = 4_096;

export class Zone {
  readonly #file: string;
  /** "name type" to its values. */
  readonly #set: Map<string, string[]>;

  constructor(folder: string) {
    this.#file = join(folder, "dns.json");
    this.#set = new Map(Object.entries(read(this.#file)));
  }

  answer(question: string, type: string): Answer {
    const records: DnsRecord[] = [];
    let name = normal(question);
    for (let aliases = 0; aliases <= MAX_ALIASES; aliases++) {
      if (isUnder(name, "nodomain.test")) return { rcode: "NXDOMAIN", records };
      if (isUnder(name, "servfail.test")) return { rcode: "SERVFAIL", records: [] };
      const [alias] = this.#set.get(`${name} CNAME`) ?? [];
      if (alias === undefined)
        return { rcode: "NOERROR", records: [...records, ...this.#recordsOf(name, type)] };
      records.push({ name, type: "CNAME", data: normal(alias) });
      if (type === "CNAME") return { rcode: "NOERROR", records };
      name = normal(alias);
    }
    return { rcode: "SERVFAIL", records: [] };
  }

  /** No values remove the record. Says in a sentence what is wrong with it, or undefined when it is set. */
  put(name: string, type: RecordType, values: string[]): string | undefined {
    if (name.length > MAX_NAME || values.some((v) => v.length > MAX_VALUE))
      return "The name or value is too long.";
    const wrong = values.find((value) => !isValid(type, value));
    if (wrong !== undefined) return `Not a value of ${type}: ${wrong}`;
    if (values.length > 0 && this.#set.size >= MAX_RECORDS) return `No more than ${MAX_RECORDS} records.`;
    const key = `${normal(name)} ${type}`;
    if (values.length > 0) this.#set.set(key, values);
    else this.#set.delete(key);
    writeFileSync(`${this.#file}.new`, JSON.stringify(Object.fromEntries(this.#set), null, 1));
    renameSync(`${this.#file}.new`, this.#file);
    return undefined;
  }

  all(): Record<string, string[]> {
    return Object.fromEntries(this.#set);
  }

  #recordsOf(name: string, asked: string): DnsRecord[] {
    const type = SETTABLE.find((t) => t === asked);
    if (!type) return [];
    const values = this.#set.get(`${name} ${type}`) ?? defaults(name, type);
    return values.map((data) => ({
      name,
      type,
      data: type === "MX" && !/^\d/.test(data) ? `10 ${data}` : data,
    }));
  }
}

/** What is said of a name of which nothing was set. There is no AAAA: the world is IPv4 only. */
function defaults(name: string, type: RecordType): string[] {
  if (type === "A") return [(HOSTS as Record<string, string>)[name] ?? "127.0.0.1"];
  if (type !== "MX") return [];
  // A null MX (RFC 7505): this domain takes no mail.
  if (isUnder(name, "nullmx.test")) return ["0 ."];
  const special = ["notls", "badtls"].find((label) => name.startsWith(`${label}.`));
  return [`10 ${special ? `${special}.` : ""}${MX_HOST}`];
}

function isValid(type: RecordType, value: string): boolean {
  if (type === "TXT") return true;
  if (type === "A") return /^(\d{1,3}\.){3}\d{1,3}$/.test(value);
  return (type === "MX" ? /^(\d{1,5}\s+)?[^\s]+$/ : /^[^\s]+$/).test(value) && value.length <= MAX_NAME;
}

function isUnder(name: string, domain: string): boolean {
  return name === domain || name.endsWith(`.${domain}`);
}

function normal(name: string): string {
  return name.toLowerCase().replace(/\.$/, "");
}

function read(file: string): Record<string, string[]> {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Record<string, string[]>;
  } catch (error) {
    // A new world; a file that cannot be read is worth stopping for.
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return {};
    throw error;
  }
}
