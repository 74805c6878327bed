/** Nobody relays through the front door without a login, on any port and with any trick; and our own domains' mail is taken. */
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { newDoor, newState, type Under, until } from "./doors.ts";
import { FakeWorker, INBOUND } from "./fake-worker.ts";
import { SmtpClient } from "./smtp-client.ts";

const RELAYS = [
  "<victim@elsewhere.test>",
  `<victim%elsewhere.test@${INBOUND}>`,
  `<elsewhere.test!victim@${INBOUND}>`,
  `<@${INBOUND}:victim@elsewhere.test>`,
  `<@elsewhere.test,@${INBOUND}:victim@elsewhere.test>`,
  `<@elsewhere.test:hash@${INBOUND}>`,
  `<"victim@elsewhere.test"@${INBOUND}>`,
  `<"victim%elsewhere.test"@${INBOUND}>`,
  `<victim@elsewhere.test@${INBOUND}>`,
  `<victim@${INBOUND}@elsewhere.test>`,
  `<hash@${INBOUND}@>`,
  "<victim@[127.0.0.1]>",
  "<victim@[IPv6:::1]>",
  "<victim@127.0.0.1>",
  "<victim@localhost>",
  "<victim>",
  "<postmaster>",
  `<hash@x.${INBOUND}>`,
  `<hash@${INBOUND}.>`,
  `<hash@${INBOUND}.elsewhere.test>`,
  `<victim@elsewhere.test,hash@${INBOUND}>`,
  `<victim@elsewhere.test>,<hash@${INBOUND}>`,
  `victim@elsewhere.test <hash@${INBOUND}>`,
  `<hash@${INBOUND}\u2028>`,
  "<>",
  `<hash|sh@${INBOUND}>`,
];

let fake: FakeWorker;
let under: Under;
beforeAll(async () => {
  fake = await new FakeWorker().start();
  under = await newDoor(fake, { limits: { errors: 100 }, authInClear: true });
});
afterAll(async () => {
  await under.end();
  await fake.stop();
});

describe("relaying", () => {
  for (const from of ["<>", "<a@elsewhere.test>", `<hash@${INBOUND}>`])
    it(`is refused in all its forms, from ${from}`, async () => {
      const client = await SmtpClient.greeted(under.ports[0]);
      expect(await client.ask(`MAIL FROM:${from} SMTPUTF8`)).toMatch(/^250 2\.1\.0/);
      for (const to of RELAYS) expect(await client.ask(`RCPT TO:${to}`), to).toMatch(/^5\d\d 5\.\d\.\d /);
      expect(await client.ask("DATA")).toMatch(/^554 5\.5\.1/);
      expect(fake.asked.filter((a) => !a.endsWith(`@${INBOUND}`))).toEqual([]);
      client.close();
    });

  it("is not even begun on the ports for submission", async () => {
    for (const [port, isTls] of [
      [under.ports[1], false],
      [under.ports[2], true],
    ] as const) {
      const client = await SmtpClient.greeted(port, isTls);
      expect(await client.ask("MAIL FROM:<a@b.test>")).toBe("530 5.7.0 authentication required");
      expect(await client.ask(`RCPT TO:<hash@${INBOUND}>`)).toMatch(/^503/);
      client.close();
    }
  });
});

describe("mail for our own domains", () => {
  it("is taken for addresses that the Worker knows, and asked about once", async () => {
    const client = await SmtpClient.greeted(under.ports[0]);
    await client.ask("MAIL FROM:<a@b.test>");
    expect(await client.ask(`RCPT TO:<hash@${INBOUND.toUpperCase()}>`)).toMatch(/^250 2\.1\.5/);
    const count = fake.asked.length;
    expect(await client.ask(`RCPT TO:<hash@${INBOUND}>`)).toMatch(/^250 2\.1\.5/);
    expect(await client.ask(`RCPT TO:<nobody@${INBOUND}>`)).toMatch(/^550 5\.1\.1/);
    expect(await client.ask(`RCPT TO:<nobody@${INBOUND}>`)).toMatch(/^550 5\.1\.1/);
    expect(await client.ask("RCPT TO:<pm.abc@bounces.example.com>")).toMatch(/^250 2\.1\.5/);
    expect(fake.asked.length).toBe(count + 2);
    client.close();
  });

  it("is taken by a gateway that is restarted while the Worker is away", async () => {
    const state = newState();
    const first = await newDoor(fake, { state });
    const client = await SmtpClient.greeted(first.ports[0]);
    await client.ask("MAIL FROM:<>");
    expect(await client.ask(`RCPT TO:<hash@${INBOUND}>`)).toMatch(/^250/);
    await first.end();
    const gone = await new FakeWorker().start();
    await gone.stop();
    const second = await newDoor(gone, { state });
    const other = await SmtpClient.greeted(second.ports[0]);
    expect(await other.send("A: b\r\n\r\nx", [`anybody@${INBOUND}`], "")).toBe("250 2.0.0 OK received");
    await other.ask("MAIL FROM:<>");
    expect(await other.ask("RCPT TO:<victim@elsewhere.test>")).toMatch(/^550 5\.7\.1/);
    await second.end();
  });

  it("is put off when nobody knows which domains are ours", async () => {
    const away = await new FakeWorker().start();
    away.mode = "500";
    const door = await newDoor(away);
    const client = await SmtpClient.greeted(door.ports[0]);
    await client.ask("MAIL FROM:<>");
    expect(await client.ask(`RCPT TO:<hash@${INBOUND}>`)).toMatch(/^451 4\.3\.0/);
    away.mode = "nonsense";
    expect(await client.ask(`RCPT TO:<hash@${INBOUND}>`)).toMatch(/^451 4\.3\.0/);
    away.mode = "ok";
    expect(await client.ask(`RCPT TO:<hash@${INBOUND}>`)).toMatch(/^250/);
    await door.end();
    await away.stop();
  });
});

describe("a list of recipients", () => {
  it("has an end, and the same address does not count twice", async () => {
    const door = await newDoor(fake, { limits: { recipients: 3 } });
    const client = await SmtpClient.loggedIn(door.ports[1]);
    await client.ask("MAIL FROM:<a@b.test>");
    for (const to of ["a@x.test", "b@x.test", "a@X.test", "c@x.test"])
      expect(await client.ask(`RCPT TO:<${to}>`)).toMatch(/^250/);
    expect(await client.ask("RCPT TO:<d@x.test>")).toMatch(/^452 4\.5\.3/);
    expect(await client.ask("RCPT TO:<b@x.test> NOTIFY=NEVER")).toMatch(/^250/);
    await client.ask("DATA");
    client.write(".\r\n");
    expect(await client.reply()).toMatch(/^250/);
    expect(door.keeper.messages.at(-1)?.envelope.recipients.map((r) => r.address)).toEqual([
      "a@x.test",
      "b@x.test",
      "c@x.test",
    ]);
    await door.end();
  });
});

describe("a flood of connections", () => {
  it("of one address is turned away with a word, and others still come in", async () => {
    const door = await newDoor(fake, { limits: { sessions: 6, sessionsPerAddress: 4 } });
    const open: SmtpClient[] = [];
    for (let i = 0; i < 4; i++) open.push(await SmtpClient.greeted(door.ports[0]));
    const fifth = await SmtpClient.open(door.ports[0]);
    expect(await fifth.rest()).toEqual([expect.stringMatching(/^421 4\.7\.0/)]);
    for (let i = 0; i < 2; i++) {
      const other = await SmtpClient.open(door.ports[0], { localAddress: "127.0.0.2" });
      expect(await other.reply()).toMatch(/^220/);
      open.push(other);
    }
    const last = await SmtpClient.open(door.ports[0], { localAddress: "127.0.0.3" });
    expect(await last.rest()).toEqual([expect.stringMatching(/^421 4\.3\.2/)]);
    expect(await door.metric('edgepost_door_refused_total{reason="sessions per address"}')).toBe(1);
    expect(await door.metric('edgepost_door_refused_total{reason="sessions"}')).toBe(1);
    open[0]?.close();
    await until(async () => (await door.metric("edgepost_door_sessions_open")) === 5);
    expect(await (await SmtpClient.open(door.ports[0])).reply()).toMatch(/^220/);
    // A thousand that come and go at once leave nothing behind.
    await Promise.all(
      Array.from({ length: 1_000 }, async () => {
        const socket = connect({ port: door.ports[0], host: "127.0.0.1" });
        socket.on("error", () => undefined);
        await new Promise((resolve) => socket.once("connect", resolve).once("close", resolve));
        socket.resetAndDestroy();
      }),
    );
    expect(await open[1]?.ask("NOOP")).toMatch(/^250/);
    await until(async () => (await door.metric("edgepost_door_sessions_open")) <= 6);
    await door.end();
  });

  it("is not what a pool of fifty is that starts before any of it has logged in", async () => {
    const door = await newDoor(fake);
    const pool = await Promise.all(Array.from({ length: 50 }, () => SmtpClient.open(door.ports[1])));
    const greetings = await Promise.all(pool.map((client) => client.reply()));
    expect(greetings.filter((text) => !text.startsWith("220"))).toEqual([]);
    await door.end();
  });

  it("lets more of them in from where somebody has logged in", async () => {
    const door = await newDoor(fake, { limits: { sessionsPerAddress: 1, sessionsPerKnownAddress: 3 } });
    const first = await SmtpClient.loggedIn(door.ports[1]);
    const second = await SmtpClient.greeted(door.ports[1]);
    const third = await SmtpClient.greeted(door.ports[1]);
    const fourth = await SmtpClient.open(door.ports[1]);
    expect(await fourth.reply()).toMatch(/^421 4\.7\.0/);
    for (const client of [first, second, third]) expect(await client.ask("NOOP")).toMatch(/^250/);
    await door.end();
  });

  it("lets more of them in from where somebody sends mail who has logged in hours ago", async () => {
    const door = await newDoor(fake, { limits: { sessionsPerAddress: 1, sessionsPerKnownAddress: 2 } });
    const start = Date.now();
    const first = await SmtpClient.loggedIn(door.ports[1]);
    vi.useFakeTimers({ toFake: ["Date"], now: start + 50 * 60_000 });
    try {
      expect(await first.send("A: b\r\n\r\nx")).toMatch(/^250/);
      vi.setSystemTime(start + 100 * 60_000);
      const second = await SmtpClient.open(door.ports[1]);
      expect(await second.reply()).toMatch(/^220/);
    } finally {
      vi.useRealTimers();
    }
    await door.end();
  });
});
