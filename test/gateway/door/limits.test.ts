/** What a session may take: time, silence, commands, errors, headers; and that one which takes too much holds up nobody else. */
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { headerRefusal } from "../../../src/gateway/door/header-check.ts";
import { newDoor, type Under, until } from "./doors.ts";
import { FakeWorker, INBOUND } from "./fake-worker.ts";
import { authPlain, SmtpClient } from "./smtp-client.ts";

let fake: FakeWorker;
beforeAll(async () => {
  fake = await new FakeWorker().start();
});
afterAll(() => fake.stop());

async function withDoor(
  limits: Parameters<typeof newDoor>[1],
  run: (under: Under) => Promise<void>,
): Promise<void> {
  const under = await newDoor(fake, limits);
  await run(under);
  await under.end();
}

async function inData(under: Under): Promise<SmtpClient> {
  const client = await SmtpClient.loggedIn(under.ports[1]);
  await client.ask("MAIL FROM:<a@b.test>");
  await client.ask("RCPT TO:<c@d.test>");
  expect(await client.ask("DATA")).toMatch(/^354/);
  return client;
}

describe("a session", () => {
  it("that is silent is ended, also within a command", () =>
    withDoor({ limits: { idle: 300 } }, async (under) => {
      const silent = await SmtpClient.open(under.ports[0]);
      const half = await SmtpClient.greeted(under.ports[0]);
      half.write("NOO");
      expect((await silent.rest()).at(-1)).toMatch(/^421 4\.4\.2/);
      expect((await half.rest()).at(-1)).toMatch(/^421 4\.4\.2/);
      expect(await under.metric('edgepost_door_refused_total{reason="idle"}')).toBe(2);
    }));

  it("that waits for us is not ended for its silence", () =>
    withDoor({ limits: { idle: 200 } }, async (under) => {
      const client = await SmtpClient.greeted(under.ports[2], true);
      fake.tokens.add("asked about slowly");
      fake.delayMs = 900;
      expect(await client.ask(authPlain("asked about slowly"))).toMatch(/^235/);
      fake.delayMs = 0;
    }));

  it("has a receipt however long that takes", () =>
    withDoor({ limits: { idle: 200 } }, async (under) => {
      under.keeper.receipt = () =>
        new Promise((resolve) => setTimeout(() => resolve({ messageId: "late" }), 900));
      const client = await SmtpClient.loggedIn(under.ports[1]);
      expect(await client.send("A: b\r\n\r\nx")).toBe("250 2.0.0 OK queued as late");
    }));

  it("ends after its time, which is shorter without a login", () =>
    withDoor({ limits: { sessionWithoutAuth: 400, session: 1_500 } }, async (under) => {
      const known = await SmtpClient.loggedIn(under.ports[1]);
      const unknown = await SmtpClient.greeted(under.ports[0]);
      const talk = setInterval(() => unknown.write("NOOP\r\n"), 50);
      expect((await unknown.rest()).at(-1)).toMatch(/^421 4\.4\.2/);
      clearInterval(talk);
      expect(await known.ask("NOOP")).toMatch(/^250/);
      expect((await known.rest()).at(-1)).toMatch(/^421 4\.4\.2/);
    }));

  it("that talks without mail, or only makes mistakes, is ended", () =>
    withDoor({ limits: { commandsWithoutMail: 10, errors: 5 } }, async (under) => {
      const idler = await SmtpClient.greeted(under.ports[0]);
      idler.write("NOOP\r\n".repeat(20));
      const said = await idler.rest();
      expect(said.length).toBe(10);
      expect(said.at(-1)).toMatch(/^421 4\.7\.0/);
      const clumsy = await SmtpClient.greeted(under.ports[0]);
      clumsy.write("FOO\r\n".repeat(20));
      const answers = await clumsy.rest();
      expect(answers.map((a) => a.slice(0, 3))).toEqual(["500", "500", "500", "500", "500", "421"]);
      // Whoever sends mail may go on.
      const client = await SmtpClient.loggedIn(under.ports[1]);
      for (let i = 0; i < 5; i++) {
        for (let j = 0; j < 4; j++) expect(await client.ask("FOO")).toMatch(/^500/);
        expect(await client.send("A: b\r\n\r\nx")).toMatch(/^250/);
        for (let j = 0; j < 4; j++) expect(await client.ask("RSET")).toMatch(/^250/);
      }
    }));

  it("that does not read its replies does not fill our memory", () =>
    withDoor({ limits: { commandsWithoutMail: 1_000_000 } }, async (under) => {
      const socket = connect({ port: under.ports[0], host: "127.0.0.1" });
      socket.on("error", () => undefined);
      await new Promise((resolve) => socket.once("connect", resolve));
      socket.pause();
      const many = "HELP\r\n".repeat(20_000);
      let isHeld = false;
      for (let i = 0; i < 400 && !isHeld; i++) {
        socket.write(many);
        await new Promise((resolve) => setTimeout(resolve, 5));
        // Ours are read no more, so that theirs pile up over there.
        isHeld = socket.writableLength > 4_000_000;
      }
      expect(isHeld).toBe(true);
      const other = await SmtpClient.greeted(under.ports[0]);
      expect(await other.ask("NOOP")).toMatch(/^250/);
      socket.destroy();
    }));
});

describe("a message", () => {
  it("that drips is cut, by its rate and by its time, while others are delivered", () =>
    withDoor({ limits: { data: 4_000, dataBytesPerSecond: 200, idle: 60_000 } }, async (under) => {
      const slow = await inData(under);
      const drip = setInterval(() => slow.write("x"), 50);
      const fast = await inData(under);
      const flow = setInterval(() => fast.write("x".repeat(50)), 50);
      const other = await SmtpClient.loggedIn(under.ports[1]);
      expect(await other.send("A: b\r\n\r\nx")).toMatch(/^250/);
      expect(await slow.rest()).toEqual([expect.stringMatching(/^421 4\.4\.2 /)]);
      clearInterval(drip);
      expect(await fast.rest()).toEqual([expect.stringMatching(/^421 4\.4\.2 /)]);
      clearInterval(flow);
      expect(await under.metric('edgepost_door_messages_total{result="too slow"}')).toBe(2);
      expect(under.keeper.messages.length).toBe(1);
    }));

  it("without an end is cut at twice the size", () =>
    withDoor({}, async (under) => {
      const client = await inData(under);
      const piece = Buffer.alloc(1_000_000, "x");
      for (let i = 0; i < 22; i++) client.write(piece);
      expect(await client.rest()).toEqual([expect.stringMatching(/^552 5\.3\.4/)]);
    }));

  it("that is left in the middle is lost, and nothing else is", () =>
    withDoor({}, async (under) => {
      const client = await inData(under);
      client.write("A: b\r\n\r\nhalf");
      client.socket.end();
      await client.rest();
      await until(async () => (await under.metric('edgepost_door_messages_total{result="lost"}')) === 1);
      expect(under.keeper.messages.length).toBe(0);
    }));

  it("has room though two thousand strangers have announced one, and send nothing", () =>
    withDoor({ limits: { sessionsPerAddress: 5_000 } }, async (under) => {
      const begin = `EHLO x\r\nMAIL FROM:<a@b.test> SIZE=130000\r\nRCPT TO:<hash@${INBOUND}>\r\nDATA\r\n`;
      const strangers: SmtpClient[] = [];
      while (strangers.length < 2_200) {
        const some = await Promise.all(Array.from({ length: 100 }, () => SmtpClient.open(under.ports[0])));
        for (const one of some) one.write(begin);
        // The greeting, and the replies to the four.
        for (let i = 0; i < 4; i++) for (const one of some) await one.reply();
        for (const one of some) expect(await one.reply()).toMatch(/^354/);
        strangers.push(...some);
      }
      const client = await SmtpClient.loggedIn(under.ports[1]);
      expect(await client.send(`A: b\r\n\r\n${"x".repeat(100_000)}`)).toMatch(/^250/);
      for (const one of strangers) one.close();
    }));

  it("has a header within bounds", () =>
    withDoor({}, async (under) => {
      const client = await SmtpClient.loggedIn(under.ports[1]);
      const hop = "Received: from a by b; Wed, 25 Nov 2026 00:00:00 +0000\r\n";
      expect(await client.send(`${hop.repeat(50)}\r\nx`)).toMatch(/^250/);
      expect(await client.send(`${hop.repeat(51)}\r\nx`)).toMatch(/^554 5\.4\.6/);
      expect(await client.send(`${"rEcEiVeD: x\r\n".repeat(51)}\r\nx`)).toMatch(/^554 5\.4\.6/);
      expect(await client.send(`A: b\r\n\r\n${hop.repeat(60)}`)).toMatch(/^250/);
      expect(await client.send(`${"X: y\r\n".repeat(1_001)}\r\nx`)).toMatch(/^554 5\.6\.0/);
      expect(await client.send(`X: ${"y".repeat(102_400)}\r\n\r\nx`)).toMatch(/^552 5\.3\.4/);
      expect(await client.send(`X: y${"\r\n y".repeat(30_000)}\r\n\r\nx`)).toMatch(/^552 5\.3\.4/);
      expect(await client.send(`${`X: ${"y".repeat(50_000)}\r\n`.repeat(6)}\r\nx`)).toMatch(/^552 5\.3\.4/);
      expect(await client.send(`A: b\r\n\r\n${"x".repeat(500_000)}`)).toMatch(/^250/);
    }));

  it("without a body or a header is one all the same", () => {
    const limits = { headerBytes: 100, headerFields: 10, receivedFields: 1 };
    expect(headerRefusal(Buffer.from(""), limits)).toBeUndefined();
    expect(headerRefusal(Buffer.from("\r\nReceived: x\r\nReceived: x\r\n"), limits)).toBeUndefined();
    expect(headerRefusal(Buffer.from("Received: x\r\nReceived: x"), limits)?.code).toBe(554);
  });
});
