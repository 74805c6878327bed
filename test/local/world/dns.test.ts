/** The world's DNS as resolvers ask it: UDP, TCP, and both forms of DNS over HTTPS. */
import { Resolver } from "node:dns/promises";
import DNS from "dns2";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { World } from "./world.ts";

let world: World;
const resolver = new Resolver({ timeout: 2_000, tries: 2 });
beforeAll(async () => {
  world = await World.start();
  resolver.setServers([`127.0.0.1:${world.dnsPort}`]);
});
afterAll(() => world.remove());

async function put(name: string, type: string, value: string | string[]): Promise<number> {
  const body = typeof value === "string" ? value : JSON.stringify(value);
  return (await fetch(`${world.http}/dns/${name}/${type}`, { method: "PUT", body })).status;
}

async function json(name: string, type: string) {
  const url = `${world.http}/dns-query?name=${name}&type=${type}`;
  const response = await fetch(url, { headers: { Accept: "application/dns-json" } });
  return (await response.json()) as { Status: number; Answer: { type: number; data: string }[] };
}

describe("DNS", () => {
  it("says that every domain's mail goes to the local MX, which is on this machine", async () => {
    expect(await resolver.resolveMx("any.example")).toMatchObject([
      { priority: 10, exchange: "mx.world.test" },
    ]);
    expect(await resolver.resolve4("mx.world.test")).toEqual(["127.0.0.1"]);
    expect(await resolver.resolve4("any.example")).toEqual(["127.0.0.1"]);
  });

  it("has no AAAA, and no TXT that nobody set", async () => {
    await expect(resolver.resolve6("any.example")).rejects.toMatchObject({ code: "ENODATA" });
    await expect(resolver.resolveTxt("any.example")).rejects.toMatchObject({ code: "ENODATA" });
  });

  it.each(["nullmx.test", "below.nullmx.test"])("%s takes no mail", async (name) => {
    expect(await resolver.resolveMx(name)).toMatchObject([{ priority: 0, exchange: "" }]);
  });

  it.each(["nodomain.test", "below.nodomain.test"])("%s does not exist", async (name) => {
    await expect(resolver.resolveMx(name)).rejects.toMatchObject({ code: "ENOTFOUND" });
    await expect(resolver.resolve4(name)).rejects.toMatchObject({ code: "ENOTFOUND" });
  });

  it.each(["servfail.test", "below.servfail.test"])("%s cannot be resolved", async (name) => {
    await expect(resolver.resolveMx(name)).rejects.toMatchObject({ code: "ESERVFAIL" });
  });

  it("does not take a domain that only ends alike for one of them", async () => {
    expect(await resolver.resolveMx("notnodomain.test")).toHaveLength(1);
  });

  it.each([
    ["notls", "127.0.0.2"],
    ["badtls", "127.0.0.3"],
  ])("sends a domain that begins with %s. to an MX of its own", async (label, address) => {
    const [mx] = await resolver.resolveMx(`${label}.any.example`);
    expect(mx?.exchange).toBe(`${label}.mx.world.test`);
    expect(await resolver.resolve4(mx?.exchange ?? "")).toEqual([address]);
  });

  it("serves what was set, in place of what it says otherwise", async () => {
    await put("set.example", "TXT", "v=spf1 -all");
    await put("set.example", "MX", ["5 a.set.example", "b.set.example"]);
    await put("a.set.example", "A", "192.0.2.1");
    expect(await resolver.resolveTxt("SET.example")).toEqual([["v=spf1 -all"]]);
    const exchanges = (await resolver.resolveMx("set.example")).sort((a, b) => a.priority - b.priority);
    expect(exchanges).toMatchObject([
      { priority: 5, exchange: "a.set.example" },
      { priority: 10, exchange: "b.set.example" },
    ]);
    expect(await resolver.resolve4("a.set.example")).toEqual(["192.0.2.1"]);
  });

  it("serves a key that is longer than a string, and than a UDP answer", async () => {
    const key = `v=DKIM1; p=${"A".repeat(392)}`;
    const keys = [key, `${key}B`, `${key}C`];
    await put("s._domainkey.set.example", "TXT", keys);
    const found = (await resolver.resolveTxt("s._domainkey.set.example")).map((strings) => strings.join(""));
    expect(found.sort()).toEqual(keys);
  });

  it("follows aliases, and gives up on a loop", async () => {
    await put("alias.example", "CNAME", "target.example.");
    await put("target.example", "TXT", "at the target");
    expect(await resolver.resolveTxt("alias.example")).toEqual([["at the target"]]);
    expect(await resolver.resolveCname("alias.example")).toEqual(["target.example"]);
    await put("round.example", "CNAME", "again.example");
    await put("again.example", "CNAME", "round.example");
    await expect(resolver.resolveTxt("round.example")).rejects.toMatchObject({ code: "ESERVFAIL" });
  });

  it("refuses what cannot be a record, and forgets one that is deleted", async () => {
    expect(await put("x.example", "SRV", "1")).toBe(400);
    expect(await put("x.example", "A", "not an address")).toBe(400);
    expect(await put("x.example", "TXT", "")).toBe(400);
    expect(await put("x.example", "TXT", "once")).toBe(204);
    await fetch(`${world.http}/dns/x.example/TXT`, { method: "DELETE" });
    await expect(resolver.resolveTxt("x.example")).rejects.toMatchObject({ code: "ENODATA" });
  });

  it("keeps what was set over a kill", async () => {
    await put("kept.example", "TXT", "kept");
    await world.end("SIGKILL");
    await world.startAgain();
    resolver.setServers([`127.0.0.1:${world.dnsPort}`]);
    expect(await resolver.resolveTxt("kept.example")).toEqual([["kept"]]);
  });
});

describe("DNS over HTTPS", () => {
  it.each(["GET", "POST"])("answers on the wire by %s", async (method) => {
    const question = new DNS.Packet();
    question.header.id = 7;
    question.questions.push(new DNS.Packet.Question("wire.example", DNS.Packet.TYPE.MX, DNS.Packet.CLASS.IN));
    const headers = { "Content-Type": "application/dns-message" };
    const response =
      method === "GET"
        ? await fetch(`${world.http}/dns-query?dns=${question.toBuffer().toString("base64url")}`)
        : await fetch(`${world.http}/dns-query`, {
            method,
            headers,
            body: new Uint8Array(question.toBuffer()),
          });
    expect(response.headers.get("content-type")).toBe("application/dns-message");
    const answer = DNS.Packet.parse(Buffer.from(await response.arrayBuffer()));
    expect(answer.header).toMatchObject({ id: 7, qr: 1, rcode: 0 });
    expect(answer.answers).toMatchObject([{ name: "wire.example", exchange: "mx.world.test", priority: 10 }]);
  });

  it("answers in JSON as Cloudflare does", async () => {
    await put("json.example", "TXT", 'say "hi"');
    expect(await json("json.example", "TXT")).toMatchObject({
      Status: 0,
      Answer: [{ name: "json.example", type: 16, data: '"say \\"hi\\""' }],
    });
    expect((await json("json.example", "MX")).Answer).toMatchObject([
      { type: 15, data: "10 mx.world.test." },
    ]);
    expect((await json("nullmx.test", "15")).Answer).toMatchObject([{ data: "0 ." }]);
    expect(await json("nodomain.test", "MX")).toMatchObject({ Status: 3, Answer: [] });
    expect(await json("servfail.test", "MX")).toMatchObject({ Status: 2 });
    expect(await json("json.example", "AAAA")).toMatchObject({ Status: 0, Answer: [] });
  });

  it.each(["", "?dns=", "?dns=AAAA", "?dns=%00"])("refuses what is no question: %s", async (query) => {
    expect((await fetch(`${world.http}/dns-query${query}`)).status).toBe(400);
  });
});
