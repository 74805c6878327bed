/** A deleted server and a purged stream: nothing of them is left, whatever cuts the removal off, and what is beside them stays. */
import { afterEach, beforeEach, expect, it } from "vitest";
import { deleteServer } from "../../src/accounts/servers.ts";
import { archiveStream, unarchiveStream } from "../../src/accounts/streams.ts";
import { listMessages } from "../../src/archive/read.ts";
import { erase } from "../../src/erase/erase.ts";
import { largeKey } from "../../src/erase/objects.ts";
import { openErasures, requestRemoval } from "../../src/erase/requests.ts";
import type { MessageRecord } from "../../src/mail/record.ts";
import { delivered, hardBounced, message } from "../archive/databases.ts";
import { bytesOf, EraseWorld } from "./world.ts";

const DAY = 86_400_000;

let world: EraseWorld;
beforeEach(async () => {
  world = await EraseWorld.open();
});
afterEach(() => world.dispose());

const segmentOf = (serverId: number) => `segments/2026-02-17/${serverId}/local/0/0000000001.ab`;

/** One message on each of two streams, in one segment, and something in every table. */
async function fill(serverId: number): Promise<[MessageRecord, MessageRecord]> {
  const outbound = message([delivered("ann@person.example")], { serverId });
  const broadcast = message([hardBounced("bob@person.example")], { serverId, stream: "broadcast" });
  await world.store([outbound, broadcast], segmentOf(serverId));
  await world.mail.put(largeKey(broadcast), "large");
  await world.mail.put(`raw/${serverId}`, "mail that came in");
  await world.mail.put(`dumps/2026-02-17/${serverId}/a`, "a report that came back");
  await world.archive.batch([
    world.archive
      .prepare("INSERT INTO opens VALUES (?, ?, 'bob@person.example', 1, 'broadcast', NULL, 0, '{}')")
      .bind(serverId, broadcast.id),
    world.archive
      .prepare(
        "INSERT INTO clicks VALUES (?, ?, 'bob@person.example', 'x', 1, 'broadcast', NULL, 'HTML', '{}')",
      )
      .bind(serverId, broadcast.id),
    world.archive
      .prepare(
        "INSERT INTO inbound VALUES (?, 'i', 1, 'processed', 'a@b.example', 'x@y.example', '', '', '', NULL, ?, '{}', '', NULL)",
      )
      .bind(serverId, `raw/${serverId}`),
  ]);
  for (const stream of ["outbound", "broadcast"])
    await world.directory.batch([
      world.directory
        .prepare(
          "INSERT INTO suppressions VALUES (?, ?, 'c@d.example', 'HardBounce', 'Recipient', 1, 1, NULL, NULL)",
        )
        .bind(serverId, stream),
      world.directory
        .prepare(
          "INSERT INTO smtp_tokens (server_id, stream, name, access_key, secret_hash, created_at) VALUES (?, ?, '', ?, '', 1)",
        )
        .bind(serverId, stream, `${serverId}/${stream}`),
      world.directory
        .prepare(
          `INSERT INTO webhooks (server_id, stream, url, sealed_headers, triggers, status, created_at, updated_at)
           VALUES (?, ?, 'https://x.example', '', '{}', 'verified', 1, 1)`,
        )
        .bind(serverId, stream),
    ]);
  return [outbound, broadcast];
}

/** Rows by table of those that have any. */
async function rowsOf(serverId: number, of = ""): Promise<Record<string, number>> {
  const tables =
    "messages recipients opens clicks bounces counters message_counts inbound streams suppressions smtp_tokens webhooks shards";
  const counted: Record<string, number> = {};
  for (const table of tables.split(" ")) {
    if (of && /^(recipients|inbound|shards)$/.test(table)) continue;
    const stream = table === "streams" ? "id" : "stream";
    const n = await world.count(table, `server_id = ${serverId}${of && ` AND ${stream} = '${of}'`}`);
    if (n > 0) counted[table] = n;
  }
  return counted;
}

/** Each run ends after its first write. */
async function cutOff(isDone: () => Promise<boolean>): Promise<number> {
  let runs = 0;
  for (; !(await isDone()); runs++) {
    if (runs > 80) throw new Error(`it never ends: ${world.logged.at(-1)}`);
    world.writesLeft = 0;
    await erase(world.needs).catch(() => undefined);
  }
  world.writesLeft = Number.POSITIVE_INFINITY;
  return runs;
}

const isOver = async () => (await world.count("erasures", "done_at IS NULL")) === 0;

it("removes a deleted server with all that it has, and then its Outboxes", async () => {
  const [one = 0, two = 0] = world.servers;
  await fill(one);
  await fill(two);
  const before = await rowsOf(two);
  await deleteServer(world.directory, { accountId: world.account, serverId: one }, world.now);
  await erase(world.needs);
  // Whoever knew its tokens may still send for a minute: its Outboxes refuse that until then.
  expect(await rowsOf(one)).toEqual({ shards: 1 });
  expect([world.destroyed, await isOver()]).toEqual([[], false]);
  world.now += 3 * 60_000;
  expect(await cutOff(isOver)).toBeGreaterThan(0);
  expect(new Set(world.destroyed)).toEqual(new Set([`${one}/local/0`, `seen of ${one}`, `log of ${one}`]));
  expect(await rowsOf(one)).toEqual({});
  expect(await world.count("servers", `id = ${one}`)).toBe(0);
  expect(await world.bytes(segmentOf(one))).toBeUndefined();
  expect(await world.bytes(`raw/${one}`)).toBeUndefined();
  expect(await world.bytes(`dumps/2026-02-17/${one}/a`)).toBeUndefined();
  expect(await world.bytes(`dumps/2026-02-17/${two}/a`)).toBeDefined();
  expect(await rowsOf(two)).toEqual(before);
  expect(await world.bytes(segmentOf(two))).toBeDefined();
}, 180_000);

it("comes to an end though to look into the folders of all days takes longer than a run", async () => {
  const [one = 0, two = 0] = world.servers;
  for (let day = 10; day < 40; day++)
    await world.mail.put(`segments/2025-${day}/${two}/local/0/0000000001.ab`, "somebody else's");
  await world.mail.put(segmentOf(one), "the last");
  await world.mail.put(`inbound/${one}/i.eml`, "what came in, and was not filed before the server went");
  await deleteServer(world.directory, { accountId: world.account, serverId: one }, world.now);
  world.now += 3 * 60_000;
  const { needs } = world;
  const list = (options: R2ListOptions) => {
    if (!options.delimiter) world.now += 2_000;
    return world.mail.list(options);
  };
  const mail = new Proxy(needs.mail, {
    get: (of, name) => (name === "list" ? list : Reflect.get(of, name)),
  });
  for (let runs = 0; !(await isOver()); runs++) {
    if (runs > 10) throw new Error("it never ends");
    await erase({ ...needs, mail });
  }
  expect(await world.bytes(segmentOf(one))).toBeUndefined();
  expect(await world.bytes(`inbound/${one}/i.eml`)).toBeUndefined();
}, 60_000);

it("is not kept waiting by a hundred removals of people, who wait for it, nor are any of them by the others", async () => {
  const [one = 0] = world.servers;
  const of = { accountId: world.account, requestedBy: "me@example.com", notify: false };
  for (let n = 0; n < 100; n++)
    await requestRemoval(world.directory, { ...of, email: `p${n}@person.example` }, world.now);
  await deleteServer(world.directory, { accountId: world.account, serverId: one }, world.now);
  const seen = new Set<number>();
  for (let minute = 0; minute < 60; minute++) {
    const open = await openErasures(world.directory, world.now + minute * 60_000);
    expect(open.map((erasure) => erasure.serverId)).toContain(one);
    for (const { id } of open) seen.add(id);
  }
  expect(seen.size).toBe(101);
}, 60_000);

it("goes on to others when what it asks for one of them never answers", async () => {
  const [one = 0, two = 0] = world.servers;
  for (const serverId of [one, two])
    await deleteServer(world.directory, { accountId: world.account, serverId }, world.now);
  world.now += 3 * 60_000;
  const { needs } = world;
  const outbox = (shard: string) => {
    const answering = needs.outbox(shard);
    const erase = () => new Promise<never>(() => undefined);
    return shard.startsWith(`${one}/`) ? { ...answering, erase } : answering;
  };
  for (let run = 0; run < 6; run++) {
    await erase({ ...needs, outbox }, { runMs: 1_000 });
    world.now += 60_000;
  }
  expect(await world.count("servers", `id = ${two}`)).toBe(0);
  expect(await world.count("servers", `id = ${one}`)).toBe(1);
}, 60_000);

it("keeps a deleted server's Outboxes while one holds a message", async () => {
  const [one = 0] = world.servers;
  await deleteServer(world.directory, { accountId: world.account, serverId: one }, world.now);
  world.held = ["still being sent"];
  world.now += 3 * 60_000;
  await erase(world.needs);
  expect([world.destroyed, await isOver()]).toEqual([[], false]);
}, 60_000);

it("purges an archived stream when its time has come, and not before, however it is cut off", async () => {
  const [one = 0] = world.servers;
  const [outbound, broadcast] = await fill(one);
  const kept = await rowsOf(one, "outbound");
  await archiveStream(world.directory, { serverId: one, id: "broadcast" }, world.now);
  world.now += 44 * DAY;
  await erase(world.needs);
  expect(await world.count("erasures")).toBe(0);
  world.now += 2 * DAY;
  await erase({ ...world.needs, mail: undefined as unknown as R2Bucket });
  expect([await world.count("erasures"), await isOver()]).toEqual([1, false]);
  expect(await cutOff(isOver)).toBeGreaterThan(5);
  expect(world.forgotten).toContainEqual({
    serverId: one,
    erase: { what: { kind: "stream", stream: "broadcast" }, until: expect.any(Number) },
  });
  // Its name is not given again.
  expect(await rowsOf(one, "broadcast")).toEqual({ streams: 1 });
  expect(await unarchiveStream(world.directory, { serverId: one, id: "broadcast" }, world.now)).toBe(
    "too late",
  );
  expect(await rowsOf(one, "outbound")).toEqual(kept);
  expect(await world.count("recipients", `message_id = '${broadcast.id}'`)).toBe(0);
  expect(await world.bytes(segmentOf(one))).toBe(bytesOf(outbound) + "\0".repeat(bytesOf(broadcast).length));
  const query = { filter: { stream: "outbound" }, page: { count: 10, offset: 0 } };
  expect((await listMessages(world.archive, one, query)).total).toBe(1);
  await erase(world.needs);
  expect(await world.count("erasures")).toBe(1);
}, 180_000);
