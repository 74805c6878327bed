/** Which hosts are asked, in which order, and when none is: catalogue D2, D8 to D11. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { candidatesOf } from "../../../src/gateway/egress/attempt.ts";
import { GatewayProcess } from "../gateway-process.ts";
import { ScriptedMx } from "../scripted-mx.ts";
import { TestDns } from "../test-dns.ts";

let dns: TestDns;
let mx: ScriptedMx;
let other: ScriptedMx;
let gateway: GatewayProcess;
/** On 127.0.0.9 nobody listens, and a connection is refused. */
const NOBODY = "127.0.0.9";

beforeAll(async () => {
  dns = await new TestDns().listen();
  mx = await new ScriptedMx().listen();
  other = await new ScriptedMx().listen(mx.port, "127.0.0.2");
  gateway = await new GatewayProcess(
    { EDGEPOST_DNS: dns.server, EDGEPOST_MX_PORT: String(mx.port) },
    { connect: 1_000, greeting: 300, command: 300, dns: 200, idle: 0 },
  ).start();
});

afterAll(async () => {
  await gateway.end();
  await mx.stop();
  await other.stop();
  dns.stop();
});

beforeEach(() => {
  for (const server of [mx, other]) {
    server.taken.length = 0;
    server.sessions = 0;
    server.script = {};
  }
});

describe("the hosts of a domain", () => {
  it("are asked by preference", async () => {
    dns.domain("order.test", [
      [20, "second.order.test", "127.0.0.2"],
      [10, "first.order.test", "127.0.0.1"],
    ]);
    const outcome = await gateway.sendOne("a@order.test");
    expect(outcome).toMatchObject({
      result: "delivered",
      hop: { host: "first.order.test", address: "127.0.0.1" },
    });
    expect([mx.sessions, other.sessions]).toEqual([1, 0]);
  });

  it("are asked in turn while they can't be reached, close, or greet badly", async () => {
    dns.domain("turn.test", [
      [10, "away.turn.test", NOBODY],
      [20, "ill.turn.test", "127.0.0.1"],
      [30, "well.turn.test", "127.0.0.2"],
    ]);
    for (const act of ["421 4.3.2 busy", "554 5.7.1 not you", "close", "silent", "hello"]) {
      mx.script = { on: (what) => (what === "(connect)" ? act : undefined) };
      expect(await gateway.sendOne("a@turn.test")).toMatchObject({
        result: "delivered",
        hop: { address: "127.0.0.2" },
      });
    }
    mx.script = { on: (what) => (what.startsWith("MAIL") ? "421 4.7.0 enough" : undefined) };
    const outcome = await gateway.sendOne("a@turn.test");
    expect(outcome).toMatchObject({ result: "delivered", hop: { address: "127.0.0.2" } });
    // What was tried can be read.
    const story = outcome.transcript.map((e) => `${e.command} ${e.reply.code} ${e.reply.text}`).join("\n");
    expect(story).toContain(`(connect) away.turn.test[${NOBODY}] 0 connection refused`);
    expect(story).toContain("421 enough");
  });

  it("are not asked again after an answer about the message", async () => {
    dns.domain("answer.test", [
      [10, "first.answer.test", "127.0.0.1"],
      [20, "second.answer.test", "127.0.0.2"],
    ]);
    for (const reply of ["450 4.2.1 later", "550 5.1.1 unknown"]) {
      mx.script = { on: (what) => (what.startsWith("RCPT") ? reply : undefined) };
      expect(await gateway.sendOne("a@answer.test")).toMatchObject({
        reply: { code: Number(reply.slice(0, 3)) },
      });
    }
    expect(other.sessions).toBe(0);
  });

  it("are asked over two sessions at the most", async () => {
    const hosts = [1, 2, 3, 4].map((n): [number, string, string] => [
      n,
      `h${n}.two.test`,
      n % 2 ? "127.0.0.1" : "127.0.0.2",
    ]);
    dns.domain("two.test", hosts);
    for (const server of [mx, other])
      server.script = { on: (what) => (what === "(connect)" ? "421 4.3.2 busy" : undefined) };
    expect(await gateway.sendOne("a@two.test")).toMatchObject({ result: "deferred", reply: { code: 421 } });
    expect(mx.sessions + other.sessions).toBe(2);
  });

  it("are tried at five addresses at the most", async () => {
    const hosts = Array.from({ length: 20 }, (_, n): [number, string, ...string[]] => [
      n,
      `h${n}.many.test`,
      ...[1, 2, 3, 4].map((m) => `127.0.${n + 1}.${m}`),
    ]);
    dns.domain("many.test", hosts);
    const outcome = await gateway.sendOne("a@many.test");
    expect(outcome).toMatchObject({
      result: "deferred",
      concerns: "destination",
      reply: { code: 0, enhanced: "4.4.1" },
    });
    expect(outcome.transcript.length).toBe(5);
  });

  it("see our source addresses in turn", async () => {
    const many = await new GatewayProcess(
      {
        EDGEPOST_DNS: dns.server,
        EDGEPOST_MX_PORT: String(mx.port),
        GATEWAY_SOURCE_ADDRESSES: "127.0.0.21, 127.0.0.22, ::1",
      },
      { idle: 0 },
    ).start();
    dns.domain("source.test", [[10, "mx.source.test", "127.0.0.1"]]);
    const seen: (string | undefined)[] = [];
    mx.script = {
      on: (what, { socket }) => {
        if (what === "(connect)") seen.push(socket.remoteAddress);
        return undefined;
      },
    };
    for (let i = 0; i < 4; i++) await many.sendOne("a@source.test");
    expect(seen.toSorted()).toEqual(["127.0.0.21", "127.0.0.21", "127.0.0.22", "127.0.0.22"]);
    await many.end();
  });

  it("may have IPv6 and IPv4 addresses", async () => {
    dns.domain("both.test", [[10, "mx.both.test", "0000:0000:0000:0000:0000:0000:0000:0001", "127.0.0.1"]]);
    expect(await gateway.sendOne("a@both.test")).toMatchObject({
      result: "delivered",
      hop: { address: "127.0.0.1" },
    });
  });

  it("may in part have no address that can be found", async () => {
    dns.names.set("half.test", {
      MX: [
        [10, "nowhere.half.test"],
        [20, "broken.half.test"],
        [30, "there.half.test"],
      ],
    });
    dns.names.set("broken.half.test", { fails: "SERVFAIL" });
    dns.names.set("there.half.test", { A: ["127.0.0.1"] });
    expect(await gateway.sendOne("a@half.test")).toMatchObject({ result: "delivered" });
  });

  it("are in the order of preference, at random among equals, and first where a connection waits", () => {
    const hosts = [
      { host: "b", preference: 20, addresses: ["4"] },
      { host: "a", preference: 10, addresses: ["1", "2", "3"] },
    ];
    const orders = new Set<string>();
    for (let i = 0; i < 200; i++)
      orders.add(
        candidatesOf(hosts, { has: () => false })
          .map((c) => c.address)
          .join(""),
      );
    expect([...orders].toSorted()).toEqual(["1234", "1324", "2134", "2314", "3124", "3214"]);
    for (let i = 0; i < 20; i++)
      expect(
        candidatesOf(hosts, { has: (_, address) => address === "3" || address === "4" })[0]?.address,
      ).toBe("3");
  });
});

describe("domains without MX hosts", () => {
  it("are asked at their own address (RFC 5321 §5.1)", async () => {
    dns.names.set("plain.test", { A: ["127.0.0.1"] });
    expect(await gateway.sendOne("a@plain.test")).toMatchObject({
      result: "delivered",
      hop: { host: "plain.test" },
    });
  });

  it("bounce at once when they take no mail (RFC 7505) or do not exist, and nobody is asked", async () => {
    dns.names.set("null.test", { MX: [[0, ""]], A: ["127.0.0.1"] });
    dns.names.set("nothing.test", { TXT: ["hello"] });
    const expected = { result: "bounced", concerns: "recipient" };
    expect(await gateway.sendOne("a@null.test")).toMatchObject({
      ...expected,
      reply: { code: 0, enhanced: "5.1.10" },
    });
    expect(await gateway.sendOne("a@nowhere.test")).toMatchObject({
      ...expected,
      reply: { enhanced: "5.1.2" },
    });
    expect(await gateway.sendOne("a@nothing.test")).toMatchObject({
      ...expected,
      reply: { enhanced: "5.1.2" },
    });
    expect(mx.sessions).toBe(0);
  });

  it("wait when DNS fails, whatever else may be", async () => {
    const expected = { result: "deferred", concerns: "destination", reply: { code: 0, enhanced: "4.4.3" } };
    dns.names.set("servfail.test", { fails: "SERVFAIL" });
    dns.names.set("silent.test", { fails: "silent" });
    dns.names.set("half-silent.test", { MX: [[10, "silent.test"]] });
    for (const domain of ["servfail.test", "silent.test", "half-silent.test"])
      expect(await gateway.sendOne(`a@${domain}`)).toMatchObject(expected);
  });

  it("wait when their MX hosts have no address", async () => {
    dns.names.set("lost.test", { MX: [[10, "mx.lost.test"]] });
    expect(await gateway.sendOne("a@lost.test")).toMatchObject({
      result: "deferred",
      reply: { enhanced: "4.4.4" },
    });
  });
});

describe("mail that would come back", () => {
  it("is refused when our own name is the best MX", async () => {
    dns.domain("loop.test", [[10, "gateway.test", "127.0.0.1"]]);
    expect(await gateway.sendOne("a@loop.test")).toMatchObject({
      result: "bounced",
      reply: { enhanced: "5.4.6" },
    });
    dns.domain("behind.test", [
      [10, "better.test", "127.0.0.1"],
      [20, "gateway.test", "127.0.0.2"],
    ]);
    expect(await gateway.sendOne("a@behind.test")).toMatchObject({
      result: "delivered",
      hop: { host: "better.test" },
    });
  });

  it("is never sent to private addresses in production", async () => {
    const production = await new GatewayProcess({
      EDGEPOST_DNS: dns.server,
      EDGEPOST_MX_PORT: String(mx.port),
      EDGEPOST_ALLOW_PRIVATE_MX: "",
    }).start();
    const addresses = [
      "127.0.0.1",
      "10.0.0.1",
      "192.168.1.1",
      "169.254.169.254",
      "0000:0000:0000:0000:0000:0000:0000:0001",
      "0000:0000:0000:0000:0000:ffff:7f00:0001",
      "fe80:0000:0000:0000:0000:0000:0000:0001",
    ];
    for (const [n, address] of addresses.entries()) {
      dns.domain(`private${n}.test`, [[10, `mx.private${n}.test`, address]]);
      const outcome = await production.sendOne(`a@private${n}.test`);
      expect(outcome).toMatchObject({ result: "deferred", reply: { enhanced: "4.4.4" }, transcript: [] });
    }
    expect(mx.sessions).toBe(0);
    await production.end();
  });
});
