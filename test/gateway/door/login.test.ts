/** Logins: what is good, what is not, and what is known while the Worker is away. */
import { mkdirSync, readFileSync, rmdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { KeptLogins } from "../../../src/gateway/door/kept-logins.ts";
import { Logins } from "../../../src/gateway/door/logins.ts";
import { beginSasl } from "../../../src/gateway/door/sasl.ts";
import { Tarpit } from "../../../src/gateway/door/tarpit.ts";
import { Worker } from "../../../src/gateway/worker.ts";
import { SECRET } from "../worker-stand-in.ts";
import { newDoor, newState, until } from "./doors.ts";
import { FakeWorker, TOKEN } from "./fake-worker.ts";
import { authPlain, SmtpClient } from "./smtp-client.ts";

const base64 = (text: string) => Buffer.from(text).toString("base64");
const LOGIN = { user: TOKEN, password: TOKEN, remoteAddress: "192.0.2.1" };
const ACCOUNT = { serverId: 7, region: "local", shards: 2 };

let fake: FakeWorker;
beforeAll(async () => {
  fake = await new FakeWorker().start();
});
beforeEach(() => {
  fake.mode = "ok";
  fake.tokens.clear();
  fake.tokens.add(TOKEN);
  fake.logins.length = 0;
});
afterAll(() => fake.stop());

async function newLogins(state = newState(), url = fake.url) {
  const events: string[] = [];
  const kept = new KeptLogins(state, (event) => events.push(event));
  await kept.load();
  return {
    logins: new Logins({ worker: new Worker(url, SECRET), kept, log: (event) => events.push(event) }),
    kept,
    state,
    events,
  };
}

describe("AUTH", () => {
  it("takes PLAIN and LOGIN, with and without an initial response", async () => {
    const door = await newDoor(fake);
    const ways = [
      [`AUTH PLAIN ${base64(`\0${TOKEN}\0${TOKEN}`)}`],
      [`auth plain ${base64(`${TOKEN}\0${TOKEN}\0${TOKEN}`)}`],
      [`AUTH PLAIN ${base64(`${TOKEN}\0\0${TOKEN}`)}`],
      ["AUTH PLAIN", base64(`\0${TOKEN}\0${TOKEN}`)],
      ["AUTH LOGIN", base64(TOKEN), base64(TOKEN)],
      [`AUTH LOGIN ${base64(TOKEN)}`, base64(TOKEN)],
    ];
    for (const lines of ways) {
      const client = await SmtpClient.greeted(door.ports[2], true);
      for (const line of lines.slice(0, -1)) expect(await client.ask(line)).toMatch(/^334 /);
      expect(await client.ask(lines.at(-1) ?? "")).toBe("235 2.7.0 welcome");
      client.close();
    }
    await door.end();
  });

  it("refuses what is not well-formed without asking anybody, and can be cancelled", async () => {
    const door = await newDoor(fake, { limits: { errors: 100 } });
    const client = await SmtpClient.greeted(door.ports[2], true);
    const malformed = [
      "!!!!",
      "AAA",
      "=AAA",
      base64("no nul"),
      base64("a\0b"),
      base64("\0\0p"),
      base64("\0u\r\n\0p"),
      base64("a\0b\0c\0d"),
    ];
    for (const response of malformed)
      expect(await client.ask(`AUTH PLAIN ${response}`), response).toMatch(/^501 5\.5\.2/);
    expect(await client.ask(`AUTH PLAIN ${base64("other\0user\0password")}`)).toMatch(/^535 5\.7\.8/);
    expect(await client.ask("AUTH LOGIN =")).toMatch(/^501 5\.5\.2|^334/);
    expect(await client.ask("*")).toMatch(/^501 5\.7\.0/);
    expect(await client.ask("AUTH PLAIN")).toBe("334 ");
    expect(await client.ask("*")).toMatch(/^501 5\.7\.0/);
    // A command in the middle is a response, and a bad one.
    expect(await client.ask("AUTH LOGIN")).toBe("334 VXNlcm5hbWU6");
    expect(await client.ask("NOOP x")).toMatch(/^501 5\.5\.2/);
    expect(await client.ask("NOOP")).toMatch(/^250/);
    // A line for AUTH may be long, and not endless.
    expect(await client.ask(`AUTH PLAIN ${base64(`\0${"u".repeat(6_000)}\0p`)}`)).toMatch(/^535/);
    expect(await client.ask(`AUTH PLAIN ${"A".repeat(17_000)}`)).toMatch(/^500 5\.5\.2/);
    expect(fake.logins).toEqual([]);
    await door.end();
  });

  it("is refused three times, more slowly each time, and then no more is heard", async () => {
    const door = await newDoor(fake);
    const client = await SmtpClient.greeted(door.ports[2], true);
    for (const user of ["a", "b", "c"]) expect(await client.ask(authPlain(user))).toMatch(/^535 5\.7\.8/);
    expect(await client.rest()).toEqual([expect.stringMatching(/^421 4\.7\.0/)]);
    expect(await door.metric('edgepost_door_logins_total{result="refused"}')).toBe(3);
    const refused = door.events.filter(({ event }) => event === "login refused");
    expect(refused.map(({ fields }) => [fields.address, fields.reason])).toEqual(
      Array.from({ length: 3 }, () => ["127.0.0.1", "unknown token"]),
    );
    await door.end();
  });

  it("counts for nothing that was sent before its reply", async () => {
    const door = await newDoor(fake);
    fake.delayMs = 50;
    for (const together of [true, false]) {
      const client = await SmtpClient.greeted(door.ports[2], true);
      const token = `token for ${together}`;
      fake.tokens.add(token);
      client.write(`${authPlain(token)}\r\n`);
      if (!together) await new Promise((resolve) => setTimeout(resolve, 10));
      client.write("MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n");
      expect(await client.rest()).toEqual([expect.stringMatching(/^503 5\.5\.1/)]);
    }
    fake.delayMs = 0;
    await door.end();
  });

  it("ends within a session when the token is revoked, and not because the Worker is away", async () => {
    const door = await newDoor(fake);
    const client = await SmtpClient.loggedIn(door.ports[1]);
    const start = Date.now();
    vi.useFakeTimers({ toFake: ["Date"], now: start + 41_000 });
    try {
      expect(await client.send("A: b\r\n\r\nx")).toMatch(/^250/);
      expect(fake.logins.length).toBe(2);
      fake.mode = "500";
      vi.setSystemTime(start + 90_000);
      expect(await client.send("A: b\r\n\r\nx")).toMatch(/^250/);
      fake.mode = "ok";
      fake.tokens.delete(TOKEN);
      vi.setSystemTime(start + 110_000);
      // This one did not wait; it is somebody's mail to the end, and the last.
      expect(await client.ask("MAIL FROM:<a@b.test>")).toMatch(/^250/);
      await until(async () => (await door.metric('edgepost_door_logins_total{result="revoked"}')) === 1);
      expect(await client.ask("MAIL FROM:<a@b.test>")).toMatch(/^503/);
      await client.ask("RCPT TO:<c@elsewhere.test>");
      await client.ask("DATA");
      client.write("A: b\r\n\r\nlast\r\n.\r\n");
      expect(await client.reply()).toMatch(/^250/);
      expect(door.keeper.messages.at(-1)?.account).toEqual(ACCOUNT);
      expect(await client.ask("MAIL FROM:<a@b.test>")).toMatch(/^535 5\.7\.8/);
      expect(await client.ask("MAIL FROM:<a@b.test>")).toMatch(/^530 5\.7\.0/);
      fake.tokens.add(TOKEN);
      vi.setSystemTime(start + 130_000);
      expect(await client.ask(authPlain())).toMatch(/^235/);
      fake.tokens.delete(TOKEN);
      vi.setSystemTime(start + 180_000);
      expect(await client.ask("MAIL FROM:<a@b.test>")).toMatch(/^535 5\.7\.8/);
    } finally {
      vi.useRealTimers();
    }
    await door.end();
  });

  it("ends when the token is revoked, though the clock is set back", async () => {
    const door = await newDoor(fake);
    const client = await SmtpClient.loggedIn(door.ports[1]);
    fake.tokens.delete(TOKEN);
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() - 3_600_000 });
    try {
      expect(await client.ask("MAIL FROM:<a@b.test>")).toMatch(/^535 5\.7\.8/);
    } finally {
      vi.useRealTimers();
    }
    await door.end();
  });

  it("in clear is for those who are told so", async () => {
    const door = await newDoor(fake, { authInClear: true });
    const client = await SmtpClient.open(door.ports[1]);
    await client.reply();
    expect(await client.ask("EHLO client.test")).toContain("250 AUTH PLAIN LOGIN");
    expect(await client.ask(authPlain())).toMatch(/^235/);
    // With TLS, who that was is forgotten.
    await client.startTls();
    await client.ask("EHLO client.test");
    expect(await client.ask("MAIL FROM:<a@b.test>")).toMatch(/^530/);
    await door.end();
  });

  it("says 454 and never 535 while nobody can judge, and takes whom it knows", async () => {
    const state = newState();
    const first = await newDoor(fake, { state });
    (await SmtpClient.loggedIn(first.ports[1])).close();
    await first.end();
    fake.mode = "500";
    const second = await newDoor(fake, { state });
    const known = await SmtpClient.loggedIn(second.ports[1]);
    expect(await known.send("A: b\r\n\r\nx")).toMatch(/^250/);
    const unknown = await SmtpClient.greeted(second.ports[2], true);
    expect(await unknown.ask(authPlain("somebody"))).toMatch(/^454 4\.7\.0/);
    expect(await unknown.ask(authPlain("somebody"))).toMatch(/^454 4\.7\.0/);
    expect(await second.metric('edgepost_door_logins_total{result="kept"}')).toBe(1);
    expect(await second.metric('edgepost_door_logins_total{result="unknown"}')).toBe(2);
    await second.end();
  });
});

describe("a login", () => {
  it("is asked about once by many sessions at a time, and again after a while", async () => {
    const { logins } = await newLogins();
    fake.delayMs = 30;
    const verdicts = await Promise.all(Array.from({ length: 50 }, () => logins.check(LOGIN)));
    fake.delayMs = 0;
    expect(verdicts.every((v) => typeof v === "object" && "account" in v)).toBe(true);
    expect(await logins.check(LOGIN)).toEqual({ account: ACCOUNT });
    expect(fake.logins.length).toBe(1);
    fake.tokens.delete(TOKEN);
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 16_000 });
    try {
      expect(await logins.check(LOGIN)).toEqual({ refused: "unknown token" });
      expect(await logins.check(LOGIN)).toEqual({ refused: "unknown token" });
      expect(fake.logins.length).toBe(2);
    } finally {
      vi.useRealTimers();
    }
  });

  it("is asked about again when a connection that was kept is closed", async () => {
    const { logins } = await newLogins();
    expect(await logins.check(LOGIN)).toEqual({ account: ACCOUNT });
    fake.closesNext = true;
    const other = "6e6e6e6e-0000-4000-8000-000000000002";
    fake.tokens.add(other);
    expect(await logins.check({ ...LOGIN, user: other, password: other })).toEqual({ account: ACCOUNT });
    expect(fake.closesNext).toBe(false);
  });

  it("that is revoked is forgotten on disk too", async () => {
    const { logins, kept, state } = await newLogins();
    await logins.check(LOGIN);
    await kept.end();
    const file = join(state, "auth.json");
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file, "utf8")).not.toContain(TOKEN);
    expect(JSON.parse(readFileSync(file, "utf8")).logins).toHaveLength(1);
    fake.tokens.delete(TOKEN);
    const again = await newLogins(state);
    expect(await again.logins.check(LOGIN)).toEqual({ refused: "unknown token" });
    await again.kept.end();
    fake.mode = "500";
    expect(await (await newLogins(state)).logins.check(LOGIN)).toBe("unknown");
  });

  it("is good for a day without the Worker, and no longer", async () => {
    const { logins, kept, state } = await newLogins();
    await logins.check(LOGIN);
    await kept.end();
    fake.mode = "hang";
    const other = await newLogins(state);
    expect(await other.logins.check(LOGIN)).toEqual({ account: ACCOUNT, isKept: true });
    // Nobody waits a second time.
    const before = Date.now();
    expect(await other.logins.check(LOGIN)).toEqual({ account: ACCOUNT, isKept: true });
    expect(Date.now() - before).toBeLessThan(4_000);
    fake.mode = "nonsense";
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 25 * 3_600_000 });
    try {
      expect(await (await newLogins(state)).logins.check(LOGIN)).toBe("unknown");
    } finally {
      vi.useRealTimers();
    }
  });

  it("that the disk did not take is kept when it does", async () => {
    const { kept, state, events } = await newLogins();
    const blocked = join(state, "auth.json.new");
    mkdirSync(blocked);
    kept.keep("a hash", { serverId: 7, region: "local", shards: 2 });
    await kept.end();
    expect([kept.get("a hash"), events]).toEqual([undefined, ["logins could not be kept"]]);
    rmdirSync(blocked);
    kept.keep("a hash", { serverId: 7, region: "local", shards: 2 });
    await kept.end();
    expect(kept.get("a hash")).toEqual(ACCOUNT);
  });

  it("survives a file that is none", async () => {
    const { logins, state, kept } = await newLogins();
    await logins.check(LOGIN);
    await kept.end();
    const { writeFileSync } = await import("node:fs");
    writeFileSync(join(state, "auth.json"), '{"v":1,"logins":[{"hash":');
    const again = await newLogins(state);
    expect(again.events).toEqual(["kept logins are lost"]);
    expect(await again.logins.check(LOGIN)).toEqual({ account: ACCOUNT });
  });
});

describe("the tarpit", () => {
  it("grows by address to ten seconds, and by network when many addresses fail", () => {
    const tarpit = new Tarpit();
    const delays = Array.from({ length: 12 }, () => tarpit.fail("192.0.2.1"));
    expect(delays.slice(0, 3)).toEqual([1_000, 2_000, 3_000]);
    expect(delays.at(-1)).toBe(10_000);
    expect(tarpit.fail("198.51.100.1")).toBe(1_000);
    for (let i = 1; i < 60; i++) tarpit.fail(`203.0.113.${i}`);
    expect(tarpit.fail("203.0.113.200")).toBe(6_000);
    tarpit.fail("2001:db8:0:1::1");
    expect(tarpit.fail("2001:db8:0:1:ffff::2")).toBe(2_000);
    expect(tarpit.fail("2001:db8:0:2::1")).toBe(1_000);
  });
});

describe("a mechanism", () => {
  it("is PLAIN or LOGIN", () => {
    for (const name of ["CRAM-MD5", "XOAUTH2", "plain", "__proto__", ""])
      expect(beginSasl(name)).toBeUndefined();
    expect(beginSasl("LOGIN")?.next(undefined)).toEqual({ challenge: "VXNlcm5hbWU6" });
  });
});
