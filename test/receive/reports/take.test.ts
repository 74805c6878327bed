import { strToU8 } from "fflate";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { monitorOfAccount, reportsAddress } from "../../../src/accounts/report-monitors.ts";
import { summarize } from "../../../src/archive/dmarc.ts";
import { type ReportNeeds, takeReport } from "../../../src/receive/reports/take.ts";
import { type Databases, NOON, openDatabases } from "../../archive/databases.ts";
import { corpus, mailWith, pack, reportOf } from "./mail.ts";

let db: Databases;
let needs: ReportNeeds;
const objects = new Map<string, Uint8Array>();
const range = { from: Date.UTC(2026, 1, 1), to: Date.UTC(2026, 1, 28) };
const gzip = (file: string) => mailWith(pack(corpus(file), "gzip"));

beforeAll(async () => {
  db = await openDatabases();
  needs = {
    directory: db.directory,
    reports: db.archive,
    async putObject(key, bytes) {
      objects.set(key, bytes);
    },
    now: () => NOON,
    newId: () => crypto.randomUUID(),
    mailDomain: "mail.example.com",
  };
});
afterAll(() => db.dispose());
beforeEach(async () => {
  await db.clear();
  objects.clear();
});

async function monitored(domain = "shop.example", accountId = 1) {
  const monitor = await monitorOfAccount(db.directory, accountId, domain, NOON);
  return { monitor, address: reportsAddress(monitor, "mail.example.com") };
}

const rows = async (table: string) =>
  (await db.archive.prepare(`SELECT count(*) AS n FROM ${table}`).first<{ n: number }>())?.n;

describe("a report that comes to a domain's address", () => {
  it("is kept once, with sums by source, and again changes nothing", async () => {
    const { monitor, address } = await monitored();
    expect(await takeReport(needs, gzip("google.xml"), address)).toEqual({
      kind: "stored",
      monitorId: monitor.id,
    });
    const before = await summarize(db.archive, monitor.id, range);
    expect(before).toMatchObject({ messages: 1207, aligned: 1207, policy: "none" });
    expect(before.reports).toEqual([{ organization: "google.com", reports: 1 }]);
    expect(before.sums[0]).toEqual({
      sourceIp: "192.0.2.10",
      dkimDomain: "shop.example",
      dkimResult: "pass",
      spfDomain: "pm-bounces.shop.example",
      spfResult: "pass",
      dkimAligned: true,
      spfAligned: true,
      disposition: "none",
      reason: "",
      count: 1204,
    });
    for (let i = 0; i < 3; i++)
      expect(await takeReport(needs, gzip("google.xml"), address.toUpperCase())).toMatchObject({
        kind: "known",
      });
    expect(await summarize(db.archive, monitor.id, range)).toEqual(before);
    expect(objects.size).toBe(1);
  });

  it("counts once when it is taken several times at once", async () => {
    const { monitor, address } = await monitored();
    const taken = await Promise.all(
      Array.from({ length: 8 }, () => takeReport(needs, gzip("google.xml"), address)),
    );
    expect(taken.filter(({ kind }) => kind === "stored").length).toBe(1);
    expect((await summarize(db.archive, monitor.id, range)).messages).toBe(1207);
  });

  it("adds to what other reports say of the same day and source", async () => {
    const { monitor, address } = await monitored();
    for (const file of ["google.xml", "outlook.xml", "gmx.xml", "yahoo.xml"])
      expect(await takeReport(needs, gzip(file), address)).toMatchObject({ kind: "stored" });
    const { sums, messages, aligned } = await summarize(db.archive, monitor.id, range);
    expect(sums.find((s) => s.sourceIp === "192.0.2.10")?.count).toBe(1204 + 87 + 22);
    expect({ messages, aligned }).toEqual({ messages: 1325, aligned: 1316 });
    expect(await summarize(db.archive, monitor.id, { from: NOON, to: NOON })).toMatchObject({ messages: 0 });
  });

  it("is kept out when it is for somebody else's domain", async () => {
    const { address } = await monitored("other.example");
    expect(await takeReport(needs, gzip("google.xml"), address)).toEqual({
      kind: "refused",
      why: "a report for shop.example, not other.example",
    });
    expect(await takeReport(needs, gzip("google-tls.json"), address)).toMatchObject({ kind: "refused" });
    // A name that only ends alike is not below it.
    const { address: shorter } = await monitored("op.example");
    expect(await takeReport(needs, gzip("google.xml"), shorter)).toMatchObject({ kind: "refused" });
    expect([await rows("reports"), await rows("dmarc_daily"), await rows("tls_daily"), objects.size]).toEqual(
      [0, 0, 0, 0],
    );
  });

  it("leaves out records of another domain, and keeps what is below its own", async () => {
    const { monitor, address } = await monitored();
    const xml = reportOf(2).replace("<header_from>shop.example", "<header_from>bank.example");
    await takeReport(needs, mailWith(strToU8(xml)), address);
    expect((await summarize(db.archive, monitor.id, range)).messages).toBe(2);
    await takeReport(needs, gzip("fastmail.xml"), address);
    expect((await summarize(db.archive, monitor.id, range)).messages).toBe(4);
  });

  it("is kept out at an address that is none of ours", async () => {
    const { address } = await monitored();
    for (const other of [
      address.replace("re+", "re+0"),
      address.replace(/re\+./, "re+g"),
      address.replace("dmarc.", "inbound."),
      "re+@dmarc.mail.example.com",
      "",
    ])
      expect(await takeReport(needs, gzip("google.xml"), other)).toEqual({
        kind: "refused",
        why: "no address that reports go to",
      });
    expect(await rows("reports")).toBe(0);
  });

  it("says why a message holds none", async () => {
    const { address } = await monitored();
    expect(await takeReport(needs, strToU8("From: a@b.example\r\n\r\nhello\r\n"), address)).toEqual({
      kind: "refused",
      why: "a message without an attachment",
    });
  });

  it("of 10,000 sources writes 500 rows and their rest, and loses no message", async () => {
    const { monitor, address } = await monitored();
    expect(await takeReport(needs, mailWith(pack(strToU8(reportOf(10_000)), "zip")), address)).toMatchObject({
      kind: "stored",
    });
    expect(await rows("dmarc_daily")).toBe(501);
    const { sums, messages } = await summarize(db.archive, monitor.id, range);
    expect(messages).toBe(50_005_000);
    expect(sums.reduce((sum, { count }) => sum + count, 0)).toBe(50_005_000);
    // Ten thousand and down: the largest keep their addresses.
    expect(sums.find(({ count }) => count === 10_000)?.sourceIp).toBe("10.0.39.15");
  });

  it("of TLS with thousands of results, each of another name, is kept, and the smallest are summed", async () => {
    const { monitor, address } = await monitored();
    const failures = Array.from({ length: 7_000 }, (_, n) => {
      return { "result-type": `${n}${"x".repeat(200)}`, "failed-session-count": n < 600 ? 5 : 1 };
    });
    const policy = { "policy-type": "sts", "policy-domain": "shop.example" };
    const dates = { "start-datetime": "2026-02-16T00:00:00Z", "end-datetime": "2026-02-16T23:59:59Z" };
    const summary = { "total-successful-session-count": 0, "total-failure-session-count": 0 };
    const report = {
      ...{ "organization-name": "o", "contact-info": "c", "report-id": "r", "date-range": dates },
      policies: [1, 2].map(() => ({ policy, summary, "failure-details": failures })),
    };
    const raw = mailWith(strToU8(JSON.stringify(report)));
    expect(await takeReport(needs, raw, address)).toMatchObject({ kind: "stored" });
    const { tls } = await summarize(db.archive, monitor.id, range);
    expect(tls.reduce((sum, { count }) => sum + count, 0)).toBe(2 * (600 * 5 + 6_400));
    expect(tls.find(({ result }) => result === "unknown")?.count).toBe(2 * (600 * 5 + 6_400) - 500 * 5);
  });

  it("of TLS adds its sessions by what failed", async () => {
    const { monitor, address } = await monitored();
    for (const file of ["google-tls.json", "microsoft-tls.json", "rfc8460-tls.json"])
      expect(await takeReport(needs, gzip(file), address)).toMatchObject({ kind: "stored" });
    expect(await takeReport(needs, gzip("google-tls.json"), address)).toMatchObject({ kind: "known" });
    const { tls } = await summarize(db.archive, monitor.id, range);
    expect(tls[0]).toEqual({ policyType: "sts", mxHost: "", result: "success", count: 98 + 40 + 5326 });
    expect(tls.find((t) => t.result === "starttls-not-supported")).toMatchObject({ count: 200 });
  });

  it("is nobody else's", async () => {
    const ours = await monitored("shop.example", 1);
    const theirs = await monitored("shop.example", 2);
    expect(theirs.address).not.toBe(ours.address);
    await takeReport(needs, gzip("google.xml"), ours.address);
    expect((await summarize(db.archive, theirs.monitor.id, range)).messages).toBe(0);
  });

  it("is not said to be kept when a database is away", async () => {
    const { address } = await monitored();
    const broken = {
      ...needs,
      reports: {
        prepare: () => {
          throw new Error("away");
        },
      } as unknown as D1Database,
    };
    await expect(takeReport(broken, gzip("google.xml"), address)).rejects.toThrow();
    expect(await takeReport(needs, gzip("google.xml"), address)).toMatchObject({ kind: "stored" });
  });
});
