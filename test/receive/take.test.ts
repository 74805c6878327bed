/** Received mail to what is remembered of it; real R2 and D1. Also when it ends in the middle, comes twice, or is forged. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { monitorOfAccount, reportsAddress } from "../../src/accounts/report-monitors.ts";
import { formatProbeAddress, formatReturnPath, returnPathKey } from "../../src/mail/return-path.ts";
import { fillRecipient, trackingKey, unsubscribeAddress } from "../../src/mail/tracking-link.ts";
import { readGivenUp, readReceived } from "../../src/receive/consume.ts";
import { forgetOld } from "../../src/receive/kept.ts";
import { sweepReceived } from "../../src/receive/left-over.ts";
import { takeReceived } from "../../src/receive/take.ts";
import { reactivate, resubscribe } from "../../src/suppress/list.ts";
import { delivered, message, NOON } from "../archive/databases.ts";
import { complaintFor, dsnFor, plain, ReceiveWorld } from "./world.ts";

const ANN = "ann@far.example";
const BOB = "bob@far.example";

let world: ReceiveWorld;
beforeAll(async () => {
  world = await ReceiveWorld.open();
});
beforeEach(() => world.begin());
afterAll(() => world.dispose());

const sent = (emails = [ANN], of = {}) =>
  world.store(message(emails.map(delivered), { tag: "welcome", summary: { metadata: { a: "b" } }, ...of }));
const read = (key: string) => takeReceived(key, world.needs);
const bounces = () =>
  world.rows(
    "SELECT message_id, email, type, stream, tag, from_email, subject, details, inactive FROM bounces",
  );
const suppressions = () =>
  world.rows("SELECT stream, email, reason, origin FROM suppressions WHERE removed_at IS NULL");

/** Everything that a reading leaves. */
async function left() {
  const dumps = await world.keys();
  const counted = await world.rows("SELECT name, tag, count FROM counters WHERE name LIKE 'Bounce%'");
  return {
    dumps,
    bounces: await bounces(),
    suppressions: await suppressions(),
    events: [...world.events],
    counted,
  };
}

describe("a DSN to a return path", () => {
  it("is a bounce with the report as its dump, a suppression, and an event", async () => {
    const one = await sent();
    const raw = dsnFor({ id: one.id, to: ANN });
    await read(await world.arrive(await world.returnPath(one), raw));
    expect(await bounces()).toEqual([
      {
        message_id: one.id,
        email: ANN,
        type: "HardBounce",
        stream: "outbound",
        tag: "welcome",
        from_email: "sender@example.com",
        subject: "Hello",
        details: "smtp;550 5.1.1 no such user",
        inactive: 1,
      },
    ]);
    expect(await suppressions()).toEqual([
      { stream: "outbound", email: ANN, reason: "HardBounce", origin: "Recipient" },
    ]);
    expect(world.changes).toEqual([
      { serverId: world.serverId, stream: "outbound", email: ANN, removed: false },
    ]);
    expect(world.events).toMatchObject([
      {
        type: "Bounce",
        bounceType: "HardBounce",
        messageId: one.id,
        email: ANN,
        tag: "welcome",
        metadata: { a: "b" },
        at: world.now,
        stream: "outbound",
        details: "smtp;550 5.1.1 no such user",
      },
    ]);
    const [dump] = await world.keys();
    expect(dump).toMatch(new RegExp(`^dumps/2026-02-17/${world.serverId}/mail-\\d+$`));
    expect(await (await world.mail.get(dump ?? ""))?.text()).toBe(raw);
  });

  it("is found through the Outbox while the archive does not have the message", async () => {
    const one = { ...message([delivered(ANN)]), serverId: world.serverId };
    world.held.set(one.id, one);
    await read(await world.arrive(await world.returnPath(one), dsnFor({ id: one.id, to: ANN })));
    expect(await bounces()).toHaveLength(1);
  });

  it("of old mail, whose return path names no server, finds it", async () => {
    const one = await sent();
    await world.db.directory
      .prepare("INSERT INTO shards VALUES (?, ?, 1)")
      .bind(`${world.serverId}/local/0`, world.serverId)
      .run();
    const id = one.id.replaceAll("-", "");
    const mac = Buffer.from(
      await crypto.subtle.sign("HMAC", await returnPathKey("secret"), new TextEncoder().encode(id)),
    ).toString("hex");
    const path = `b-${id}-${mac.slice(0, 16)}@bounces.mail.example`;
    await read(await world.arrive(path, dsnFor({ id: one.id, to: ANN })));
    expect(await bounces()).toMatchObject([{ message_id: one.id, email: ANN }]);
  });

  it("that refuses for reputation suppresses nobody", async () => {
    const one = await sent();
    const raw = dsnFor(
      { id: one.id, to: ANN },
      "5.7.1",
      "554 5.7.1 blocked, poor reputation of your address",
    );
    await read(await world.arrive(await world.returnPath(one), raw));
    expect(await bounces()).toMatchObject([{ type: "Blocked", inactive: 0 }]);
    expect(await suppressions()).toEqual([]);
    expect(world.events).toHaveLength(1);
  });

  it("forged, of another message or about a stranger, changes nothing", async () => {
    const [one, other] = [await sent(), await sent([BOB])];
    const path = await world.returnPath(one);
    const raw = dsnFor({ id: one.id, to: ANN });
    const wrong = path.replace(/.(?=@)/, (c) => (c === "0" ? "1" : "0"));
    const foreign = await formatReturnPath(
      await returnPathKey("another"),
      { serverId: world.serverId, messageId: one.id },
      "bounces.mail.example",
    );
    await read(await world.arrive([wrong, foreign], raw));
    // What names another message inside is about the one whose address it came to, and Bob did not get that.
    await read(await world.arrive(path, dsnFor({ id: other.id, to: BOB })));
    await read(await world.arrive("complaints@bounces.mail.example", raw));
    // The id of a server that has no such message.
    await read(await world.arrive(await world.returnPath({ serverId: 99, id: one.id }), raw));
    expect(await left()).toMatchObject({ dumps: [], bounces: [], suppressions: [], events: [] });
    expect(world.logged.map((l) => l.why ?? l.event)).toEqual([
      "received mail for nobody",
      "received mail for nobody",
      "the report names nobody to whom the message was sent",
      "nothing in it is signed by us",
      "its server is gone",
    ]);
  });

  it("of a message that was removed changes nothing; of one that is forgotten it is recorded, and suppresses nobody", async () => {
    const one = { serverId: world.serverId, id: message([delivered(ANN)]).id };
    const raw = dsnFor({ id: one.id, to: ANN });
    await read(await world.arrive(await world.returnPath(one), raw));
    expect(await bounces()).toEqual([]);
    world.now = NOON + 46 * 86_400_000;
    await read(await world.arrive(await world.returnPath(one), raw));
    expect(await bounces()).toMatchObject([
      {
        email: ANN,
        type: "HardBounce",
        from_email: "shop@sender.example",
        subject: "Your receipt",
        inactive: 0,
      },
    ]);
    expect(await suppressions()).toEqual([]);
    // Whoever got such a message once can name anybody, but not without end.
    await world.db.archive.batch(
      Array.from({ length: 49 }, (_, n) =>
        world.db.archive
          .prepare(
            `INSERT INTO bounces (server_id, message_id, email, type, stream, from_email, subject, details, bounced_at, inactive)
             VALUES (?, ?, ?, 'HardBounce', 'outbound', '', '', '', 1, 0)`,
          )
          .bind(one.serverId, one.id, `r${n}@x.example`),
      ),
    );
    await read(await world.arrive(await world.returnPath(one), dsnFor({ id: one.id, to: BOB })));
    expect(await bounces()).toHaveLength(50);
  });

  it("for a server that was deleted changes nothing", async () => {
    const one = await sent();
    await world.db.directory.prepare("UPDATE servers SET deleted_at = 1").run();
    await read(await world.arrive(await world.returnPath(one), dsnFor({ id: one.id, to: ANN })));
    expect(await left()).toMatchObject({ dumps: [], bounces: [], events: [] });
  });
});

describe("an address that was signed for one of several recipients", () => {
  const twice = () => sent([ANN, BOB]);

  it("can say nothing of the others", async () => {
    const one = await twice();
    const anns = [await world.returnPath(one, 0), await world.complaintAddress(one, 0)];
    for (const to of anns) {
      await read(await world.arrive(to, dsnFor({ id: one.id, to: BOB })));
      await read(await world.arrive(to, complaintFor({ id: one.id, to: BOB })));
      await read(await world.arrive("complaints@bounces.mail.example", complaintAbout(one.id, BOB, to)));
    }
    expect(await left()).toMatchObject({ dumps: [], bounces: [], suppressions: [], events: [] });
    // The reader's own word, whoever they say that they are.
    await read(await world.arrive(anns[0] ?? "", plain(BOB, "unsubscribe"), BOB));
    expect(await suppressions()).toMatchObject([{ email: ANN, reason: "ManualSuppression" }]);
  });

  it("is about that one also when the report hides them", async () => {
    const one = await twice();
    const raw = complaintFor({ id: one.id, to: "undisclosed-recipients:;" }, "");
    await read(await world.arrive(await world.complaintAddress(one, 1), raw));
    expect(await suppressions()).toMatchObject([{ email: BOB, reason: "SpamComplaint" }]);
  });

  it("changes nothing once that one was removed", async () => {
    const one = await sent([ANN, ""]);
    await read(await world.arrive(await world.returnPath(one, 1), dsnFor({ id: one.id, to: ANN })));
    await read(await world.arrive(await world.returnPath(one, 2), dsnFor({ id: one.id, to: ANN })));
    expect(await left()).toMatchObject({ bounces: [], suppressions: [], events: [] });
  });
});

const complaintAbout = (id: string, to: string, address: string) =>
  complaintFor({ id, to, fields: [`X-Complaints-To: ${address}`, `Return-Path: <${address}>`] });

describe("a report that comes twice", () => {
  it("changes nothing the second time, nor does a storm of them", async () => {
    const one = await sent();
    const raw = dsnFor({ id: one.id, to: ANN });
    const path = await world.returnPath(one);
    await read(await world.arrive(path, raw));
    const first = await left();
    for (let n = 0; n < 5; n++) await read(await world.arrive(path, raw));
    expect(await left()).toEqual(first);
    expect(first.counted).toContainEqual({ name: "Bounce/HardBounce", tag: "", count: 1 });
  });

  it("does not suppress again whom a person has reactivated since", async () => {
    const one = await sent();
    const path = await world.returnPath(one);
    await read(await world.arrive(path, dsnFor({ id: one.id, to: ANN })));
    await reactivate(world.db.directory, world.serverId, "outbound", ANN, world.now + 1);
    world.now += 5_000;
    await read(await world.arrive(path, dsnFor({ id: one.id, to: ANN })));
    expect(await suppressions()).toEqual([]);
  });

  it("at the same time by two readers leaves one bounce and one dump", async () => {
    const one = await sent();
    const path = await world.returnPath(one);
    const raw = dsnFor({ id: one.id, to: ANN });
    const keys = await Promise.all([world.arrive(path, raw), world.arrive(path, raw)]);
    await Promise.all([...keys, ...keys].map(read));
    const { dumps, bounces: stored, events } = await left();
    expect([dumps.length, stored.length, events.length]).toEqual([1, 1, 1]);
  });
});

describe("a reading that is cut off", () => {
  it("after any of its steps is made good by the next", async () => {
    const whole = async (steps: number) => {
      await world.begin();
      const one = await sent([ANN, BOB]);
      const key = await world.arrive(await world.returnPath(one), dsnFor({ id: one.id, to: ANN }));
      world.stepsLeft = steps;
      let isCut = false;
      await read(key).catch(() => {
        isCut = true;
      });
      world.stepsLeft = Number.POSITIVE_INFINITY;
      world.changes.length = 0;
      if (isCut) await read(key);
      const { dumps, bounces: stored, suppressions: active, events, counted } = await left();
      return {
        isCut,
        // The last step was done: the object is gone, and nobody is told again.
        told: world.changes.length,
        left: {
          dumps: dumps.length,
          stored: stored.map((b) => b.email),
          active,
          events: events.length,
          counted,
        },
      };
    };
    const { left: wanted } = await whole(Number.POSITIVE_INFINITY);
    expect(wanted).toMatchObject({ dumps: 1, stored: [ANN], events: 1 });
    let steps = 0;
    for (; ; steps++) {
      const { isCut, left: got } = await whole(steps);
      expect(got, `cut off after ${steps} steps`).toEqual(wanted);
      if (!isCut) break;
    }
    // Get, dump, suppressions, archive, those told, events, delete, and what it asks between.
    expect(steps).toBeGreaterThanOrEqual(7);
  });
});

describe("a complaint", () => {
  const wanted = (email: string) => [
    { stream: "outbound", email, reason: "SpamComplaint", origin: "Recipient" },
  ];

  it("to the address in the header suppresses who complained, for good", async () => {
    const one = await sent([ANN, BOB]);
    await read(await world.arrive(await world.complaintAddress(one), complaintFor({ id: one.id, to: BOB })));
    expect(await bounces()).toMatchObject([
      { email: BOB, type: "SpamComplaint", details: "abuse", inactive: 1 },
    ]);
    expect(await suppressions()).toEqual(wanted(BOB));
    expect(world.events).toMatchObject([{ type: "SpamComplaint", email: BOB, details: "abuse" }]);
  });

  it("to the address of all complaints is tied to its message by what we signed, with a hidden recipient too", async () => {
    const one = await sent([ANN]);
    const fields = [`X-Complaints-To: ${await world.complaintAddress(one)}`];
    const raw = complaintFor({ id: one.id, to: "undisclosed-recipients:;", fields }, "");
    await read(await world.arrive("complaints@bounces.mail.example", raw, "fbl@provider.example"));
    expect(await suppressions()).toEqual(wanted(ANN));
  });

  it("there by a return path that the copy shows, and not by one that is forged", async () => {
    const one = await sent([ANN]);
    const path = await world.returnPath(one);
    const complain = async (shown: string) =>
      read(
        await world.arrive(
          "complaints@bounces.mail.example",
          complaintFor({ id: one.id, to: ANN, fields: [`Return-Path: <${shown}>`] }),
        ),
      );
    await complain(path.replace(/.(?=@)/, (c) => (c === "0" ? "1" : "0")));
    expect(await suppressions()).toEqual([]);
    await complain(path);
    expect(await suppressions()).toEqual(wanted(ANN));
  });
});

describe("answers", () => {
  it("of a program are of their type, and a request to stop is heard", async () => {
    const one = await sent();
    const path = await world.returnPath(one);
    const auto = ["Auto-Submitted: auto-replied", `In-Reply-To: <${one.id}@mail.example>`];
    await read(await world.arrive(path, plain(ANN, "Automatic reply: Hello", auto)));
    expect(await bounces()).toMatchObject([{ type: "AutoResponder", inactive: 0 }]);
    expect(await suppressions()).toEqual([]);
    await read(await world.arrive(path, plain(ANN, "unsubscribe"), ANN));
    expect(await bounces()).toMatchObject([{ type: "AutoResponder" }, { type: "Unsubscribe", inactive: 0 }]);
    expect(await suppressions()).toEqual([
      { stream: "outbound", email: ANN, reason: "ManualSuppression", origin: "Recipient" },
    ]);
    expect(world.events.map((e) => e.type === "Bounce" && e.bounceType)).toEqual([
      "AutoResponder",
      "Unsubscribe",
    ]);
  });

  it("that ask again to stop are heard again, after a change of mind", async () => {
    const one = await sent();
    const path = await world.returnPath(one);
    await read(await world.arrive(path, plain(ANN, "unsubscribe"), ANN));
    const before = await left();
    const who = { serverId: world.serverId, stream: "outbound", email: ANN };
    expect(await resubscribe(world.db.directory, who, world.now + 1)).toBe(true);
    expect(await suppressions()).toEqual([]);
    world.now += 5_000;
    await read(await world.arrive(path, plain(ANN, "unsubscribe"), ANN));
    expect(await left()).toEqual(before);
  });

  it("to two messages at once are kept for the one that they say something new of", async () => {
    const [one, two] = [await sent(), await sent()];
    const paths = [await world.returnPath(one), await world.returnPath(two)];
    await read(await world.arrive(paths[1] ?? "", plain(ANN, "unsubscribe"), ANN));
    await read(await world.arrive(paths, plain(ANN, "unsubscribe"), ANN));
    const [row] = await world.rows(`SELECT dump FROM bounces WHERE message_id = '${one.id}'`);
    expect(await world.keys()).toContain(row?.dump);
  });

  it("of a person to a return path change nothing", async () => {
    const one = await sent();
    await read(await world.arrive(await world.returnPath(one), plain(ANN, "Re: Hello"), ANN));
    expect(await left()).toMatchObject({ dumps: [], bounces: [], events: [] });
  });

  it("to a List-Unsubscribe address suppress the recipient that it names, whatever they say", async () => {
    const one = await sent([ANN, BOB], { stream: "broadcast" });
    const key = await trackingKey("secret");
    const of = { serverId: world.serverId, messageId: one.id };
    const address = async (index: number) =>
      unsubscribeAddress(key, of, await fillRecipient(key, one.id, index), "bounces.mail.example");
    await read(await world.arrive(await address(1), plain("eve@x.example", "hm"), "eve@x.example"));
    expect(await suppressions()).toEqual([
      { stream: "broadcast", email: BOB, reason: "ManualSuppression", origin: "Recipient" },
    ]);
    expect(world.changes).toMatchObject([{ stream: "broadcast", email: BOB, removed: false }]);
    expect(await world.keys()).toEqual([]);
    // Nobody has that place.
    await read(await world.arrive(await address(2), plain("eve@x.example", "hm")));
    expect(await suppressions()).toHaveLength(1);
  });
});

describe("mail for others of our addresses", () => {
  it("is handed to who takes inbound mail, with its object's key", async () => {
    const { hash } = (await world.db.directory
      .prepare("SELECT inbound_hash AS hash FROM servers")
      .first<{ hash: string }>()) ?? { hash: "" };
    const to = `${hash}+7@inbound.mail.example`;
    const key = await world.arrive(to, plain(ANN, "Re: Hello"), ANN);
    await read(key);
    expect(world.inbound).toMatchObject([
      { key, recipient: to, received: { envelope: { reversePath: ANN } } },
    ]);
    expect(Buffer.from(world.inbound[0]?.raw ?? []).toString()).toBe(plain(ANN, "Re: Hello"));
    expect(await world.keys()).toEqual([]);
  });

  it("with a report that is none is set aside", async () => {
    const monitor = await monitorOfAccount(world.db.directory, world.account, "shop.example", 1);
    await read(await world.arrive(reportsAddress(monitor, "mail.example"), plain(ANN, "Report domain: x")));
    expect(await world.keys()).toMatchObject([expect.stringMatching(/^unreadable\/2026-02-17\/mail-/)]);
    expect(world.logged.at(-1)).toMatchObject({ event: "received mail cannot be read" });
  });

  it("that is a probe is reported to the return path that it came with, and to nobody else", async () => {
    const key = await returnPathKey("secret");
    const address = (serverId: number) =>
      formatProbeAddress(key, { serverId, messageId: crypto.randomUUID() }, "bounces.mail.example");
    const one = await sent();
    const path = await world.returnPath(one);
    const to = await address(world.serverId);
    await read(await world.arrive(to, plain(ANN, "Bounce probe"), path));
    expect(world.reports).toMatchObject([
      { key: `probe/${one.id}`, to: path, probe: { id: one.id, address: to, receivedAt: world.now } },
    ]);
    // From elsewhere, from nobody, and from another server's mail.
    for (const from of [ANN, "", path.replace(/.(?=@)/, (c) => (c === "0" ? "1" : "0"))])
      await read(await world.arrive(to, plain(ANN, "Bounce probe"), from));
    await read(await world.arrive(await address(world.serverId + 1), plain(ANN, "Bounce probe"), path));
    expect(world.reports).toHaveLength(1);
    expect(await world.keys()).toEqual([]);
  });

  it("that is nobody's is dropped", async () => {
    await read(await world.arrive("x@elsewhere.example", plain(ANN, "Hello")));
    expect(await world.keys()).toEqual([]);
  });
});

describe("what cannot be read", () => {
  it("is set aside at once: too many parts, a flood of header fields, no frame", async () => {
    const one = await sent();
    const path = await world.returnPath(one);
    const parts = Array.from({ length: 10_000 }, () => "--b\r\nContent-Type: text/plain\r\n\r\nx\r\n").join(
      "",
    );
    const hostile = [
      `Content-Type: multipart/report; boundary=b\r\n\r\n${parts}--b--\r\n`,
      `${"X-A: b\r\n".repeat(50_000)}\r\nx\r\n`,
    ];
    for (const raw of hostile) await read(await world.arrive(path, raw));
    await world.mail.put("received/broken", "no frame");
    await read("received/broken");
    expect((await world.keys()).map((key) => key.split("/")[0])).toEqual([
      "unreadable",
      "unreadable",
      "unreadable",
    ]);
    expect(await bounces()).toEqual([]);
  });
});

describe("the consumer", () => {
  const job = (key: string, attempts = 1) => {
    const done: string[] = [];
    const ack = () => void done.push("ack");
    const retry = () => void done.push("retry");
    return { body: { v: 1, key }, attempts, ack, retry, done };
  };

  it("acknowledges what it read, and what is not there any more", async () => {
    const one = await sent();
    const key = await world.arrive(await world.returnPath(one), dsnFor({ id: one.id, to: ANN }));
    const jobs = [job(key), job(key), job("received/never")];
    const odd = { ...job(""), body: { what: 7 } };
    await readReceived([...jobs, odd], world.needs);
    expect([...jobs, odd].map((j) => j.done)).toEqual([["ack"], ["ack"], ["ack"], ["ack"]]);
    expect(await bounces()).toHaveLength(1);
  });

  it("leaves one whose reading never ends to another try, and goes on with the next", async () => {
    const silent = new Proxy(world.mail, {
      get: (of, name) => (name === "get" ? () => new Promise(() => undefined) : Reflect.get(of, name)),
    });
    const mails = [silent, silent, world.mail].values();
    const needs = Object.defineProperty({ ...world.needs }, "mail", { get: () => mails.next().value });
    const jobs = [job("received/silent", 3), job("received/never")];
    await readReceived(jobs, needs, { takeMs: 2_000 });
    expect(jobs.map((j) => j.done)).toEqual([["ack"], ["ack"]]);
  });

  it("tries a few times what fails, then puts it back for cron, ever later; at the end it is set aside", async () => {
    const one = await sent();
    const key = await world.arrive(await world.returnPath(one), dsnFor({ id: one.id, to: ANN }));
    const away = {
      ...world.needs,
      archive: () => {
        throw new Error("D1 is away");
      },
    };
    const tries = [job(key, 1), job(key, 2), job(key, 3)];
    await readReceived(tries, away);
    expect(tries.map((j) => j.done)).toEqual([["retry"], ["retry"], ["ack"]]);
    const handed: string[][] = [];
    const sweep = async (minutes: number) => {
      handed.length = 0;
      const needs = { ...world.needs, now: () => Date.now() + minutes * 60_000 };
      await sweepReceived({ ...needs, handOnAll: async (keys) => void handed.push(keys) });
      return handed.flat();
    };
    expect(await sweep(3)).toEqual([]);
    expect(await sweep(5)).toEqual([key]);
    for (let round = 2; round < 16; round++) await readReceived([job(key, 3)], away);
    expect(await world.keys("received/")).toEqual([key]);
    expect(await sweep(300)).toEqual([]);
    expect(await sweep(400)).toEqual([key]);
    await readGivenUp([job(key, 5)], world.needs);
    expect(await world.keys()).toEqual([expect.stringMatching(/^unreadable\//)]);
    expect(world.logged.at(-1)).toMatchObject({ reason: "its reading never ended" });
  });

  it("is brought by cron what is due behind all that waits for hours", async () => {
    const start = Date.UTC(2026, 1, 17);
    const names = Array.from(
      { length: 25_000 },
      (_, n) => `received/${(n * 2_600).toString(16).padStart(7, "0")}`,
    );
    const due = names.at(-1);
    /** As R2 lists them. */
    const list = async ({ limit = 0, cursor, startAfter = "" }: R2ListOptions) => {
      const behind = names.filter((name) => name > startAfter).length;
      const first = cursor === undefined ? names.length - behind : Number(cursor);
      const page = names.slice(first, first + limit);
      const objects = page.map((key) => {
        return { key, uploaded: new Date(start), customMetadata: key === due ? {} : { rounds: "9" } };
      });
      const next = first + page.length;
      return { objects, truncated: next < names.length, cursor: String(next) };
    };
    const mail = { list } as unknown as R2Bucket;
    const handed: string[] = [];
    for (let minute = 5; handed.length === 0 && minute < 5 + 256; minute++) {
      const needs = { ...world.needs, mail, now: () => start + minute * 60_000 };
      const handOnAll = async (keys: string[]) => void handed.push(...keys);
      if (minute % 60 !== 0) await sweepReceived({ ...needs, handOnAll });
    }
    expect(handed).toEqual([due]);
  });

  it("is brought by cron what its queue lost, after two minutes", async () => {
    const key = await world.arrive("x@elsewhere.example", plain(ANN, "Hello"));
    const handed: string[] = [];
    const at = (ms: number) => ({ ...world.needs, now: () => Date.now() + ms });
    const handOnAll = async (keys: string[]) => void handed.push(...keys);
    await sweepReceived({ ...at(60_000), handOnAll });
    expect(handed).toEqual([]);
    await sweepReceived({ ...at(150_000), handOnAll });
    expect(handed).toEqual([key]);
  });
});

it("reports and unreadable mail go after 30 days", async () => {
  const keys = [
    "dumps/2026-01-10/1/a",
    "dumps/2026-02-01/1/b",
    "unreadable/2026-01-10/c",
    "segments/2026-01-10/1/d",
  ];
  for (const key of keys) await world.mail.put(key, "x");
  await forgetOld(world.mail, Date.UTC(2026, 1, 15));
  expect(await world.keys()).toEqual(["dumps/2026-02-01/1/b", "segments/2026-01-10/1/d"]);
});
