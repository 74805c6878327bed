import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { newKeyPair } from "../../src/compose/keys.ts";
import type { Outcome, TransportName } from "../../src/mail/outcome.ts";
import { eventually, FakeOutbox, jobOf, keyOf, ScriptedGateway, TestWorker } from "./world.ts";

let outbox: FakeOutbox;
let gateway: ScriptedGateway;
let worker: TestWorker | undefined;

beforeEach(async () => {
  outbox = new FakeOutbox();
  gateway = await new ScriptedGateway().start();
});

afterEach(async () => {
  await worker?.stop();
  await gateway.stop();
});

async function start(
  config: Record<string, unknown> = {},
  more: Record<string, unknown> = {},
): Promise<TestWorker> {
  const gateways = [{ url: gateway.url, secret: "secret" }];
  worker = await new TestWorker({
    config: { gateways, handOverMs: 20_000, ...config },
    outbox,
    ...more,
  }).start();
  return worker;
}

const settledAs = (result: string) =>
  [...outbox.groups.values()].filter((g) => g.settled?.outcomes[0]?.result === result).length;

describe("deliver", () => {
  it("sends each message once with the exact bytes, settles it, and acks its job", async () => {
    const refs = [outbox.add("a.test"), outbox.add("a.test"), outbox.add("b.test")];
    const { said } = await (await start()).deliver([jobOf(...refs)]);
    expect(said).toEqual(["ack 0"]);
    expect(settledAs("delivered")).toBe(3);
    expect(gateway.sent.map((s) => s.consignment.key).toSorted()).toEqual(refs.map((r) => `${keyOf(r)}/1`));
    expect(gateway.sent[0]?.message).toBe(outbox.groups.get("m0/a.test")?.text);
    expect(gateway.sent[0]?.consignment.reversePath).toBe("b-1@bounces.example.com");
  });

  it("sends what starts together in one request", async () => {
    const refs = Array.from({ length: 30 }, (_, i) => outbox.add(`d${i}.test`));
    await (await start()).deliver([jobOf(...refs)]);
    expect(settledAs("delivered")).toBe(30);
    expect(gateway.requests).toBeLessThanOrEqual(5);
    expect(outbox.callsOf("claim").length).toBeLessThanOrEqual(5);
  });

  it("sends a job once that the queue brings twice at the same time", async () => {
    const job = jobOf(outbox.add("a.test"));
    const w = await start();
    const [one, two] = await Promise.all([w.deliver([job, job]), w.deliver([job])]);
    expect([one.said.toSorted(), two.said]).toEqual([["ack 0", "ack 1"], ["ack 0"]]);
    expect(gateway.sent.length).toBe(1);
  });

  it("reports a job that it can't read, and delivers the rest of the batch", async () => {
    const good = jobOf(outbox.add("a.test"));
    const bad = [{ v: 2, shard: "1/local/0", refs: [] }, "{", { v: 1, shard: "../x", refs: [{}] }, null];
    const { said } = await (await start()).deliver([bad[0], good, ...bad.slice(1)]);
    expect(said.toSorted()).toEqual(["ack 0", "ack 1", "ack 2", "ack 3", "ack 4"]);
    expect(settledAs("delivered")).toBe(1);
    await eventually("all are reported", () => outbox.logs.filter((l) => l.event === "poison").length === 4);
  });

  it("retries only the job whose Outbox can't be asked", async () => {
    outbox.failures.set("claim", 1);
    const w = await start();
    const { said } = await w.deliver([jobOf(outbox.add("a.test"))]);
    expect(said).toEqual(["retry 0"]);
    expect((await w.deliver([jobOf({ messageId: "m0", domain: "a.test" })])).said).toEqual(["ack 0"]);
    expect(gateway.sent.length).toBe(1);
  });

  it("keeps an outcome until the Outbox takes it", async () => {
    outbox.failures.set("settle", 2);
    await (await start()).deliver([jobOf(outbox.add("a.test"))]);
    expect(outbox.callsOf("settle").length).toBe(3);
    expect(settledAs("delivered")).toBe(1);
    expect(gateway.sent.length).toBe(1);
  });

  it("settles a fast domain while a slow one of the same batch still waits, and keeps the slow one's claim", async () => {
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    gateway.behave = async ({ domain }) => {
      if (domain === "slow.test") await released;
      return "delivered";
    };
    outbox.claimMs = 6_000;
    const slow = outbox.add("slow.test");
    const w = await start();
    const done = w.deliver([jobOf(slow, ...Array.from({ length: 20 }, () => outbox.add("fast.test")))]);
    await eventually("the fast ones are settled", () => settledAs("delivered") === 20);
    await eventually("the slow one's claim is renewed", () => outbox.callsOf("renew").length >= 2);
    expect((outbox.groups.get(keyOf(slow))?.claimedUntil ?? 0) > Date.now()).toBe(true);
    release();
    expect((await done).said).toEqual(["ack 0"]);
    expect(settledAs("delivered")).toBe(21);
  });

  it("holds 10,000 messages for a dead destination with few attempts and few calls", async () => {
    gateway.behave = async () => ({
      result: "deferred",
      concerns: "destination",
      reason: "connect timed out",
    });
    const refs = Array.from({ length: 10_000 }, () => outbox.add("dead.test"));
    const w = await start();
    for (let i = 0; i < refs.length; i += 2_000)
      await w.deliver(
        Array.from({ length: 20 }, (_, j) => jobOf(...refs.slice(i + j * 100, i + j * 100 + 100))),
      );
    expect(gateway.sent.length).toBeLessThanOrEqual(20);
    expect(outbox.calls.length).toBeLessThanOrEqual(60);
    const held = outbox.open().filter((g) => g.holds.length > 0);
    expect(held.length).toBe(10_000 - settledAs("deferred"));
    const hold = held.at(-1)?.holds.at(-1);
    expect(hold).toMatchObject({ domain: "dead.test", admit: 1 });
    expect(hold?.reason).toMatch(/^connect timed out; stopped since \d{4}-\d\d-\d\d \d\d:\d\d UTC$/);
    expect((hold?.until ?? 0) > Date.now()).toBe(true);
    expect((await w.describe("dead.test")).state).toBe("stopped");
  });

  it("leaves a message unsettled whose response was cut short, and learns its end from the journal", async () => {
    gateway.behave = async ({ domain }) => (domain === "cut.test" ? "cut" : "delivered");
    outbox.claimMs = 500;
    const ref = outbox.add("cut.test");
    const w = await start();
    expect((await w.deliver([jobOf(ref)])).said).toEqual(["ack 0"]);
    expect(outbox.open().length).toBe(1);
    await eventually(
      "the claim lapses",
      () => (outbox.groups.get(keyOf(ref))?.claimedUntil ?? 0) < Date.now(),
    );
    await w.deliver([jobOf(ref)]);
    expect(settledAs("delivered")).toBe(1);
    expect(gateway.sent.length).toBe(1);
  });

  it("goes to the next gateway when one is away, and says so when all are", async () => {
    const refs = [outbox.add("a.test"), outbox.add("b.test"), outbox.add("c.test")];
    const away = { url: "http://127.0.0.1:1", secret: "secret" };
    await (await start({ gateways: [away, { url: gateway.url, secret: "secret" }] })).deliver([
      jobOf(...refs),
    ]);
    expect(settledAs("delivered")).toBe(3);
    await worker?.stop();
    const last = outbox.add("d.test");
    await (await start({ gateways: [away] })).deliver([jobOf(last)]);
    const settled = outbox.groups.get(keyOf(last))?.settled;
    expect(settled?.outcomes[0]).toMatchObject({
      result: "deferred",
      concerns: "transport",
      reason: "gateway unreachable",
    });
  });

  it("takes a gateway that refuses the secret for one that is away", async () => {
    const ref = outbox.add("a.test");
    await (await start({ gateways: [{ url: gateway.url, secret: "wrong" }] })).deliver([jobOf(ref)]);
    expect(outbox.groups.get(keyOf(ref))?.settled?.outcomes[0]?.concerns).toBe("transport");
    expect(gateway.sent.length).toBe(0);
  });

  it("reads a message from its segment, and defers one whose bytes are missing", async () => {
    const text = "From: a@example.com\r\n\r\nfrom the segment\r\n";
    outbox.objects.set("s/1", text);
    const good = outbox.add("a.test", { segment: "s/1", text });
    const bad = outbox.add("a.test", { segment: "s/2" });
    await (await start()).deliver([jobOf(good, bad)]);
    expect(gateway.sent.map((s) => s.message)).toEqual([text]);
    expect(outbox.groups.get(keyOf(bad))?.settled?.outcomes[0]).toMatchObject({
      result: "deferred",
      reason: "the stored message was not found",
    });
  });

  it("delivers nothing from the sandbox and nothing to the test addresses, and never asks a gateway", async () => {
    const sandboxed = outbox.add("a.test", { transports: ["sandbox"] });
    const hole = outbox.add("blackhole.postmarkapp.com");
    const bounce = outbox.add("bounce-testing.postmarkapp.com", { local: "soft_bounce" });
    await (await start()).deliver([jobOf(sandboxed, hole, bounce)]);
    expect(gateway.requests).toBe(0);
    expect(settledAs("delivered")).toBe(2);
    expect(outbox.groups.get(keyOf(bounce))?.settled?.outcomes[0]).toMatchObject({
      result: "bounced",
      bounceType: "SoftBounce",
    });
  });

  it("maps the codes of Cloudflare's binding", async () => {
    const codes = [
      "E_RATE_LIMIT_EXCEEDED",
      "E_INTERNAL_SERVER_ERROR",
      "E_RECIPIENT_SUPPRESSED",
      "E_VALIDATION_ERROR",
    ];
    outbox.sendEmail = (_from, to) => {
      const code = codes.find((c) => to.toUpperCase().startsWith(c));
      return code ? { code } : { messageId: "<1@cf>" };
    };
    const refs = [...codes, "fine"].map((c, i) =>
      outbox.add(`d${i}.test`, { local: c.toLowerCase(), transports: ["cloudflare"] }),
    );
    await (await start({ cloudflare: true })).deliver([jobOf(...refs)]);
    const ends = refs.map((r) => outbox.groups.get(keyOf(r))?.settled?.outcomes[0]);
    expect(ends.map((o) => `${o?.result} ${o?.concerns}`)).toEqual([
      "deferred destination",
      "deferred transport",
      "bounced recipient",
      "bounced recipient",
      "delivered recipient",
    ]);
    expect(outbox.callsOf("sendEmail")[0]?.args[0]).toBe("sender@example.com");
  });

  it("sends through Cloudflare's own binding what it would refuse as it is", async () => {
    const text = [
      "DKIM-Signature: v=1; a=rsa-sha256;",
      "  b=abc",
      "Received: from somewhere",
      "From: =?utf-8?q?J=C3=BCrgen?=",
      " <sender@example.com>",
      "To: someone@a.test",
      "Message-ID: <1@example.com>",
      "",
      "Hello",
      "",
    ].join("\r\n");
    const ref = outbox.add("a.test", { transports: ["cloudflare"], text });
    await (await start({ sendEmail: true })).deliver([jobOf(ref)]);
    expect(outbox.groups.get(keyOf(ref))?.settled?.outcomes[0]).toMatchObject({
      result: "delivered",
      reason: "",
    });
  });

  it("signs an unsigned message alike on every try, and hands the signature over", async () => {
    const { privateKey } = await newKeyPair("ed25519-sha256");
    const keys = [{ domain: "example.com", selector: "s", algorithm: "ed25519-sha256", privateKey }];
    gateway.behave = async ({ key }) => (key.endsWith("/1") ? "deferred" : "delivered");
    const ref = outbox.add("a.test", { signed: false });
    const w = await start({ keys });
    await w.deliver([jobOf(ref)]);
    const group = outbox.groups.get(keyOf(ref));
    const signature = group?.settled?.signature ?? "";
    expect(signature).toMatch(/^DKIM-Signature:[\s\S]*\r\n$/);
    if (group) Object.assign(group, { settled: undefined, attempts: 1, claimedUntil: 0 });
    await w.deliver([jobOf(ref)]);
    const messages = gateway.sent.map((s) => s.message);
    expect(messages).toEqual([`${signature}${group?.text}`, `${signature}${group?.text}`]);
  });

  it("goes another way for a destination that blocks the gateway, and for that one only", async () => {
    gateway.behave = async ({ domain }) =>
      domain === "strict.test" ? { result: "bounced", reply: BLOCKED, concerns: "destination" } : "delivered";
    const ways: { transports: TransportName[] } = { transports: ["gateway", "cloudflare"] };
    const first = Array.from({ length: 3 }, () => outbox.add("strict.test", ways));
    const persist = mkdtempSync(join(tmpdir(), "edgepost-destination-"));
    const w = await start({ cloudflare: true }, { persist });
    await w.deliver([jobOf(...first)]);
    const described = await w.describe("strict.test");
    expect(described.detours).toMatchObject([
      { transport: "gateway", evidence: "550 5.7.1 blocked by spamhaus", count: 3 },
    ]);
    await w.kill();
    const again = await start({ cloudflare: true }, { persist });
    const strict = outbox.add("strict.test", ways);
    const only = outbox.add("strict.test");
    const other = outbox.add("other.test", ways);
    await again.deliver([jobOf(strict, only, other)]);
    const by = (ref: typeof strict) => outbox.groups.get(keyOf(ref))?.settled?.transport;
    expect([by(strict), by(only), by(other)]).toEqual(["cloudflare", "gateway", "gateway"]);
  });
});

describe("domains that a provider hosts", () => {
  const hop = { host: "aspmx.l.google.com", address: "127.0.0.1", tls: "" };

  it("count to the provider once a mail server of its has answered, each message sent once", async () => {
    gateway.behave = async () => ({ result: "delivered", hop });
    const refs = Array.from({ length: 60 }, (_, i) => outbox.add(i % 2 ? "acme.test" : "zeta.test"));
    const w = await start();
    await w.deliver([jobOf(...refs)]);
    for (const ref of refs) expect(outbox.groups.get(keyOf(ref))?.settled?.transport).toBe("gateway");
    expect(gateway.sent.length).toBe(60);
    const own = await w.describe("acme.test");
    const google = await w.describe("gmail.com");
    expect(google.recent).not.toEqual([]);
    expect(own.goesTo).toBe("gmail.com");
    expect(google.goesTo).toBeUndefined();
    expect(Number(google.window)).toBeGreaterThan(Number(own.window));
    expect([own.underWay, google.underWay]).toEqual([0, 0]);
  });

  it("wait together when the provider takes nothing more, and nobody else does", async () => {
    const stopped: Partial<Outcome> = {
      result: "deferred",
      concerns: "destination",
      reply: { code: 451, enhanced: "4.3.0", text: "local error" },
      hop,
    };
    gateway.behave = async () => ({ result: "delivered", hop });
    const w = await start();
    await w.deliver([jobOf(outbox.add("acme.test"), outbox.add("zeta.test"))]);
    gateway.behave = async ({ domain }) => (domain === "other.test" ? "delivered" : stopped);
    await w.deliver([jobOf(...Array.from({ length: 8 }, () => outbox.add("acme.test")))]);
    expect((await w.describe("gmail.com")).state).toBe("stopped");
    const before = gateway.sent.length;
    const zeta = outbox.add("zeta.test");
    const other = outbox.add("other.test");
    await w.deliver([jobOf(zeta, other)]);
    expect(outbox.groups.get(keyOf(zeta))?.holds.length).toBe(1);
    expect(outbox.groups.get(keyOf(other))?.settled?.outcomes[0]?.result).toBe("delivered");
    expect(gateway.sent.length).toBe(before + 1);
  });
});

describe("domains behind one filter", () => {
  const hop = { host: "mxa-00123456.gslb.pphosted.com", address: "127.0.0.1", tls: "" };
  const full: Partial<Outcome> = {
    result: "deferred",
    concerns: "destination",
    reply: { code: 451, enhanced: "4.3.0", text: "local error for <someone@acme.test>" },
    hop,
  };

  it("have its rule each for themselves: one that takes nothing stops nobody else", async () => {
    gateway.behave = async () => ({ result: "delivered", hop });
    const w = await start();
    await w.deliver([jobOf(...Array.from({ length: 100 }, () => outbox.add("acme.test")))]);
    await w.deliver([jobOf(outbox.add("zeta.test"))]);
    const learned = await w.describe("acme.test");
    expect(learned).toMatchObject({ hostedBy: "pphosted.com", perSecond: 30, connections: { allowed: 15 } });
    expect(learned.goesTo).toBeUndefined();
    gateway.behave = async ({ domain }) => (domain === "acme.test" ? full : { result: "delivered", hop });
    await w.deliver([jobOf(...Array.from({ length: 8 }, () => outbox.add("acme.test")))]);
    expect(await w.describe("acme.test")).toMatchObject({ state: "stopped" });
    const zeta = outbox.add("zeta.test");
    await w.deliver([jobOf(zeta)]);
    expect(outbox.groups.get(keyOf(zeta))?.settled?.outcomes[0]?.result).toBe("delivered");
    expect((await w.describe("pphosted.com")).recent).toEqual([]);
  });

  it("tell nobody whom others wrote to", async () => {
    gateway.behave = async () => full;
    const w = await start();
    await w.deliver([jobOf(...Array.from({ length: 8 }, () => outbox.add("acme.test")))]);
    const { stop } = (await w.describe("acme.test")) as unknown as { stop: { reason: string } };
    expect(stop.reason).toBe("451 4.3.0 local error for <…@acme.test>");
    expect(JSON.stringify(await w.describe("acme.test"))).not.toContain("someone@");
  });

  it("are tried at once when somebody says so, and go on when they are back", async () => {
    gateway.behave = async () => full;
    const persist = mkdtempSync(join(tmpdir(), "edgepost-destination-"));
    const w = await start({}, { persist });
    await w.deliver([jobOf(...Array.from({ length: 8 }, () => outbox.add("acme.test")))]);
    await w.kill();
    const again = await start({}, { persist });
    gateway.behave = async () => ({ result: "delivered", hop });
    const held = outbox.add("acme.test");
    await again.deliver([jobOf(held)]);
    expect(outbox.groups.get(keyOf(held))?.holds.length).toBe(1);
    await again.resume("acme.test");
    expect(await again.describe("acme.test")).toMatchObject({ state: "to be probed" });
    await again.deliver([jobOf(held)]);
    expect(outbox.groups.get(keyOf(held))?.settled?.outcomes[0]?.result).toBe("delivered");
    expect(await again.describe("acme.test")).toMatchObject({ state: "open" });
  });
});

const BLOCKED = { code: 550, enhanced: "5.7.1", text: "blocked by spamhaus" };

describe("the local queue", () => {
  it("brings the next batch while a delivery of the last one takes long", async () => {
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    gateway.behave = async ({ domain }) => {
      if (domain === "slow.test") await released;
      return "delivered";
    };
    const w = await start({ handOverMs: 0 }, { batchSize: 1 });
    const slow = outbox.add("slow.test");
    await w.send([jobOf(slow)]);
    await eventually("the slow one is claimed", () => outbox.callsOf("claim").length === 1);
    await w.send([jobOf(outbox.add("fast.test"))]);
    await eventually("the fast one is settled", () => settledAs("delivered") === 1);
    expect(outbox.groups.get(keyOf(slow))?.settled).toBeUndefined();
    release();
    await eventually("the slow one is settled", () => settledAs("delivered") === 2);
  });
});

describe("the Destination's memory", () => {
  it("keeps why it is stopped when workerd is killed", async () => {
    gateway.behave = async () => ({
      result: "deferred",
      concerns: "destination",
      reason: "connection refused",
    });
    const persist = mkdtempSync(join(tmpdir(), "edgepost-destination-"));
    const w = await start({}, { persist });
    await w.deliver([jobOf(...Array.from({ length: 8 }, () => outbox.add("dead.test")))]);
    const before = await w.describe("dead.test");
    expect(before.state).toBe("stopped");
    await w.kill();
    const again = await start({}, { persist });
    expect(await again.describe("dead.test")).toMatchObject({ state: "stopped", stop: before.stop });
    const late = outbox.add("dead.test");
    await again.deliver([jobOf(late)]);
    expect(outbox.groups.get(keyOf(late))?.holds.length).toBe(1);
  });

  it("sends a message once whose consumer was killed while the gateway worked on it", async () => {
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    let isAtWork = false;
    gateway.behave = async () => {
      isAtWork = true;
      await released;
      return "delivered";
    };
    outbox.claimMs = 500;
    const ref = outbox.add("a.test");
    const w = await start();
    const cut = w.deliver([jobOf(ref)]).catch(() => undefined);
    await eventually("the gateway has it", () => isAtWork);
    await w.kill();
    await cut;
    release();
    await eventually("the gateway is done", () => gateway.sent.length === 1);
    await (await start()).deliver([jobOf(ref)]);
    expect(settledAs("delivered")).toBe(1);
    expect(gateway.sent.length).toBe(1);
  });
});
