import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getRequestListener } from "@hono/node-server";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type DnsNeeds,
  DnsUnavailable,
  lookUpCname,
  lookUpMx,
  lookUpNs,
  lookUpTxt,
} from "../../src/accounts/dns.ts";
import { dnsOverHttps } from "../../src/local/world/doh.ts";
import { Zone } from "../../src/local/world/zone.ts";

const folder = mkdtempSync(join(tmpdir(), "edgepost-dns-"));
const zone = new Zone(folder);
let server: Server;
let needs: DnsNeeds;

beforeAll(async () => {
  server = createServer(getRequestListener(dnsOverHttps(zone).fetch)).listen(0, "127.0.0.1");
  await new Promise((done) => server.once("listening", done));
  const { port } = server.address() as AddressInfo;
  needs = { fetchDns: (url, init) => fetch(url, init), dnsUrl: `http://127.0.0.1:${port}/dns-query` };
});
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

/** A resolver that says the same to every question. */
function answering(body: unknown, status = 200): DnsNeeds {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return { dnsUrl: "http://resolver.test/?x=1", fetchDns: async () => new Response(text, { status }) };
}

describe("the DNS over HTTPS", () => {
  it("joins the strings of a long TXT record, and keeps several apart", async () => {
    const long = `v=DKIM1; p=${"A".repeat(400)}`;
    zone.put("long.example", "TXT", [long, 'say "hi" \\ bye']);
    expect(await lookUpTxt("long.example", needs)).toEqual([long, 'say "hi" \\ bye']);
  });

  it("gives an alias without its final dot, in lower case", async () => {
    zone.put("pm.alias.example", "CNAME", ["Target.Example"]);
    expect(await lookUpCname("PM.alias.example", needs)).toBe("target.example");
  });

  it("leaves the aliases on the way to a record out", async () => {
    zone.put("text.alias.example", "CNAME", ["real.example"]);
    zone.put("real.example", "TXT", ["here"]);
    expect(await lookUpTxt("text.alias.example", needs)).toEqual(["here"]);
  });

  it("sorts mail exchangers, and a null MX has no name", async () => {
    zone.put("mx.example", "MX", ["20 B.example", "10 a.example"]);
    expect(await lookUpMx("mx.example", needs)).toEqual([
      { preference: 10, exchange: "a.example" },
      { preference: 20, exchange: "b.example" },
    ]);
    expect(await lookUpMx("nullmx.test", needs)).toEqual([{ preference: 0, exchange: "" }]);
  });

  it("reads name servers, bare texts and escaped bytes as other resolvers give them", async () => {
    const ns = { Status: 0, Answer: [{ name: "x", type: 2, TTL: 1, data: "NS1.Example." }] };
    expect(await lookUpNs("x", answering(ns))).toEqual(["ns1.example"]);
    const texts = [
      { type: 16, data: "v=spf1 -all" },
      { type: 16, data: '"a\\065\\"" "b"' },
    ];
    expect(await lookUpTxt("x", answering({ Status: 0, Answer: texts }))).toEqual(["v=spf1 -all", 'aA"b']);
  });

  it("has nothing for a name that does not exist or has no such record", async () => {
    expect(await lookUpTxt("nodomain.test", needs)).toEqual([]);
    expect(await lookUpTxt("no-text.example", needs)).toEqual([]);
    expect(await lookUpCname("no-alias.example", needs)).toBeUndefined();
  });

  it("says that nobody knows when the resolver fails, and never that there is nothing", async () => {
    const refusing: DnsNeeds = { dnsUrl: "http://127.0.0.1:1/", fetchDns: (url, init) => fetch(url, init) };
    const failing: [string, DnsNeeds][] = [
      ["servfail.test", needs],
      ["x.example", refusing],
      ["x.example", answering("<html>", 200)],
      ["x.example", answering({ Status: 0 }, 502)],
      ["x.example", answering({ Answer: [] })],
    ];
    for (const [name, from] of failing)
      await expect(lookUpTxt(name, from)).rejects.toBeInstanceOf(DnsUnavailable);
  });
});
