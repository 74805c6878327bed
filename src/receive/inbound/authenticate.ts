/**
 * Whether a message is from whom it says (SPF, DKIM, ARC, DMARC), by mailauth, as the fields that a receiver puts on top: `Received-SPF`
 * and `Authentication-Results` (RFC 7208 §9.1, RFC 8601). Its parts are taken one by one, since the whole brings BIMI and its
 * certificates with it. What the DNS does not say in time, or the library fails at, is "temperror", and no reason to lose the rest.
 */
import type { DnsNeeds } from "../../accounts/dns.ts";
import { knowDigestNamesInAnyCase } from "./digest-names.ts";
import { boundedResolver, type Resolver } from "./resolver.ts";
import { tooMuchToVerify } from "./signed-bytes.ts";

const MAX_MS = 10_000;
/** The resolver gives up first; this is for what waits for something else. */
const PATIENCE_MS = 15_000;

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

export interface AuthNeeds extends DnsNeeds {
  log(event: string, fields: Record<string, unknown>): void;
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

export async function authenticate(asked: Asked, needs: AuthNeeds): Promise<AuthFields> {
  const { host, client } = asked;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done in ${PATIENCE_MS} ms`)), PATIENCE_MS);
  });
  try {
    return await Promise.race([ask(asked, needs), late]);
  } catch (error) {
    // Late, or the library could not be loaded: the mail is somebody's all the same.
    needs.log("inbound mail not authenticated", { method: "all", error: String(error) });
    const spf = client.address === "" ? [] : ["spf=temperror"];
    return {
      receivedSpf: client.address === "" ? "" : "temperror",
      authenticationResults: [host, "dkim=temperror", ...spf, "dmarc=temperror"].join("; "),
    };
  } finally {
    clearTimeout(timer);
  }
}

async function ask(asked: Asked, needs: AuthNeeds): Promise<AuthFields> {
  knowDigestNamesInAnyCase();
  const resolver = boundedResolver(needs, MAX_MS);
  const reason = tooMuchToVerify(asked.raw, asked.signatures);
  const [spf, dkim] = await Promise.all([
    spfOf(asked, resolver, needs),
    reason === undefined ? dkimOf(asked, resolver, needs) : undefined,
  ]);
  if (reason !== undefined) needs.log("inbound mail's signatures not verified", { reason });
  const dmarc = dkim && (await dmarcOf({ spf, ...dkim }, resolver, needs));
  const infos = [
    ...(dkim?.infos ?? [reason === undefined ? "dkim=temperror" : `dkim=policy (${reason})`]),
    spf?.info,
    dkim?.arc?.info,
    dmarc ?? (reason === undefined ? "dmarc=temperror" : undefined),
  ];
  const results = infos.filter((info) => info !== undefined && info !== "");
  return {
    receivedSpf: spf?.header ?? "",
    authenticationResults: oneLine([asked.host, ...results].join("; ")),
  };
}

interface Spf {
  header: string;
  info: string;
  /** The domain that passed; "" when none did. */
  passed: string;
}

async function spfOf(
  { client, reversePath, host }: Asked,
  resolver: Resolver,
  needs: AuthNeeds,
): Promise<Spf | undefined> {
  if (client.address === "") return undefined;
  const identity = { sender: reversePath, helo: client.helo || `[${client.address}]` };
  const found = await attempt("spf", needs, async () => {
    // Loaded by the first message that needs it, as below: all of it is as large as half of the Worker.
    const { spf } = await import("mailauth/lib/spf/index.js");
    return spf({ ...identity, resolver, ip: client.address, mta: host, maxElapsedTime: MAX_MS });
  });
  if (!found) return { header: "temperror", info: "spf=temperror", passed: "" };
  return {
    header: oneLine(found.header.replace(/^received-spf:\s*/i, "")),
    info: found.info,
    passed: found.status.result === "pass" && found.domain ? found.domain : "",
  };
}

type Verified = Awaited<ReturnType<typeof import("mailauth/lib/dkim/verify.js")["dkimVerify"]>>;
type Arc = Awaited<ReturnType<typeof import("mailauth/lib/arc/index.js")["arc"]>>;

interface Signatures {
  verified: Verified;
  infos: string[];
  arc: Arc | undefined;
}

async function dkimOf(
  { raw, reversePath, client }: Asked,
  resolver: Resolver,
  needs: AuthNeeds,
): Promise<Signatures | undefined> {
  const verified = await attempt("dkim", needs, async () => {
    const { dkimVerify } = await import("mailauth/lib/dkim/verify.js");
    return dkimVerify(Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength), {
      resolver,
      sender: reversePath || `postmaster@${client.helo || "unknown"}`,
      // RFC 8301 §3.1: SHA-1 proves nothing.
      rejectRsaSha1: true,
    });
  });
  if (!verified) return undefined;
  const chain = verified.arc;
  const arc =
    chain &&
    (await attempt("arc", needs, async () => {
      const library = await import("mailauth/lib/arc/index.js");
      return library.arc(chain as Parameters<typeof library.arc>[0], { resolver });
    }));
  const infos = verified.results.map(({ info = "" }) =>
    // RFC 6376 §6.1.3 calls it a failure; "neutral" is for what cannot be read.
    info.replace(/^dkim=neutral (?=\(body hash did not verify\))/, "dkim=fail "),
  );
  return { verified, infos, arc };
}

/** Its result as a text. */
async function dmarcOf(
  { spf, verified, arc }: Signatures & { spf: Spf | undefined },
  resolver: Resolver,
  needs: AuthNeeds,
): Promise<string> {
  const signed = verified.results.filter((r) => r.status.result === "pass");
  const found = await attempt("dmarc", needs, async () => {
    const { evaluateDmarc } = await import("mailauth/lib/dmarc/index.js");
    return evaluateDmarc({
      headerFrom: verified.headerFrom,
      fromFields: verified.fromFields,
      spfDomains: spf?.passed ? [spf.passed] : [],
      dkimDomains: signed.map(({ id, signingDomain, status: { aligned, underSized } }) => {
        return { id, domain: signingDomain, aligned, underSized };
      }),
      // Of a message that nobody sealed there is nothing to say.
      arcResult: arc?.info ? arc : undefined,
      resolver,
    } as Parameters<typeof evaluateDmarc>[0]);
  });
  if (!found) return "dmarc=temperror";
  // RFC 9989 §5.3.1: no author, or more than one: nobody can be asked for a policy.
  if (!found.response) return `dmarc=permerror (${(found.reason ?? "no author").replaceAll("-", " ")})`;
  return found.response.info ?? "";
}

/** undefined when it fails: what a message makes the library throw is unforeseen, and says nothing about the message. */
async function attempt<T>(method: string, needs: AuthNeeds, run: () => Promise<T>): Promise<T | undefined> {
  try {
    return await run();
  } catch (error) {
    needs.log("inbound mail not authenticated", { method, error: String(error) });
    return undefined;
  }
}

function oneLine(text: string): string {
  return text.replace(/\s*[\r\n]+\s*/g, " ").trim();
}
