/** Ports: TLS and its certificates, the PROXY protocol, and how the door closes. */
import { once } from "node:events";
import { renameSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { connect as connectTls, type PeerCertificate, type TLSSocket } from "node:tls";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readProxyHeader } from "../../../src/gateway/door/proxy-header.ts";
import { certificate } from "../certificate.ts";
import { listenerOf, newDoor, type Under, until } from "./doors.ts";
import { FakeWorker, INBOUND } from "./fake-worker.ts";
import { authPlain, SmtpClient } from "./smtp-client.ts";

let fake: FakeWorker;
beforeAll(async () => {
  fake = await new FakeWorker().start();
});
afterAll(() => fake.stop());

async function peerOf(port: number): Promise<PeerCertificate> {
  const client = await SmtpClient.openTls(port);
  const peer = (client.socket as TLSSocket).getPeerCertificate();
  client.close();
  return peer;
}

describe("TLS", () => {
  it("takes a new certificate without a restart, keeps the old one while the files do not fit, and drops no session", async () => {
    const under = await newDoor(fake);
    const open = await SmtpClient.loggedIn(under.ports[1]);
    expect((await peerOf(under.ports[2])).subject.CN).toBe("gateway.test");
    const { cert, key } = await certificate("second.test");
    writeFileSync(under.certFile, cert.slice(0, 300));
    await until(() => under.events.some(({ event }) => event === "certificate not usable"));
    writeFileSync(`${under.certFile}.new`, cert);
    renameSync(`${under.certFile}.new`, under.certFile);
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    // The key is still that of the first.
    expect((await peerOf(under.ports[2])).subject.CN).toBe("gateway.test");
    writeFileSync(under.keyFile, key);
    await until(async () => (await peerOf(under.ports[2])).subject.CN === "second.test");
    expect(await open.send("A: b\r\n\r\nx")).toMatch(/^250/);
    const other = await SmtpClient.greeted(under.ports[0]);
    await other.startTls();
    expect((other.socket as TLSSocket).getPeerCertificate().subject.CN).toBe("second.test");
    await under.end();
  });

  it("is 1.2 or newer, with ciphers that are good", async () => {
    const under = await newDoor(fake);
    const dial = (options: object) =>
      new Promise<string>((resolve) => {
        const socket = connectTls({
          port: under.ports[2],
          host: "127.0.0.1",
          rejectUnauthorized: false,
          ...options,
        });
        socket.on("secureConnect", () => resolve(`${socket.getProtocol()} ${socket.getCipher().name}`));
        socket.on("error", () => resolve("refused"));
      });
    expect(await dial({})).toMatch(/^TLSv1\.3 /);
    expect(await dial({ maxVersion: "TLSv1.2" })).toMatch(/^TLSv1\.2 ECDHE-RSA-.*(?:GCM|POLY1305)/);
    expect(await dial({ minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "ALL@SECLEVEL=0" })).toBe(
      "refused",
    );
    expect(await dial({ maxVersion: "TLSv1.2", ciphers: "ECDHE-RSA-AES128-SHA" })).toBe("refused");
    await until(async () => (await under.metric("edgepost_door_handshake_failures_total")) === 2);
    await under.end();
  });

  it("whose handshake stalls counts as a session, and is cut", async () => {
    const under = await newDoor(fake, { limits: { handshake: 1_000, sessionsPerAddress: 2 } });
    const silent = connect({ port: under.ports[2], host: "127.0.0.1" });
    const closed = once(silent.resume(), "close");
    const client = await SmtpClient.greeted(under.ports[0]);
    expect(await client.ask("STARTTLS")).toMatch(/^220/);
    await until(async () => (await under.metric("edgepost_door_sessions_open")) === 2);
    expect(await (await SmtpClient.open(under.ports[0])).reply()).toMatch(/^421/);
    await closed;
    await client.rest();
    expect(await (await SmtpClient.open(under.ports[0])).reply()).toMatch(/^220/);
    expect(await under.metric('edgepost_door_refused_total{reason="handshake"}')).toBe(2);
    await under.end();
  });

  it("that is no TLS at all ends one session and nothing else", async () => {
    const under = await newDoor(fake);
    for (const junk of ["EHLO x\r\n", "\x16\x03\x01\xff\xff\0", "GET / HTTP/1.0\r\n\r\n", "\0".repeat(500)]) {
      const client = await SmtpClient.open(under.ports[2]);
      client.write(junk);
      client.socket.end();
      await client.rest();
      const other = await SmtpClient.greeted(under.ports[0]);
      await other.ask("STARTTLS");
      other.write(junk);
      await other.socket.end();
      await other.rest();
    }
    await until(async () => (await under.metric("edgepost_door_sessions_open")) === 0);
    expect(await (await SmtpClient.greeted(under.ports[2], true)).ask(authPlain())).toMatch(/^235/);
    await under.end();
  });
});

describe("the PROXY protocol", () => {
  const v2 = (family: number, address: number[], command = 0x21) =>
    Buffer.concat([
      Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1"),
      Buffer.from([command, family, address.length >> 8, address.length & 255, ...address]),
    ]);
  const V2_IPV4 = v2(0x11, [203, 0, 113, 9, 127, 0, 0, 1, 0x12, 0x34, 0, 25]);
  const V2_IPV6 = v2(0x21, [
    0x20,
    1,
    0xd,
    0xb8,
    ...Array<number>(11).fill(0),
    7,
    ...Array<number>(16).fill(0),
    1,
    2,
    0,
    25,
  ]);

  it("is read in both versions, and says whose session it is", async () => {
    const listeners = [listenerOf("mx", true), listenerOf("tls", true)];
    const under = await newDoor(fake, { listeners, proxies: ["127.0.0.1"] });
    const headers: [string | Buffer, string][] = [
      ["PROXY TCP4 203.0.113.7 127.0.0.1 4711 25\r\n", "203.0.113.7"],
      ["PROXY TCP6 2001:DB8::7 ::1 4711 25\r\n", "2001:db8::7"],
      ["PROXY UNKNOWN\r\n", "127.0.0.1"],
      [V2_IPV4, "203.0.113.9"],
      [V2_IPV6, "2001:db8::7"],
      [v2(0x00, [], 0x20), "127.0.0.1"],
    ];
    for (const [header, address] of headers) {
      const client = await SmtpClient.open(under.ports[0]);
      // In two pieces, with the first command behind it.
      client.write(Buffer.from(header as string, "latin1").subarray(0, 5));
      await new Promise((resolve) => setTimeout(resolve, 5));
      client.write(
        Buffer.concat([
          Buffer.from(header as string, "latin1").subarray(5),
          Buffer.from("EHLO client.test\r\n"),
        ]),
      );
      expect(await client.reply()).toMatch(/^220/);
      expect(await client.reply()).toMatch(/^250-/);
      expect(await client.send("A: b\r\n\r\nx", [`hash@${INBOUND}`])).toMatch(/^250/);
      expect(under.keeper.messages.at(-1)?.remoteAddress).toBe(address);
      client.close();
    }
    const literal = "Received: from client.test ([IPv6:2001:db8::7])";
    expect(Buffer.from(under.keeper.messages[1]?.bytes ?? []).toString()).toContain(literal);
    const plain = await SmtpClient.open(under.ports[1]);
    plain.write("PROXY TCP4 203.0.113.7 127.0.0.1 4711 465\r\n");
    await plain.secure();
    expect(await plain.reply()).toMatch(/^220/);
    await until(
      () => under.events.filter(({ event }) => event === "session ended").length === headers.length,
    );
    await under.end();
    const ended = under.events
      .filter(({ event }) => event === "session ended")
      .map(({ fields }) => fields.address);
    expect(ended.at(-1)).toBe("203.0.113.7");
  });

  it("is what limits go by", async () => {
    const under = await newDoor(fake, {
      listeners: [listenerOf("mx", true)],
      proxies: ["127.0.0.1"],
      limits: { sessionsPerAddress: 1 },
    });
    const from = async (address: string) => {
      const client = await SmtpClient.open(under.ports[0]);
      client.write(`PROXY TCP6 ${address} ::1 4711 25\r\n`);
      return client.reply();
    };
    expect(await from("2001:db8::1")).toMatch(/^220/);
    expect(await from("2001:0db8:0:0::2")).toMatch(/^421 4\.7\.0/);
    expect(await from("2001:db8:0:1::1")).toMatch(/^220/);
    await under.end();
  });

  it("is believed from listed peers only, and must be there and well-formed", async () => {
    const listeners = [listenerOf("mx", true), listenerOf("mx")];
    const under = await newDoor(fake, { listeners, proxies: ["127.0.0.1"], limits: { handshake: 500 } });
    const bad = [
      "EHLO client.test\r\n",
      `PROXY TCP4 ${"1".repeat(200)}`,
      "PROXY TCP4 203.0.113.7\r\n",
      "PROXY TCP4 2001:db8::1 ::1 1 2\r\n",
      "PROXY TCP4 203.0.113.7 127.0.0.1 4711 25\n",
      "PROXY TCP4 203.0.113.7 127.0.0.1 99999 25\r\n",
      "PROXY TCP4 203.0.113.7\x01 127.0.0.1 1 25\r\n",
      v2(0x11, [203, 0]),
      v2(0x11, [203, 0, 113, 9, 127, 0, 0, 1, 0x12, 0x34, 0, 25], 0x11),
      // Nothing at all, until its time is over.
      "",
    ];
    for (const header of bad) {
      const client = await SmtpClient.open(under.ports[0]);
      client.write(Buffer.from(header as string, "latin1"));
      expect(await client.rest(), JSON.stringify(header)).toEqual([]);
    }
    const stranger = await SmtpClient.open(under.ports[0], { localAddress: "127.0.0.2" });
    stranger.write("PROXY TCP4 203.0.113.7 127.0.0.1 4711 25\r\n");
    expect(await stranger.rest()).toEqual([]);
    // Elsewhere it is a command, and none that is known.
    const other = await SmtpClient.greeted(under.ports[1]);
    expect(await other.ask("PROXY TCP4 203.0.113.7 127.0.0.1 4711 25")).toMatch(/^500/);
    expect(await under.metric("edgepost_door_sessions_open")).toBe(1);
    await under.end();
  });

  it("has no header that a part of it would be taken for", () => {
    for (const whole of [V2_IPV4, V2_IPV6, Buffer.from("PROXY TCP4 203.0.113.7 127.0.0.1 4711 25\r\n")]) {
      for (let length = 0; length < whole.length; length++)
        expect(readProxyHeader(whole.subarray(0, length))).toBe("more");
      expect(readProxyHeader(Buffer.concat([whole, Buffer.from("EHLO x\r\n")]))).toMatchObject({
        bytes: whole.length,
      });
    }
  });
});

describe("a door that closes", () => {
  async function inData(under: Under): Promise<SmtpClient> {
    const client = await SmtpClient.loggedIn(under.ports[1]);
    await client.ask("MAIL FROM:<a@b.test>");
    await client.ask("RCPT TO:<c@d.test>");
    expect(await client.ask("DATA")).toMatch(/^354/);
    return client;
  }

  it("sends away who is idle, lets messages come to their 250, and takes nobody new", async () => {
    const under = await newDoor(fake);
    let receive: (() => void) | undefined;
    const idle = await SmtpClient.loggedIn(under.ports[1]);
    const between = await SmtpClient.loggedIn(under.ports[1]);
    await between.ask("MAIL FROM:<a@b.test>");
    const arriving = await inData(under);
    arriving.write("A: b\r\n\r\nhalf");
    const waiting = await inData(under);
    under.keeper.receipt = () =>
      new Promise((resolve) => (receive = () => resolve({ messageId: "in time" })));
    waiting.write("A: b\r\n\r\nx\r\n.\r\n");
    await until(() => receive !== undefined);
    const ended = under.end(10_000);
    expect(await idle.rest()).toEqual(["421 4.3.2 the service is restarting, try again"]);
    expect(await between.rest()).toEqual(["421 4.3.2 the service is restarting, try again"]);
    const refused = connect({ port: under.ports[1], host: "127.0.0.1" });
    await expect(once(refused, "connect")).rejects.toMatchObject({ code: "ECONNREFUSED" });
    receive?.();
    expect((await waiting.rest()).map((r) => r.slice(0, 9))).toEqual(["250 2.0.0", "421 4.3.2"]);
    under.keeper.receipt = () => ({ messageId: "too" });
    arriving.write(" and half\r\n.\r\n");
    expect((await arriving.rest()).map((r) => r.slice(0, 9))).toEqual(["250 2.0.0", "421 4.3.2"]);
    await ended;
    expect(under.keeper.messages.length).toBe(2);
  });

  it("waits for nobody longer than it was told", async () => {
    const under = await newDoor(fake);
    const client = await inData(under);
    const handshake = connect({ port: under.ports[2], host: "127.0.0.1" }).on("error", () => undefined);
    await once(handshake, "connect");
    await under.end(200);
    expect(await client.rest()).toEqual([]);
    expect(await under.metric("edgepost_door_sessions_open")).toBe(0);
  });
});

describe("a port", () => {
  it("on :: takes IPv4 as well, where there is IPv6 and where there is none", async () => {
    const under = await newDoor(fake, { listeners: [{ host: "::", port: 0, kind: "mx", proxy: false }] });
    expect(await (await SmtpClient.greeted(under.ports[0])).ask("NOOP")).toMatch(/^250/);
    const client = await SmtpClient.greeted(under.ports[0]);
    await client.send("A: b\r\n\r\nx", [`hash@${INBOUND}`]);
    expect(under.keeper.messages.at(-1)?.remoteAddress).toBe("127.0.0.1");
    await under.end();
  });

  it("that is taken is named", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const { port } = other.address() as AddressInfo;
    const listeners = [{ host: "127.0.0.1", port, kind: "mx" as const, proxy: false }];
    await expect(newDoor(fake, { listeners })).rejects.toThrow(`Port ${port} is taken`);
    other.close();
  });
});
