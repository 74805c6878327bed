/**
 * What the archive keeps of DMARC and TLS reports. A report and what it adds to the sums is one transaction, and the same report again
 * changes nothing. A report costs a row, its index entry, and a row for each source of that day.
 */
import { and, asc, count, desc, eq, gt, gte, lt, lte, type SQL } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { type ReportSummary, reports } from "../schema/archive.ts";

export type StoredReport = Readonly<typeof reports.$inferSelect>;

export interface NewReport {
  monitorId: number;
  kind: "aggregate" | "tls";
  organization: string;
  externalId: string;
  domain: string;
  beginsAt: number;
  endsAt: number;
  receivedAt: number;
  object: string;
  summary: ReportSummary;
}

/** What messages have in common that are counted together. */
export interface DmarcSum {
  sourceIp: string;
  dkimDomain: string;
  dkimResult: string;
  spfDomain: string;
  spfResult: string;
  dkimAligned: boolean;
  spfAligned: boolean;
  disposition: string;
  reason: string;
  count: number;
}

export interface TlsSum {
  policyType: string;
  mxHost: string;
  result: string;
  count: number;
}

const DAY_MS = 86_400_000;
/** A domain has dozens of sources; what forges it has thousands that sent a message each, which nobody reads one by one. */
const MAX_SUMS_PER_REPORT = 500;
/** The same of a summary: what is past these is in its totals. */
const MAX_GROUPS = 2_000;

const DMARC_KEY =
  "source_ip, dkim_domain, dkim_result, spf_domain, spf_result, dkim_aligned, spf_aligned, disposition, reason";
const TLS_KEY = "policy_type, mx_host, result";

/** "known" when this report was stored before. `claim` is of this call alone. */
export async function storeReport(
  archive: D1Database,
  report: NewReport,
  sums: { dmarc?: DmarcSum[]; tls?: TlsSum[] },
  claim: string,
): Promise<"stored" | "known"> {
  const { monitorId, kind, organization, externalId } = report;
  const day = Math.floor((report.beginsAt + report.endsAt) / 2 / DAY_MS);
  const insert = drizzle(archive)
    .insert(reports)
    .values({ ...report, claim })
    .onConflictDoNothing()
    .toSQL();
  const add = (table: "dmarc_daily" | "tls_daily", key: string, rows: unknown[][]) => {
    const columns = key.split(", ");
    const values = columns.map((_, i) => `value ->> ${i}`).join(", ");
    return archive
      .prepare(
        `INSERT INTO ${table} (monitor_id, day, ${key}, count)
         SELECT ?1, ?2, ${values}, value ->> ${columns.length} FROM json_each(?3)
         WHERE EXISTS (SELECT 1 FROM reports
           WHERE monitor_id = ?1 AND kind = ?4 AND organization = ?5 AND external_id = ?6 AND claim = ?7)
         ON CONFLICT DO UPDATE SET count = count + excluded.count`,
      )
      .bind(monitorId, day, JSON.stringify(rows), kind, organization, externalId, claim);
  };
  const [stored] = await archive.batch([
    archive.prepare(insert.sql).bind(...insert.params),
    ...(sums.dmarc ? [add("dmarc_daily", DMARC_KEY, bounded(sums.dmarc).map(dmarcRow))] : []),
    ...(sums.tls ? [add("tls_daily", TLS_KEY, tlsRows(sums.tls))] : []),
  ]);
  return stored?.meta.changes ? "stored" : "known";
}

/** So that what is known need not be put into R2 again; two at once are told apart by `storeReport`. */
export async function isStored(
  archive: D1Database,
  monitorId: number,
  { kind, organization, externalId }: Pick<NewReport, "kind" | "organization" | "externalId">,
): Promise<boolean> {
  const isIt = and(
    eq(reports.monitorId, monitorId),
    eq(reports.kind, kind),
    eq(reports.organization, organization),
    eq(reports.externalId, externalId),
  );
  return (await drizzle(archive).select({ id: reports.id }).from(reports).where(isIt).get()) !== undefined;
}

/** Equal ones added up; past the bound, the smallest are counted without their sources. */
function bounded(sums: DmarcSum[]): DmarcSum[] {
  const largest = addUp(sums, (sum) => sum).sort((a, b) => b.count - a.count);
  const rest = largest.splice(MAX_SUMS_PER_REPORT);
  const nowhere = { sourceIp: "", dkimDomain: "", dkimResult: "", spfDomain: "", spfResult: "", reason: "" };
  return [...largest, ...addUp(rest, (sum) => ({ ...sum, ...nowhere }))];
}

function addUp(sums: DmarcSum[], as: (sum: DmarcSum) => DmarcSum): DmarcSum[] {
  const byKey = new Map<string, DmarcSum>();
  for (const sum of sums.map(as)) {
    const key = JSON.stringify({ ...sum, count: 0 });
    const there = byKey.get(key);
    if (there) there.count += sum.count;
    else byKey.set(key, { ...sum });
  }
  return [...byKey.values()];
}

function dmarcRow(sum: DmarcSum): unknown[] {
  const { sourceIp, dkimDomain, dkimResult, spfDomain, spfResult, disposition, reason } = sum;
  const aligned = [sum.dkimAligned, sum.spfAligned].map(Number);
  return [sourceIp, dkimDomain, dkimResult, spfDomain, spfResult, ...aligned, disposition, reason, sum.count];
}

/** Past the bound, the smallest are counted only by whether they failed: what results are called is anybody's to write. */
function tlsRows(sums: TlsSum[]): unknown[][] {
  const largest = sums.toSorted((a, b) => b.count - a.count);
  const rest = { success: 0, unknown: 0 };
  for (const { result, count: n } of largest.splice(MAX_SUMS_PER_REPORT))
    rest[result === "success" ? "success" : "unknown"] += n;
  const kept = largest.map(({ policyType, mxHost, result, count: n }) => [policyType, mxHost, result, n]);
  return [...kept, ...Object.entries(rest).flatMap(([result, n]) => (n > 0 ? [["", "", result, n]] : []))];
}

export interface DmarcSummary {
  /** Of aggregate reports whose time begins in the range. */
  reports: { organization: string; reports: number }[];
  /** What the last of them says that the domain asks for: "none", "quarantine", "reject"; "" when there is none. */
  policy: string;
  messages: number;
  /** By DKIM or by SPF. */
  aligned: number;
  /** The largest first. */
  sums: DmarcSum[];
  tls: TlsSum[];
}

/** Of whole days (UTC), both inclusive. */
export async function summarize(
  archive: D1Database,
  monitorId: number,
  { from, to }: { from: number; to: number },
): Promise<DmarcSummary> {
  const [first, last] = [Math.floor(from / DAY_MS), Math.floor(to / DAY_MS)];
  const days = "monitor_id = ?1 AND day BETWEEN ?2 AND ?3";
  const ask = (sql: string) => archive.prepare(sql).bind(monitorId, first, last);
  const [organizations, newest, totals, groups, tls] = await archive.batch<Record<string, string | number>>([
    archive
      .prepare(
        `SELECT organization, count(*) AS reports FROM reports
         WHERE monitor_id = ?1 AND kind = 'aggregate' AND begins_at BETWEEN ?2 AND ?3
         GROUP BY organization ORDER BY reports DESC, organization LIMIT 100`,
      )
      .bind(monitorId, first * DAY_MS, (last + 1) * DAY_MS - 1),
    archive
      .prepare(
        `SELECT summary ->> '$.policy.p' AS policy FROM reports WHERE monitor_id = ? AND kind = 'aggregate'
         ORDER BY ends_at DESC LIMIT 1`,
      )
      .bind(monitorId),
    ask(
      `SELECT coalesce(sum(count), 0) AS messages,
         coalesce(sum(count) FILTER (WHERE dkim_aligned OR spf_aligned), 0) AS aligned
       FROM dmarc_daily WHERE ${days}`,
    ),
    ask(
      `SELECT ${DMARC_KEY}, sum(count) AS total FROM dmarc_daily WHERE ${days}
       GROUP BY ${DMARC_KEY} ORDER BY total DESC, source_ip LIMIT ${MAX_GROUPS}`,
    ),
    ask(
      `SELECT ${TLS_KEY}, sum(count) AS total FROM tls_daily WHERE ${days}
       GROUP BY ${TLS_KEY} ORDER BY total DESC, mx_host LIMIT ${MAX_GROUPS}`,
    ),
  ]);
  const [total] = totals?.results ?? [];
  return {
    reports: (organizations?.results ?? []).map((row) => ({
      organization: String(row.organization),
      reports: Number(row.reports),
    })),
    policy: String(newest?.results[0]?.policy ?? ""),
    messages: Number(total?.messages ?? 0),
    aligned: Number(total?.aligned ?? 0),
    sums: (groups?.results ?? []).map((row) => ({
      sourceIp: String(row.source_ip),
      dkimDomain: String(row.dkim_domain),
      dkimResult: String(row.dkim_result),
      spfDomain: String(row.spf_domain),
      spfResult: String(row.spf_result),
      dkimAligned: row.dkim_aligned === 1,
      spfAligned: row.spf_aligned === 1,
      disposition: String(row.disposition),
      reason: String(row.reason),
      count: Number(row.total),
    })),
    tls: (tls?.results ?? []).map((row) => ({
      policyType: String(row.policy_type),
      mxHost: String(row.mx_host),
      result: String(row.result),
      count: Number(row.total),
    })),
  };
}

export interface ReportFilter {
  /** Of when it was received, inclusive. */
  from?: number;
  to?: number;
  /** Ids, exclusive. */
  after?: number;
  before?: number;
  newestFirst: boolean;
  limit: number;
}

/** Aggregate reports by id; `total` is of all that the range of days has. */
export async function listReports(
  archive: D1Database,
  monitorId: number,
  { from, to, after, before, newestFirst, limit }: ReportFilter,
): Promise<{ total: number; found: StoredReport[] }> {
  const db = drizzle(archive);
  const inRange = and(
    eq(reports.monitorId, monitorId),
    eq(reports.kind, "aggregate"),
    given(from, (at) => gte(reports.receivedAt, at)),
    given(to, (at) => lte(reports.receivedAt, at)),
  );
  const [[all], found] = await db.batch([
    db.select({ n: count() }).from(reports).where(inRange),
    db
      .select()
      .from(reports)
      .where(
        and(
          inRange,
          given(after, (id) => gt(reports.id, id)),
          given(before, (id) => lt(reports.id, id)),
        ),
      )
      .orderBy(newestFirst ? desc(reports.id) : asc(reports.id))
      .limit(limit),
  ]);
  return { total: all?.n ?? 0, found };
}

export async function findReport(
  archive: D1Database,
  monitorId: number,
  id: number,
): Promise<StoredReport | undefined> {
  const isIt = and(eq(reports.id, id), eq(reports.monitorId, monitorId), eq(reports.kind, "aggregate"));
  return drizzle(archive).select().from(reports).where(isIt).get();
}

function given<T>(value: T | undefined, condition: (value: T) => SQL): SQL | undefined {
  return value === undefined ? undefined : condition(value);
}

/** All that is kept of a domain here; its objects in R2 are its caller's. */
export async function forgetReports(archive: D1Database, monitorId: number): Promise<void> {
  await archive.batch(
    ["dmarc_daily", "tls_daily", "reports"].map((table) =>
      archive.prepare(`DELETE FROM ${table} WHERE monitor_id = ?`).bind(monitorId),
    ),
  );
}

/** The R2 objects of a domain's reports. */
export async function reportObjects(archive: D1Database, monitorId: number): Promise<string[]> {
  const rows = await drizzle(archive)
    .select({ object: reports.object })
    .from(reports)
    .where(eq(reports.monitorId, monitorId));
  return rows.map((row) => row.object);
}
