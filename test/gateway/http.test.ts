/** The gateway's HTTP side: who may ask, what is refused, and what operators see. */
import { once } from "node:events";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { readConfig } from "../../src/gateway/config.ts";
import { newHttpServer } from "../../src/gateway/http.ts";
import { newMetrics } from "../../src/gateway/metrics.ts";
import { MAX_MESSAGE_BYTES } from "../../src/mail/egress.ts";
import { certificate } from "./certificate.ts";
import { frame, GatewayProcess, MESSAGE, SECRET } from "./gateway-process.ts";
import { ScriptedMx } from "./scripted-mx.ts";
import { TestDns } from "./test-dns.ts";

let dns: TestDns;
let mx: ScriptedMx;
let gateway: GatewayProcess;

beforeAll(async () => {
  dns = await new TestDns().listen();
  dns.domain("good.test", [[10, "mx.good.test", "127.0.0.1"]]);
  mx = await new ScriptedMx().listen();
  gateway = await new GatewayProcess({ EDGEPOST_DNS: dns.server, EDGEPOST_MX_PORT: String(mx.port) }).start();
});

afterAll(async () => {
  await gateway.end();
  await mx.stop();
  dns.stop();
});

beforeEach(() => {
  mx.taken.length = 0;
});

describe("/egress", () => {
  it.each([
    ["none", {}],
    ["another", { authorization: "Bearer something else" }],
    ["a part of it", { authorization: `Bearer ${SECRET.slice(0, -1)}` }],
    ["more than it", { authorization: `Bearer ${SECRET}x` }],
    ["another scheme", { authorization: `Basic ${SECRET}` }],
  ])("answers 401 to a secret that is wrong: %s", async (_, headers) => {
    const response = await gateway.post(frame({}, MESSAGE), { headers: headers as Record<string, string> });
    expect(response.status).toBe(401);
    expect(mx.taken).toEqual([]);
  });

  it("takes POST only", async () => {
    const headers = { authorization: `Bearer ${SECRET}` };
    expect((await fetch(`${gateway.url}/egress`, { headers })).status).toBe(405);
  });

  it("answers an empty request with no line", async () => {
    expect(await gateway.send()).toEqual([]);
  });

  const tooLarge = Buffer.alloc(8);
  tooLarge.writeUInt32BE(MAX_MESSAGE_BYTES + 1, 4);
  it.each([
    ["text", Buffer.from("this is no frame, but text that goes on")],
    ["a frame cut short", frame({}, MESSAGE).subarray(0, -1)],
    ["a frame too large", tooLarge],
    ["a header that is no JSON", Buffer.from([0, 0, 0, 2, 0, 0, 0, 0, 0x7b, 0x7b])],
    ["a key with spaces", frame({ key: "a b" }, MESSAGE)],
    ["a key with a line end", frame({ key: "a\nr 1 b {}" }, MESSAGE)],
    ["no recipients", frame({ recipients: [] }, MESSAGE)],
    ["a domain that is none", frame({ domain: "Good.test" }, MESSAGE)],
    ["a domain that is an address", frame({ domain: "[127.0.0.1]" }, MESSAGE)],
    ["no connections", frame({ connections: 0 }, MESSAGE)],
    ["an unknown wish for TLS", frame({ tls: "never" as "require" }, MESSAGE)],
  ])("answers 400 to %s, and sends nothing", async (_, body) => {
    const response = await gateway.post(body);
    expect(response.status).toBe(400);
    expect(mx.taken).toEqual([]);
  });

  it("acts on the frames before a malformed one, and leaves the response without its end", async () => {
    const body = Buffer.concat([frame({ key: "first/x/1" }, MESSAGE), frame({ key: "a b" }, MESSAGE)]);
    const response = await gateway.post(body);
    expect(response.status).toBe(200);
    await expect(response.text()).rejects.toThrow();
    expect(mx.taken.length).toBe(1);
    expect(await gateway.sendOne("a@good.test", { key: "first/x/1" })).toMatchObject({ result: "delivered" });
    expect(mx.taken.length).toBe(1);
  });

  it("acts on frames as they arrive, and answers each as it ends", async () => {
    const first = frame({ key: "early/x/1" }, MESSAGE);
    const second = frame({ key: "late/x/1" }, MESSAGE);
    const { readable, writable } = new TransformStream<Uint8Array>();
    const writer = writable.getWriter();
    void writer.write(first.subarray(0, 30));
    void writer.write(first.subarray(30));
    const response = await gateway.post(readable, { duplex: "half" } as RequestInit);
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    expect(JSON.parse((await reader?.read())?.value ?? "")).toMatchObject({ key: "early/x/1" });
    void writer.write(second);
    void writer.close();
    expect(JSON.parse((await reader?.read())?.value ?? "")).toMatchObject({ key: "late/x/1" });
    expect((await reader?.read())?.done).toBe(true);
  });
});

describe("a spool that could keep nothing", () => {
  it("is no reason not to send: only the front door is not ready", async () => {
    const folder = mkdtempSync(join(tmpdir(), "edgepost-full-"));
    const { cert, key } = await certificate("gateway.test");
    writeFileSync(join(folder, "cert.pem"), cert);
    writeFileSync(join(folder, "key.pem"), key);
    const full = await new GatewayProcess({
      EDGEPOST_DNS: dns.server,
      EDGEPOST_MX_PORT: String(mx.port),
      EDGEPOST_WORKER_URL: "http://127.0.0.1:9",
      GATEWAY_SMTP_LISTEN: "127.0.0.1:0:mx",
      GATEWAY_TLS_CERT: join(folder, "cert.pem"),
      GATEWAY_TLS_KEY: join(folder, "key.pem"),
      // No disk is emptier than empty.
      GATEWAY_SPOOL_LIMITS: JSON.stringify({ freeShare: 1.1 }),
    }).start();
    const ready = await fetch(`${full.url}/readyz`);
    expect([ready.status, await ready.text()]).toEqual([503, "the spool could keep nothing\n"]);
    expect(await full.sendOne("a@good.test")).toMatchObject({ result: "delivered" });
    await full.end();
  });
});

describe("the server", () => {
  const needs = {
    egress: { send: () => Promise.reject(new Error("nothing is sent here")) },
    metrics: newMetrics(() => 0),
    secret: SECRET,
    isStopping: () => false,
    isReady: () => true,
    log: () => undefined,
  };

  it("waits for no request for ever, whose sender may be gone without a word", () => {
    expect(newHttpServer(needs).requestTimeout).toBe(300_000);
  });

  it("goes on when a connection can't be accepted, as without file descriptors", async () => {
    const events: string[] = [];
    const server = newHttpServer({ ...needs, log: (event) => events.push(event) }).listen(0, "127.0.0.1");
    await once(server, "listening");
    server.emit("error", Object.assign(new Error("accept EMFILE"), { code: "EMFILE" }));
    expect(events).toEqual(["accept failed"]);
    server.close();
  });
});

describe("what operators see", () => {
  it("has health, readiness and metrics, and nothing else", async () => {
    const get = (path: string) => fetch(`${gateway.url}${path}`);
    expect([(await get("/healthz")).status, (await get("/readyz")).status, (await get("/")).status]).toEqual([
      200, 200, 404,
    ]);
    const metrics = await get("/metrics");
    expect(metrics.headers.get("content-type")).toContain("text/plain");
    const text = await metrics.text();
    expect(text).toContain("edgepost_egress_in_hand 0");
    // No address and no domain is a label.
    expect(text).not.toContain("good.test");
  });

  it("survives a path that is no URL, as anybody may ask for", async () => {
    expect((await fetch(`${gateway.url}//`)).status).toBe(404);
    expect((await fetch(`${gateway.url}/healthz`)).status).toBe(200);
  });

  it("says which port is taken, and exits 1", async () => {
    const port = new URL(gateway.url).port;
    const second = new GatewayProcess({ EDGEPOST_GATEWAY_HTTP_PORT: port });
    await expect(second.start()).rejects.toThrow(
      `exit 1: Port ${port} on 127.0.0.1 is taken; set EDGEPOST_GATEWAY_HTTP_PORT`,
    );
  });

  it.each([
    [{ GATEWAY_SECRET: "short" }, "GATEWAY_SECRET: needs 16 characters or more."],
    [{ GATEWAY_SECRET: SECRET, EDGEPOST_MX_PORT: "no" }, "EDGEPOST_MX_PORT: "],
    [{ GATEWAY_SECRET: SECRET, GATEWAY_NAME: "no name" }, "GATEWAY_NAME: is a host name."],
    [{ GATEWAY_SECRET: SECRET, GATEWAY_SPOOL_LIMITS: "{age: 1}" }, "GATEWAY_SPOOL_LIMITS: is not JSON."],
  ])("names the variable that is wrong: %o", (environment, message) => {
    expect(() => readConfig(environment)).toThrow(message);
  });
});
