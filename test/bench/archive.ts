/**
 * The archive with a million messages, through the whole API over HTTP, beside PostgreSQL with the same rows; inserting in batches as
 * an Outbox does; and a search of subjects beside plain FTS5, both in one process, for what HTTP and tokens cost is no peer's.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { listMessages } from "../../src/archive/read.ts";
import { insertPostgres, loadPostgres, type Postgres, plainFts, startPostgres } from "./archive-peers.ts";
import { QUESTIONS, type Question } from "./archive-queries.ts";
import { type Plan, rowOf } from "./archive-rows.ts";
import type { ArchiveOrder } from "./archive-worker.ts";
import { Connection } from "./connection.ts";
import type { Effort } from "./run.ts";
import { aim, short, table, whole } from "./table.ts";
import { startProduct } from "./targets.ts";

/** A tenth is written in small batches, and measured. */
const LOADED = 0.9;
const LOAD_CALL = 4_000;
const LOAD_BATCH = 2_000;
const BATCH = 100;
const BATCHES = 200;
/** Questions of a kind, or as many as there is time for. */
const ASKED = 100;
const ROUND_MS = 1_500;

interface Times {
  p50: number;
  p99: number;
}

const at = (sorted: number[], share: number) =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;

function timesOf(times: number[]): Times {
  const sorted = times.toSorted((a, b) => a - b);
  return { p50: at(sorted, 0.5), p99: at(sorted, 0.99) };
}

/** Asks for a while, one after another. */
async function ask(times: number[], first: number, one: (n: number) => unknown): Promise<void> {
  const late = performance.now() + ROUND_MS;
  for (let n = first; n < first + ASKED && performance.now() < late; n++) {
    const start = performance.now();
    await one(n);
    times.push(performance.now() - start);
  }
}

export async function archiveBench({ repeats, rows }: Effort): Promise<string> {
  const said: string[] = [];
  const note = (text: string) => process.stderr.write(`${text}\n`);
  const plan: Plan = { rows, until: Date.now() - 60_000 };
  const loaded = Math.floor(rows * LOADED);
  const product = await startProduct({ EDGEPOST_WORKER_ENTRY: "test/bench/archive-worker.ts" });
  const { serverId } = product.system.local;
  const writing = new Connection(`${product.http}/bench/archive`, product.token);
  const write = async (from: number, to: number, batch: number) => {
    const answer = await writing.post(
      JSON.stringify({ serverId, from, to, batch, ...plan } satisfies ArchiveOrder),
    );
    if (answer !== "written") throw new Error(`the archive was not written: ${answer.slice(0, 300)}`);
  };

  const start = performance.now();
  for (let n = 0; n < loaded; n += LOAD_CALL) await write(n, Math.min(loaded, n + LOAD_CALL), LOAD_BATCH);
  note(`${whole(loaded)} messages in the archive after ${short((performance.now() - start) / 1_000)} s`);
  const postgres = await startPostgres();
  if (postgres) await loadPostgres(postgres, plan, loaded);
  else said.push("No PostgreSQL is on this machine: measured without.", "");
  note(`PostgreSQL has them too, after ${short((performance.now() - start) / 1_000)} s`);

  const inserts = await measureInserts({ write, postgres, plan, loaded });
  for (let n = inserts.next; n < rows; n += LOAD_CALL)
    await write(n, Math.min(rows, n + LOAD_CALL), LOAD_BATCH);
  for (let n = inserts.next; postgres && n < rows; n += LOAD_BATCH)
    await insertPostgres(postgres, plan, n, Math.min(rows, n + LOAD_BATCH));
  await postgres?.client.query("VACUUM ANALYZE messages");
  const fts = plainFts(plan, rows);
  note(`all is there after ${short((performance.now() - start) / 1_000)} s`);

  writing.close();
  // A new one: workerd ended the other while this process was at work for so long.
  const connection = new Connection(`${product.http}/bench/archive`, product.token);
  const store = storeOf(product.folder);
  const asked = await measureQuestions({ connection, postgres, fts: fts.db, store, serverId, plan, repeats });
  await measureOthers({ connection, asked, plan, repeats, postgres });
  const report = reportOf({ said, rows, inserts, asked, version: postgres?.version });
  store.close();
  connection.close();
  await fts.stop();
  await postgres?.stop();
  await product.stop();
  return report;
}

interface Inserts {
  next: number;
  product: Times & { perSecond: number };
  postgres?: Times & { perSecond: number };
}

/** In turns, a batch each; the product's rows are made in its own time, PostgreSQL's in its client's: both are counted. */
async function measureInserts({
  write,
  postgres,
  plan,
  loaded,
}: {
  write: (from: number, to: number, batch: number) => Promise<void>;
  postgres: Postgres | undefined;
  plan: Plan;
  loaded: number;
}): Promise<Inserts> {
  const [ours, theirs]: [number[], number[]] = [[], []];
  const last = Math.min(plan.rows, loaded + BATCH * BATCHES);
  for (let n = loaded; n + BATCH <= last; n += BATCH) {
    let begun = performance.now();
    await write(n, n + BATCH, BATCH);
    ours.push(performance.now() - begun);
    begun = performance.now();
    if (postgres) await insertPostgres(postgres, plan, n, n + BATCH);
    theirs.push(performance.now() - begun);
  }
  const figures = (times: number[]) => ({
    ...timesOf(times),
    perSecond: (times.length * BATCH * 1_000) / times.reduce((sum, ms) => sum + ms, 0),
  });
  return {
    next: loaded + ours.length * BATCH,
    product: figures(ours),
    ...(postgres ? { postgres: figures(theirs) } : {}),
  };
}

interface Asked {
  name: string;
  product: number[];
  store?: number[];
  postgres: number[];
  fts?: number[];
}

async function measureQuestions(of: {
  connection: Connection;
  postgres: Postgres | undefined;
  fts: DatabaseSync;
  store: Store;
  serverId: number;
  plan: Plan;
  repeats: number;
}): Promise<Asked[]> {
  const { connection, postgres, fts, store, serverId, plan, repeats } = of;
  const all: Asked[] = [];
  for (const make of QUESTIONS) {
    const first = make(0, plan);
    const asked: Asked = {
      name: first.name,
      product: [],
      store: [],
      postgres: [],
      ...(first.fts && { fts: [] }),
    };
    all.push(asked);
    await compareTotals(first, { connection, postgres });
    for (let round = 0; round < repeats; round++) {
      const from = round * ASKED;
      await ask(asked.product, from, (n) => found(connection, make(n, plan).path));
      if (postgres) await ask(asked.postgres, from, (n) => make(n, plan).postgres(postgres.client));
      await ask(asked.store ?? [], from, (n) => {
        const { filter, offset } = make(n, plan).search ?? { filter: { stream: "" }, offset: 0 };
        return listMessages(store.archive, serverId, { filter, page: { count: 50, offset } });
      });
      if (asked.fts) await ask(asked.fts, from, (n) => make(n, plan).fts?.(fts));
    }
  }
  return all;
}

async function found(connection: Connection, path: string): Promise<string> {
  const answer = await connection.get(path);
  if (answer.includes('"ErrorCode"')) throw new Error(`${path}: ${answer.slice(0, 300)}`);
  return answer;
}

/** Both must have found the same, or the times say nothing. */
async function compareTotals(
  { name, path, postgres: ask }: Question,
  { connection, postgres }: { connection: Connection; postgres: Postgres | undefined },
): Promise<void> {
  const { TotalCount } = JSON.parse(await found(connection, path)) as { TotalCount: number };
  const [, counted] = postgres ? ((await ask(postgres.client)) as { rows: { count: string }[] }[]) : [];
  const theirs = counted?.rows[0]?.count;
  if (theirs !== undefined && Number(theirs) !== TotalCount)
    throw new Error(`${name}: ${TotalCount} messages found, and ${theirs} by PostgreSQL`);
}

/** What is no search: a message's details, and statistics. */
async function measureOthers(of: {
  connection: Connection;
  asked: Asked[];
  plan: Plan;
  repeats: number;
  postgres: Postgres | undefined;
}): Promise<void> {
  const { connection, asked, plan, repeats, postgres } = of;
  const idOf = (n: number) => rowOf((n * 7_919) % plan.rows, plan).id;
  const details: Asked = { name: "details of a message", product: [], postgres: [] };
  const statistics: Asked = { name: "statistics, all time", product: [], postgres: [] };
  asked.push(details, statistics);
  for (let round = 0; round < repeats; round++) {
    const from = round * ASKED;
    await ask(details.product, from, (n) => found(connection, `/messages/outbound/${idOf(n)}/details`));
    await ask(statistics.product, from, () => found(connection, "/stats/outbound"));
    if (!postgres) continue;
    const { client } = postgres;
    const one = "SELECT * FROM messages WHERE server_id = 1 AND id = $1";
    await ask(details.postgres, from, (n) => client.query({ name: "one", text: one, values: [idOf(n)] }));
    await ask(statistics.postgres, from, () =>
      client.query("SELECT status, count(*) FROM messages WHERE server_id = 1 GROUP BY status"),
    );
  }
}

interface Store {
  archive: D1Database;
  close(): void;
}

/** The archive's file, read in this process: D1's part of a search, without HTTP, tokens and Outboxes. */
function storeOf(folder: string): Store {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".sqlite"))
    .map((file) => join(folder, file));
  for (const file of files) {
    const db = new DatabaseSync(file, { readOnly: true });
    if (db.prepare("SELECT 1 FROM sqlite_master WHERE name = 'search'").get()) {
      const prepare = (sql: string) => ({
        bind: (...values: (string | number)[]) => ({
          all: async () => ({ results: db.prepare(sql).all(...values) }),
        }),
      });
      return { archive: { prepare } as unknown as D1Database, close: () => db.close() };
    }
    db.close();
  }
  throw new Error("the archive's file was not found");
}

function reportOf(of: {
  said: string[];
  rows: number;
  inserts: Inserts;
  asked: Asked[];
  version: string | undefined;
}): string {
  const { said, rows, inserts, asked, version } = of;
  const pair = (times: number[] | undefined) => {
    if (!times || times.length === 0) return "-";
    const { p50, p99 } = timesOf(times);
    return `${short(p50)} / ${short(p99)}`;
  };
  const head = [
    "p50 / p99 ms",
    "over HTTP",
    version ? `PostgreSQL ${version}` : "PostgreSQL",
    "in the store",
    "plain FTS5",
  ];
  const lines = asked.map((a) => [a.name, pair(a.product), pair(a.postgres), pair(a.store), pair(a.fts)]);
  const title = `Archive: ${whole(rows)} messages of one server. Each search is a page of 50 with the whole count.`;
  const insertRow = (name: string, f: (Times & { perSecond: number }) | undefined) =>
    f ? [name, whole(f.perSecond), short(f.p50), short(f.p99)] : [name, "-", "-", "-"];
  const written = table(
    `Inserting in batches of ${BATCH} at ${whole(Math.floor(rows * LOADED))} messages and more, flushed`,
    ["", "messages/s", "p50 ms a batch", "p99 ms"],
    [insertRow("Edgepost", inserts.product), insertRow("PostgreSQL", inserts.postgres)],
  );
  return [...said, table(title, head, lines), written, ...aimsOf(inserts, asked), ""].join("\n");
}

function aimsOf(inserts: Inserts, asked: Asked[]): string[] {
  const aims: string[] = [];
  for (const { name, product, postgres, store, fts } of asked) {
    const ours = timesOf(product);
    const theirs = timesOf(postgres);
    if (fts && store) {
      const best = Math.min(theirs.p50 || Number.POSITIVE_INFINITY, timesOf(fts).p50);
      aims.push(
        aim(`${name}: p50 in the store over the better peer's`, timesOf(store).p50 / best, { most: 1.5 }),
      );
      aims.push(aim(`${name}: p99 over HTTP, ms`, ours.p99, { most: 20 }));
    } else {
      aims.push(aim(`${name}: p50 over HTTP, ms`, ours.p50, { most: 2 }));
      if (postgres.length > 0)
        aims.push(aim(`${name}: p99 over PostgreSQL's`, ours.p99 / theirs.p99, { most: 1 }));
    }
  }
  if (inserts.postgres)
    aims.push(
      aim("inserting, of PostgreSQL's rate", inserts.product.perSecond / inserts.postgres.perSecond, {
        least: 0.7,
      }),
    );
  return aims;
}
