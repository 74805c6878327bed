/** TLS where it is offered, in clear only where that is allowed: catalogue D7, RFC 3207, RFC 8461. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { certificate, type Pair } from "../certificate.ts";
import { GatewayProcess } from "../gateway-process.ts";
import { ScriptedMx } from "../scripted-mx.ts";
import { TestDns } from "../test-dns.ts";

let dns: TestDns;
let mx: ScriptedMx;
let gateway: GatewayProcess;
let good: Pair;
let wrongName: Pair;
let expired: Pair;
const folder = mkdtempSync(join(tmpdir(), "edgepost-tls-"));

beforeAll(async () => {
  good = await certificate("mx.good.test");
  wrongName = await certificate("mx.other.test");
  expired = await certificate("mx.good.test", -1);
  const caFile = join(folder, "ca.pem");
  dns = await new TestDns().listen();
  dns.domain("good.test", [[10, "mx.good.test", "127.0.0.1"]]);
  mx = await new ScriptedMx().listen();
  gateway = await new GatewayProcess(
    { EDGEPOST_DNS: dns.server, EDGEPOST_MX_PORT: String(mx.port), EDGEPOST_CA_FILE: caFile },
    { greeting: 500, command: 500, idle: 0 },
  ).start();
  // The authority comes into being after the gateway, as at the first start of the local world.
  writeFileSync(caFile, `${good.cert}\n${wrongName.cert}\n${expired.cert}`);
});

afterAll(async () => {
  await gateway.end();
  await mx.stop();
  dns.stop();
});

beforeEach(() => {
  mx.script = {};
  mx.said.length = 0;
  mx.taken.length = 0;
  mx.sessions = 0;
});

const require = (to: string) => gateway.sendOne(to, { tls: "require" });

describe("opportunistic TLS", () => {
  it("is used when it is offered, and EHLO is said again", async () => {
    mx.script = { tls: good };
    const outcome = await gateway.sendOne("a@good.test");
    expect(outcome.result).toBe("delivered");
    expect(outcome.hop.tls).toMatch(/^TLSv1\.3 TLS_/);
    expect(mx.taken[0]?.isSecure).toBe(true);
    expect(mx.said.filter((line) => line.startsWith("EHLO")).length).toBe(2);
  });

  it("takes any certificate: that is better than none", async () => {
    for (const tls of [wrongName, expired]) {
      mx.script = { tls };
      expect((await gateway.sendOne("a@good.test")).hop.tls).toMatch(/^TLS/);
    }
  });

  it("goes on in clear on the same connection when the server says no", async () => {
    mx.script = { tls: good, on: (what) => (what === "STARTTLS" ? "454 4.7.0 not now" : undefined) };
    expect(await gateway.sendOne("a@good.test")).toMatchObject({ result: "delivered", hop: { tls: "" } });
    expect(mx.sessions).toBe(1);
  });

  it.each([
    ["garbage", (socket: { write(text: string): void }) => void socket.write("220 go\r\nthis is no TLS\r\n")],
    [
      "a closed connection",
      (socket: { write(text: string): void; end(): void }) => {
        socket.write("220 go\r\n");
        socket.end();
      },
    ],
    ["silence", (socket: { write(text: string): void }) => void socket.write("220 go\r\n")],
  ])("goes on in clear on a new connection after %s", async (_, act) => {
    mx.script = { tls: good, on: (what) => (what === "STARTTLS" ? ({ socket }) => act(socket) : undefined) };
    expect(await gateway.sendOne("a@good.test")).toMatchObject({ result: "delivered", hop: { tls: "" } });
    expect(mx.sessions).toBe(2);
    expect(mx.taken[0]?.session).toBe(2);
  });

  it("does not speak versions older than 1.2 (RFC 8996)", async () => {
    mx.script = { tls: { ...good, maxVersion: "TLSv1.1" } };
    expect(await gateway.sendOne("a@good.test")).toMatchObject({ result: "delivered", hop: { tls: "" } });
  });

  it("forgets what came in clear behind the 220: another may have put it there", async () => {
    mx.script = {
      tls: good,
      on: (what) => (what === "STARTTLS" ? "220 go on\r\n250-evil\r\n250 PIPELINING" : undefined),
    };
    const outcome = await gateway.sendOne("a@good.test");
    expect(outcome.result).toBe("delivered");
    expect(outcome.hop.tls).toMatch(/^TLS/);
    expect(JSON.stringify(outcome.transcript)).not.toContain("evil");
  });
});

describe("TLS that is required", () => {
  it("needs a certificate that is good for the host", async () => {
    mx.script = { tls: good };
    expect(await require("a@good.test")).toMatchObject({ result: "delivered" });
    for (const [tls, why] of [
      [wrongName, "ALTNAME"],
      [expired, "EXPIRED"],
    ] as const) {
      mx.script = { tls };
      const outcome = await require("a@good.test");
      expect(outcome).toMatchObject({
        result: "deferred",
        concerns: "destination",
        reply: { enhanced: "4.7.5" },
      });
      expect(outcome.reason).toContain(why);
    }
  });

  it("never goes in clear", async () => {
    const acts = [
      {},
      { tls: good, on: (what: string) => (what === "STARTTLS" ? "454 4.7.0 not now" : undefined) },
      { tls: good, on: (what: string) => (what === "STARTTLS" ? "close" : undefined) },
      { tls: { ...good, maxVersion: "TLSv1.1" as const } },
    ];
    for (const script of acts) {
      mx.script = script;
      expect(await require("a@good.test")).toMatchObject({ result: "deferred", concerns: "destination" });
    }
    expect(mx.said.some((line) => line.startsWith("MAIL"))).toBe(false);
  });

  it("does not use a connection that was opened without it", async () => {
    const keeping = await new GatewayProcess(
      {
        EDGEPOST_DNS: dns.server,
        EDGEPOST_MX_PORT: String(mx.port),
        EDGEPOST_CA_FILE: join(folder, "ca.pem"),
      },
      { idle: 5_000 },
    ).start();
    mx.script = { tls: wrongName };
    expect(await keeping.sendOne("a@good.test")).toMatchObject({ result: "delivered" });
    expect(await keeping.sendOne("a@good.test", { tls: "require" })).toMatchObject({
      reply: { enhanced: "4.7.5" },
    });
    expect(await keeping.sendOne("a@good.test")).toMatchObject({ result: "delivered" });
    expect(mx.taken.map((t) => t.session)).toEqual([1, 1]);
    await keeping.end();
  });
});
