/** What keeps opens and clicks until they are recorded: over a kill, over an archive that refuses, and each of them once. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Miniflare } from "miniflare";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { writeRecords } from "../../src/archive/write.ts";
import { bundle } from "../../src/local/bundle.ts";
import { migrate } from "../../src/local/migrate.ts";
import type { MailEvent } from "../../src/mail/event.ts";
import type { MessageRecord } from "../../src/mail/record.ts";
import type { SeenFact } from "../../src/track/seen-fact.ts";
import { delivered, message, NOON } from "../archive/databases.ts";
import { counted } from "./recount.ts";

const MIGRATIONS = resolve(import.meta.dirname, "../../migrations");

let folder: string;
let miniflare: Miniflare;
let archive: D1Database;
let told: MailEvent[];
let isLogAway: boolean;
/** What the log waits for before it answers who asks it now. */
let silence: Promise<void> | undefined;
let asked: number;
let script: Promise<string> | undefined;
let sent: MessageRecord;

async function start(): Promise<void> {
  script ??= bundle("test/track/seen-worker.ts");
  miniflare = new Miniflare({
    modules: [{ type: "ESModule", path: "worker.js", contents: await script }],
    compatibilityDate: "2026-08-04",
    compatibilityFlags: ["nodejs_compat"],
    defaultPersistRoot: folder,
    durableObjects: { SEEN: { className: "Seen", useSQLite: true } },
    durableObjectsPersist: true,
    d1Databases: ["DIRECTORY", "ARCHIVE"],
    d1Persist: true,
    serviceBindings: {
      WORLD: async (request: Request) => {
        const method = new URL(request.url).pathname.slice(1);
        const body: unknown = await request.json();
        asked++;
        await silence;
        if (isLogAway) return new Response("away", { status: 500 });
        if (method === "tell") told.push(...(body as MailEvent[]));
        return Response.json(method === "held" ? [] : null);
      },
    },
  } as unknown as ConstructorParameters<typeof Miniflare>[0]);
  await miniflare.ready;
  archive = (await miniflare.getD1Database("ARCHIVE")) as unknown as D1Database;
}

async function kill(): Promise<void> {
  const list = execFileSync("ps", ["-o", "pid=,comm=", "--ppid", String(process.pid)], { encoding: "utf8" });
  const line = list.split("\n").findLast((l) => l.trim().endsWith("workerd"));
  process.kill(Number.parseInt(line ?? "", 10), "SIGKILL");
  await miniflare.dispose().catch(() => undefined);
  await start();
}

async function call<T>(method: string, body: unknown = null): Promise<T> {
  const response = await miniflare.dispatchFetch(`http://test/${method}`, {
    method: "POST",
    body: JSON.stringify(body),
  });
  const reply = (await response.json()) as { ok: T; error?: string };
  if (reply.error) throw new Error(reply.error);
  return reply.ok;
}

const open = (n: number): SeenFact => ({
  ...{ kind: "open", messageId: sent.id, index: n % 2, at: NOON + n },
  visitor: { userAgent: "GoogleImageProxy" },
});

async function until(what: string, isTrue: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + 30_000;
  while (!(await isTrue())) {
    if (Date.now() > end) throw new Error(`not in time: ${what}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}
const allRecorded = () => until("all is recorded", async () => (await call<number>("rows")) === 0);

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "edgepost-seen-"));
  [told, isLogAway, silence, asked] = [[], false, undefined, 0];
  await start();
  await migrate(archive, `${MIGRATIONS}/archive`);
  sent = message([delivered("a@x.example"), delivered("b@x.example")]);
  await writeRecords(archive, [sent], []);
});
afterEach(async () => {
  await miniflare.dispose().catch(() => undefined);
  rmSync(folder, { recursive: true, force: true });
});

describe("what is seen", () => {
  it("is recorded by itself, all that came together at once", async () => {
    await Promise.all(Array.from({ length: 30 }, (_, n) => call("add", [open(n)])));
    await allRecorded();
    expect(told).toHaveLength(30);
    expect(told.filter((event) => event.type === "Open" && event.isFirst).map((e) => e.email)).toEqual(
      expect.arrayContaining(["a@x.example", "b@x.example"]),
    );
    expect(await counted(archive)).toMatchObject({
      "1 - 2026-02-17 outbound Open/first/WebMail/Gmail/unknown": 2,
      "1 - 2026-02-17 outbound Open/again": 28,
    });
  });

  it("is there after workerd was killed as soon as it was kept, and recorded then", async () => {
    await call("add", [open(0), open(1), open(2)]);
    await kill();
    expect(await call("rows")).toBe(1);
    await allRecorded();
    expect(told).toHaveLength(3);
  });

  it("waits while the log refuses, killed meanwhile or not, and is counted once though it was recorded each time", async () => {
    isLogAway = true;
    await call("add", [open(0), open(1), open(2)]);
    await until("it is in the archive", async () => Object.keys(await counted(archive)).length > 0);
    await call("add", [open(3)]);
    await kill();
    await until("it is in the archive whole", async () => {
      const counts = await counted(archive);
      return counts["1 - 2026-02-17 outbound Open/again"] === 2;
    });
    expect(told).toEqual([]);
    isLogAway = false;
    await allRecorded();
    expect(new Set(told.map((event) => event.id)).size).toBe(4);
    expect(await counted(archive)).toMatchObject({
      "1 - 2026-02-17 outbound Open/first/WebMail/Gmail/unknown": 2,
      "1 - 2026-02-17 outbound Open/again": 2,
    });
  });

  it("is recorded by a later run when the log never answers an earlier one", async () => {
    let end = () => {};
    silence = new Promise((resolve) => {
      end = resolve;
    });
    await call("add", [open(0)]);
    await until("the log was asked", async () => asked > 0);
    silence = undefined;
    await allRecorded();
    expect(told).toHaveLength(1);
    const counts = await counted(archive);
    expect(counts["1 - 2026-02-17 outbound Open/first/WebMail/Gmail/unknown"]).toBe(1);
    expect(counts["1 - 2026-02-17 outbound Open/again"]).toBeUndefined();
    end();
  });

  it("is counted though the clock was set back since what was counted last", async () => {
    await archive
      .prepare("INSERT INTO seen_marks VALUES (1, 'Open', ?)")
      .bind(Date.now() + 3_600_000)
      .run();
    await Promise.all([call("add", [open(0), open(2)]), call("add", [open(1)])]);
    await allRecorded();
    await call("add", [open(3)]);
    await allRecorded();
    expect(await counted(archive)).toMatchObject({
      "1 - 2026-02-17 outbound Open/first/WebMail/Gmail/unknown": 2,
      "1 - 2026-02-17 outbound Open/again": 2,
    });
  });

  it("is taken and dropped after its server was removed, by an object that was not evicted since", async () => {
    await call("add", [open(0)]);
    await allRecorded();
    await call("destroy");
    await call("add", [open(1)]);
    await allRecorded();
    expect(await call("rows")).toBe(0);
  });
});
