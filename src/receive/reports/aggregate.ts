/**
 * DMARC aggregate reports, in the schema of RFC 7489 appendix C, that of RFC 9990, and what providers make of them: fields that are
 * missing, doubled or in other words. Only what a report cannot do without is insisted on: its domain and its time.
 */
import ipaddr from "ipaddr.js";
import { organisation } from "./organisation.ts";
import { type AggregateRecord, type AggregateReport, type AuthResult, nameOf } from "./report.ts";
import { Unreadable } from "./unreadable.ts";
import { child, childrenOf, type Element, textOf, type XmlReader, xmlReader } from "./xml.ts";

/** The largest that providers send have some 20,000; what is longer comes in several. */
const MAX_RECORDS = 30_000;
/** Of one record: more is forged, or one message in millions. */
const MAX_RESULTS = 20;
const MAX_REASONS = 5;
/** No provider sends so many messages in a day; sums stay exact. */
const MAX_COUNT = 1_000_000_000_000;
/** Times are seconds; above this they are milliseconds, which some write. */
const MAX_SECONDS = 100_000_000_000;

export interface AggregateReader {
  write(text: string): void;
  end(): AggregateReport;
}

/** Throws Unreadable. */
export function aggregateReader(): AggregateReader {
  const records: AggregateRecord[] = [];
  let skipped = 0;
  const xml: XmlReader = xmlReader("record", (element) => {
    if (records.length + skipped >= MAX_RECORDS) throw new Unreadable(`more than ${MAX_RECORDS} records`);
    const record = recordOf(element);
    if (record) records.push(record);
    else skipped++;
  });
  return {
    write: xml.write,
    end() {
      const root = xml.end();
      if (root.name !== "feedback")
        throw new Unreadable(`XML that is no report: <${root.name.slice(0, 40)}>`);
      if (records.length === 0 && skipped > 0) throw new Unreadable("no record in it can be read");
      const report = reportOf(root, records, skipped);
      // It may stand behind the records.
      for (const record of records) record.headerFrom ||= report.policy.domain;
      return report;
    },
  };
}

function reportOf(root: Element, records: AggregateRecord[], skipped: number): AggregateReport {
  const metadata = child(root, "report_metadata");
  const published = child(root, "policy_published");
  const domain = nameOf(textOf(published, "domain"));
  if (!domain) throw new Unreadable("it does not say which domain it is about");
  const range = child(metadata, "date_range");
  const [beginsAt, endsAt] = [timeOf(textOf(range, "begin")), timeOf(textOf(range, "end"))];
  if (beginsAt === undefined || endsAt === undefined || endsAt < beginsAt)
    throw new Unreadable("it does not say which time it is about");
  const email = textOf(metadata, "email");
  return {
    kind: "aggregate",
    organization: textOf(metadata, "org_name") || email.slice(email.lastIndexOf("@") + 1) || "unknown",
    email,
    extraContact: textOf(metadata, "extra_contact_info", 1_024),
    externalId: textOf(metadata, "report_id") || `${beginsAt / 1000}-${endsAt / 1000}`,
    beginsAt,
    endsAt,
    policy: {
      domain,
      adkim: word(published, "adkim"),
      aspf: word(published, "aspf"),
      p: word(published, "p"),
      sp: word(published, "sp"),
      pct: word(published, "pct"),
    },
    records,
    skipped,
  };
}

/** undefined when it doesn't say who sent how much. */
function recordOf(element: Element): AggregateRecord | undefined {
  const row = child(element, "row");
  const sourceIp = addressOf(textOf(row, "source_ip"));
  const count = Number(textOf(row, "count") || "1");
  if (!sourceIp || !Number.isInteger(count) || count < 0 || count > MAX_COUNT) return undefined;
  const evaluated = child(row, "policy_evaluated");
  // The second name is of drafts before RFC 7489.
  const identifiers = child(element, "identifiers") ?? child(element, "identities");
  const results = child(element, "auth_results");
  const headerFrom = nameOf(textOf(identifiers, "header_from"));
  const dkim = resultsOf(results, "dkim");
  const spf = resultsOf(results, "spf");
  return {
    sourceIp,
    count,
    disposition: word(evaluated, "disposition"),
    dkimAligned: aligned(word(evaluated, "dkim"), dkim, headerFrom),
    spfAligned: aligned(word(evaluated, "spf"), spf, headerFrom),
    reasons: childrenOf(evaluated, "reason")
      .slice(0, MAX_REASONS)
      .map((reason) => ({ type: word(reason, "type"), comment: textOf(reason, "comment") })),
    headerFrom,
    envelopeFrom: nameOf(textOf(identifiers, "envelope_from")),
    dkim,
    spf,
  };
}

function resultsOf(results: Element | undefined, method: "dkim" | "spf"): AuthResult[] {
  return childrenOf(results, method)
    .slice(0, MAX_RESULTS)
    .map((element) => {
      const selector = textOf(element, "selector");
      const found = { domain: nameOf(textOf(element, "domain")), result: word(element, "result") };
      return method === "dkim" && selector ? { ...found, selector } : found;
    })
    .filter(({ domain, result }) => domain || (result && result !== "none"));
}

/** As the reporter found; where it does not say, as its results have it, for the organisation's domain (RFC 7489 §3.1, relaxed). */
function aligned(evaluated: string, results: AuthResult[], headerFrom: string): boolean {
  if (evaluated) return evaluated === "pass";
  const wanted = organisation(headerFrom);
  return results.some(({ domain, result }) => result === "pass" && domain && organisation(domain) === wanted);
}

/** Of enumerations, which some write in capitals. */
function word(element: Element | undefined, name: string): string {
  return textOf(element, name, 40).toLowerCase();
}

/** In one spelling each; "" when it is none. */
function addressOf(text: string): string {
  return ipaddr.isValid(text) && (text.includes(":") || /^\d+(\.\d+){3}$/.test(text))
    ? ipaddr.process(text).toString()
    : "";
}

function timeOf(text: string): number | undefined {
  // A fraction is left out; some write a date.
  const number = /^\d{1,15}(\.\d*)?$/.test(text) ? Math.floor(Number(text)) : Date.parse(text) / 1000;
  if (!Number.isFinite(number) || number < 0) return undefined;
  const at = number > MAX_SECONDS ? number : number * 1000;
  return at > 8.64e15 ? undefined : Math.floor(at);
}
