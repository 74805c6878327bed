/** Applies a folder of migrations to a database, in order and each once, as `wrangler d1 migrations apply` does. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** The part of D1 that this uses: Miniflare's from Node, and a Worker's, are both such. */
export interface Database {
  prepare(sql: string): D1PreparedStatement;
  batch(statements: D1PreparedStatement[]): Promise<unknown>;
}

/** Killed anywhere, the next call goes on: a file and the note that it was applied are one transaction. */
export async function migrate(db: Database, folder: string): Promise<void> {
  const table =
    "CREATE TABLE IF NOT EXISTS d1_migrations (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL)";
  await db.prepare(table).run();
  const { results } = await db.prepare("SELECT name FROM d1_migrations").all<{ name: string }>();
  const applied = new Set(results.map((r) => r.name));
  for (const name of readdirSync(folder)
    .filter((f) => f.endsWith(".sql"))
    .sort()) {
    if (applied.has(name)) continue;
    const statements = readFileSync(join(folder, name), "utf8").split("--> statement-breakpoint");
    const note = db.prepare("INSERT INTO d1_migrations (name) VALUES (?)").bind(name);
    await db.batch([...statements.map((sql) => db.prepare(sql)), note]);
  }
}
