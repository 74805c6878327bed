/** What the MX does for each local part of contract/local.md, over real SMTP. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Dialog, refusalOf, until, World } from "./world.ts";

const MEGABYTE = `${"x".repeat(70)}\r\n`.repeat(14_563);

let world: World;
beforeAll(async () => {
  world = await World.start();
});
afterAll(() => world.remove());

describe("the MX, by the recipient's local part", () => {
  it("takes anything else, and has it in the inbox exactly as it came", async () => {
    const text = ".dot\r\n..dots\r\nGrüße \u{1F600}\r\n";
    const response = await world.send({ to: "anyone@a.example", id: "plain", text, subject: "As it came" });
    expect(response).toMatch(/^250 2\.6\.0 /);
    const [message] = await world.inbox({ to: "anyone@a.example" });
    expect(message).toMatchObject({
      envelope: { from: "sender@example.com", to: ["anyone@a.example"] },
      tls: true,
      helo: "client.test",
    });
    expect(message?.raw.endsWith(`\r\n\r\n${text}`)).toBe(true);
  });

  it("keeps bytes that are no UTF-8", async () => {
    const raw = Buffer.from("Subject: latin\r\n\r\nGr\xfc\xdfe\r\n", "latin1");
    const transport = world.transport();
    await transport.sendMail({ envelope: { from: "a@example.com", to: "latin@a.example" }, raw });
    transport.close();
    const [message] = await world.inbox({ to: "latin@a.example" });
    const response = await fetch(`${world.http}/inbox/${message?.id}/raw`);
    expect(Buffer.from(await response.arrayBuffer())).toEqual(raw);
  });

  it("hard-bounce: 550 5.1.1 at RCPT", async () => {
    const refusal = await refusalOf(world.send({ to: "hard-bounce-7@a.example" }));
    expect(refusal.response).toMatch(/^550 5\.1\.1 /);
    expect(refusal).toMatchObject({ command: "RCPT TO" });
  });

  it("blocked: 550 5.7.1 after DATA, as spam", async () => {
    const refusal = await refusalOf(world.send({ to: "blocked@a.example" }));
    expect(refusal.response).toMatch(/^550 5\.7\.1 .*spam/);
    expect(refusal).toMatchObject({ command: "DATA" });
    expect(await world.inbox({ to: "blocked@a.example" })).toEqual([]);
  });

  it("mailbox-full: 452 4.2.2 at RCPT, always", async () => {
    for (let i = 0; i < 3; i++) {
      const refusal = await refusalOf(world.send({ to: "mailbox-full@a.example" }));
      expect(refusal.response).toMatch(/^452 4\.2\.2 /);
    }
  });

  it("greylist: 451 4.7.1 in the first session, also when it asks twice, 250 in a later one", async () => {
    const first = await Dialog.open(world.mxPort);
    expect(await first.message("greylist@a.example")).toMatch(/^451 4\.7\.1 /);
    await first.say("RSET");
    expect(await first.message("greylist@a.example")).toMatch(/^451 4\.7\.1 /);
    first.socket.destroy();
    expect(await world.send({ to: "greylist@a.example" })).toMatch(/^250 /);
    const other = await refusalOf(world.send({ to: "greylist@a.example", from: "other@example.com" }));
    expect(other.responseCode).toBe(451);
  });

  it("slow: 250, ten seconds after the dot", async () => {
    expect(await world.send({ to: "slow@a.example" })).toMatch(/^250 /);
    const [message] = await world.inbox({ to: "slow@a.example" });
    expect((message?.repliedAt ?? 0) - (message?.receivedAt ?? 0)).toBeGreaterThanOrEqual(9_990);
  });

  it("throttle: 421 4.7.0 to the third connection of a domain, and no other domain's", async () => {
    const to = "throttle@busy.example";
    const [one, two, three, elsewhere] = await Promise.all([1, 2, 3, 4].map(() => Dialog.open(world.mxPort)));
    expect(await one?.message(to)).toMatch(/^250 /);
    expect(await two?.message(to)).toMatch(/^250 /);
    expect(await three?.message(to)).toMatch(/^421 4\.7\.0 /);
    expect(await three?.reply()).toBe("");
    expect(await elsewhere?.message("throttle@calm.example")).toMatch(/^250 /);
    one?.socket.destroy();
    // The MX sees that it closed a moment later.
    await until("a third connection is let in", async () => {
      const next = await Dialog.open(world.mxPort);
      const reply = await next.message(to);
      next.socket.destroy();
      return reply.startsWith("250") || undefined;
    });
    two?.socket.destroy();
    elsewhere?.socket.destroy();
  });

  it("throttle: 421 4.7.0 to a stream of messages", async () => {
    const dialog = await Dialog.open(world.mxPort);
    const replies: string[] = [];
    while (replies.length < 500 && !replies.at(-1)?.startsWith("421"))
      replies.push(await dialog.message("throttle@stream.example"));
    expect(replies.at(-1)).toMatch(/^421 4\.7\.0 /);
    expect(replies.slice(0, 10).every((reply) => reply.startsWith("250"))).toBe(true);
  });

  it.each([
    ["small", "Some text.\r\n"],
    ["of a megabyte", MEGABYTE],
  ])("drop: closes twice in the middle of a message that is %s, then takes it", async (name, text) => {
    const sending = { to: `drop-${name.length}@a.example`, id: `drop-${name.length}`, text };
    for (let i = 0; i < 2; i++) {
      const refusal = await refusalOf(world.send(sending));
      expect(refusal.responseCode).toBeUndefined();
    }
    expect(await world.inbox({ to: sending.to })).toEqual([]);
    expect(await world.send(sending)).toMatch(/^250 /);
    expect(await world.inbox({ to: sending.to })).toHaveLength(1);
  });

  it("after-dot: takes the message and closes without a reply, once", async () => {
    const sending = { to: "after-dot@a.example", id: "after-dot" };
    expect((await refusalOf(world.send(sending))).responseCode).toBeUndefined();
    expect(await world.inbox({ to: sending.to })).toHaveLength(1);
    expect(await world.send(sending)).toMatch(/^250 /);
    const copies = await world.inbox({ to: sending.to });
    expect(copies.map((message) => message.repliedAt === null)).toEqual([false, true]);
  });

  it.each(["late-bounce", "complain", "out-of-office", "reply"])("%s: 250", async (local) => {
    expect(await world.send({ to: `${local}@a.example` })).toMatch(/^250 /);
  });

  it("answers each recipient of one message on its own", async () => {
    const to = ["fine@mix.example", "hard-bounce@mix.example", "mailbox-full@mix.example"];
    const transport = world.transport();
    const sent = await transport.sendMail({
      envelope: { from: "a@example.com", to },
      raw: "Subject: x\r\n\r\nx\r\n",
    });
    transport.close();
    expect(sent.accepted).toEqual(["fine@mix.example"]);
    expect(sent.rejected).toEqual(to.slice(1));
    expect((await world.inbox({ to: "fine@mix.example" }))[0]?.envelope.to).toEqual(["fine@mix.example"]);
  });

  it("refuses a message that is larger than its SIZE", async () => {
    const dialog = await Dialog.open(world.mxPort);
    expect(await dialog.say("MAIL FROM:<a@example.com> SIZE=100000000")).toMatch(/^552 5\.3\.4 /);
    dialog.socket.destroy();
  });
});

describe("STARTTLS of the MX", () => {
  it("has a certificate for its name, from the world's own authority", async () => {
    const ca = readFileSync(join(world.home, "world", "ca.pem"));
    const tls = { ca, servername: "mx.world.test", rejectUnauthorized: true };
    expect(await world.send({ to: "verified@a.example", tls })).toMatch(/^250 /);
  });

  it("badtls: its host has a certificate for another name", async () => {
    const ca = readFileSync(join(world.home, "world", "ca.pem"));
    const host = "127.0.0.3";
    const strict = { ca, servername: "badtls.mx.world.test", rejectUnauthorized: true };
    const refusal = await refusalOf(world.send({ to: "x@badtls.a.example", host, tls: strict }));
    expect(String(refusal)).toMatch(/does not match/);
    const loose = { ...strict, rejectUnauthorized: false };
    expect(await world.send({ to: "x@badtls.a.example", host, tls: loose })).toMatch(/^250 /);
  });

  it("notls: its host offers none", async () => {
    const dialog = await Dialog.open(world.mxPort, "127.0.0.2");
    expect(await dialog.say("STARTTLS")).toMatch(/^5/);
    expect(await dialog.message("x@notls.a.example")).toMatch(/^250 /);
    expect((await world.inbox({ to: "x@notls.a.example" }))[0]?.tls).toBe(false);
    dialog.socket.destroy();
  });

  it("takes notls and badtls as local parts like any other", async () => {
    for (const to of ["notls@a.example", "badtls@a.example"])
      expect(await world.send({ to })).toMatch(/^250 /);
  });
});
