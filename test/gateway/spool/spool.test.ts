/** The spool while the Worker is away, and after: torn files, full and broken disks, what is held, and a person's commands. */
import { execFile, spawnSync } from "node:child_process";
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { writeDurably } from "../../../src/gateway/spool/file.ts";
import { newEntry, readName } from "../../../src/gateway/spool/folder.ts";
import { FakeWorker } from "./fake-worker.ts";
import { accountFor, idOf, message, newFolder, newSpool, type Under, until } from "./spools.ts";

const COMMAND = resolve(import.meta.dirname, "../../../src/gateway/spool/command.ts");
const NOWHERE = { url: "http://127.0.0.1:9" };
const DAY_MS = 86_400_000;

let fake: FakeWorker;
const open: Under[] = [];

beforeEach(async () => {
  fake = await new FakeWorker().start();
});
afterEach(async () => {
  for (const under of open.splice(0)) await under.end(0);
  await fake.stop();
});

async function begin(...args: Parameters<typeof newSpool>): Promise<Under> {
  const under = await newSpool(...args);
  open.push(under);
  return under;
}

/** A folder with so many batches of one message that wait, and their ids, oldest first. */
async function filled(count: number, some = {}): Promise<{ folder: string; ids: string[] }> {
  const under = await newSpool(NOWHERE);
  const ids: string[] = [];
  for (let i = 0; i < count; i++) ids.push(idOf(await under.spool.take(message(some))));
  await under.end(0);
  expect(under.files("waiting").length).toBe(count);
  return { folder: under.folder, ids };
}

const isEmpty = (under: Under) =>
  until(() => under.spool.state().waiting.batches === 0, "the spool is empty");

describe("while the Worker is away", () => {
  it("takes 2,000 messages of 50 sessions while it is killed and started again, and loses and repeats none", async () => {
    const under = await begin(fake);
    const ids: string[] = [];
    const session = async () => {
      while (ids.length < 2_000) ids.push(idOf(await under.spool.take(message({ bytes: 2_000 }))));
    };
    const sessions = Promise.all(Array.from({ length: 50 }, session));
    await until(() => ids.length > 300, "some are taken");
    fake.delayMs = 50;
    await until(() => fake.requests > 0 && under.spool.state().inFlight > 0, "a request is under way");
    await fake.stop();
    await until(() => ids.length > 900, "more are taken");
    await fake.start();
    fake.delayMs = 0;
    await sessions;
    await isEmpty(under);
    expect(accountFor(fake, ids)).toEqual({ acknowledged: ids.length, lost: 0, twice: 0 });
    const way = (name: string) => under.metric(`edgepost_intake_messages_total{way="${name}"}`);
    const [direct, spooled, forwarded] = [await way("direct"), await way("spooled"), await way("forwarded")];
    expect(direct + spooled).toBe(ids.length);
    expect(forwarded).toBe(spooled);
    expect(spooled).toBeGreaterThan(300);
    console.log(
      `${ids.length} taken: ${direct} direct, ${spooled} by the spool in ${await under.metric('edgepost_intake_batches_total{way="spooled"}')} files; ${fake.repeats} batches asked about twice`,
    );
  });

  it("nobody waits for it twice: mail goes into the spool at once, many messages in a file", async () => {
    fake.mode = "hang";
    const under = await begin(fake, { limits: { patience: 300 } });
    await under.spool.take(message());
    expect(under.spool.state().isWorkerUp).toBe(false);
    const ids = await Promise.all(Array.from({ length: 60 }, () => under.spool.take(message())));
    expect(ids.every((receipt) => "messageId" in receipt)).toBe(true);
    expect(under.files("waiting").length).toBe(2);
    // One was asked about, and none of the sixty.
    expect(under.events.filter(({ event }) => event.startsWith("intake: no answer")).length).toBe(1);
    expect(await under.metric("edgepost_worker_up")).toBe(0);
    expect(await under.metric("edgepost_spool_waiting_messages")).toBe(61);
  });

  it("new mail goes directly again as soon as it answers, though much is still waiting", async () => {
    const { folder } = await filled(150);
    fake.delayMs = 20;
    const under = await begin(fake, { folder });
    await until(() => fake.ids.length > 0, "forwarding has begun");
    const id = idOf(await under.spool.take(message()));
    expect(fake.ids).toContain(id);
    expect(under.spool.state().waiting.batches).toBeGreaterThan(0);
    await isEmpty(under);
    expect(fake.ids.length).toBe(151);
  });

  it("is asked with an empty spool too, so that a full disk does not keep it away for ever", async () => {
    fake.mode = "500";
    const under = await begin(fake, { limits: { bytes: 10 } });
    expect(await under.spool.take(message())).toEqual({ reply: expect.objectContaining({ code: 452 }) });
    expect(under.spool.refusal(1_000)).toMatchObject({ code: 452, enhanced: "4.3.1" });
    fake.mode = "ok";
    await until(() => under.spool.refusal(1_000) === undefined, "mail is taken again");
    idOf(await under.spool.take(message()));
    expect(fake.ids.length).toBe(1);
    expect(under.spool.state().isWorkerUp).toBe(true);
  });
});

describe("what was spooled", () => {
  it("goes oldest first", async () => {
    const { folder, ids } = await filled(30);
    fake.mode = "500";
    const under = await begin(fake, { folder });
    fake.mode = "ok";
    await isEmpty(under);
    // Four at once may pass each other.
    const order = fake.ids.map((id) => ids.indexOf(id));
    expect(order.every((at, i) => Math.abs(at - i) <= 8)).toBe(true);
    expect(order.length).toBe(30);
  });

  it("is not held up by a batch that always fails", async () => {
    const { folder: bad } = await filled(1, { serverId: 9 });
    const { folder, ids } = await filled(20);
    const [name = ""] = names(bad);
    renameSync(join(bad, "waiting", name), join(folder, "waiting", name));
    fake.away.add(9);
    const under = await begin(fake, { folder });
    await until(() => under.spool.state().waiting.batches === 1, "all but one are gone");
    expect(fake.ids.sort()).toEqual(ids.sort());
    idOf(await under.spool.take(message()));
    expect(under.spool.state().isWorkerUp).toBe(true);
  });

  it("is not taken for the Worker's absence, when the Worker understands none of it", async () => {
    const { folder } = await filled(1, { serverId: 9 });
    fake.malformed.add(9);
    const under = await begin(fake, { folder });
    const refused = () => under.events.filter(({ event }) => event === "spool: not taken").length;
    await until(() => refused() >= 3 && under.spool.state().isWorkerUp, "the Worker is believed to be there");
    const id = idOf(await under.spool.take(message()));
    expect(await under.metric('edgepost_intake_messages_total{way="direct"}')).toBe(1);
    expect(fake.ids).toEqual([id]);
    expect(under.files("waiting").length).toBe(1);
  });

  it("goes when the Worker is back, though each batch has failed often, one always fails, and no new mail comes", async () => {
    const { folder: bad } = await filled(1, { serverId: 9 });
    const { folder, ids } = await filled(1);
    const [name = ""] = names(bad);
    renameSync(join(bad, "waiting", name), join(folder, "waiting", name));
    fake.mode = "500";
    fake.malformed.add(9);
    const under = await begin(fake, { folder });
    const attempts = () =>
      Object.values(
        Object.groupBy(
          under.events.filter(({ event }) => event === "spool: not taken"),
          ({ fields }) => String(fields.key),
        ),
      ).map((events) => events?.length ?? 0);
    await until(
      () => attempts().filter((count) => count >= 3).length === 2,
      "both have failed often",
      60_000,
    );
    fake.mode = "ok";
    await until(() => fake.ids.length === 1, "the good one is taken", 60_000);
    expect(fake.ids).toEqual(ids);
    await until(() => under.files("waiting").join() === name, "its file is gone, and the other one waits");
  });

  it("is taken out of its folder by hand without harm", async () => {
    const { folder, ids } = await filled(12);
    fake.mode = "500";
    const under = await begin(fake, { folder });
    const last = names(folder).at(-1) ?? "";
    renameSync(join(folder, "waiting", last), join(folder, "held", last));
    fake.mode = "ok";
    await isEmpty(under);
    expect(fake.ids.sort()).toEqual(ids.slice(0, -1).sort());
    expect(under.files("held")).toEqual([last]);
  });
});

describe("files that are not what was written", () => {
  const breaks: Record<string, (path: string) => void> = {
    "cut in the middle": (path) => truncateSync(path, 400),
    "without their last byte": (path) => truncateSync(path, readFileSync(path).length - 1),
    "with a byte flipped in the message": (path) => flip(path, -90),
    "with a byte flipped in the head": (path) => flip(path, 20),
    "with a byte flipped in the hash": (path) => flip(path, -20),
    "filled with zeros": (path) => writeFileSync(path, Buffer.alloc(readFileSync(path).length)),
    "with zeros at the end": (path) =>
      writeFileSync(path, Buffer.concat([readFileSync(path), Buffer.alloc(512)])),
    "of no bytes": (path) => truncateSync(path, 0),
  };
  for (const [how, change] of Object.entries(breaks)) {
    it(`${how}, are put aside with an alarm, and the others go`, async () => {
      const { folder, ids } = await filled(3);
      const second = names(folder)[1] ?? "";
      change(join(folder, "waiting", second));
      writeFileSync(join(folder, "writing", "left-over"), "half a mess");
      writeFileSync(join(folder, "waiting", "README"), "not ours");
      const under = await begin(fake, { folder });
      await isEmpty(under);
      expect(fake.ids.sort()).toEqual([ids[0], ids[2]].sort());
      expect(under.files("damaged")).toEqual([second]);
      expect(under.files("writing")).toEqual([]);
      expect(await under.metric('edgepost_intake_batches_total{way="damaged"}')).toBe(1);
      expect(under.events.filter(({ fields }) => fields.alarm)).toMatchObject([
        { event: "spool: a file is damaged", fields: { key: readName(second)?.key } },
      ]);
    });
  }
});

describe.skipIf(process.getuid?.() !== 0)("a disk that is small (needs root, for a mount)", () => {
  let folder = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "edgepost-small-"));
    mount("-t", "tmpfs", "-o", "size=128k", "tmpfs", folder);
  });
  afterEach(async () => {
    for (const under of open.splice(0)) await under.end(0);
    spawnSync("umount", ["-l", folder]);
  });

  it("is never over-filled: 452 at the end, then at MAIL; and mail is taken again when there is room", async () => {
    fake.mode = "500";
    const under = await begin(fake, { folder: join(folder, "spool") });
    const receipts = [];
    for (let i = 0; i < 30; i++) receipts.push(await under.spool.take(message({ bytes: 9_000 })));
    const ids = receipts.flatMap((r) => ("messageId" in r ? [r.messageId] : []));
    const codes = receipts.flatMap((r) => ("reply" in r ? [`${r.reply.code} ${r.reply.enhanced}`] : []));
    expect(ids.length).toBeGreaterThan(5);
    expect(codes.length).toBeGreaterThan(5);
    expect(new Set(codes)).toEqual(new Set(["452 4.3.1"]));
    expect(under.spool.refusal(20_000)).toMatchObject({ code: 452, enhanced: "4.3.1" });
    expect(under.files("writing")).toEqual([]);
    fake.mode = "ok";
    await isEmpty(under);
    expect(accountFor(fake, ids)).toEqual({ acknowledged: ids.length, lost: 0, twice: 0 });
    expect(fake.ids.length).toBe(ids.length);
    await until(() => under.spool.ready(), "it is ready again");
    expect(under.spool.refusal(20_000)).toBe(undefined);
    console.log(`small disk: ${ids.length} kept, ${codes.length} refused, 0 lost`);
  });

  it("is found out by a write that comes up short, when it fills without our doing", async () => {
    fake.mode = "500";
    const under = await begin(fake, { folder: join(folder, "spool") });
    idOf(await under.spool.take(message()));
    // What statfs said a moment ago is now wrong.
    writeFileSync(join(folder, "somebody-else"), Buffer.alloc(100_000));
    const large = await under.spool.take(message({ bytes: 40_000 }));
    expect(large).toEqual({ reply: expect.objectContaining({ code: 452, enhanced: "4.3.1" }) });
    expect(under.files("writing")).toEqual([]);
    expect(under.files("waiting").length).toBe(1);
    expect(under.spool.ready()).toBe(false);
  });

  it("never counts a write that came up short as whole, at whichever byte", async () => {
    const path = join(folder, "file");
    const room = statfsSync(folder).bavail * statfsSync(folder).bsize;
    const outcomes = { whole: 0, refused: 0 };
    for (let over = -200; over <= 200; over += 10) {
      // The last part is the one that does not fit: nothing is written behind it that would fail.
      const parts = [Buffer.alloc(room + over - 70, "a"), Buffer.alloc(70, "b")];
      const error = await writeDurably(path, parts).catch((cause: unknown) => cause);
      if (error) {
        expect(error).toMatchObject({ code: "ENOSPC" });
        outcomes.refused++;
      } else {
        expect(statSync(path).size).toBe(room + over);
        outcomes.whole++;
      }
      rmSync(path, { force: true });
    }
    expect(outcomes).toEqual({ whole: 21, refused: 20 });
  });

  it("that is read-only is a 451, and at MAIL too; it is not ready until it can be written again", async () => {
    const under = await begin(fake, { folder: join(folder, "spool") });
    expect(under.spool.ready()).toBe(true);
    mount("-o", "remount,ro", folder);
    // The Worker has it: the disk is not asked.
    idOf(await under.spool.take(message()));
    fake.mode = "500";
    expect(await under.spool.take(message())).toEqual({
      reply: expect.objectContaining({ code: 451, enhanced: "4.3.0" }),
    });
    expect(under.spool.ready()).toBe(false);
    await until(() => under.spool.refusal(1_000)?.code === 451, "it is known at MAIL");
    mount("-o", "remount,rw", folder);
    await until(() => under.spool.ready(), "it is ready again");
    expect(under.spool.refusal(1_000)).toBe(undefined);
    idOf(await under.spool.take(message()));
    expect(under.files("waiting").length).toBe(1);
  });

  it("has a share that stays free", async () => {
    fake.mode = "500";
    const under = await begin(fake, { folder: join(folder, "spool"), limits: { freeShare: 0.9 } });
    idOf(await under.spool.take(message()));
    const receipts = [];
    for (let i = 0; i < 3; i++) receipts.push(await under.spool.take(message({ bytes: 9_000 })));
    expect(receipts.some((receipt) => "reply" in receipt && receipt.reply.code === 452)).toBe(true);
  });
});

describe("the bound on bytes", () => {
  it("is a 452 while the Worker is away, and nothing while it is there", async () => {
    const under = await begin(fake, { limits: { bytes: 5_000 } });
    expect(under.spool.refusal(10_000)).toBe(undefined);
    // What memory has no room for is no matter of the disk.
    expect(under.spool.refusal(200 * 1024 ** 2)).toMatchObject({ code: 451, enhanced: "4.3.2" });
    fake.mode = "500";
    idOf(await under.spool.take(message({ bytes: 2_000 })));
    expect(await under.spool.take(message({ bytes: 4_000 }))).toEqual({
      reply: expect.objectContaining({ code: 452 }),
    });
    expect(under.spool.refusal(4_000)).toMatchObject({ code: 452 });
    expect(under.spool.refusal(100)).toBe(undefined);
    expect(await under.metric('edgepost_spool_failures_total{why="full"}')).toBe(1);
  });
});

describe("what is held for a person", () => {
  it("is what the Worker refuses of a batch whose clients have their 250: the rest is delivered, once", async () => {
    fake.mode = "500";
    const under = await begin(fake);
    idOf(await under.spool.take(message()));
    const texts = ["fine", "refuse-me", "fine", "refuse-me"];
    const ids = (await Promise.all(texts.map((text) => under.spool.take(message({ text }))))).map(idOf);
    fake.mode = "ok";
    await isEmpty(under);
    expect(fake.ids.slice().sort()).toEqual([fake.ids[0], ids[0], ids[2]].sort());
    expect(under.files("held").length).toBe(1);
    expect(await under.metric('edgepost_intake_messages_total{way="held"}')).toBe(2);
    const key = readName(under.files("held")[0] ?? "")?.key ?? "";

    const shown = JSON.parse(await command(under, "show", key)) as { messages: Record<string, unknown>[] };
    expect(shown.messages.map(({ messageId }) => messageId)).toEqual([ids[1], ids[3]]);
    expect(shown.messages[0]).toMatchObject({
      refused: "550 5.6.0 no",
      envelope: { reversePath: "a@example.com" },
    });
    expect(JSON.stringify(shown)).not.toContain("refuse-me");
    expect(await command(under, "show", key, "--raw")).toContain("refuse-me");
    expect(await command(under, "list")).toMatch(new RegExp(`held .*${key} .* 7 +2 .*refused: 550 5.6.0 no`));

    // The Worker still says no: it is held again, under a key of its own, and nothing is lost or sent.
    expect(await command(under, "retry", key)).toContain("1 batch");
    await until(() => under.files("held").some((n) => readName(n)?.key !== key), "it is held again");
    await isEmpty(under);
    expect(under.files("held").length).toBe(1);
    expect(fake.ids.length).toBe(3);
  });

  it("goes when a person retries it and the Worker takes it, while the gateway runs", async () => {
    fake.mode = "500";
    fake.refuses.add(7);
    const under = await begin(fake);
    const ids = [idOf(await under.spool.take(message())), idOf(await under.spool.take(message()))];
    fake.mode = "ok";
    await isEmpty(under);
    expect(under.files("held").length).toBe(2);
    expect(fake.ids).toEqual([]);
    fake.refuses.clear();
    expect(await command(under, "retry", "--all")).toContain("2 batches");
    await until(() => fake.ids.length === 2, "both are delivered");
    expect(fake.ids.sort()).toEqual(ids.sort());
    await until(() => under.files("waiting").length === 0, "the files are gone");
    expect(under.files("held")).toEqual([]);
  });

  it("is what has waited for too long; a retry begins its time anew", async () => {
    const { folder, ids } = await filled(2);
    const [name = ""] = names(folder);
    const entry = readName(name);
    if (!entry) throw new Error("a name is not read");
    const old = newEntry({ ...entry, at: Date.now() - 6 * DAY_MS });
    renameSync(join(folder, "waiting", name), join(folder, "waiting", old.name));
    const under = await begin(fake, { folder });
    await isEmpty(under);
    expect(fake.ids).toEqual([ids[1]]);
    expect(under.files("held")).toEqual([old.name]);
    expect(under.events).toContainEqual(
      expect.objectContaining({ fields: expect.objectContaining({ alarm: true, key: old.key }) }),
    );
    expect(await command(under, "list")).toMatch(/held +6d0h .*its age/);
    await command(under, "retry", old.key);
    await until(() => fake.ids.length === 2, "it is delivered");
    expect(fake.ids).toEqual([ids[1], ids[0]]);
  });
});

describe("the command", () => {
  it("lists, and says in a sentence what it can't do", async () => {
    const { folder } = await filled(2);
    const at = { folder };
    const text = await command(at, "list");
    expect(text.match(/^waiting +\d+s .* 7 +1 /gm)?.length).toBe(2);
    expect(text).toContain("2 batches");
    await expect(command(at, "show", "no-such-key")).rejects.toThrow("No batch no-such-key is in the spool.");
    await expect(command(at, "retry", "no-such-key")).rejects.toThrow("No batch no-such-key is held.");
    await expect(command(at, "explode")).rejects.toThrow("retry --all");
    await expect(command({ folder: join(newFolder(), "spool") }, "list")).rejects.toThrow(
      "There is no spool here",
    );
  });
});

/** Of what waits, oldest first. */
function names(folder: string): string[] {
  return readdirSync(join(folder, "waiting")).sort();
}

function flip(path: string, at: number): void {
  const bytes = readFileSync(path);
  const place = at < 0 ? bytes.length + at : at;
  bytes[place] = (bytes[place] ?? 0) ^ 1;
  writeFileSync(path, bytes);
}

function mount(...args: string[]): void {
  const { status, stderr } = spawnSync("mount", args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`mount: ${stderr}`);
}

/** The spool's folder is "spool" of the gateway's state. */
async function command({ folder }: { folder: string }, ...args: string[]): Promise<string> {
  const env = { PATH: process.env.PATH, GATEWAY_STATE: dirname(folder) };
  const { stdout } = await promisify(execFile)(process.execPath, [COMMAND, ...args], { env });
  return stdout;
}
