import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { migrate } from "../../src/local/migrate.ts";
import { type Databases, openDatabases } from "../archive/databases.ts";

const DIRECTORY = resolve(import.meta.dirname, "../../migrations/directory");
const folder = mkdtempSync(join(tmpdir(), "edgepost-migrate-"));
let db: Databases;
beforeAll(async () => {
  db = await openDatabases({ empty: true });
  cpSync(join(DIRECTORY, "0000_directory.sql"), join(folder, "0000_directory.sql"));
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await db.dispose();
});

const applied = async () =>
  (await db.directory.prepare("SELECT name FROM d1_migrations ORDER BY id").all()).results.map((r) => r.name);

describe("migrating", () => {
  it("applies each file once", async () => {
    await migrate(db.directory, folder);
    await db.directory.prepare("INSERT INTO accounts (name, created_at) VALUES ('a', 1)").run();
    await migrate(db.directory, folder);
    expect(await applied()).toEqual(["0000_directory.sql"]);
    expect((await db.directory.prepare("SELECT name FROM accounts").all()).results).toEqual([{ name: "a" }]);
  });

  it("applies what is new, in order of names", async () => {
    writeFileSync(join(folder, "0002_b.sql"), "INSERT INTO later VALUES (2);");
    writeFileSync(
      join(folder, "0001_a.sql"),
      "CREATE TABLE later (n integer);--> statement-breakpoint\nINSERT INTO later VALUES (1);\n",
    );
    await migrate(db.directory, folder);
    expect(await applied()).toEqual(["0000_directory.sql", "0001_a.sql", "0002_b.sql"]);
  });

  it("leaves nothing of a file that fails, and goes on from there when it is mended", async () => {
    writeFileSync(
      join(folder, "0003_c.sql"),
      "CREATE TABLE half (n integer);--> statement-breakpoint\nINSERT INTO nowhere VALUES (1);",
    );
    await expect(migrate(db.directory, folder)).rejects.toThrow("nowhere");
    expect(await applied()).not.toContain("0003_c.sql");
    writeFileSync(join(folder, "0003_c.sql"), "CREATE TABLE half (n integer);");
    await migrate(db.directory, folder);
    expect(await applied()).toContain("0003_c.sql");
  });
});
