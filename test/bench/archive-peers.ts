/** What the archive is measured beside: PostgreSQL with the same rows and the indexes that they want, and FTS5 as it comes. */
import { execFileSync, spawn } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as wait } from "node:timers/promises";
import pg from "pg";
import { type Plan, rowOf } from "./archive-rows.ts";
import { toStop } from "./started.ts";

const START_MS = 20_000;
const LOAD_BATCH = 5_000;
/** Debian's packages keep each version in a folder of its own, out of PATH. */
const DEBIAN = "/usr/lib/postgresql";
/** It refuses to run as root; its packages make a user. */
const POSTGRES_USER = "postgres";

export interface Postgres {
  client: pg.Client;
  version: string;
  stop(): Promise<void>;
}

/** undefined when there is no PostgreSQL on this machine. */
function binaries(): string | undefined {
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN).sort() : [];
  const folders = [
    ...versions.reverse().map((v) => join(DEBIAN, v, "bin")),
    ...(process.env.PATH ?? "").split(":"),
  ];
  return folders.find((folder) => existsSync(join(folder, "initdb")) && existsSync(join(folder, "postgres")));
}

export async function startPostgres(): Promise<Postgres | undefined> {
  const folder = binaries();
  if (!folder) return undefined;
  const home = mkdtempSync(join(tmpdir(), "edgepost-postgres-"));
  chmodSync(home, 0o755);
  const data = join(home, "data");
  mkdirSync(data, { mode: 0o700 });
  const isRoot = userInfo().uid === 0;
  const id = (flag: string) => Number(execFileSync("id", [flag, POSTGRES_USER], { encoding: "utf8" }));
  const as = isRoot ? { uid: id("-u"), gid: id("-g") } : {};
  if (as.uid !== undefined) for (const path of [home, data]) chownSync(path, as.uid, as.gid);
  execFileSync(
    join(folder, "initdb"),
    ["-D", data, "-U", "bench", "-E", "UTF8", "--locale=C", "-A", "trust"],
    {
      ...as,
      cwd: home,
      stdio: "ignore",
    },
  );
  const server = spawn(join(folder, "postgres"), ["-D", data, "-k", home, "-c", "listen_addresses="], {
    ...as,
    cwd: home,
    stdio: "ignore",
  });
  const stop = toStop(async () => {
    const ended = new Promise((done) => server.once("exit", done));
    // Fast shutdown: it does not wait for us.
    if (server.exitCode === null && server.kill("SIGINT")) await ended;
    rmSync(home, { recursive: true, force: true });
  });
  const client = await connect(home);
  const { rows } = await client.query<{ server_version: string }>("SHOW server_version");
  return { client, version: rows[0]?.server_version ?? "", stop };
}

async function connect(host: string): Promise<pg.Client> {
  const late = Date.now() + START_MS;
  for (;;) {
    const client = new pg.Client({ host, user: "bench", database: "postgres" });
    // Ended by the stop of the server.
    client.on("error", () => {});
    try {
      await client.connect();
      return client;
    } catch (error) {
      if (Date.now() > late) throw error;
      await wait(100);
    }
  }
}

const TABLE = `CREATE TABLE messages (server_id int NOT NULL, id uuid NOT NULL, stream text NOT NULL, received_at bigint NOT NULL,
  from_email text NOT NULL, recipient text NOT NULL, subject text NOT NULL, tag text, status text NOT NULL, metadata jsonb NOT NULL)`;
const INDEXES = [
  "ALTER TABLE messages ADD PRIMARY KEY (id)",
  "CREATE INDEX ON messages (server_id, stream, received_at DESC)",
  "CREATE INDEX ON messages (server_id, recipient, received_at DESC)",
  "CREATE INDEX ON messages (server_id, tag, received_at DESC)",
  "CREATE INDEX ON messages (server_id, received_at DESC) WHERE status = 'queued'",
  "CREATE INDEX ON messages USING gin (to_tsvector('simple', subject))",
];
const INSERT = `INSERT INTO messages SELECT (r->>0)::int, (r->>1)::uuid, r->>2, (r->>3)::bigint, r->>4, r->>5, r->>6, r->>7, r->>8, (r->9)::jsonb
  FROM json_array_elements($1::json) AS rows(r)`;

const rowsJson = (plan: Plan, from: number, to: number) =>
  JSON.stringify(
    Array.from({ length: to - from }, (_, i) => {
      const { id, at, recipient, subject, tag, metadata, isWaiting } = rowOf(from + i, plan);
      return [
        1,
        id,
        "outbound",
        at,
        "sender@example.com",
        recipient,
        subject,
        tag,
        isWaiting ? "queued" : "sent",
        metadata,
      ];
    }),
  );

/** Without indexes first, as one loads a table; then those, and its statistics. */
export async function loadPostgres({ client }: Postgres, plan: Plan, rows: number): Promise<void> {
  await client.query(TABLE);
  for (let n = 0; n < rows; n += LOAD_BATCH)
    await insertPostgres({ client }, plan, n, Math.min(rows, n + LOAD_BATCH));
  for (const index of INDEXES) await client.query(index);
  await client.query("VACUUM ANALYZE messages");
}

export async function insertPostgres(
  { client }: Pick<Postgres, "client">,
  plan: Plan,
  from: number,
  to: number,
): Promise<void> {
  await client.query(INSERT, [rowsJson(plan, from, to)]);
}

/** FTS5 with a content table, one word a token, in this process. */
export function plainFts(plan: Plan, rows: number): { db: DatabaseSync; stop: () => Promise<void> } {
  const home = mkdtempSync(join(tmpdir(), "edgepost-fts-"));
  const db = new DatabaseSync(join(home, "fts.db"));
  db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF");
  db.exec(`CREATE TABLE messages (n INTEGER PRIMARY KEY, id TEXT, at INTEGER, recipient TEXT, subject TEXT, tag TEXT);
    CREATE VIRTUAL TABLE subjects USING fts5(subject, content = messages, content_rowid = n)`);
  const one = db.prepare("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?)");
  const words = db.prepare("INSERT INTO subjects (rowid, subject) VALUES (?, ?)");
  db.exec("BEGIN");
  for (let n = 0; n < rows; n++) {
    const { id, at, recipient, subject, tag } = rowOf(n, plan);
    one.run(n, id, at, recipient, subject, tag);
    words.run(n, subject);
  }
  db.exec("COMMIT");
  const stop = toStop(async () => {
    db.close();
    rmSync(home, { recursive: true, force: true });
  });
  return { db, stop };
}
