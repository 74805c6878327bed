/**
 * Whether a message is from whom it says (SPF, DKIM, ARC, DMARC), by mailauth, as the fields that a receiver puts on top: `Received-SPF`
 * and `Authentication-Results` (RFC 7208 §9.1, RFC 8601). Its parts are taken one by one, since the whole brings BIMI and its
 * certificates with it. Nobody waits for the DNS longer than a bound: what it can't say by then is "temperror".
 */
import { type DnsNeeds, joinStrings, lookUpRecords, type RecordType } from "../../accounts/dns.ts";

/** Of all questions for one message: a record that leads to others, or many signatures, may not make us ask on and on. */
const MAX_QUESTIONS = 60;
const MAX_MS = 10_000;
/** Large senders put on two or three. */
const MAX_SIGNATURES = 10;

export interface Client {
  /** "" when nobody knows. */
  address: string;
  helo: string;
}

export interface AuthFields {
  /** "" when there is no address to ask for. */
  receivedSpf: string;
  authenticationResults: string;
}

interface Asked {
  raw: Uint8Array;
  reversePath: string;
  client: Client;
  /** Our name, in both fields. */
  host: string;
  /** How many signatures the header has. */
  signatures: number;
}

export async function authenticate(asked: Asked, needs: DnsNeeds): Promise<AuthFields> {
  const { host, reversePath, client } = asked;
  if (asked.signatures > MAX_SIGNATURES)
    return {
      receivedSpf: "",
      authenticationResults: `${host}; dkim=policy (more than ${MAX_SIGNATURES} signatures)`,
    };
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<AuthFields>((resolve) => {
    const fields = {
      receivedSpf: "",
      authenticationResults: `${host}; dkim=temperror; spf=temperror; dmarc=temperror`,
    };
    // The resolver gives up first; this is for what waits for something else.
    timer = setTimeout(() => resolve(fields), MAX_MS + 5_000);
  });
  try {
    return await Promise.race([ask({ ...asked, reversePath, client }, needs), late]);
  } finally {
    clearTimeout(timer);
  }
}

async function ask({ raw, reversePath, client, host }: Asked, needs: DnsNeeds): Promise<AuthFields> {
  // Loaded by the first message that needs it: it is as large as half of the Worker.
  const [{ dkimVerify }, { spf }, { arc }, { evaluateDmarc }] = await Promise.all([
    import("mailauth/lib/dkim/verify.js"),
    import("mailauth/lib/spf/index.js"),
    import("mailauth/lib/arc/index.js"),
    import("mailauth/lib/dmarc/index.js"),
  ]);
  const resolver = boundedResolver(needs);
  const sender = reversePath || `postmaster@${client.helo || "unknown"}`;
  const dkim = await dkimVerify(Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength), {
    resolver,
    sender,
  });
  const spfResult = client.address
    ? await spf({
        ...{ resolver, sender: reversePath, ip: client.address, mta: host, maxElapsedTime: MAX_MS },
        helo: client.helo || `[${client.address}]`,
      })
    : undefined;
  const arcResult = await arc(dkim.arc as Parameters<typeof arc>[0], { resolver });
  const passed = dkim.results.filter((r) => r.status.result === "pass");
  const { response: dmarc } = await evaluateDmarc({
    headerFrom: dkim.headerFrom ?? [],
    spfDomains: spfResult?.status.result === "pass" && spfResult.domain ? [spfResult.domain] : [],
    dkimDomains: passed.map((r) => ({ id: r.id, domain: r.signingDomain, aligned: r.status.aligned })),
    arcResult,
    resolver,
  } as Parameters<typeof evaluateDmarc>[0]);
  const dkimInfo = dkim.results.map((r) => r.info).filter((info) => info !== undefined);
  const infos = [
    ...(dkimInfo.length > 0 ? dkimInfo : ["dkim=none"]),
    spfResult?.info,
    arcResult?.info,
    dmarc ? dmarc.info : undefined,
  ].filter((info) => typeof info === "string" && info !== "");
  const header = typeof spfResult?.header === "string" ? spfResult.header : "";
  return {
    receivedSpf: oneLine(header.replace(/^received-spf:\s*/i, "")),
    authenticationResults: oneLine(`${host}; ${infos.join("; ")}`),
  };
}

function oneLine(text: string): string {
  return text.replace(/\s*[\r\n]+\s*/g, " ").trim();
}

/** As Node's `dns.promises.resolve` answers and fails. */
function boundedResolver(needs: DnsNeeds) {
  const until = Date.now() + MAX_MS;
  let asked = 0;
  return async (name: string, type: string) => {
    if (++asked > MAX_QUESTIONS || Date.now() >= until) throw failure("ETIMEOUT", name);
    if (!isRecordType(type)) throw failure("ENODATA", name);
    let answer: Awaited<ReturnType<typeof lookUpRecords>>;
    try {
      answer = await lookUpRecords(name, type, needs);
    } catch {
      // Whatever is wrong with the DNS, another time may do.
      throw failure("ETIMEOUT", name);
    }
    if (!answer.exists) throw failure("ENOTFOUND", name);
    if (answer.data.length === 0) throw failure("ENODATA", name);
    // biome-ignore lint/suspicious/noExplicitAny: the shape follows from the type that was asked for, as in Node.
    return answer.data.map((data) => answerOf(type, data)) as any[];
  };
}

const TYPES: readonly string[] = ["A", "AAAA", "CNAME", "MX", "NS", "PTR", "TXT"] satisfies RecordType[];

function isRecordType(type: string): type is RecordType {
  return TYPES.includes(type);
}

function answerOf(type: RecordType, data: string): unknown {
  if (type === "TXT") return [joinStrings(data)];
  if (type === "A" || type === "AAAA") return data.trim();
  const [first = "", second = ""] = data.trim().split(/\s+/);
  if (type === "MX") return { priority: Number(first), exchange: second.replace(/\.$/, "") };
  return first.replace(/\.$/, "");
}

function failure(code: string, name: string): Error {
  return Object.assign(new Error(`${code} ${name}`), { code });
}
