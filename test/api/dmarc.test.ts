import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { addDomain } from "../../src/accounts/domains.ts";
import type { SystemMessage } from "../../src/accounts/system-message.ts";
import { dmarcRoutes } from "../../src/api/dmarc.ts";
import type { DmarcNeeds } from "../../src/api/dmarc-door.ts";
import { domainDmarcEndpoints } from "../../src/api/domain-dmarc.ts";
import { door } from "../../src/api/door.ts";
import { takeReport } from "../../src/receive/reports/take.ts";
import { NOON } from "../archive/databases.ts";
import { corpus, mailWith, pack, reportOf } from "../receive/reports/mail.ts";
import { DEPLOYMENT_SECRET, openSettings, type Settings } from "./settings.ts";

type Json = Record<string, unknown>;

const objects = new Map<string, Uint8Array>();
const sent: SystemMessage[] = [];
/** What `_dmarc.<domain>` has; null when nobody can say. */
let txt: string[] | null = [];
let s: Settings;
let app: ReturnType<typeof door>;
let needs: DmarcNeeds;
let made = 0;

beforeAll(async () => {
  const more = ({ db }: Settings) => ({
    reports: db.archive,
    object: async (key: string) => objects.get(key),
    async deleteObjects(keys: string[]) {
      for (const key of keys) objects.delete(key);
    },
    async sendSystemMessage(message: SystemMessage): Promise<"accepted"> {
      sent.push(message);
      return "accepted";
    },
    async fetchDns() {
      if (!txt) return new Response("", { status: 502 });
      return Response.json({ Status: 0, Answer: txt.map((text) => ({ type: 16, data: `"${text}"` })) });
    },
  });
  s = await openSettings(domainDmarcEndpoints, more);
  needs = s.needs as unknown as DmarcNeeds;
  app = door(needs).route("/", dmarcRoutes(needs));
});
afterAll(() => s.dispose());
beforeEach(() => {
  sent.length = 0;
  txt = [];
  s.clock.now = NOON + ++made * 3_600_000;
});

async function call(
  method: string,
  path: string,
  { token = "", body = undefined as unknown, accept = "" } = {},
) {
  const response = await app.request(path, {
    method,
    headers: { "Content-Type": "application/json", "X-Api-Token": token, Accept: accept },
    body: body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body),
  });
  const text = await response.text();
  const isJson = response.headers.get("Content-Type")?.startsWith("application/json");
  return { status: response.status, text, json: (isJson ? JSON.parse(text) : {}) as Json };
}

async function record(domain = `d${++made}.example`, email = "Owner@people.example") {
  const { status, json } = await call("POST", "/records", { body: { domain, email } });
  expect(status).toBe(200);
  return {
    json,
    token: String(json.private_token),
    address: String(json.reporting_uri).replace("mailto:", ""),
  };
}

const take = (raw: Uint8Array, address: string) =>
  takeReport(
    {
      directory: s.db.directory,
      reports: s.db.archive,
      putObject: async (key, bytes) => void objects.set(key, bytes),
      now: () => s.clock.now,
      newId: () => crypto.randomUUID(),
      mailDomain: "mail.example.com",
    },
    raw,
    address,
  );
const gzip = (file: string) => mailWith(pack(corpus(file), "gzip"));

describe("a record", () => {
  it("is made by anybody, shown by its token, and the token only once", async () => {
    const { json, token } = await record("New.Example.");
    expect(json).toEqual({
      domain: "new.example",
      public_token: expect.stringMatching(/^[0-9a-f]{20}$/),
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      private_token: expect.stringMatching(/^[0-9a-f-]{36}$/),
      reporting_uri: `mailto:re+${json.public_token}@dmarc.mail.example.com`,
      email: "owner@people.example",
    });
    const { private_token: _, ...rest } = json;
    expect(await call("GET", "/records/my", { token })).toMatchObject({ status: 200, json: rest });
    expect((await call("GET", "/records/my", { token })).json).not.toHaveProperty("private_token");
    const kept = await s.db.directory.prepare("SELECT * FROM report_monitors").all();
    expect(JSON.stringify(kept.results)).not.toContain(token);
  });

  it.each([
    [400, "{"],
    [422, undefined],
    [422, {}],
    [422, { domain: "a.example" }],
    [422, { email: "a@b.example" }],
    [422, { domain: "localhost", email: "a@b.example" }],
    [422, { domain: 7, email: "a@b.example" }],
    [422, { domain: "a.example", email: "nobody" }],
    [422, { domain: "a.example", email: "a@b.example, c@d.example" }],
    [422, []],
  ])("is refused with %s for %j", async (status, body) => {
    expect(await call("POST", "/records", { body })).toMatchObject({
      status,
      json: { message: expect.any(String) },
    });
  });

  it("a domain has twenty of at most", async () => {
    for (let i = 0; i < 20; i++) await record("crowded.example");
    const { status } = await call("POST", "/records", {
      body: { domain: "crowded.example", email: "a@b.example" },
    });
    expect(status).toBe(422);
    await record("elsewhere.example");
  });

  it.each([
    ["GET", "/records/my"],
    ["PATCH", "/records/my"],
    ["DELETE", "/records/my"],
    ["GET", "/records/my/dns"],
    ["POST", "/records/my/verify"],
    ["GET", "/records/my/reports"],
    ["GET", "/records/my/reports/1"],
    ["POST", "/records/my/token/rotate"],
  ])("%s %s wants a token that is valid", async (method, path) => {
    for (const token of ["", "nonsense", crypto.randomUUID(), s.ours.accountToken])
      expect(await call(method, path, { token })).toMatchObject({
        status: 401,
        json: { message: expect.any(String) },
      });
  });

  it("changes its address for notices", async () => {
    const { token } = await record();
    expect(await call("PATCH", "/records/my", { token, body: { email: "x" } })).toMatchObject({
      status: 422,
    });
    expect((await call("GET", "/records/my", { token })).json.email).toBe("owner@people.example");
    const changed = await call("PATCH", "/records/my", { token, body: { email: "new@people.example" } });
    expect(changed).toMatchObject({ status: 200, json: { email: "new@people.example" } });
    expect((await call("GET", "/records/my", { token })).json.email).toBe("new@people.example");
  });

  it("gets a new token, and the old one ends", async () => {
    const { token } = await record();
    const { json } = await call("POST", "/records/my/token/rotate", { token });
    expect(await call("GET", "/records/my", { token })).toMatchObject({ status: 401 });
    expect(await call("GET", "/records/my", { token: String(json.private_token) })).toMatchObject({
      status: 200,
    });
  });

  it("is verified when the DNS names its address, and says so when nobody knows", async () => {
    const { token, address } = await record();
    const { value } = (await call("GET", "/records/my/dns", { token })).json;
    expect(value).toBe(`v=DMARC1; p=none; pct=100; rua=mailto:${address}; sp=none; aspf=r;`);
    const verified = async (...texts: string[]) => {
      txt = texts;
      return (await call("POST", "/records/my/verify", { token })).json.verified;
    };
    expect(await verified()).toBe(false);
    expect(await verified("v=spf1 -all", String(value))).toBe(true);
    expect(await verified(`v=DMARC1; p=reject; rua=mailto:a@b.example!10m, MAILTO:${address}!5m`)).toBe(true);
    expect(await verified(`v=DMARC1; p=none; ruf=mailto:${address}`)).toBe(false);
    expect(await verified(`v=DMARC1; rua=mailto:${address}.evil.example`)).toBe(false);
    txt = null;
    expect(await call("POST", "/records/my/verify", { token })).toMatchObject({ status: 500 });
  });
});

describe("a token that was lost", () => {
  it("is mailed anew; the old one holds until the new one is used", async () => {
    const { token, json } = await record();
    expect(await call("POST", "/tokens/recover", { body: { owner: json.domain } })).toMatchObject({
      status: 200,
    });
    expect(sent.map((m) => m.to)).toEqual(["owner@people.example"]);
    const mailed = /[0-9a-f]{8}-[0-9a-f-]{27}/.exec(sent[0]?.text ?? "")?.[0] ?? "";
    expect(await call("GET", "/records/my", { token })).toMatchObject({ status: 200 });
    expect(await call("GET", "/records/my", { token: mailed })).toMatchObject({ status: 200 });
    expect(await call("GET", "/records/my", { token })).toMatchObject({ status: 401 });
    expect(await call("GET", "/records/my", { token: mailed })).toMatchObject({ status: 200 });
  });

  it("is not mailed twice within an hour, nor for what is not there; the answer is the same", async () => {
    const { json } = await record(undefined, `once${made}@people.example`);
    const answers = [];
    for (const owner of [json.email, json.email, json.domain, "nobody@people.example", "nothing.example"])
      answers.push((await call("POST", "/tokens/recover", { body: { owner } })).text);
    expect(new Set(answers).size).toBe(1);
    expect(sent.length).toBe(1);
    expect(await call("POST", "/tokens/recover", { body: {} })).toMatchObject({ status: 422 });
  });
});

describe("reports", () => {
  it("are listed by id, in pages, and by the day on which they came", async () => {
    const { token, address } = await record("shop.example");
    for (let i = 0; i < 5; i++)
      await take(mailWith(pack(Buffer.from(reportOf(1, { id: `r${i}` })), "gzip")), address);
    await take(gzip("google-tls.json"), address);
    const list = async (query: string) => (await call("GET", `/records/my/reports${query}`, { token })).json;
    const names = (json: Json) => (json.entries as Json[]).map((e) => e.external_id);
    const all = await list("");
    expect(all.meta).toEqual({ next: null, next_url: null, total: 5 });
    expect((all.entries as Json[])[0]).toEqual({
      id: expect.any(Number),
      domain: "shop.example",
      external_id: "r0",
      organization_name: "Many",
      date_range_begin: "2026-02-16T00:00:00Z",
      date_range_end: "2026-02-16T23:59:59Z",
      created_at: expect.stringMatching(/Z$/),
    });
    let page = await list("?limit=2");
    const seen = names(page);
    while ((page.meta as Json).next_url) {
      page = (await call("GET", String((page.meta as Json).next_url), { token })).json;
      seen.push(...names(page));
    }
    expect(seen).toEqual(["r0", "r1", "r2", "r3", "r4"]);
    expect(names(await list("?reverse=true&limit=2"))).toEqual(["r4", "r3"]);
    const day = new Date(s.clock.now).toISOString().slice(0, 10);
    expect(names(await list(`?from_date=${day}&to_date=${day}`)).length).toBe(5);
    expect((await list("?to_date=2020-01-01")).meta).toMatchObject({ total: 0 });
    for (const wrong of ["limit=0", "limit=51", "limit=x", "after=x", "from_date=2026-02-31", "to_date=soon"])
      expect(await call("GET", `/records/my/reports?${wrong}`, { token })).toMatchObject({ status: 422 });
  });

  it("are shown with each record, or as they were sent, to their owner alone", async () => {
    const { token, address } = await record("shop.example");
    await take(gzip("fastmail.xml"), address);
    const [entry] = (await call("GET", "/records/my/reports", { token })).json.entries as Json[];
    const path = `/records/my/reports/${entry?.id}`;
    const { json } = await call("GET", path, { token, accept: "application/json" });
    expect(json).toMatchObject({
      ...entry,
      email: "reports@fastmaildmarc.com",
      extra_contact_info: null,
      policy_published_domain: "shop.example",
      policy_published_p: "none",
      policy_published_adkim: null,
      policy_published_pct: 100,
    });
    expect(json.records).toEqual([
      {
        record_id: expect.any(Number),
        report_id: entry?.id,
        row_num: 1,
        header_from: "news.shop.example",
        source_ip: "192.0.2.200",
        source_ip_version: 4,
        host_name: null,
        top_private_domain_name: "example.edu",
        count: 2,
        policy_evaluated_disposition: "none",
        policy_evaluated_dkim: "fail",
        policy_evaluated_spf: "fail",
        policy_evaluated_reason_type: "forwarded",
        policy_evaluated_reason_comment: "looks forwarded, downgrade to none",
        dkim_domain: "shop.example",
        dkim_result: "fail",
        spf_domain: "alum.example.edu",
        spf_result: "pass",
        created_at: entry?.created_at,
      },
    ]);
    const xml = await call("GET", path, { token, accept: "application/xml" });
    expect(xml.text).toBe(Buffer.from(corpus("fastmail.xml")).toString());
    const other = await record("shop.example");
    expect(await call("GET", path, { token: other.token })).toMatchObject({ status: 404 });
    for (const id of ["0", "x", "1e3", "999999999999"])
      expect(await call("GET", `/records/my/reports/${id}`, { token })).toMatchObject({ status: 404 });
  });

  it("go with their record, and no other's", async () => {
    const [gone, stays] = [await record("shop.example"), await record("shop.example")];
    for (const { address } of [gone, stays]) await take(gzip("google.xml"), address);
    const before = objects.size;
    const { status, text } = await call("DELETE", "/records/my", { token: gone.token });
    expect({ status, text }).toEqual({ status: 204, text: "" });
    expect(objects.size).toBe(before - 1);
    expect(await call("GET", "/records/my", { token: gone.token })).toMatchObject({ status: 401 });
    expect(await take(gzip("yahoo.xml"), gone.address)).toMatchObject({ kind: "refused" });
    const left = (await call("GET", "/records/my/reports", { token: stays.token })).json;
    expect(left.meta).toMatchObject({ total: 1 });
  });
});

describe("GET /domains/:id/dmarc", () => {
  const domain = async (accountId: number, name: string) =>
    (await addDomain(s.db.directory, { accountId, name }, { deploymentSecret: DEPLOYMENT_SECRET, now: NOON }))
      ?.id;

  it("says who sends as the domain, and what to do", async () => {
    const id = await domain(s.ours.accountId, "shop.example");
    const first = await s.call("GET", `/domains/${id}/dmarc`);
    expect(first).toMatchObject({
      status: 200,
      json: { ID: id, Name: "shop.example", Messages: 0, Senders: [] },
    });
    const address = String(first.json.ReportingAddress);
    expect(first.json.DNS).toEqual({
      Host: "_dmarc.shop.example",
      Type: "TXT",
      Value: `v=DMARC1; p=none; pct=100; rua=mailto:${address}; sp=none; aspf=r;`,
    });
    for (const file of ["google.xml", "yahoo.xml", "netease.xml", "microsoft-tls.json"])
      expect(await take(gzip(file), address)).toMatchObject({ kind: "stored" });
    const { json } = await s.call("GET", `/domains/${id}/DMARC/?fromdate=2026-02-16&todate=2026-02-16`);
    expect(json).toMatchObject({ ReportingAddress: address, Messages: 1233, Aligned: 1207 });
    expect(json).toMatchObject({ From: "2026-02-16", To: "2026-02-16" });
    const senders = json.Senders as Json[];
    expect(senders.map((sender) => [sender.Organisation, sender.Messages, sender.Aligned])).toEqual([
      ["shop.example", 1204, 1204],
      ["example.net", 20, 3],
      ["", 9, 0],
    ]);
    expect(senders[2]).toMatchObject({
      Addresses: [{ IP: "198.51.100.77", Messages: 9 }],
      Rejected: 9,
      Advice: expect.stringMatching(/^198\.51\.100\.77 sends 9 messages as you that pass neither/),
    });
    expect(json.TLS).toMatchObject({ Sessions: 43, Failed: 3 });
    expect(json.Advice).toMatch(/^97\.8% of 1,233 messages pass/);
    const none = (await s.call("GET", `/domains/${id}/dmarc?fromdate=2026-02-17&todate=2026-02-18`)).json;
    expect(none).toMatchObject({ Messages: 0, Reports: [] });
  });

  it("is 510 for another account's domain and for none, and 522 for dates that are none", async () => {
    const theirs = await domain(s.theirs.accountId, "theirs.example");
    for (const id of [theirs, 0, 999_999, "x", "1e3"])
      expect(await s.call("GET", `/domains/${id}/dmarc`)).toMatchObject({ status: 422, code: "510" });
    const id = await domain(s.ours.accountId, "dated.example");
    for (const query of ["fromdate=x", "todate=2026-02-31", "fromdate=2026-02-02&todate=2026-02-01"])
      expect(await s.call("GET", `/domains/${id}/dmarc?${query}`)).toMatchObject({
        status: 422,
        code: "522",
      });
    expect(await s.call("GET", `/domains/${id}/dmarc`, undefined, {})).toMatchObject({
      status: 401,
      code: "10",
    });
  });
});
