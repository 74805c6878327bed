/** Reports in the DMARC API: the list, and each with its records, which are read from the attachment as it was sent. */
import { Hono } from "hono";
import type { Monitor } from "../accounts/report-monitors.ts";
import { findReport, listReports, type StoredReport } from "../archive/dmarc.ts";
import { organisation } from "../receive/reports/organisation.ts";
import { originalXml } from "../receive/reports/original.ts";
import { readAttachment } from "../receive/reports/read.ts";
import { type AggregateRecord, isWithin } from "../receive/reports/report.ts";
import { type DmarcNeeds, second, shown, told, withRecord } from "./dmarc-door.ts";
import { apiPath, pathNumber } from "./path.ts";

const DEFAULT_LIMIT = 30;
const MAX_LIMIT = 50;
const DAY_MS = 86_400_000;
/** Records have no number of their own: theirs is the report's and their place in it, of which there are fewer. */
const RECORDS_PER_REPORT = 100_000;

export function dmarcReportRoutes(needs: DmarcNeeds): Hono {
  const app = new Hono({ getPath: apiPath });

  app.get(
    "/records/my/reports",
    withRecord(needs, async (monitor, c) => {
      const asked = readFilter(c.req.query());
      if (typeof asked === "string") return told(422, asked);
      const { total, found } = await listReports(needs.reports, monitor.id, asked);
      const last = found.length === asked.limit ? found.at(-1)?.id : undefined;
      return shown({
        meta: { ...nextOf(last, c.req.query(), asked.newestFirst), total },
        entries: found.map(entry),
      });
    }),
  );

  app.get(
    "/records/my/reports/:id",
    withRecord(needs, async (monitor, c) => {
      const id = pathNumber(c.req.param("id"));
      const report = id === undefined ? undefined : await findReport(needs.reports, monitor.id, id);
      if (!report) return told(404, "There is no such report.");
      const attachment = await needs.object(report.object);
      if (!attachment) throw new Error(`the object of report ${report.id} is gone`);
      const accept = c.req.header("Accept") ?? "";
      if (/\bapplication\/xml\b|\btext\/xml\b/i.test(accept) && !/application\/json/i.test(accept))
        return new Response(originalXml(attachment), {
          headers: { "Content-Type": "application/xml; charset=utf-8" },
        });
      return shown(details(report, recordsOf(attachment, monitor)));
    }),
  );

  return app;
}

function readFilter(query: Record<string, string>) {
  const limit = numberOf(query.limit) ?? DEFAULT_LIMIT;
  if (!(limit >= 1 && limit <= MAX_LIMIT)) return `'limit' must be a number from 1 to ${MAX_LIMIT}.`;
  const after = numberOf(query.after);
  const before = numberOf(query.before);
  if (Number.isNaN(after) || Number.isNaN(before)) return "'after' and 'before' must be ids of reports.";
  const from = dayOf(query.from_date);
  const to = dayOf(query.to_date);
  if (Number.isNaN(from) || Number.isNaN(to)) return "'from_date' and 'to_date' must be dates: 2026-02-17.";
  const newestFirst = query.reverse !== undefined && /^(true|1)$/i.test(query.reverse);
  // The day that ends the range is in it.
  return { limit, after, before, from, to: to === undefined ? undefined : to + DAY_MS - 1, newestFirst };
}

/** undefined when it is absent, NaN when it is none. */
function numberOf(text: string | undefined): number | undefined {
  return text ? (pathNumber(text) ?? Number.NaN) : undefined;
}

/** UTC, as all times in reports. A time behind the day is left out. */
function dayOf(text: string | undefined): number | undefined {
  if (!text) return undefined;
  const day = /^(\d{4}-\d{2}-\d{2})(?:[T ][\d:.+Z-]*)?$/.exec(text)?.[1];
  const at = day === undefined ? Number.NaN : Date.parse(`${day}T00:00:00Z`);
  // The parser counts on from the 31st of February.
  return Number.isNaN(at) || new Date(at).toISOString().slice(0, 10) !== day ? Number.NaN : at;
}

function nextOf(last: number | undefined, query: Record<string, string>, newestFirst: boolean) {
  if (last === undefined) return { next: null, next_url: null };
  const { after: _a, before: _b, ...rest } = query;
  const next = new URLSearchParams({ ...rest, [newestFirst ? "before" : "after"]: String(last) });
  return { next: last, next_url: `/records/my/reports?${next}` };
}

function entry({ id, domain, externalId, organization, beginsAt, endsAt, receivedAt }: StoredReport) {
  return {
    id,
    domain,
    external_id: externalId,
    organization_name: organization,
    date_range_begin: second(beginsAt),
    date_range_end: second(endsAt),
    created_at: second(receivedAt),
  };
}

function details(report: StoredReport, records: AggregateRecord[]) {
  const { email, extraContact, policy } = report.summary;
  return {
    ...entry(report),
    email,
    extra_contact_info: extraContact || null,
    policy_published_domain: policy?.domain ?? null,
    policy_published_adkim: policy?.adkim || null,
    policy_published_aspf: policy?.aspf || null,
    policy_published_p: policy?.p || null,
    policy_published_sp: policy?.sp || null,
    policy_published_pct: policy?.pct ? Number(policy.pct) || 0 : null,
    records: records.map((record, index) => recordOf(record, report, index)),
  };
}

function recordOf(record: AggregateRecord, report: StoredReport, index: number) {
  const [reason] = record.reasons;
  const [dkim] = record.dkim;
  const [spf] = record.spf;
  const proven = [...record.dkim, ...record.spf].find(({ result, domain }) => result === "pass" && domain);
  return {
    record_id: report.id * RECORDS_PER_REPORT + index,
    report_id: report.id,
    row_num: index + 1,
    header_from: record.headerFrom,
    source_ip: record.sourceIp,
    source_ip_version: record.sourceIp.includes(":") ? 6 : 4,
    // Addresses are not looked up: whoever sends chooses what their names say. What SPF or DKIM proved is known.
    host_name: null,
    top_private_domain_name: proven ? organisation(proven.domain) : null,
    count: record.count,
    policy_evaluated_disposition: record.disposition || "none",
    policy_evaluated_dkim: record.dkimAligned ? "pass" : "fail",
    policy_evaluated_spf: record.spfAligned ? "pass" : "fail",
    policy_evaluated_reason_type: reason?.type || null,
    policy_evaluated_reason_comment: reason?.comment || null,
    dkim_domain: dkim?.domain ?? null,
    dkim_result: dkim?.result ?? null,
    spf_domain: spf?.domain ?? null,
    spf_result: spf?.result ?? null,
    created_at: second(report.receivedAt),
  };
}

/** As it was when it was taken: the same bytes give the same report. */
function recordsOf(attachment: Uint8Array, { domain }: Monitor): AggregateRecord[] {
  const read = readAttachment(attachment);
  if ("refused" in read || read.ok.kind !== "aggregate")
    throw new Error("a report that cannot be read any more");
  return read.ok.records.filter((record) => isWithin(record.headerFrom, domain));
}
