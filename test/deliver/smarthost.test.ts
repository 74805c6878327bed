import { mkdtempSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import selfsigned from "selfsigned";
import { SMTPServer } from "smtp-server";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { FakeOutbox, TestWorker } from "./world.ts";

/** A relay that wants TLS and AUTH, with a certificate that workerd is told to trust. */
let certificate: { cert: string; private: string };
let world: typeof import("./world.ts");
let outbox: FakeOutbox;
let worker: TestWorker | undefined;
let relay: SMTPServer | undefined;
let got: { from: string; to: string[]; raw: string; user: string; secure: boolean }[] = [];
let connections = 0;

beforeAll(async () => {
  const names = [{ type: 2 as const, value: "localhost" }];
  const made = await selfsigned.generate([{ name: "commonName", value: "localhost" }], {
    keySize: 2048,
    extensions: [
      { name: "basicConstraints", cA: true },
      { name: "subjectAltName", altNames: names },
    ],
  });
  certificate = { cert: made.cert, private: made.private };
  const file = join(mkdtempSync(join(tmpdir(), "edgepost-ca-")), "ca.pem");
  writeFileSync(file, certificate.cert);
  // Read by Miniflare when it is loaded, and handed to workerd.
  process.env.NODE_EXTRA_CA_CERTS = file;
  world = await import("./world.ts");
});

afterAll(() => {
  delete process.env.NODE_EXTRA_CA_CERTS;
});

beforeEach(() => {
  outbox = new world.FakeOutbox();
  got = [];
  connections = 0;
});

afterEach(async () => {
  await worker?.stop();
  await new Promise<void>((resolve) => (relay ? relay.close(() => resolve()) : resolve()));
  relay = undefined;
});

async function startRelay(secure: boolean, more: object = {}): Promise<number> {
  relay = new SMTPServer({
    secure,
    cert: certificate.cert,
    key: certificate.private,
    authMethods: ["PLAIN", "LOGIN"],
    onConnect(_session, callback) {
      connections++;
      callback();
    },
    onAuth(auth, _session, callback) {
      if (auth.password === "right") callback(null, { user: auth.username });
      else callback(Object.assign(new Error("5.7.8 wrong"), { responseCode: 535 }));
    },
    onRcptTo({ address }, _session, callback) {
      if (address.startsWith("nobody"))
        callback(Object.assign(new Error("5.1.1 no such user"), { responseCode: 550 }));
      else if (address.startsWith("full"))
        callback(Object.assign(new Error("4.2.2 full"), { responseCode: 452 }));
      else callback();
    },
    onData(stream, session, callback) {
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("end", () => {
        const raw = Buffer.concat(chunks).toString();
        if (raw.includes("refuse-me"))
          return callback(Object.assign(new Error("5.6.0 no"), { responseCode: 554 }));
        const { mailFrom, rcptTo } = session.envelope;
        const from = mailFrom ? mailFrom.address : "";
        got.push({
          from,
          to: rcptTo.map((r) => r.address),
          raw,
          user: String(session.user),
          secure: session.secure,
        });
        callback(null, "2.0.0 queued");
      });
    },
    ...more,
  });
  relay.on("error", () => undefined);
  await new Promise<void>((resolve) => relay?.listen(0, "127.0.0.1", resolve));
  return (relay.server.address() as AddressInfo).port;
}

async function startWorker(port: number, secure: boolean, more: object = {}): Promise<TestWorker> {
  const smarthost = {
    host: "localhost",
    port,
    secure,
    user: "me",
    pass: "right",
    name: "edge.test",
    ...more,
  };
  worker = await new world.TestWorker({
    config: { smarthost, gateways: [], handOverMs: 20_000 },
    outbox,
  }).start();
  return worker;
}

const add = (local: string, more: object = {}) =>
  outbox.add("r.test", { recipients: [`${local}@r.test`], transports: ["smarthost"], ...more });
const end = (ref: { messageId: string; domain: string }) =>
  outbox.groups.get(world.keyOf(ref))?.settled?.outcomes ?? [];

describe("smarthost", () => {
  for (const secure of [false, true])
    it(`sends the exact bytes with AUTH, by ${secure ? "TLS from the first byte" : "STARTTLS"}`, async () => {
      const text = "From: Sender <sender@example.com>\r\n\r\nHello\r\n.dot\r\n..two\r\nÿ\r\n";
      const ref = add("someone", { text });
      await (await startWorker(await startRelay(secure), secure)).deliver([world.jobOf(ref)]);
      expect(end(ref)[0]).toMatchObject({
        result: "delivered",
        reply: { code: 250, enhanced: "2.0.0", text: "queued" },
      });
      expect(got).toEqual([
        { from: "b-1@bounces.example.com", to: ["someone@r.test"], raw: text, user: "me", secure: true },
      ]);
    });

  it("gives each recipient its own end", async () => {
    const recipients = ["fine@r.test", "nobody@r.test", "full@r.test"];
    const ref = add("", { recipients });
    await (await startWorker(await startRelay(false), false)).deliver([world.jobOf(ref)]);
    expect(end(ref).map((o) => [o.recipient, o.result, o.reply.code, o.reply.enhanced, o.concerns])).toEqual([
      ["fine@r.test", "delivered", 250, "2.0.0", "recipient"],
      ["nobody@r.test", "bounced", 550, "5.1.1", "recipient"],
      ["full@r.test", "deferred", 452, "4.2.2", "recipient"],
    ]);
    expect(got[0]?.to).toEqual(["fine@r.test"]);
  });

  it("bounces what is refused after the data or by every RCPT, and goes on with the next message", async () => {
    const refused = add("someone", { text: "From: a@example.com\r\n\r\nrefuse-me\r\n" });
    const nobody = add("nobody");
    const fine = add("someone");
    await (await startWorker(await startRelay(false), false)).deliver([world.jobOf(refused, nobody, fine)]);
    expect([refused, nobody, fine].map((r) => [end(r)[0]?.result, end(r)[0]?.reply.code])).toEqual([
      ["bounced", 554],
      ["bounced", 550],
      ["delivered", 250],
    ]);
  });

  it("uses few connections for many messages", async () => {
    const refs = Array.from({ length: 40 }, () => add("someone"));
    await (await startWorker(await startRelay(false), false)).deliver([world.jobOf(...refs)]);
    expect(got.length).toBe(40);
    expect(connections).toBeLessThanOrEqual(3);
  });

  it("bounces nothing when the relay refuses our password, or its certificate is not for its name", async () => {
    const wrong = add("someone");
    const port = await startRelay(false);
    await (await startWorker(port, false, { pass: "wrong" })).deliver([world.jobOf(wrong)]);
    expect(end(wrong)[0]).toMatchObject({ result: "deferred", concerns: "transport", reply: { code: 535 } });
    await worker?.stop();
    const named = add("someone");
    await (await startWorker(port, false, { host: "127.0.0.1" })).deliver([world.jobOf(named)]);
    expect(end(named)[0]).toMatchObject({ result: "deferred", concerns: "transport", uncertain: false });
    expect(got).toEqual([]);
  });

  it("is told when the relay hangs up on our password, and the message waits", async () => {
    const port = await startRelay(false, {
      onAuth() {
        for (const connection of relay?.connections ?? []) connection._socket.destroy();
      },
    });
    const refs = Array.from({ length: 5 }, (_, i) => add(`r${i}`));
    await (await startWorker(port, false)).deliver([world.jobOf(...refs)]);
    for (const ref of refs)
      expect(end(ref)[0]).toMatchObject({ result: "deferred", concerns: "transport", uncertain: false });
  });

  it("says that it is uncertain when the relay goes away after the final dot", async () => {
    const ref = add("someone");
    const port = await startRelay(false, {
      onData(stream: NodeJS.ReadableStream) {
        stream.on("data", () => undefined);
        stream.on("end", () => {
          for (const connection of relay?.connections ?? []) connection._socket.destroy();
        });
      },
    });
    await (await startWorker(port, false)).deliver([world.jobOf(ref)]);
    expect(end(ref)[0]).toMatchObject({ result: "deferred", uncertain: true });
    expect(end(ref)[0]?.reason).toBe("connection lost after the final dot");
  });

  it("takes a message by the relay when no gateway can be reached", async () => {
    const ref = add("someone", { transports: ["gateway", "smarthost"] });
    await (await startWorker(await startRelay(false), false)).deliver([world.jobOf(ref)]);
    const settled = outbox.groups.get(world.keyOf(ref))?.settled;
    expect([settled?.transport, settled?.outcomes[0]?.result]).toEqual(["smarthost", "delivered"]);
  });
});
