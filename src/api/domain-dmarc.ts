/** `GET /domains/:id/dmarc`: who sends as a domain of the account, what becomes of it, and what to do. Ours, not Postmark's. */
import * as z from "zod";
import { monitorOfAccount, reportsAddress } from "../accounts/report-monitors.ts";
import { summarize } from "../archive/dmarc.ts";
import { easternOffset } from "../mail/eastern.ts";
import { adviceOnDomain, adviceOnSender, adviceOnTls } from "../receive/reports/advice.ts";
import { type Sender, sendersOf } from "../receive/reports/senders.ts";
import { dmarcRecord } from "./dmarc-door.ts";
import { accountEndpoint, type Endpoint } from "./endpoint.ts";
import { refused } from "./error.ts";
import { domainOfPath, NOT_FOUND_WHEN, named } from "./one-domain.ts";
import { fromDateParameter, toDateParameter } from "./query.ts";
import { type SettingsNeeds, settled } from "./settings-needs.ts";

export interface DomainDmarcNeeds extends SettingsNeeds {
  /** Of the archive databases, the one that keeps reports. */
  reports: D1Database;
}

const DAY_MS = 86_400_000;
const DEFAULT_DAYS = 30;
/** The largest: what is past these is in the totals, and nobody reads further. */
const MAX_SENDERS = 100;
const MAX_FAILURES = 50;

const sender = z.object({
  /** Whose domain DKIM or SPF proved; "" when none was. */
  Organisation: z.string(),
  Addresses: z.array(z.object({ IP: z.string(), Messages: z.int() })),
  AddressCount: z.int(),
  Messages: z.int(),
  Aligned: z.int(),
  AlignedByDKIM: z.int(),
  AlignedBySPF: z.int(),
  Quarantined: z.int(),
  Rejected: z.int(),
  Advice: z.string(),
});

const response = z.object({
  ...named.shape,
  ReportingAddress: z.string(),
  DNS: z.object({ Host: z.string(), Type: z.literal("TXT"), Value: z.string() }),
  From: z.string(),
  To: z.string(),
  /** What the newest report says that is published; "" when there is none. */
  Policy: z.string(),
  Messages: z.int(),
  Aligned: z.int(),
  Advice: z.string(),
  Reports: z.array(z.object({ Organisation: z.string(), Reports: z.int() })),
  Senders: z.array(sender),
  TLS: z.object({
    Sessions: z.int(),
    Failed: z.int(),
    Failures: z.array(
      z.object({
        PolicyType: z.string(),
        MXHost: z.string(),
        Result: z.string(),
        Sessions: z.int(),
        Advice: z.string(),
      }),
    ),
  }),
});

export function domainDmarcEndpoints(needs: DomainDmarcNeeds): Endpoint[] {
  return [
    accountEndpoint(
      {
        method: "GET",
        path: "/domains/:id/dmarc",
        family: "Domains",
        summary: "Says who sends as the domain, what becomes of it, and what to do",
        description:
          "From the DMARC and TLS reports that come to `ReportingAddress` once the domain names it in its record. Whole days (UTC), the last 30 unless said otherwise. Ours, not Postmark's.",
        query: {
          schema: z.object({ fromdate: fromDateParameter.optional(), todate: toDateParameter.optional() }),
          code: 522,
        },
        response,
        errors: { ...NOT_FOUND_WHEN, 522: "A date is not valid, or the range ends before it begins" },
      },
      async ({ accountId, params, query }) => {
        const domain = await domainOfPath(accountId, params.id, needs);
        if ("error" in domain) return domain;
        const to = dayOf(query.todate) ?? needs.now();
        const from = dayOf(query.fromdate) ?? to - (DEFAULT_DAYS - 1) * DAY_MS;
        if (from > to) return refused(522, "Parameter 'fromdate' is after 'todate'.");
        const { ID, Name } = { ID: domain.ok.id, Name: domain.ok.name };
        const monitor = await settled(monitorOfAccount(needs.directory, accountId, Name, needs.now()));
        const address = reportsAddress(monitor, needs.mailDomain);
        const found = await settled(summarize(needs.reports, monitor.id, { from, to }));
        const { policy: Policy, messages: Messages, aligned: Aligned } = found;
        return {
          ok: {
            ...{ ID, Name, ReportingAddress: address },
            DNS: { Host: `_dmarc.${Name}`, Type: "TXT" as const, Value: dmarcRecord(`mailto:${address}`) },
            ...{ From: day(from), To: day(to), Policy, Messages, Aligned },
            Advice: adviceOnDomain(found, Name),
            Reports: found.reports.map((r) => ({ Organisation: r.organization, Reports: r.reports })),
            Senders: sendersOf(found.sums, Name)
              .slice(0, MAX_SENDERS)
              .map((of) => showSender(of, Name)),
            TLS: showTls(found.tls, Name),
          } satisfies z.infer<typeof response>,
        };
      },
    ),
  ];
}

function showSender(of: Sender, domain: string): z.infer<typeof sender> {
  return {
    Organisation: of.organisation,
    Addresses: of.addresses.map(({ ip, messages }) => ({ IP: ip, Messages: messages })),
    AddressCount: of.addressCount,
    Messages: of.messages,
    Aligned: of.aligned,
    AlignedByDKIM: of.byDkim,
    AlignedBySPF: of.bySpf,
    Quarantined: of.quarantined,
    Rejected: of.rejected,
    Advice: adviceOnSender(of, domain),
  };
}

function showTls(sums: Awaited<ReturnType<typeof summarize>>["tls"], domain: string) {
  const failures = sums.filter(({ result }) => result !== "success");
  const total = (of: typeof sums) => of.reduce((sum, { count }) => sum + count, 0);
  return {
    Sessions: total(sums),
    Failed: total(failures),
    Failures: failures.slice(0, MAX_FAILURES).map((failure) => ({
      PolicyType: failure.policyType,
      MXHost: failure.mxHost,
      Result: failure.result,
      Sessions: failure.count,
      Advice: adviceOnTls(failure, domain),
    })),
  };
}

/** The caller's dates are Eastern as everywhere; reports have days of UTC: the one of the same name is meant. */
function dayOf(at: number | undefined): number | undefined {
  return at === undefined ? undefined : Math.floor((at + easternOffset(at).ms) / DAY_MS) * DAY_MS;
}

function day(at: number): string {
  return new Date(at).toISOString().slice(0, 10);
}
