/** The everyday of the front door: sessions that deliver, and what they are told. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bodyOf, newDoor, type Under } from "./doors.ts";
import { FakeWorker, INBOUND, TOKEN } from "./fake-worker.ts";
import { authPlain, SmtpClient } from "./smtp-client.ts";

const MAIL = "From: sender@example.com\r\nSubject: hello\r\n\r\nbody";

let fake: FakeWorker;
let under: Under;
beforeAll(async () => {
  fake = await new FakeWorker().start();
  under = await newDoor(fake);
});
afterAll(async () => {
  await under.end();
  await fake.stop();
});

describe("a session", () => {
  it("delivers after STARTTLS and AUTH, and names the message in its 250", async () => {
    const client = await SmtpClient.loggedIn(under.ports[1]);
    expect(await client.send(MAIL)).toBe(`250 2.0.0 OK queued as id-${under.keeper.messages.length}`);
    const message = under.keeper.messages.at(-1);
    expect(message?.account).toEqual({ serverId: 7, region: "local", shards: 2 });
    expect(message?.envelope).toEqual({
      reversePath: "sender@example.com",
      recipients: [{ address: "rcpt@elsewhere.test" }],
    });
    expect(bodyOf(message)).toBe(`${MAIL}\r\n`);
    expect(Buffer.from(message?.bytes ?? []).toString()).toMatch(
      /^Received: from client\.test\r\n\tby gateway\.test with ESMTPSA id [0-9a-v]{16};\r\n\t\w{3}, \d\d \w{3} \d{4} [\d:]{8} \+0000\r\n/,
    );
    expect(await client.ask("QUIT")).toBe("221 2.0.0 goodbye");
    expect(await client.rest()).toEqual([]);
  });

  it("delivers with TLS from the first byte", async () => {
    const client = await SmtpClient.greeted(under.ports[2], true);
    expect(await client.ask(authPlain())).toMatch(/^235 2\.7\.0 /);
    expect(await client.send(MAIL)).toMatch(/^250 2\.0\.0 OK queued as /);
    client.close();
  });

  it("takes mail for an own address without AUTH, and shows where it came from", async () => {
    const client = await SmtpClient.greeted(under.ports[0]);
    expect(await client.send(MAIL, [`hash@${INBOUND}`], "")).toBe("250 2.0.0 OK received");
    const message = under.keeper.messages.at(-1);
    expect(message?.account).toBeUndefined();
    expect(message?.envelope.reversePath).toBe("");
    expect(Buffer.from(message?.bytes ?? []).toString()).toMatch(
      /^Received: from client\.test \(\[127\.0\.0\.1\]\)\r\n\tby gateway\.test with ESMTP id /,
    );
    client.close();
  });

  it("announces what it can, and no AUTH in clear", async () => {
    const client = await SmtpClient.open(under.ports[1]);
    expect(await client.reply()).toBe("220 gateway.test ESMTP");
    const extensions =
      "250-gateway.test|250-PIPELINING|250-8BITMIME|250-SMTPUTF8|250-ENHANCEDSTATUSCODES|250-DSN|250-SIZE 10485760";
    expect(await client.ask("EHLO client.test")).toBe(`${extensions}|250 STARTTLS`);
    await client.startTls();
    expect(await client.ask("EHLO client.test")).toBe(`${extensions}|250 AUTH PLAIN LOGIN`);
    expect(await client.ask("HELO client.test")).toBe("250 gateway.test");
    client.close();
  });

  it("answers a whole transaction that comes in one packet, and the next one behind it", async () => {
    const client = await SmtpClient.loggedIn(under.ports[1]);
    const count = under.keeper.messages.length;
    const one = `MAIL FROM:<a@example.com>\r\nRCPT TO:<b@elsewhere.test>\r\nDATA\r\n${MAIL}\r\n.\r\n`;
    client.write(`${one}${one}QUIT\r\n`);
    const replies = await client.rest();
    expect(replies.map((r) => r.slice(0, 3)).join(" ")).toBe("250 250 354 250 250 250 354 250 221");
    expect(under.keeper.messages.length).toBe(count + 2);
  });

  it("keeps each line of dots, whole and in pieces of any size", async () => {
    const client = await SmtpClient.loggedIn(under.ports[1]);
    const body = "Subject: dots\r\n\r\n.\r\n..\r\n.x\r\nx.\r\n...\r\n\r\n.";
    const wire = `${body.replace(/^\./gm, "..")}\r\n.\r\n`;
    for (const size of [1, 2, 3, 5, 7, 1_000]) {
      await client.ask("MAIL FROM:<a@example.com>");
      await client.ask("RCPT TO:<b@elsewhere.test>");
      await client.ask("DATA");
      for (let at = 0; at < wire.length; at += size) {
        client.write(wire.slice(at, at + size));
        await new Promise((resolve) => setImmediate(resolve));
      }
      expect(await client.reply()).toMatch(/^250 /);
      expect(under.keeper.body).toBe(`${body}\r\n`);
    }
    client.close();
  });

  it("takes an empty message, and one of the announced size, and one byte more not", async () => {
    const client = await SmtpClient.loggedIn(under.ports[1]);
    const begin = async () => {
      await client.ask("MAIL FROM:<a@example.com>");
      await client.ask("RCPT TO:<b@elsewhere.test>");
      await client.ask("DATA");
    };
    await begin();
    client.write(".\r\n");
    expect(await client.reply()).toMatch(/^250 /);
    expect(under.keeper.body).toBe("");
    const line = `${"x".repeat(1_022)}\r\n`;
    const whole = `A: b\r\n\r\n${line.repeat(10_239)}${"x".repeat(1_014)}\r\n`;
    expect(whole.length).toBe(10_485_760);
    await begin();
    client.write(`${whole}.\r\n`);
    expect(await client.reply()).toMatch(/^250 /);
    expect(under.keeper.body === whole).toBe(true);
    await begin();
    client.write(`x${whole}.\r\n`);
    expect(await client.reply()).toMatch(/^552 5\.3\.4 /);
    // It was a mistake, and the session goes on.
    expect(await client.send(MAIL)).toMatch(/^250 /);
    expect(await client.ask("MAIL FROM:<a@example.com> SIZE=10485761")).toMatch(/^552 5\.3\.4 /);
    client.close();
  });

  it("hands the intake's refusals on word for word", async () => {
    const client = await SmtpClient.loggedIn(under.ports[1]);
    under.keeper.receipt = () => ({ reply: { code: 451, enhanced: "4.3.0", text: "the disk is\r\nsick" } });
    expect(await client.send(MAIL)).toBe("451 4.3.0 the disk is  sick");
    under.keeper.receipt = () => ({ messageId: "back" });
    under.keeper.refuses = { code: 452, enhanced: "4.3.1", text: "full" };
    expect(await client.ask("MAIL FROM:<a@example.com>")).toBe("452 4.3.1 full");
    under.keeper.refuses = undefined;
    expect(await client.send(MAIL)).toMatch(/^250 2\.0\.0 OK queued as back/);
    client.close();
  });

  it("answers each command in its place, with an enhanced code", async () => {
    const client = await SmtpClient.open(under.ports[1]);
    await client.reply();
    const table: [string, RegExp][] = [
      ["MAIL FROM:<a@b.test>", /^503 5\.5\.1/],
      ["EHLO", /^501 5\.5\.4/],
      ["ehlo client.test", /^250-/],
      ["MAIL FROM:<a@b.test>", /^530 5\.7\.0 must issue a STARTTLS/],
      ["AUTH PLAIN AAAA", /^538 5\.7\.11/],
      ["STARTTLS now", /^501 5\.5\.4/],
      ["NOOP anything", /^250 2\.0\.0/],
      ["VRFY root", /^252 2\.5\.0/],
      ["EXPN root", /^502 5\.5\.1/],
      ["HELP", /^214 2\.0\.0/],
      ["BDAT 5 LAST", /^500 5\.5\.1/],
      ["XCLIENT ADDR=1.2.3.4", /^500 5\.5\.1/],
      ["WIZ", /^500 5\.5\.1/],
      ["", /^500 5\.5\.1/],
      ["RSET", /^250 2\.0\.0/],
    ];
    for (const [command, answer] of table) expect(await client.ask(command), command).toMatch(answer);
    client.close();
    const tls = await SmtpClient.greeted(under.ports[2], true);
    const secure: [string, RegExp][] = [
      ["STARTTLS", /^503 5\.5\.1/],
      ["MAIL FROM:<a@b.test>", /^530 5\.7\.0 authentication required/],
      ["AUTH", /^501 5\.5\.4/],
      ["AUTH CRAM-MD5", /^504 5\.5\.4/],
      [authPlain(), /^235 2\.7\.0/],
      [authPlain(), /^503 5\.5\.1/],
      ["RCPT TO:<a@b.test>", /^503 5\.5\.1/],
      ["DATA", /^503 5\.5\.1/],
      ["MAIL FROM:a@b.test", /^501 5\.5\.4/],
      ["MAIL FROM:<a@b.test", /^501 5\.5\.4/],
      ["MAIL FROM:<a@b@c.test>", /^501 5\.1\.7/],
      ["MAIL FROM:<a@b.test> SIZE=big", /^501 5\.5\.4/],
      ["MAIL FROM:<a@b.test> SIZE=1 SIZE=1", /^501 5\.5\.4/],
      ["MAIL FROM:<a@b.test> BODY=BINARYMIME", /^501 5\.5\.4/],
      ["MAIL FROM:<a@b.test> FOO=bar", /^555 5\.5\.4/],
    ];
    for (const [command, answer] of secure) expect(await tls.ask(command), command).toMatch(answer);
    tls.close();
    const other = await SmtpClient.loggedIn(under.ports[1]);
    const transaction: [string, RegExp][] = [
      ["MAIL FROM: <a@b.test> BODY=8BITMIME AUTH=<>", /^250 2\.1\.0/],
      ["MAIL FROM:<a@b.test>", /^503 5\.5\.1/],
      [authPlain(), /^503 5\.5\.1/],
      ["RCPT TO:<>", /^550 5\.1\.3/],
      ["RCPT TO:<a@[127.0.0.1]>", /^550 5\.1\.2/],
      ['RCPT TO:<"a b"@c.test>', /^553 5\.1\.3/],
      ["RCPT TO:<a@b.test> NOTIFY=MAYBE", /^501 5\.5\.4/],
      ["DATA", /^554 5\.5\.1/],
      ["RCPT TO:<@relay.test,@other.test:a@B.Test>", /^250 2\.1\.5/],
      ["DATA now", /^501 5\.5\.4/],
    ];
    for (const [command, answer] of transaction) expect(await other.ask(command), command).toMatch(answer);
    expect(await other.ask("EHLO again.test")).toMatch(/^250-/);
    expect(await other.ask("DATA")).toMatch(/^503/);
    other.close();
  });

  it("hands DSN wishes, UTF-8 domains and repeated recipients on as an envelope", async () => {
    const client = await SmtpClient.loggedIn(under.ports[1]);
    await client.ask("MAIL FROM:<Söner@exämple.test> SMTPUTF8 RET=HDRS ENVID=QQ+2B314159");
    await client.ask("RCPT TO:<bob@B.Test> NOTIFY=SUCCESS,DELAY ORCPT=RFC822;bob+40b.test");
    await client.ask("RCPT TO:<x@bücher.test>");
    await client.ask("RCPT TO:<x@xn--bcher-kva.test>");
    expect(await client.ask("RCPT TO:<bücher@b.test>")).toMatch(/^550 5\.6\.7/);
    await client.ask("DATA");
    client.write("A: b\r\n\r\n.\r\n");
    expect(await client.reply()).toMatch(/^250/);
    const message = under.keeper.messages.at(-1);
    expect(message?.envelope).toEqual({
      reversePath: "Söner@xn--exmple-cua.test",
      recipients: [
        { address: "bob@b.test", notify: ["SUCCESS", "DELAY"], orcpt: "rfc822;bob@b.test" },
        { address: "x@xn--bcher-kva.test" },
      ],
      ret: "HDRS",
      envid: "QQ+314159",
    });
    expect(Buffer.from(message?.bytes ?? []).toString()).toContain("with UTF8SMTPSA id");
    for (const address of ["söner@b.test", "a@bücher.test"])
      expect(await client.ask(`MAIL FROM:<${address}>`)).toMatch(/^553 5\.6\.7/);
    await client.ask("MAIL FROM:<a@b.test>");
    expect(await client.ask("RCPT TO:<a@bücher.test>")).toMatch(/^553 5\.6\.7/);
    // As A-labels this is twice as long, and no Worker would take its batch.
    await client.ask("RSET");
    const grown = `${"é.".repeat(60)}test`;
    expect(await client.ask(`MAIL FROM:<a@${grown}> SMTPUTF8`)).toMatch(/^501 5\.1\.7/);
    client.close();
  });

  it("lets nothing that was learnt in clear count in TLS, nor what was injected behind STARTTLS", async () => {
    const client = await SmtpClient.greeted(under.ports[0]);
    await client.ask("MAIL FROM:<a@b.test>");
    client.write("STARTTLS\r\nEHLO injected\r\nMAIL FROM:<evil@b.test>\r\n");
    expect(await client.reply()).toMatch(/^220/);
    await client.secure();
    // EHLO is asked for again, and the MAIL of before is none.
    expect(await client.ask(`RCPT TO:<hash@${INBOUND}>`)).toMatch(/^503 5\.5\.1 EHLO/);
    await client.ask("EHLO client.test");
    expect(await client.ask(`RCPT TO:<hash@${INBOUND}>`)).toMatch(/^503 5\.5\.1 MAIL/);
    client.close();
  });

  it("tells the client's name only in letters that are harmless", async () => {
    const client = await SmtpClient.open(under.ports[0]);
    await client.reply();
    await client.ask('EHLO x(y)\\z;"ü<');
    await client.send(MAIL, [`hash@${INBOUND}`]);
    expect(Buffer.from(under.keeper.messages.at(-1)?.bytes ?? []).toString("latin1")).toMatch(
      /^Received: from x\?y\?\?z\?\?\?\? \(/,
    );
    expect(await client.ask("EHLO a\u0001b")).toMatch(/^501 5\.5\.4/);
    client.close();
  });

  it("keeps a message whose client is gone before the 250", async () => {
    let answer: (() => void) | undefined;
    under.keeper.receipt = () => new Promise((resolve) => (answer = () => resolve({ messageId: "unheard" })));
    const client = await SmtpClient.loggedIn(under.ports[1]);
    const sent = client.send(MAIL);
    while (!answer) await new Promise((resolve) => setImmediate(resolve));
    client.close();
    expect(await sent).toBe("closed");
    await new Promise((resolve) => setTimeout(resolve, 50));
    answer();
    under.keeper.receipt = () => ({ messageId: "x" });
    await new Promise((resolve) => setTimeout(resolve, 50));
    const { fields } = under.events.findLast(({ event }) => event === "message taken") ?? {};
    expect(fields).toMatchObject({ messageId: "unheard", unheard: true, server: 7 });
    // No addresses, no subject, no token.
    expect(JSON.stringify(under.events)).not.toMatch(/sender@|rcpt@|hello/);
    expect(JSON.stringify(under.events)).not.toContain(TOKEN);
  });
});
