/** All that is kept of a person in an account: gone from D1 and R2, whatever cuts it off; what is not theirs is as it was. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { findMessage, listMessages } from "../../src/archive/read.ts";
import { writeRecords } from "../../src/archive/write.ts";
import { erase } from "../../src/erase/erase.ts";
import { largeKey } from "../../src/erase/objects.ts";
import { findRemoval, requestRemoval } from "../../src/erase/requests.ts";
import { suppress } from "../../src/suppress/list.ts";
import { attempt, delivered, hardBounced, idAt, message, NOON } from "../archive/databases.ts";
import { bytesOf, EraseWorld } from "./world.ts";

const ANN = "ann@person.example";
const BOB = "bob@person.example";
const DUMPS = ["alone", "both", "late"];
const dumpOf = (serverId: number, name: string) => `dumps/2026-02-17/${serverId}/${name}`;
const SEGMENT = "segments/2026-02-17/1/local/0/0000000001.ab";

let world: EraseWorld;
beforeEach(async () => {
  world = await EraseWorld.open();
});
afterEach(() => world.dispose());

const request = (of: { requestedBy?: string; notify?: boolean } = {}) =>
  requestRemoval(
    world.directory,
    { accountId: world.account, email: ANN, requestedBy: "me@example.com", notify: false, ...of },
    world.now,
  );
const isDone = async (id: number | undefined) =>
  (await findRemoval(world.directory, world.account, id ?? 0))?.isDone;

/** To Ann alone, to both, to Bob, of one segment; what they did; and mail from Ann. */
async function fill(serverId: number) {
  const said = { code: 250, enhanced: "2.0.0", text: `OK for ${ANN} and joann@person.example` };
  const bob = { ...delivered(BOB), attempts: [attempt(1, { reply: said })] };
  const metadata = { user: "ann-17" };
  const alone = message([hardBounced(ANN)], { serverId, subject: "Ann's" });
  const both = message([delivered(ANN), bob], {
    serverId,
    subject: "For Ann and Bob",
    summary: { metadata },
  });
  const others = message([delivered(BOB)], { serverId, subject: "Bob's" });
  await world.store([alone, both, others], SEGMENT.replace("/1/", `/${serverId}/`));
  await world.mail.put(largeKey(alone), "large");
  const bounce = {
    serverId,
    messageId: alone.id,
    email: ANN,
    type: "HardBounce",
    stream: "outbound",
    tag: "",
  };
  const rest = {
    fromEmail: "sender@example.com",
    subject: "Ann's",
    details: ANN,
    bouncedAt: NOON,
    inactive: true,
  };
  await writeRecords(
    world.archive,
    [],
    [
      { ...bounce, ...rest, dump: dumpOf(serverId, "alone") },
      { ...bounce, ...rest, messageId: both.id, email: BOB, dump: dumpOf(serverId, "both") },
      // Of a message that nobody knows any more.
      { ...bounce, ...rest, messageId: idAt(NOON - 90 * 86_400_000), dump: dumpOf(serverId, "late") },
    ],
  );
  for (const name of DUMPS) await world.mail.put(dumpOf(serverId, name), `a report about ${ANN}`);
  for (const [id, email] of [
    [alone.id, ANN],
    [both.id, ANN],
    [both.id, BOB],
  ]) {
    const values = [serverId, id, email];
    await world.archive.batch([
      world.archive
        .prepare("INSERT INTO opens VALUES (?, ?, ?, 1, 'outbound', NULL, 0, '{}')")
        .bind(...values),
      world.archive
        .prepare("INSERT INTO clicks VALUES (?, ?, ?, 'x', 1, 'outbound', NULL, 'HTML', '{}')")
        .bind(...values),
    ]);
  }
  for (const from of [ANN, BOB]) {
    await world.mail.put(`raw/${serverId}/${from}`, "mail that came in");
    await world.archive
      .prepare(
        "INSERT INTO inbound VALUES (?, ?, 1, 'processed', ?, 'x@y.example', '', '', '', NULL, ?, '{}', '', NULL)",
      )
      .bind(serverId, from, from, `raw/${serverId}/${from}`)
      .run();
    await world.directory
      .prepare("INSERT INTO inbound_rules (server_id, rule, created_at) VALUES (?, ?, 1)")
      .bind(serverId, from)
      .run();
  }
  const cause = { messageId: alone.id, tag: "", metadata: { who: "Ann" } };
  const common = { serverId, email: ANN, since: NOON, cause };
  await suppress(
    world.directory,
    [
      { ...common, stream: "outbound", reason: "HardBounce", origin: "Recipient" },
      { ...common, stream: "broadcast", reason: "SpamComplaint", origin: "Recipient" },
    ],
    NOON,
  );
  return { alone, both, others };
}

const found = (serverId: number, filter: object = {}) =>
  listMessages(world.archive, serverId, {
    filter: { stream: "outbound", ...filter },
    page: { count: 10, offset: 0 },
  });

/** The person's removal at this server, as it should have ended. */
async function expectGone(serverId: number, { alone, both, others }: Awaited<ReturnType<typeof fill>>) {
  const { total, messages } = await found(serverId);
  expect([total, messages.map((m) => m.id)]).toEqual([2, [others.id, both.id]]);
  expect(messages[1]).toMatchObject({
    subject: "",
    summary: { recipients: ["", BOB], metadata: {} },
  });
  expect((await findMessage(world.archive, serverId, both.id))?.segment).toBeUndefined();
  expect((await found(serverId, { recipient: ANN })).total).toBe(0);
  expect((await found(serverId, { recipient: BOB })).total).toBe(2);
  expect((await found(serverId, { subject: "Ann" })).total).toBe(0);
  const text = await world.bytes(SEGMENT.replace("/1/", `/${serverId}/`));
  const zeros = "\0".repeat(bytesOf(alone).length + bytesOf(both).length);
  expect(text).toBe(zeros + bytesOf(others).toString());
  expect(await world.bytes(largeKey(alone))).toBeUndefined();
  for (const name of DUMPS) expect(await world.bytes(dumpOf(serverId, name))).toBeUndefined();
  expect(await world.count("bounces", `server_id = ${serverId} AND dump IS NOT NULL`)).toBe(0);
  expect(await world.count("suppressions", `server_id = ${serverId} AND email = '${ANN}'`)).toBe(1);
  expect(await world.count("suppressions", `server_id = ${serverId} AND cause IS NOT NULL`)).toBe(0);
  for (const table of ["recipients", "opens", "clicks", "bounces"]) {
    expect([table, await world.count(table, `server_id = ${serverId} AND email = '${ANN}'`)]).toEqual([
      table,
      0,
    ]);
    expect([table, await world.count(table, `server_id = ${serverId} AND email = '${BOB}'`)]).toEqual([
      table,
      table === "recipients" ? 2 : 1,
    ]);
  }
  const { results } = await world.archive
    .prepare("SELECT record FROM recipients UNION ALL SELECT details FROM bounces")
    .all();
  expect(JSON.stringify(results)).toContain("joann@person.example");
  expect(await world.bytes(`raw/${serverId}/${ANN}`)).toBeUndefined();
  expect(await world.bytes(`raw/${serverId}/${BOB}`)).toBe("mail that came in");
  expect(await world.count("inbound", `server_id = ${serverId}`)).toBe(1);
  expect(await world.count("inbound_rules", `server_id = ${serverId}`)).toBe(1);
  // What Ann asked for herself stays.
  const { results: kept } = await world.directory
    .prepare("SELECT stream, removed_at FROM suppressions WHERE server_id = ?")
    .bind(serverId)
    .all();
  expect(kept).toEqual([{ stream: "broadcast", removed_at: null }]);
}

describe("a person", () => {
  it("goes from every server of the account, and from no other's", async () => {
    const [one = 0, two = 0, theirs = 0] = world.servers;
    const [first, second] = [await fill(one), await fill(two)];
    await fill(theirs);
    const id = await request({ notify: true });
    await erase(world.needs);
    expect(world.logged).toEqual([]);
    expect(await isDone(id)).toBe(true);
    await expectGone(one, first);
    await expectGone(two, second);
    const { results } = await world.archive
      .prepare(
        "SELECT record FROM recipients WHERE server_id <> ?3 UNION ALL SELECT details FROM bounces WHERE server_id IN (?1, ?2)",
      )
      .bind(one, two, theirs)
      .all();
    expect(JSON.stringify(results)).not.toMatch(/(?<!jo)ann@/);
    expect((await found(theirs, { recipient: ANN })).total).toBe(2);
    expect(await world.count("suppressions", `server_id = ${theirs}`)).toBe(2);
    expect(world.changes).toEqual([one, two].map(() => ({ stream: "outbound", email: ANN, removed: true })));
    expect(world.sent).toMatchObject([{ to: "me@example.com", subject: `Data removal ${id} is done` }]);
    expect(await world.count("erasures", "email IS NOT NULL")).toBe(0);
  }, 120_000);

  it("goes all the same when it is cut off after each write", async () => {
    const [one = 0] = world.servers;
    const filled = await fill(one);
    const id = await request();
    let runs = 0;
    for (; !(await isDone(id)); runs++) {
      expect(runs).toBeLessThan(60);
      // The first write is done, and whatever follows the second is not: each run comes one write further.
      world.writesLeft = 0;
      await erase(world.needs).catch(() => undefined);
    }
    expect(runs).toBeGreaterThan(8);
    world.writesLeft = Number.POSITIVE_INFINITY;
    await expectGone(one, filled);
  }, 180_000);

  it("is pending while an Outbox holds a message, or waiting mail is on its way", async () => {
    const [one = 0] = world.servers;
    const { alone, both, others } = await fill(one);
    world.held = [both.id];
    world.busy = 1;
    const id = await request();
    await erase(world.needs);
    expect(world.told).toEqual([]);
    await erase(world.needs);
    expect(await isDone(id)).toBe(false);
    expect((await found(one)).messages.map((m) => m.id)).toEqual([others.id, both.id]);
    world.held = [];
    await erase(world.needs);
    expect(await isDone(id)).toBe(true);
    await expectGone(one, { alone, both, others });
  }, 120_000);

  it("has what was accepted after the removal", async () => {
    const [one = 0] = world.servers;
    const later = message([delivered(ANN)], { serverId: one, receivedAt: world.now + 5_000 });
    await world.store([later], SEGMENT);
    const id = await request();
    await erase(world.needs);
    expect(await isDone(id)).toBe(true);
    expect((await found(one, { recipient: ANN })).total).toBe(1);
  }, 60_000);

  it("is done at once for an account without any mail, and tells nobody who is no address", async () => {
    const id = await request({ notify: true, requestedBy: "the office" });
    await erase(world.needs);
    expect(await isDone(id)).toBe(true);
    expect(world.sent).toEqual([]);
  }, 60_000);
});

it("takes suppressions back as of the time up to which all goes, though an Outbox that has to hear of it is away for long", async () => {
  const [one = 0] = world.servers;
  await fill(one);
  const id = await request();
  const asOf = world.now;
  const { needs } = world;
  const away = () => Promise.reject(new Error("away"));
  const without = (call: object) => (shard: string) => ({ ...needs.outbox(shard), ...call });
  await erase({ ...needs, outbox: without({ erase: away }) });
  world.now += 5 * 60_000;
  await erase({ ...needs, outbox: without({ changeSuppressions: away }) });
  // The event log reads of it now, and forgets what happened up to that time.
  const taken = "SELECT changed_at FROM suppressions WHERE removed_at IS NOT NULL";
  expect(await world.directory.prepare(taken).first("changed_at")).toBe(asOf);
  await erase(needs);
  expect(await isDone(id)).toBe(true);
});
