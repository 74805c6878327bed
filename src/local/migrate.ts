/** A folder of migrations, and a database of this process that it is applied to. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { applyMigrations, type Database, type Migration } from "./apply-migrations.ts";

/** In the order in which they are to be applied. */
export function readMigrations(folder: string): Migration[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".sql"))
    .sort()
    .map((name) => ({ name, sql: readFileSync(join(folder, name), "utf8") }));
}

export function migrate(db: Database, folder: string): Promise<void> {
  return applyMigrations(db, readMigrations(folder));
}
