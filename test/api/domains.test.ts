import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadPolicy } from "../../src/accounts/policy.ts";
import { createSender } from "../../src/accounts/senders.ts";
import { domainEndpoints } from "../../src/api/domains.ts";
import { dnsOverHttps } from "../../src/local/world/doh.ts";
import { Zone } from "../../src/local/world/zone.ts";
import { openSettings, type Settings } from "./settings.ts";

const DAY_MS = 86_400_000;
const folder = mkdtempSync(join(tmpdir(), "edgepost-domains-"));
const zone = new Zone(folder);
const doh = dnsOverHttps(zone);
let s: Settings;
let made = 0;

interface Key {
  Host: string;
  TextValue: string;
  Algorithm: string;
  State: string;
  InDNS: boolean;
}

beforeAll(async () => {
  s = await openSettings(domainEndpoints, () => ({
    fetchDns: async (url: string, init: RequestInit) => doh.fetch(new Request(url, init)),
  }));
});
afterAll(async () => {
  await s.dispose();
  rmSync(folder, { recursive: true });
});

async function newDomain(more: object = {}) {
  const Name = `d${++made}.example`;
  const { status, json } = await s.call("POST", "/domains", { Name, ...more });
  expect(status).toBe(200);
  return json;
}

const keysOf = (domain: Record<string, unknown>) => domain.DKIMKeys as Key[];
const publish = (key: Key | undefined) => zone.put(key?.Host ?? "", "TXT", [key?.TextValue ?? ""]);
const withdraw = (key: Key | undefined) => zone.put(key?.Host ?? "", "TXT", []);
const verify = async (id: unknown) => (await s.call("PUT", `/domains/${id}/verifyDkim`)).json;
const policy = async () => {
  const found = await loadPolicy(s.db.directory, s.ours.serverId);
  if (!found) throw new Error("no policy");
  return found;
};
const signingWith = async (name: unknown) =>
  (await policy()).keys.filter((k) => k.domain === name).map((k) => `${k.selector}._domainkey.${name}`);

describe("a new domain", () => {
  it("has keys that wait, names to point to, and nothing that is null", async () => {
    const domain = await newDomain();
    const [rsa, ed] = keysOf(domain);
    expect(domain).toEqual({
      ID: expect.any(Number),
      Name: `d${made}.example`,
      SPFVerified: true,
      SPFHost: domain.Name,
      SPFTextValue: "v=spf1 a mx include:spf.mail.example.com ~all",
      DKIMVerified: false,
      WeakDKIM: false,
      DKIMHost: "",
      DKIMTextValue: "",
      DKIMPendingHost: rsa?.Host,
      DKIMPendingTextValue: rsa?.TextValue,
      DKIMRevokedHost: "",
      DKIMRevokedTextValue: "",
      SafeToRemoveRevokedKeyFromDNS: false,
      DKIMUpdateStatus: "Pending",
      DKIMKeys: [
        expect.objectContaining({ Algorithm: "rsa", State: "Pending", InDNS: false }),
        expect.objectContaining({ Algorithm: "ed25519", State: "Pending", InDNS: false }),
      ],
      ReturnPathDomain: "",
      ReturnPathDomainVerified: false,
      ReturnPathDomainCNAMEValue: "pm.mail.example.com",
      CustomTrackingDomain: "",
      CustomTrackingDomainCNAMEValue: "",
      CustomTrackingVerified: false,
    });
    expect(rsa?.Host).toMatch(new RegExp(`^20260217120000[0-9a-f]{4}pm\\._domainkey\\.${domain.Name}$`));
    expect(ed?.TextValue).toMatch(/^v=DKIM1; k=ed25519; p=/);
    expect((await s.call("GET", `/domains/${domain.ID}`)).json).toEqual(domain);
    expect(await signingWith(domain.Name)).toEqual([]);
    expect((await policy()).domains).not.toContain(domain.Name);
  });

  it("is spelt in lower case and A-labels", async () => {
    const { json } = await s.call("POST", "/domains", { name: " Bücher.Example " });
    expect(json.Name).toBe("xn--bcher-kva.example");
    expect((await s.call("POST", "/domains", { Name: "xn--bcher-kva.example" })).json.ErrorCode).toBe(512);
  });

  it.each([
    [514, {}],
    [514, { Name: " " }],
    [514, ""],
    [515, { Name: `${"a.".repeat(130)}example` }],
    [516, { Name: "thisisntadomain" }],
    [516, { Name: "a b.example" }],
    [516, { Name: "-a.example" }],
    [516, { Name: "user@a.example" }],
    [516, { Name: "1.2.3.4" }],
    [503, { Name: "GMail.com" }],
    [511, { Name: "rp.example", ReturnPathDomain: "rp.example" }],
    [511, { Name: "rp.example", ReturnPathDomain: "pm.other.example" }],
    [511, { Name: "rp.example", ReturnPathDomain: "pmrp.example" }],
    [511, { Name: "rp.example", ReturnPathDomain: "p m.rp.example" }],
    [521, { Name: "rp.example", ReturnPathDomain: `${"a.".repeat(130)}rp.example` }],
    [403, { Name: 7 }],
    [403, { Name: ["a.example"] }],
    [402, "[]"],
    [402, "{"],
  ])("is refused with %i: %j", async (code, body) => {
    const before = (await s.call("GET", "/domains")).json.TotalCount;
    const { status, json } = await s.call("POST", "/domains", body);
    expect([status, json.ErrorCode]).toEqual([422, code]);
    expect((await s.call("GET", "/domains")).json.TotalCount).toBe(before);
  });

  it("is made once by calls at the same time, with one pair of keys", async () => {
    const answers = await Promise.all(
      Array.from({ length: 4 }, () => s.call("POST", "/domains", { Name: "race.example" })),
    );
    expect(answers.map((a) => a.json.ErrorCode ?? 0).sort()).toEqual([0, 512, 512, 512]);
    const { results } = await s.db.directory
      .prepare(
        "SELECT k.id FROM dkim_keys k JOIN domains d ON d.id = k.domain_id WHERE d.name = 'race.example'",
      )
      .all();
    expect(results).toHaveLength(2);
  });

  it("may be another account's too", async () => {
    const { Name } = await newDomain();
    expect((await s.call("POST", "/domains", { Name }, s.theirs)).status).toBe(200);
  });
});

describe("DKIM", () => {
  it("is not verified, and no error, while no record is there", async () => {
    const domain = await newDomain();
    expect(await verify(domain.ID)).toEqual(domain);
    zone.put(domain.DKIMPendingHost as string, "TXT", ["v=DKIM1; k=rsa; p=AAAA", "something else"]);
    expect(await verify(domain.ID)).toEqual(domain);
  });

  it("signs with each key whose record was seen, and RSA comes first", async () => {
    const domain = await newDomain();
    const [rsa, ed] = keysOf(domain);
    publish(ed);
    expect((await verify(domain.ID)).DKIMVerified).toBe(false);
    expect(await signingWith(domain.Name)).toEqual([]);
    // As providers store it: without the version, in other spacing.
    zone.put(rsa?.Host ?? "", "TXT", [rsa?.TextValue.replace("v=DKIM1; k=rsa; p=", "p= ") ?? ""]);
    s.changed.accounts.length = 0;
    const verified = await verify(domain.ID);
    expect(verified).toMatchObject({
      DKIMVerified: true,
      DKIMUpdateStatus: "Verified",
      DKIMHost: rsa?.Host,
      DKIMTextValue: rsa?.TextValue,
      DKIMPendingHost: "",
      DKIMPendingTextValue: "",
    });
    expect(await signingWith(domain.Name)).toEqual([rsa?.Host, ed?.Host]);
    expect((await policy()).domains).toContain(domain.Name);
    expect(s.changed.accounts).toContain(s.ours.accountId);
  });

  it("takes the Ed25519 key whenever its record comes", async () => {
    const domain = await newDomain();
    const [rsa, ed] = keysOf(domain);
    publish(rsa);
    await verify(domain.ID);
    expect(await signingWith(domain.Name)).toEqual([rsa?.Host]);
    publish(ed);
    await verify(domain.ID);
    expect(await signingWith(domain.Name)).toEqual([rsa?.Host, ed?.Host]);
  });

  it("rotates: the old keys sign until the new record is seen, and stay in the DNS for a week", async () => {
    const domain = await newDomain();
    const old = keysOf(domain);
    old.forEach(publish);
    await verify(domain.ID);
    s.clock.now += DAY_MS;
    const rotated = (await s.call("POST", `/domains/${domain.ID}/rotateDKIM`)).json;
    expect(rotated).toMatchObject({
      DKIMUpdateStatus: "Pending",
      DKIMHost: old[0]?.Host,
      DKIMVerified: true,
    });
    const fresh = keysOf(rotated).filter((k) => k.State === "Pending");
    expect(fresh).toHaveLength(2);
    expect(rotated.DKIMPendingHost).toBe(fresh[0]?.Host);
    expect(await signingWith(domain.Name)).toEqual(old.map((k) => k.Host));
    const again = await s.call("POST", `/domains/${domain.ID}/rotatedkim`);
    expect(again).toMatchObject({
      status: 422,
      json: { ErrorCode: 505, Message: "This DKIM is already being renewed." },
    });
    expect((await verify(domain.ID)).DKIMUpdateStatus).toBe("Pending");

    fresh.forEach(publish);
    const taken = await verify(domain.ID);
    expect(taken).toMatchObject({
      DKIMHost: fresh[0]?.Host,
      DKIMRevokedHost: old[0]?.Host,
      DKIMRevokedTextValue: old[0]?.TextValue,
      SafeToRemoveRevokedKeyFromDNS: false,
      DKIMUpdateStatus: "Verified",
    });
    expect(await signingWith(domain.Name)).toEqual(fresh.map((k) => k.Host));
    const { results } = await s.db.directory
      .prepare("SELECT private_key AS sealed FROM dkim_keys WHERE state = 'revoked' AND domain_id = ?")
      .bind(domain.ID)
      .all();
    expect(results).toEqual([{ sealed: "" }, { sealed: "" }]);

    s.clock.now += 7 * DAY_MS - 1;
    expect((await s.call("GET", `/domains/${domain.ID}`)).json.SafeToRemoveRevokedKeyFromDNS).toBe(false);
    s.clock.now += 1;
    expect((await s.call("GET", `/domains/${domain.ID}`)).json.SafeToRemoveRevokedKeyFromDNS).toBe(true);
  });

  it("does not revoke the new key when two checks see it at once", async () => {
    const domain = await newDomain();
    keysOf(domain).forEach(publish);
    await Promise.all([verify(domain.ID), verify(domain.ID), verify(domain.ID)]);
    expect(keysOf(await verify(domain.ID)).map((k) => k.State)).toEqual(["Active", "Active"]);
  });

  it("makes one pair when two rotations come at once", async () => {
    const domain = await newDomain();
    keysOf(domain).forEach(publish);
    await verify(domain.ID);
    const codes = await Promise.all(
      [1, 2].map(async () => (await s.call("POST", `/domains/${domain.ID}/rotatedkim`)).json.ErrorCode ?? 0),
    );
    expect(codes.sort()).toEqual([0, 505]);
    const { json } = await s.call("GET", `/domains/${domain.ID}`);
    expect(keysOf(json).filter((k) => k.State === "Pending")).toHaveLength(2);
  });

  it("shows a record that went missing, and does not stop mail for it", async () => {
    const domain = await newDomain();
    const [rsa, ed] = keysOf(domain);
    publish(rsa);
    publish(ed);
    await verify(domain.ID);
    withdraw(rsa);
    const lost = await verify(domain.ID);
    expect(lost).toMatchObject({ DKIMVerified: false, DKIMHost: rsa?.Host });
    expect(keysOf(lost).map((k) => k.InDNS)).toEqual([false, true]);
    expect((await policy()).domains).toContain(domain.Name);
    publish(rsa);
    expect((await verify(domain.ID)).DKIMVerified).toBe(true);
  });

  it("changes nothing while the DNS cannot be asked", async () => {
    const domain = await newDomain();
    const [rsa] = keysOf(domain);
    publish(rsa);
    await verify(domain.ID);
    const before = (await s.call("GET", `/domains/${domain.ID}`)).json;
    zone.put(rsa?.Host ?? "", "CNAME", ["servfail.test"]);
    const { status, json } = await s.call("PUT", `/domains/${domain.ID}/verifydkim`);
    expect([status, json.ErrorCode]).toEqual([503, 100]);
    expect((await s.call("GET", `/domains/${domain.ID}`)).json).toEqual(before);
  });

  it("says that a short key is weak", async () => {
    const domain = await newDomain();
    publish(keysOf(domain)[0]);
    await verify(domain.ID);
    const short = `v=DKIM1; k=rsa; p=${btoa("x".repeat(162))}`;
    await s.db.directory
      .prepare("UPDATE dkim_keys SET dns_record = ? WHERE domain_id = ? AND algorithm = 'rsa-sha256'")
      .bind(short, domain.ID)
      .run();
    expect((await s.call("GET", `/domains/${domain.ID}`)).json.WeakDKIM).toBe(true);
  });
});

describe("the names below a domain", () => {
  it("are used for reverse-paths once the alias is there, and no longer when it is gone", async () => {
    const domain = await newDomain();
    publish(keysOf(domain)[0]);
    await verify(domain.ID);
    const name = `PM-bounces.${domain.Name}`;
    const set = await s.call("PUT", `/domains/${domain.ID}`, { ReturnPathDomain: name });
    expect(set.json).toMatchObject({
      ReturnPathDomain: name.toLowerCase(),
      ReturnPathDomainVerified: false,
    });
    const look = async () => (await s.call("PUT", `/domains/${domain.ID}/verifyReturnPath`)).json;
    expect((await look()).ReturnPathDomainVerified).toBe(false);
    zone.put(name, "CNAME", ["elsewhere.example"]);
    expect((await look()).ReturnPathDomainVerified).toBe(false);
    expect((await policy()).returnPathDomains).not.toHaveProperty([domain.Name as string]);
    zone.put(name, "CNAME", ["pm.mail.example.com."]);
    expect((await look()).ReturnPathDomainVerified).toBe(true);
    expect((await policy()).returnPathDomains).toHaveProperty([domain.Name as string], name.toLowerCase());
    // The same value again changes nothing; another must be verified again.
    const same = await s.call("PUT", `/domains/${domain.ID}`, { returnPathDomain: name });
    expect(same.json.ReturnPathDomainVerified).toBe(true);
    zone.put(name, "CNAME", []);
    expect((await look()).ReturnPathDomainVerified).toBe(false);
    expect((await policy()).returnPathDomains).not.toHaveProperty([domain.Name as string]);
  });

  it("are for tracked links once the alias is there", async () => {
    const domain = await newDomain();
    const name = `click.${domain.Name}`;
    const set = await s.call("PUT", `/domains/${domain.ID}`, { CustomTrackingDomain: name });
    expect(set.json).toMatchObject({
      CustomTrackingDomain: name,
      CustomTrackingDomainCNAMEValue: "track.mail.example.com",
      CustomTrackingVerified: false,
    });
    zone.put(name, "CNAME", ["track.mail.example.com"]);
    const { json } = await s.call("PUT", `/domains/${domain.ID}/verifyCustomTracking`);
    expect(json).toMatchObject({ CustomTrackingVerified: true, ReturnPathDomain: "" });
  });

  it.each([null, ""])("are cleared by %j, each alone", async (nothing) => {
    const domain = await newDomain();
    const both = {
      ReturnPathDomain: `a.${domain.Name}`,
      CustomTrackingDomain: `b.${domain.Name}`,
    };
    await s.call("PUT", `/domains/${domain.ID}`, both);
    const { json } = await s.call("PUT", `/domains/${domain.ID}`, { ReturnPathDomain: nothing });
    expect(json).toMatchObject({ ...both, ReturnPathDomain: "" });
  });

  it.each([
    [502, ""],
    [502, "null"],
    [502, {}],
    [502, { Name: "other.example" }],
    [511, { ReturnPathDomain: "pm.other.example" }],
    [511, { CustomTrackingDomain: "other.example" }],
    [403, { ReturnPathDomain: { a: 1 } }],
  ])("are refused with %i: %j", async (code, body) => {
    const domain = await newDomain();
    const { status, json } = await s.call("PUT", `/domains/${domain.ID}`, body);
    expect([status, json.ErrorCode]).toEqual([422, code]);
    expect((await s.call("GET", `/domains/${domain.ID}`)).json).toEqual(domain);
  });
});

describe("domains", () => {
  it("are deleted with their keys, and nothing is sent from them any more", async () => {
    const domain = await newDomain();
    publish(keysOf(domain)[0]);
    await verify(domain.ID);
    const { accountId } = s.ours;
    const sender = { accountId, email: `joe@${domain.Name}`, name: "Joe", confirmed: true };
    await createSender(s.db.directory, sender, s.clock.now);
    expect((await policy()).senders).toHaveLength(1);
    s.changed.accounts.length = 0;
    const { status, json } = await s.call("DELETE", `/domains/${domain.ID}`);
    expect([status, json]).toEqual([200, { ErrorCode: 0, Message: `Domain ${domain.Name} removed.` }]);
    expect(s.changed.accounts).toEqual([s.ours.accountId]);
    expect(await policy()).toMatchObject({ senders: [] });
    expect((await policy()).domains).not.toContain(domain.Name);
    expect(await signingWith(domain.Name)).toEqual([]);
    const left = await s.db.directory
      .prepare(
        "SELECT (SELECT count(*) FROM dkim_keys WHERE domain_id = ?1) + (SELECT count(*) FROM senders WHERE domain_id = ?1) AS n",
      )
      .bind(domain.ID)
      .first("n");
    expect(left).toBe(0);
    expect((await s.call("GET", `/domains/${domain.ID}`)).json.ErrorCode).toBe(510);
    expect((await s.call("POST", "/domains", { Name: domain.Name })).json.ID).not.toBe(domain.ID);
  });

  it("are listed by name, page by page and behind a cursor", async () => {
    await newDomain();
    const whole = (await s.call("GET", "/domains?count=500&offset=0")).json as {
      TotalCount: number;
      Domains: { ID: number; Name: string }[];
    };
    const names = whole.Domains.map((d) => d.Name);
    expect(names).toEqual(names.toSorted());
    expect(whole.TotalCount).toBe(names.length);
    expect(whole.Domains[0]).toEqual({
      Name: expect.any(String),
      SPFVerified: true,
      DKIMVerified: expect.any(Boolean),
      WeakDKIM: expect.any(Boolean),
      ReturnPathDomainVerified: expect.any(Boolean),
      CustomTrackingVerified: false,
      ID: expect.any(Number),
    });
    const seen: string[] = [];
    for (let cursor: unknown = ""; cursor !== undefined; ) {
      const { json } = await s.call("GET", `/domains?count=5&cursor=${cursor}`);
      seen.push(...(json.Domains as { Name: string }[]).map((d) => d.Name));
      cursor = json.NextCursor;
    }
    expect(seen).toEqual(names);
    const second = (await s.call("GET", "/domains?count=2&offset=1")).json;
    expect((second.Domains as { Name: string }[]).map((d) => d.Name)).toEqual(names.slice(1, 3));
  });

  it.each(["count=-1", "count=501", "offset=-1", "count=x", "count=500&offset=9501", "cursor=x"])(
    "are not listed with %s",
    async (query) => {
      expect((await s.call("GET", `/domains?${query}`)).json.ErrorCode).toBe(500);
    },
  );

  it.each([
    ["GET", ""],
    ["PUT", ""],
    ["DELETE", ""],
    ["PUT", "/verifyDkim"],
    ["PUT", "/verifyReturnPath"],
    ["PUT", "/verifyCustomTracking"],
    ["POST", "/verifyspf"],
    ["POST", "/rotatedkim"],
  ])("are not there for others, nor when their number is none: %s %s", async (method, path) => {
    const domain = await newDomain();
    for (const [id, as] of [
      [domain.ID, s.theirs],
      [987_654, s.ours],
      ["1e3", s.ours],
      [`${domain.ID}x`, s.ours],
      ["9".repeat(30), s.ours],
    ] as const) {
      const body = method === "GET" ? undefined : { ReturnPathDomain: "" };
      const { status, json } = await s.call(method, `/domains/${id}${path}`, body, as);
      expect([id, status, json.ErrorCode]).toEqual([id, 422, 510]);
    }
    const wrong = { serverToken: s.ours.serverToken };
    expect((await s.call(method, `/domains/${domain.ID}${path}`, undefined, wrong)).status).toBe(401);
    expect((await s.call("GET", `/domains/${domain.ID}`)).json).toEqual(domain);
  });

  it("say what an SPF record may include", async () => {
    const domain = await newDomain();
    const { json } = await s.call("POST", `/domains/${domain.ID}/verifySPF`);
    expect(json).toEqual({
      SPFVerified: true,
      SPFHost: domain.Name,
      SPFTextValue: "v=spf1 a mx include:spf.mail.example.com ~all",
    });
  });
});
