/**
 * A received message with a DMARC or TLS report, to what is kept of it. It is kept only when it came to the address of a domain that we
 * read reports for, and is about that domain. Taking the same again, after a crash or from its sender, changes nothing.
 */
import { monitorOfAddress } from "../../accounts/report-monitors.ts";
import { type DmarcSum, isStored, type NewReport, storeReport, type TlsSum } from "../../archive/dmarc.ts";
import { readMessage } from "./read.ts";
import type { AggregateRecord, AggregateReport, AuthResult, TlsReport } from "./report.ts";
import { isWithin } from "./report.ts";

export interface ReportNeeds {
  directory: D1Database;
  /** Of the archive databases, the one that keeps reports. */
  reports: D1Database;
  putObject(key: string, bytes: Uint8Array): Promise<void>;
  now(): number;
  newId(): string;
  mailDomain: string;
}

export type Taken = { kind: "stored" | "known"; monitorId: number } | { kind: "refused"; why: string };

/** `recipient` is of the envelope. Throws when a database or R2 is away: then it is worth another try. */
export async function takeReport(needs: ReportNeeds, raw: Uint8Array, recipient: string): Promise<Taken> {
  const monitor = await monitorOfAddress(needs.directory, recipient, needs.mailDomain);
  if (!monitor) return { kind: "refused", why: "no address that reports go to" };
  const read = await readMessage(raw);
  if ("refused" in read) return { kind: "refused", why: read.refused };
  const { report, attachment } = read.ok;
  const kept = report.kind === "aggregate" ? aggregate(report, monitor.domain) : tls(report, monitor.domain);
  if ("refused" in kept) return { kind: "refused", why: kept.refused };
  const { kind, organization, externalId, beginsAt, endsAt } = report;
  if (await isStored(needs.reports, monitor.id, report)) return { kind: "known", monitorId: monitor.id };
  // By its bytes: what another sender calls by the same name does not replace it.
  const object = `reports/${monitor.id}/${await hash(attachment)}`;
  const stored: NewReport = {
    ...{ monitorId: monitor.id, kind, organization, externalId, beginsAt, endsAt, object },
    receivedAt: needs.now(),
    ...kept.ok,
  };
  // First, so that what is listed can be shown.
  await needs.putObject(object, attachment);
  return {
    kind: await storeReport(needs.reports, stored, kept.sums, needs.newId()),
    monitorId: monitor.id,
  };
}

type Kept =
  | { ok: Pick<NewReport, "domain" | "summary">; sums: { dmarc?: DmarcSum[]; tls?: TlsSum[] } }
  | { refused: string };

function aggregate(report: AggregateReport, domain: string): Kept {
  const { policy, email, extraContact } = report;
  if (!isWithin(policy.domain, domain)) return { refused: `a report for ${policy.domain}, not ${domain}` };
  // A record of another domain would count its mail as ours.
  const records = report.records.filter((record) => isWithin(record.headerFrom, domain));
  const total = records.reduce((sum, record) => sum + record.count, 0);
  const summary = { email, extraContact, policy, records: records.length, total };
  return { ok: { domain: policy.domain, summary }, sums: { dmarc: records.map(sumOf) } };
}

function sumOf(record: AggregateRecord): DmarcSum {
  const { sourceIp, dkimAligned, spfAligned, disposition, reasons, headerFrom, count } = record;
  const dkim = telling(record.dkim, headerFrom);
  const spf = telling(record.spf, headerFrom);
  return {
    sourceIp,
    dkimDomain: dkim?.domain ?? "",
    dkimResult: dkim?.result ?? "",
    spfDomain: spf?.domain ?? "",
    spfResult: spf?.result ?? "",
    dkimAligned,
    spfAligned,
    disposition: disposition === "quarantine" || disposition === "reject" ? disposition : "none",
    reason: reasons[0]?.type ?? "",
    count,
  };
}

/** Of several signatures: one that passes for the domain, else one that passes, else one for the domain, else the first. */
function telling(results: AuthResult[], headerFrom: string): AuthResult | undefined {
  const passed = results.filter(({ result }) => result === "pass");
  const ours = ({ domain }: AuthResult) => isWithin(headerFrom, domain) || isWithin(domain, headerFrom);
  return passed.find(ours) ?? passed[0] ?? results.find(ours) ?? results[0];
}

function tls(report: TlsReport, domain: string): Kept {
  const policies = report.policies.filter((policy) => isWithin(policy.domain, domain));
  const [first] = policies;
  if (!first)
    return { refused: `a TLS report for ${report.policies[0]?.domain ?? "no domain"}, not ${domain}` };
  const sums: TlsSum[] = policies.flatMap(({ type, succeeded, failed, failures }) => {
    const told = failures.reduce((sum, { count }) => sum + count, 0);
    const more = failed > told ? [{ result: "unknown", mxHost: "", count: failed - told }] : [];
    return [{ result: "success", mxHost: "", count: succeeded }, ...failures, ...more].map(
      ({ result, mxHost, count }) => ({ policyType: type, mxHost, result, count }),
    );
  });
  const total = policies.reduce((sum, { succeeded, failed }) => sum + succeeded + failed, 0);
  const summary = { email: report.contact, extraContact: "", records: policies.length, total };
  return { ok: { domain: first.domain, summary }, sums: { tls: sums.filter(({ count }) => count > 0) } };
}

async function hash(bytes: Uint8Array): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
