/** Applies migrations to a database, in order and each once, as `wrangler d1 migrations apply` does. */

export interface Migration {
  name: string;
  /** Its statements, parted as Drizzle parts them. */
  sql: string;
}

/** The part of D1 that this uses: Miniflare's from Node, and a Worker's, are both such. */
export interface Database {
  prepare(sql: string): D1PreparedStatement;
  batch(statements: D1PreparedStatement[]): Promise<unknown>;
}

/** Killed anywhere, the next call goes on: a migration and the note that it was applied are one transaction. */
export async function applyMigrations(db: Database, migrations: Migration[]): Promise<void> {
  const table =
    "CREATE TABLE IF NOT EXISTS d1_migrations (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL)";
  await db.prepare(table).run();
  const { results } = await db.prepare("SELECT name FROM d1_migrations").all<{ name: string }>();
  const applied = new Set(results.map((r) => r.name));
  for (const { name, sql } of migrations) {
    if (applied.has(name)) continue;
    const note = db.prepare("INSERT INTO d1_migrations (name) VALUES (?)").bind(name);
    await db.batch([...sql.split("--> statement-breakpoint").map((one) => db.prepare(one)), note]);
  }
}
