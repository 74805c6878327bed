/**
 * The Worker in workerd, as wrangler.toml describes it, with state on disk. It listens on a direct socket: Miniflare's
 * own entry would cost more than the whole application. Miniflare does not bring a killed workerd back, so this does.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { Miniflare, type MiniflareOptions } from "miniflare";
import { parse } from "smol-toml";
import * as z from "zod";
import type { Migration } from "./apply-migrations.ts";
import { bundle } from "./bundle.ts";
import { readMigrations } from "./migrate.ts";
import type { Secrets } from "./secrets.ts";
import type { Seeded } from "./seed.ts";
import type { SetUp } from "./set-up.ts";
import "./whole-waits.ts";

const ROOT = resolve(import.meta.dirname, "../..");

const SET_UP = "set-up";

const Queue = z.object({ binding: z.string(), queue: z.string() });
const Consumer = z.object({
  queue: z.string(),
  max_batch_size: z.number().optional(),
  max_batch_timeout: z.number().optional(),
  max_retries: z.number().optional(),
  retry_delay: z.number().optional(),
  dead_letter_queue: z.string().optional(),
});

/** The parts of wrangler.toml that the local runtime is told. */
const Config = z.object({
  name: z.string(),
  main: z.string(),
  compatibility_date: z.string(),
  compatibility_flags: z.array(z.string()).default([]),
  vars: z.record(z.string(), z.string()),
  d1_databases: z.array(z.object({ binding: z.string(), migrations_dir: z.string() })),
  r2_buckets: z.array(z.object({ binding: z.string() })),
  queues: z.object({ producers: z.array(Queue), consumers: z.array(Consumer) }),
  durable_objects: z.object({ bindings: z.array(z.object({ name: z.string(), class_name: z.string() })) }),
  send_email: z.array(z.object({ name: z.string() })),
});
export type WorkerConfig = z.infer<typeof Config>;

export function readConfig(file = join(ROOT, "wrangler.toml")): WorkerConfig {
  return Config.parse(parse(readFileSync(file, "utf8")));
}

export interface LocalWorkerOptions {
  home: string;
  port: number;
  /** Replaces what wrangler.toml has, and gives the secrets. */
  vars: Record<string, string>;
  /** Another entry that exports the same, for tests that wrap bindings. */
  entry?: string;
  /** More of Miniflare's options for the Worker, for tests. */
  worker?: Record<string, unknown>;
}

export class LocalWorker {
  readonly #options: LocalWorkerOptions;
  readonly #config = readConfig();
  #script = "";
  #setUpScript = "";
  #miniflare: Miniflare | undefined;
  #pid = 0;

  constructor(options: LocalWorkerOptions) {
    this.#options = options;
  }

  get pid(): number {
    return this.#pid;
  }

  get config(): WorkerConfig {
    return this.#config;
  }

  async start(): Promise<Miniflare> {
    this.#script ||= await bundle(this.#options.entry ?? this.#config.main);
    this.#setUpScript ||= await bundle("src/local/set-up.ts");
    this.#miniflare = new Miniflare(this.#miniflareOptions());
    await this.#miniflare.ready;
    this.#pid = workerdBelow(process.pid);
    return this.#miniflare;
  }

  /** Migrates the databases and makes the demo account, as far as that is not done. */
  async setUp(secrets: Secrets, domain: string): Promise<Seeded> {
    const migrations: Record<string, Migration[]> = {};
    for (const { binding, migrations_dir } of this.#config.d1_databases)
      migrations[binding] = readMigrations(join(ROOT, migrations_dir));
    const worker = await this.miniflare.getWorker(SET_UP);
    const asked: SetUp = { migrations, secrets, domain };
    const answer = await worker.fetch("http://set-up", { method: "POST", body: JSON.stringify(asked) });
    if (!answer.ok) throw new Error(`the local databases were not set up: ${await answer.text()}`);
    return (await answer.json()) as Seeded;
  }

  /** Whether workerd is there; it is gone when somebody killed it. */
  isRunning(): boolean {
    try {
      process.kill(this.#pid, 0);
      return true;
    } catch {
      // ESRCH: there is no such process, which is what was asked.
      return false;
    }
  }

  /** After workerd was killed: the new one does not wait until what is left of the old is cleared away. */
  async restart(): Promise<void> {
    const old = this.#miniflare;
    void old?.dispose().catch(() => undefined);
    await this.start();
  }

  async stop(): Promise<void> {
    // Miniflare's dispose may complain that the process it would end is gone already.
    await this.#miniflare?.dispose().catch(() => undefined);
    this.#miniflare = undefined;
  }

  get miniflare(): Miniflare {
    if (!this.#miniflare) throw new Error("the Worker is not running");
    return this.#miniflare;
  }

  #miniflareOptions(): MiniflareOptions {
    const { home, port, vars, worker } = this.#options;
    const c = this.#config;
    const objects = c.durable_objects.bindings;
    return {
      host: "127.0.0.1",
      port: 0,
      defaultPersistRoot: join(home, "state"),
      d1Persist: true,
      r2Persist: true,
      durableObjectsPersist: true,
      workers: [
        {
          name: c.name,
          compatibilityDate: c.compatibility_date,
          compatibilityFlags: c.compatibility_flags,
          bindings: { ...c.vars, ...vars },
          d1Databases: c.d1_databases.map((d) => d.binding),
          r2Buckets: c.r2_buckets.map((b) => b.binding),
          queueProducers: Object.fromEntries(
            c.queues.producers.map((q) => [q.binding, { queueName: q.queue }]),
          ),
          queueConsumers: Object.fromEntries(
            c.queues.consumers.map((q) => [
              q.queue,
              {
                maxBatchSize: q.max_batch_size,
                maxBatchTimeout: q.max_batch_timeout,
                maxRetries: q.max_retries,
                retryDelay: q.retry_delay,
                deadLetterQueue: q.dead_letter_queue,
              },
            ]),
          ),
          durableObjects: Object.fromEntries(
            objects.map((o) => [o.name, { className: o.class_name, useSQLite: true }]),
          ),
          email: { send_email: c.send_email.map((e) => ({ name: e.name })) },
          modules: [{ type: "ESModule", path: "worker.js", contents: this.#script }],
          unsafeDirectSockets: [{ host: "127.0.0.1", port }],
          ...worker,
        },
        {
          name: SET_UP,
          compatibilityDate: c.compatibility_date,
          compatibilityFlags: c.compatibility_flags,
          d1Databases: c.d1_databases.map((d) => d.binding),
          modules: [{ type: "ESModule", path: "set-up.js", contents: this.#setUpScript }],
        },
      ],
    } as MiniflareOptions;
  }
}

/** workerd is a child of the process that made Miniflare. */
function workerdBelow(parent: number): number {
  const list = execFileSync("ps", ["-o", "pid=,comm=", "--ppid", String(parent)], { encoding: "utf8" });
  const line = list.split("\n").findLast((l) => l.trim().endsWith("workerd"));
  return line ? Number.parseInt(line, 10) : 0;
}
