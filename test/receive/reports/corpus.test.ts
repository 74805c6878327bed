import { describe, expect, it } from "vitest";
import { readMessage } from "../../../src/receive/reports/read.ts";
import type { AggregateReport, TlsReport } from "../../../src/receive/reports/report.ts";
import { corpus, mailWith, type Packing, pack } from "./mail.ts";

async function read(file: string, packing: Packing, root = false) {
  const type = { zip: "application/zip", gzip: "application/gzip", plain: "text/xml" }[packing];
  const found = await readMessage(mailWith(pack(corpus(file), packing), { type, root }));
  if ("refused" in found) throw new Error(found.refused);
  return found.ok.report;
}

/** File, how it is sent, organisation, policy, and of each record: address, count, DKIM and SPF for the domain, reason. */
const AGGREGATE: [string, Packing, string, string, [string, number, boolean, boolean, string?][]][] = [
  [
    "google.xml",
    "zip",
    "google.com",
    "none",
    [
      ["192.0.2.10", 1204, true, true],
      ["2001:db8::1f", 3, true, false],
    ],
  ],
  ["outlook.xml", "gzip", "Outlook.com", "quarantine", [["192.0.2.10", 87, true, true]]],
  [
    "microsoft-enterprise.xml",
    "gzip",
    "Enterprise Outlook",
    "none",
    [["203.0.113.5", 41, false, false, "local_policy"]],
  ],
  ["yahoo.xml", "gzip", "Yahoo", "reject", [["198.51.100.77", 9, false, false]]],
  ["mail-ru.xml", "gzip", "Mail.Ru", "none", [["192.0.2.10", 12, true, true]]],
  ["fastmail.xml", "gzip", "Fastmail Pty Ltd", "none", [["192.0.2.200", 2, false, false, "forwarded"]]],
  ["opendmarc.xml", "zip", "mx.provider.example", "none", [["192.0.2.10", 5, true, true]]],
  ["comcast.xml", "gzip", "comcast.net", "none", [["192.0.2.10", 31, true, true]]],
  ["aol.xml", "zip", "AOL", "none", [["192.0.2.10", 1, true, true]]],
  ["linkedin.xml", "zip", "LinkedIn", "none", [["192.0.2.10", 4, true, false]]],
  ["yandex.xml", "plain", "Yandex", "none", [["192.0.2.10", 8, true, true]]],
  ["netease.xml", "zip", "163.com", "none", [["198.51.100.9", 17, false, false]]],
  ["zoho.xml", "zip", "zoho.com", "quarantine", [["192.0.2.10", 6, true, false, "sampled_out"]]],
  ["amazon-ses.xml", "gzip", "AMAZON-SES", "none", [["192.0.2.10", 2, true, true]]],
  ["seznam.xml", "gzip", "Seznam.cz a.s.", "none", [["192.0.2.10", 10, true, true]]],
  ["gmx.xml", "gzip", "GMX", "none", [["192.0.2.10", 22, true, true]]],
  ["cisco.xml", "gzip", "Cisco ESA", "none", [["203.0.113.99", 3, false, false, "mailing_list"]]],
  ["rfc9990.xml", "gzip", "Sample Reporter", "quarantine", [["192.0.2.123", 123, true, false]]],
  ["mimecast.xml", "zip", "Mimecast", "none", [["192.0.2.10", 14, true, false]]],
  ["rspamd.xml", "gzip", "Small Host & Sons", "none", [["2001:db8::25", 1, false, false]]],
];

describe("aggregate reports as their senders write them", () => {
  it.each(AGGREGATE)("%s", async (file, packing, organization, p, records) => {
    const report = (await read(file, packing)) as AggregateReport;
    expect(report).toMatchObject({ kind: "aggregate", organization });
    expect(report.externalId).not.toBe("");
    expect(report.policy).toMatchObject({ domain: "shop.example", p });
    expect(report.endsAt - report.beginsAt).toBeGreaterThan(86_390_000);
    expect(report.endsAt - report.beginsAt).toBeLessThanOrEqual(86_400_000);
    expect(new Date(report.beginsAt).toISOString()).toMatch(/^2026-02-1[56]T/);
    expect(
      report.records.map((r) => [
        r.sourceIp,
        r.count,
        r.dkimAligned,
        r.spfAligned,
        ...r.reasons.slice(0, 1).map((x) => x.type),
      ]),
    ).toEqual(records);
  });

  it("are found where the whole message is the attachment", async () => {
    expect(await read("google.xml", "zip", true)).toMatchObject({ organization: "google.com" });
    expect(await read("yahoo.xml", "gzip", true)).toMatchObject({ organization: "Yahoo" });
  });

  it("keep every signature, selector, reason and comment", async () => {
    const [record] = ((await read("comcast.xml", "gzip")) as AggregateReport).records;
    expect(record?.dkim).toEqual([
      { domain: "shop.example", result: "pass", selector: "20260101pm" },
      { domain: "edgepost.example", result: "pass", selector: "e" },
    ]);
    const [listed] = ((await read("cisco.xml", "gzip")) as AggregateReport).records;
    expect(listed?.reasons).toEqual([
      { type: "mailing_list", comment: "List <users@lists.example.org> & co" },
    ]);
    const fastmail = (await read("fastmail.xml", "gzip")) as AggregateReport;
    expect(fastmail.records[0]).toMatchObject({
      headerFrom: "news.shop.example",
      envelopeFrom: "alum.example.edu",
    });
    expect(fastmail.records[0]?.reasons.map((r) => r.type)).toEqual(["forwarded", "mailing_list"]);
  });

  it("are read in the encoding that they name, and without records that make no sense", async () => {
    expect(await read("linkedin.xml", "gzip")).toMatchObject({ extraContact: "Université" });
    expect(await read("seznam.xml", "gzip")).toMatchObject({ skipped: 1 });
  });
});

describe("TLS reports", () => {
  const tls = async (file: string) => (await read(file, "gzip")) as TlsReport;

  it("of Google, Microsoft, Mail.ru and the RFC", async () => {
    const [google, microsoft, mailRu, rfc] = await Promise.all(
      ["google-tls.json", "microsoft-tls.json", "mail-ru-tls.json", "rfc8460-tls.json"].map(tls),
    );
    expect(google).toMatchObject({
      kind: "tls",
      organization: "Google Inc.",
      beginsAt: Date.UTC(2026, 1, 16),
    });
    expect(google?.policies).toEqual([
      { type: "sts", domain: "shop.example", succeeded: 98, failed: 0, failures: [] },
    ]);
    expect(microsoft?.policies[0]?.failures).toEqual([
      { result: "certificate-expired", mxHost: "mx.shop.example", count: 2 },
      { result: "sts-policy-fetch-error", mxHost: "", count: 1 },
    ]);
    expect(mailRu?.policies[0]).toMatchObject({ type: "no-policy-found", succeeded: 7 });
    expect(rfc?.policies[0]).toMatchObject({ succeeded: 5326, failed: 303 });
    expect(rfc?.policies[0]?.failures.map((f) => f.count)).toEqual([100, 200, 3]);
  });
});
