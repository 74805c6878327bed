/** A domain's MTA-STS policy (RFC 8461), fetched over real HTTPS: port 443 on a loopback address of its own, where that may be had. */
import { once } from "node:events";
import { mkdtempSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { certificate, type Pair } from "../certificate.ts";
import { GatewayProcess } from "../gateway-process.ts";
import { ScriptedMx } from "../scripted-mx.ts";
import { TestDns } from "../test-dns.ts";

const POLICY_ADDRESS = "127.0.0.8";
let policy = "";
let fetched = 0;

async function servePolicies({ key, cert }: Pair): Promise<Server | undefined> {
  const server = createServer({ key, cert }, (request, response) => {
    fetched++;
    response.statusCode = request.url === "/.well-known/mta-sts.txt" ? 200 : 404;
    response.setHeader("content-type", "text/plain").end(policy);
  });
  server.listen(443, POLICY_ADDRESS);
  return Promise.race([
    once(server, "listening").then(() => server),
    once(server, "error").then(() => undefined),
  ]).catch(() => undefined);
}

const policyPair = await certificate("mta-sts.sts.test");
const policies = await servePolicies(policyPair);

describe.skipIf(!policies)("a domain with a policy", () => {
  let dns: TestDns;
  let mx: ScriptedMx;
  let gateway: GatewayProcess;
  let good: Pair;
  let wrongName: Pair;

  beforeAll(async () => {
    good = await certificate("mx.sts.test");
    wrongName = await certificate("mx.other.test");
    const caFile = join(mkdtempSync(join(tmpdir(), "edgepost-sts-")), "ca.pem");
    writeFileSync(caFile, [policyPair, good, wrongName].map((p) => p.cert).join("\n"));
    dns = await new TestDns().listen();
    mx = await new ScriptedMx().listen();
    gateway = await new GatewayProcess(
      { EDGEPOST_DNS: dns.server, EDGEPOST_MX_PORT: String(mx.port), EDGEPOST_CA_FILE: caFile },
      { greeting: 500, command: 500, idle: 0 },
    ).start();
  });

  afterAll(async () => {
    await gateway.end();
    await mx.stop();
    dns.stop();
    policies?.close();
  });

  let version = 0;

  beforeEach(() => {
    mx.said.length = 0;
    mx.script = { tls: good };
    dns.domain("sts.test", [[10, "mx.sts.test", "127.0.0.1"]]);
    dns.names.set("mta-sts.sts.test", { A: [POLICY_ADDRESS] });
    // A new id each time, so that the policy is fetched anew (RFC 8461 §3.1).
    dns.names.set("_mta-sts.sts.test", { TXT: [`v=STSv1; id=v${++version};`] });
  });

  const policyOf = (mode: string, host: string) =>
    `version: STSv1\r\nmode: ${mode}\r\nmx: ${host}\r\nmax_age: 86400\r\n`;

  it("is sent to over TLS with a good certificate, and the policy is kept", async () => {
    policy = policyOf("enforce", "mx.sts.test");
    fetched = 0;
    for (let i = 0; i < 2; i++)
      expect(await gateway.sendOne("a@sts.test")).toMatchObject({
        result: "delivered",
        hop: { host: "mx.sts.test" },
      });
    expect(fetched).toBe(1);
  });

  it("is never sent to in clear or over a bad certificate when it is enforced", async () => {
    policy = policyOf("enforce", "*.sts.test");
    const waits = { result: "deferred", concerns: "destination" };
    mx.script = { tls: wrongName };
    expect(await gateway.sendOne("a@sts.test")).toMatchObject({ ...waits, reply: { enhanced: "4.7.5" } });
    mx.script = {};
    expect(await gateway.sendOne("a@sts.test")).toMatchObject({ ...waits, reply: { enhanced: "4.7.4" } });
    expect(mx.said.some((line) => line.startsWith("MAIL"))).toBe(false);
  });

  it("is sent to at hosts that the policy names, and at no other", async () => {
    policy = policyOf("enforce", "mx.sts.test");
    dns.domain("sts.test", [
      [10, "evil.example", "127.0.0.2"],
      [20, "mx.sts.test", "127.0.0.1"],
    ]);
    expect(await gateway.sendOne("a@sts.test")).toMatchObject({
      result: "delivered",
      hop: { host: "mx.sts.test" },
    });
    dns.domain("sts.test", [[10, "evil.example", "127.0.0.1"]]);
    mx.said.length = 0;
    expect(await gateway.sendOne("a@sts.test")).toMatchObject({
      result: "deferred",
      reply: { enhanced: "4.7.0" },
    });
    expect(mx.said.filter((line) => line.startsWith("EHLO"))).toEqual([]);
  });

  it("is sent to as ever while it only tests", async () => {
    policy = policyOf("testing", "mx.sts.test");
    mx.script = {};
    expect(await gateway.sendOne("a@sts.test")).toMatchObject({ result: "delivered", hop: { tls: "" } });
  });

  it("keeps to the policy that it had while DNS does not tell (RFC 8461 §5.1)", async () => {
    policy = policyOf("enforce", "mx.sts.test");
    await gateway.sendOne("a@sts.test");
    mx.script = {};
    for (const records of [{ fails: "SERVFAIL" as const }, { TXT: [] }]) {
      dns.names.set("_mta-sts.sts.test", records);
      expect(await gateway.sendOne("a@sts.test")).toMatchObject({
        result: "deferred",
        reply: { enhanced: "4.7.4" },
      });
    }
  });

  it("is not asked for its policy inside a private network, in production", async () => {
    const production = await new GatewayProcess({
      EDGEPOST_DNS: dns.server,
      EDGEPOST_MX_PORT: String(mx.port),
      EDGEPOST_ALLOW_PRIVATE_MX: "",
    }).start();
    fetched = 0;
    await production.sendOne("a@sts.test");
    expect(dns.asked).toContain("A mta-sts.sts.test");
    expect(fetched).toBe(0);
    await production.end();
  });

  it("keeps to the policy that it had while the new one can't be fetched (RFC 8461 §5.1)", async () => {
    policy = policyOf("enforce", "mx.sts.test");
    await gateway.sendOne("a@sts.test");
    dns.names.set("_mta-sts.sts.test", { TXT: ["v=STSv1; id=broken;"] });
    policy = "no policy at all";
    mx.script = {};
    expect(await gateway.sendOne("a@sts.test")).toMatchObject({
      result: "deferred",
      reply: { enhanced: "4.7.4" },
    });
  });
});
