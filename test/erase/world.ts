/**
 * Two servers of an account and one of another, with mail in real D1 and R2, for tests of removing. Outboxes and waiting mail are fakes
 * at their ports; what runs may be cut off after any write.
 */
import { resolve } from "node:path";
import { Miniflare } from "miniflare";
import { createAccount, createServer } from "../../src/accounts/create.ts";
import type { SystemMessage } from "../../src/accounts/system-message.ts";
import { writeRecords } from "../../src/archive/write.ts";
import type { EraseNeeds } from "../../src/erase/needs.ts";
import { migrate } from "../../src/local/migrate.ts";
import type { ToErase } from "../../src/mail/erasure.ts";
import type { MessageRecord } from "../../src/mail/record.ts";
import { d1Worker, openD1 } from "../archive/d1.ts";
import { NOON } from "../archive/databases.ts";

const MIGRATIONS = resolve(import.meta.dirname, "../../migrations");

export class EraseWorld {
  readonly #miniflare = new Miniflare({ ...d1Worker(["DIRECTORY", "ARCHIVE"]), r2Buckets: ["MAIL"] });
  directory = undefined as unknown as D1Database;
  archive = undefined as unknown as D1Database;
  mail = undefined as unknown as R2Bucket;
  now = NOON + 60_000;
  account = 0;
  /** Of the account, two, and one of another. */
  servers: number[] = [];
  readonly logged: string[] = [];
  readonly sent: SystemMessage[] = [];
  readonly told: { shard: string; erase: ToErase }[] = [];
  readonly changes: unknown[] = [];
  readonly destroyed: string[] = [];
  /** Ids that an Outbox still holds. */
  held: string[] = [];
  /** Waiting mail of this many calls is on its way. */
  busy = 0;
  /** What event logs were told to forget. */
  readonly forgotten: { serverId: number; erase: ToErase }[] = [];
  readonly hooks: { name: string; erase: ToErase }[] = [];
  /** Writes until it is cut off. */
  writesLeft = Number.POSITIVE_INFINITY;

  static async open(): Promise<EraseWorld> {
    const world = new EraseWorld();
    const miniflare = world.#miniflare;
    world.directory = await openD1(miniflare, "DIRECTORY");
    world.archive = await openD1(miniflare, "ARCHIVE");
    // Miniflare declares the platform's types once more; they are the same at run time.
    world.mail = (await miniflare.getR2Bucket("MAIL")) as unknown as R2Bucket;
    await migrate(world.directory, `${MIGRATIONS}/directory`);
    await migrate(world.archive, `${MIGRATIONS}/archive`);
    world.account = await createAccount(world.directory, "Ours", NOON);
    const other = await createAccount(world.directory, "Theirs", NOON);
    for (const [accountId, name] of [
      [world.account, "one"],
      [world.account, "two"],
      [other, "theirs"],
    ] as const) {
      const { id } = await createServer(world.directory, { accountId, name }, NOON);
      world.servers.push(id);
      await world.directory
        .prepare("INSERT INTO shards VALUES (?, ?, ?)")
        .bind(`${id}/local/0`, id, NOON)
        .run();
    }
    return world;
  }

  get needs(): EraseNeeds {
    return {
      directory: this.#cutting(this.directory),
      archive: () => this.#cutting(this.archive),
      mail: this.#cuttingBucket(),
      now: () => this.now,
      log: (event, fields) => this.logged.push(JSON.stringify({ event, ...fields })),
      outbox: (shard) => ({
        erase: async (erase) => {
          this.told.push({ shard, erase });
          return this.held;
        },
        destroy: async () => {
          this.destroyed.push(shard);
        },
        changeSuppressions: async (changes) => {
          this.changes.push(...changes);
        },
      }),
      events: (serverId) => ({
        erase: async (erase) => {
          this.forgotten.push({ serverId, erase });
          return true;
        },
        destroy: async () => {
          this.destroyed.push(`log of ${serverId}`);
        },
      }),
      seen: (serverId) => ({
        destroy: async () => {
          this.destroyed.push(`seen of ${serverId}`);
        },
      }),
      hook: (name) => ({
        erase: async (erase) => {
          this.hooks.push({ name, erase });
        },
      }),
      waitingMail: () => [{ erase: async () => undefined, removePerson: async () => this.busy-- <= 0 }],
      sendSystemMessage: async (message) => this.sent.push(message),
    };
  }

  /** With its bytes, each message's own text, in one segment. */
  async store(records: MessageRecord[], key: string): Promise<void> {
    let offset = 0;
    const placed = records.map((record) => {
      const { length } = bytesOf(record);
      const segment = { key, offset, length };
      offset += length;
      return { ...record, segment };
    });
    await this.mail.put(key, Buffer.concat(records.map(bytesOf)));
    await writeRecords(this.archive, placed, []);
  }

  async bytes(key: string): Promise<string | undefined> {
    return (await this.mail.get(key))?.text();
  }

  async count(table: string, where = "1"): Promise<number> {
    const db = /servers|streams|shards|suppr|tokens|erasures|rules|webhooks|templates/.test(table)
      ? this.directory
      : this.archive;
    return Number((await db.prepare(`SELECT count(*) AS n FROM ${table} WHERE ${where}`).first("n")) ?? 0);
  }

  dispose(): Promise<void> {
    return this.#miniflare.dispose();
  }

  /** What was written is there; whoever wrote it never hears of it. */
  #wrote(rows: number | undefined): void {
    if (rows && --this.writesLeft < 0) throw new Error("cut off, as the test wants");
  }

  #cutting(db: D1Database): D1Database {
    const statement = (real: D1PreparedStatement): D1PreparedStatement =>
      over(real, {
        bind: (...values: unknown[]) => statement(real.bind(...values)),
        run: () => this.#after(real.run()),
        all: () => this.#after(real.all()),
        raw: () => real.raw(),
        first: async (column?: string) => {
          const { results } = await this.#after(real.all<Record<string, unknown>>());
          const [row] = results;
          return row ? (column === undefined ? row : row[column]) : null;
        },
        [REAL]: real,
      });
    return over(db, {
      prepare: (sql: string) => statement(db.prepare(sql)),
      batch: async (of: (D1PreparedStatement & { [REAL]?: D1PreparedStatement })[]) => {
        const results = await db.batch(of.map((s) => s[REAL] ?? s));
        this.#wrote(results.reduce((sum, r) => sum + (r.meta.rows_written ?? 0), 0));
        return results;
      },
    });
  }

  async #after<R extends D1Result>(result: Promise<R>): Promise<R> {
    const done = await result;
    this.#wrote(done.meta.rows_written);
    return done;
  }

  #cuttingBucket(): R2Bucket {
    const { mail } = this;
    return over(mail, {
      delete: async (keys: string | string[]) => {
        const there = await Promise.all([keys].flat().map((key) => mail.head(key)));
        await mail.delete(keys);
        this.#wrote(there.filter(Boolean).length);
      },
      put: async (key: string, bytes: Uint8Array, options: R2PutOptions) => {
        const put = await mail.put(key, bytes, options);
        this.#wrote(1);
        return put;
      },
    });
  }
}

const REAL = Symbol("the real statement");

function over<T extends object>(target: T, own: Record<string | symbol, unknown>): T {
  return new Proxy(target, {
    get(of, name) {
      if (name in own) return own[name];
      const value = Reflect.get(of, name);
      return typeof value === "function" ? value.bind(of) : value;
    },
  });
}

export function bytesOf({ id, summary }: MessageRecord): Buffer {
  return Buffer.from(`<${id} to ${summary.recipients.join(" and ")}>`);
}
