/**
 * Death and broken disks at every step: a process that runs a spool is killed at each of its system calls in turn, or one of them
 * fails, and what it had promised is looked for afterwards (catalogue A1, A2).
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FakeWorker } from "./fake-worker.ts";
import { idOf, message, newFolder, newSpool, until } from "./spools.ts";

const DRIVER = resolve(import.meta.dirname, "driver.ts");
/** Nothing listens there: connections are refused. */
const NOWHERE = "http://127.0.0.1:9";
/** More than any of these runs has of one call. */
const MOST_CALLS = 60;
const canTrace = spawnSync("strace", ["-f", "-qq", "-o", "/dev/null", "true"]).status === 0;

interface Run {
  wasKilled: boolean;
  promised: string[];
  refused: string[];
}

interface Drive {
  inject?: string;
  folder: string;
  url?: string;
  total?: number;
  atOnce?: number;
  env?: Record<string, string>;
}

/** One thread for the disk, since strace counts calls for each thread. */
async function drive({
  inject,
  folder,
  url = NOWHERE,
  total = 0,
  atOnce = 1,
  env = {},
}: Drive): Promise<Run> {
  const call = inject?.split(":")[0] ?? "none";
  const tracer = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", `trace=${call}`, "-e", `inject=${inject}`];
  const node = [process.execPath, DRIVER, folder, url, String(total), String(atOnce)];
  const [program = "", ...args] = inject ? [...tracer, ...node] : node;
  const child = spawn(program, args, {
    env: { PATH: process.env.PATH, UV_THREADPOOL_SIZE: "1", ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.on("data", (chunk) => {
    text += chunk;
  });
  const [code, signal] = await new Promise<[number | null, string | null]>((done) => {
    child.on("close", (...how) => done(how));
  });
  const lines = text.split("\n").filter((line) => line !== "");
  const after = (sign: string) => lines.filter((l) => l.startsWith(sign)).map((l) => l.slice(2));
  const wasKilled = signal === "SIGKILL" || code === 137;
  if (!wasKilled && code !== 0) throw new Error(`the driver ended with ${code ?? signal}`);
  return { wasKilled, promised: after("+"), refused: after("-") };
}

/** Opens the spool again and waits until the Worker has all that it holds. */
async function recover(folder: string, fake: FakeWorker) {
  const under = await newSpool(fake, { folder });
  await until(() => under.spool.state().waiting.batches === 0, "the spool is empty");
  const left = {
    waiting: under.files("waiting").length,
    writing: under.files("writing").length,
    held: under.files("held").length,
    damaged: under.files("damaged").length,
  };
  await under.end();
  return left;
}

describe.skipIf(!canTrace)("a gateway that is killed (needs strace and ptrace)", () => {
  let fake: FakeWorker;
  beforeAll(async () => {
    fake = await new FakeWorker().start();
  });
  afterAll(() => fake.stop());

  for (const call of ["mkdir", "pwrite64", "fsync", "rename"]) {
    it(`before any ${call} of accepting keeps what it has promised, and whole`, async () => {
      let when = 1;
      let promised = 0;
      for (; when <= MOST_CALLS; when++) {
        const folder = newFolder();
        const run = await drive({ inject: `${call}:signal=KILL:when=${when}`, folder, total: 3, atOnce: 1 });
        const before = fake.ids.length;
        mkdirSync(folder, { recursive: true });
        expect(await recover(folder, fake)).toEqual({ waiting: 0, writing: 0, held: 0, damaged: 0 });
        const arrived = fake.ids.slice(before);
        expect(run.promised.filter((id) => !arrived.includes(id))).toEqual([]);
        expect(new Set(arrived).size).toBe(arrived.length);
        // The one in hand may have been kept without its receipt having been seen.
        expect(arrived.length - run.promised.length).toBeLessThanOrEqual(1);
        promised += run.promised.length;
        if (!run.wasKilled) break;
      }
      expect(when - 1).toBeGreaterThanOrEqual(call === "rename" ? 3 : 4);
      console.log(`killed before each of ${when - 1} ${call}: ${promised} promised, 0 lost`);
    }, 180_000);
  }

  for (const call of ["unlink", "pwrite64", "fsync", "rename"]) {
    it(`before any ${call} of forwarding and holding delivers once, and holds once`, async () => {
      fake.refuses.add(8);
      let when = 1;
      for (; when <= MOST_CALLS; when++) {
        const folder = newFolder();
        const away = await newSpool({ url: NOWHERE }, { folder });
        const ids: string[] = [];
        for (const serverId of [7, 8, 7]) ids.push(idOf(await away.spool.take(message({ serverId }))));
        await away.end(0);
        const before = fake.ids.length;
        const env = { DRIVER_UNTIL_EMPTY: "1" };
        const run = await drive({ inject: `${call}:signal=KILL:when=${when}`, folder, url: fake.url, env });
        expect(await recover(folder, fake)).toEqual({ waiting: 0, writing: 0, held: 1, damaged: 0 });
        expect(fake.ids.slice(before).sort()).toEqual([ids[0], ids[2]].sort());
        if (!run.wasKilled) break;
      }
      fake.refuses.clear();
      expect(when - 1).toBeGreaterThanOrEqual(1);
      console.log(`killed before each of ${when - 1} ${call} of forwarding: 0 lost, 0 twice`);
    }, 180_000);
  }
});

describe.skipIf(!canTrace)("a receipt (needs strace and ptrace)", () => {
  it("comes after the file is synced, then named, then its folder synced", async () => {
    const trace = join(dirname(newFolder()), "trace");
    const args = ["-f", "-qq", "-o", trace, "-e", "trace=pwrite64,fsync,rename,write"];
    const node = [process.execPath, DRIVER, join(dirname(trace), "spool"), NOWHERE, "1", "1"];
    spawnSync("strace", [...args, ...node], { env: { PATH: process.env.PATH, UV_THREADPOOL_SIZE: "1" } });
    const calls = readFileSync(trace, "utf8")
      .split("\n")
      .map((line) => /^\d+ +(pwrite64|fsync|rename|write\(1, "\+)/.exec(line)?.[1] ?? "")
      .filter((call) => call !== "");
    const first = calls.indexOf("pwrite64");
    expect(calls.slice(first)).toEqual([
      ...["pwrite64", "pwrite64", "pwrite64", "fsync", "rename", "fsync"],
      'write(1, "+',
    ]);
  });
});

describe.skipIf(!canTrace)("a disk that fails (needs strace and ptrace)", () => {
  const cases = [
    // Of the file, and of the folder.
    { call: "fsync", error: "EIO", code: "451", ofMessage: 2 },
    { call: "pwrite64", error: "EIO", code: "451", ofMessage: 3 },
    { call: "pwrite64", error: "ENOSPC", code: "452", ofMessage: 3 },
    { call: "rename", error: "EIO", code: "451", ofMessage: 1 },
  ];
  for (const { call, error, code, ofMessage } of cases) {
    it(`with ${error} at any ${call} is never answered with a 250, and what has a 250 arrives`, async () => {
      const fake = await new FakeWorker().start();
      let refusals = 0;
      let when = 1;
      for (; when <= MOST_CALLS; when++) {
        const folder = newFolder();
        const run = await drive({ inject: `${call}:error=${error}:when=${when}`, folder, total: 3 });
        expect(run.promised.length + run.refused.length).toBe(3);
        expect(run.refused).toEqual(run.refused.map(() => code));
        expect(readdirSync(join(folder, "writing"))).toEqual([]);
        const before = fake.ids.length;
        await recover(folder, fake);
        // Nothing stays of what was refused: its client comes again.
        expect(fake.ids.slice(before).sort()).toEqual(run.promised.sort());
        refusals += run.refused.length;
        if (run.refused.length === 0 && when > 4) break;
      }
      await fake.stop();
      // Each call of each message has failed once: none is left out, and none comes after the receipt.
      expect(refusals).toBe(3 * ofMessage);
      console.log(`${error} at each of ${when - 1} ${call}: ${refusals} refused, 0 lost`);
    }, 180_000);
  }
});
