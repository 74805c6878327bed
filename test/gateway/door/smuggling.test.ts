/** SMTP smuggling (CVE-2023-51764 to -51766) and its kin: no sequence of line ends makes two messages of one, plain or in TLS. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { newDoor, type Under } from "./doors.ts";
import { FakeWorker, INBOUND } from "./fake-worker.ts";
import { authPlain, SmtpClient } from "./smtp-client.ts";

const BEFORE = ["\n", "\r\n", "\r", "\n\n", "\r\n\0"];
const AFTER = ["\n", "\r\n", "\r", "\0\r\n"];
const SECOND =
  "MAIL FROM:<evil@elsewhere.test>\r\nRCPT TO:<victim@elsewhere.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nx";

let fake: FakeWorker;
let under: Under;
beforeAll(async () => {
  fake = await new FakeWorker().start();
  under = await newDoor(fake, { limits: { sessionsPerAddress: 200 } });
});
afterAll(async () => {
  await under.end();
  await fake.stop();
});

async function inData(isTls: boolean): Promise<SmtpClient> {
  const client = await SmtpClient.greeted(isTls ? under.ports[2] : under.ports[0], isTls);
  if (isTls) await client.ask(authPlain());
  await client.ask("MAIL FROM:<a@example.com>");
  await client.ask(`RCPT TO:<${isTls ? "b@elsewhere.test" : `hash@${INBOUND}`}>`);
  expect(await client.ask("DATA")).toMatch(/^354/);
  return client;
}

for (const isTls of [false, true])
  describe(isTls ? "in TLS" : "in clear", () => {
    for (const before of BEFORE)
      for (const after of AFTER) {
        const end = `${before}.${after}`;
        // The one that is an end, and is followed by an ordinary second message.
        if (end === "\r\n.\r\n") continue;
        it(`${JSON.stringify(end)} does not end a message`, async () => {
          const count = under.keeper.messages.length;
          const wire = `A: b\r\n\r\nfirst${end}${SECOND}\r\n.\r\n`;
          // Each byte of the sequence and its neighbours is where packets part once.
          for (let cut = 12; cut <= 14 + end.length; cut++) {
            const client = await inData(isTls);
            client.write(wire.slice(0, cut));
            await new Promise((resolve) => setTimeout(resolve, 2));
            client.write(wire.slice(cut));
            const replies = await client.rest();
            expect(replies.length, JSON.stringify(replies)).toBe(1);
            expect(replies[0]).toMatch(/^550 5\.(?:5\.2|6\.0) /);
          }
          expect(under.keeper.messages.length).toBe(count);
        });
      }

    it("takes the true end for one, at each byte, and the message behind it for a second", async () => {
      const end = "\r\n.\r\n";
      for (let cut = 0; cut <= end.length; cut++) {
        const count = under.keeper.messages.length;
        const client = await inData(isTls);
        client.write(`A: b\r\n\r\nfirst${end.slice(0, cut)}`);
        await new Promise((resolve) => setTimeout(resolve, 2));
        client.write(end.slice(cut));
        expect(await client.reply()).toMatch(/^250/);
        expect(under.keeper.body).toBe("A: b\r\n\r\nfirst\r\n");
        expect(under.keeper.messages.length).toBe(count + 1);
        client.close();
      }
    });
  });

describe("commands", () => {
  it("are not ended by a bare LF or CR, and a client that tries is sent away", async () => {
    const client = await SmtpClient.open(under.ports[0]);
    await client.reply();
    client.write("NOOP\rNOOP\r\n");
    expect(await client.reply()).toMatch(/^500 5\.5\.2/);
    client.write("NO\0OP\r\n");
    expect(await client.reply()).toMatch(/^500 5\.5\.2/);
    client.write("NOOP\nNOOP\n");
    expect(await client.rest()).toEqual([
      expect.stringMatching(/^500 5\.5\.2/),
      expect.stringMatching(/^421 4\.7\.0/),
    ]);
  });

  it("have a length, and what is too long is dropped to its end", async () => {
    const client = await SmtpClient.greeted(under.ports[0]);
    expect(await client.ask(`NOOP ${"x".repeat(4_091)}`)).toMatch(/^250/);
    expect(await client.ask(`NOOP ${"x".repeat(4_092)}`)).toMatch(/^500 5\.5\.2/);
    client.write("MAIL FROM:<a@b.test> ");
    for (let i = 0; i < 20; i++) client.write("RSET ".repeat(200));
    client.write("\r\nNOOP\r\n");
    expect(await client.reply()).toMatch(/^500 5\.5\.2/);
    expect(await client.reply()).toMatch(/^250 2\.0\.0/);
    client.write("x".repeat(1_100_000));
    expect(await client.rest()).toEqual([
      expect.stringMatching(/^500 5\.5\.2/),
      expect.stringMatching(/^421 4\.7\.0/),
    ]);
  });

  it("are not run when they come without an end, or after QUIT", async () => {
    const count = fake.logins.length;
    const client = await SmtpClient.greeted(under.ports[2], true);
    client.socket.end(authPlain());
    await client.rest();
    const other = await SmtpClient.greeted(under.ports[2], true);
    other.write(`QUIT\r\n${authPlain()}\r\n`);
    expect(await other.rest()).toEqual(["221 2.0.0 goodbye"]);
    expect(fake.logins.length).toBe(count);
  });

  it("that are HTTP end the session", async () => {
    const client = await SmtpClient.open(under.ports[0]);
    await client.reply();
    client.write(
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nEHLO x\r\nMAIL FROM:<a@b.test>\r\n",
    );
    expect(await client.rest()).toEqual([expect.stringMatching(/^421 4\.7\.0/)]);
  });

  it("that bring their message before the 354 end the session, where nobody has logged in", async () => {
    const client = await SmtpClient.greeted(under.ports[0]);
    const count = under.keeper.messages.length;
    client.write(`MAIL FROM:<a@b.test>\r\nRCPT TO:<hash@${INBOUND}>\r\nDATA\r\nA: b\r\n\r\nx\r\n.\r\n`);
    expect((await client.rest()).map((r) => r.slice(0, 9))).toEqual(["250 2.1.0", "250 2.1.5", "503 5.5.1"]);
    expect(under.keeper.messages.length).toBe(count);
  });
});
