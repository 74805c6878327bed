/**
 * The real Worker with one door more, for what only time or mail from outside makes: a test may put rows into its databases, and look
 * at all that they hold.
 */
import type { Env } from "../../../src/bindings.ts";
import worker from "../../../src/worker.ts";

export * from "../../../src/worker.ts";

export interface SqlRequest {
  database: "DIRECTORY" | "ARCHIVE";
  sql: string;
  bound: (string | number | null)[];
}

/**
 * Each table of the settings, whole, but for what goes on in the background: the progress of erasures, and what is left of deleted
 * servers.
 */
async function settings(directory: D1Database): Promise<unknown> {
  const { results: tables } = await directory
    .prepare("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
    .all<{ name: string; sql: string }>();
  const kept = tables.filter(({ name }) => !/^sqlite_|^_cf|^shards$|^erasures$|migrations/.test(name));
  const living = "(SELECT id FROM servers WHERE deleted_at IS NULL)";
  const contents = await directory.batch([
    ...kept.map(({ name, sql }) => {
      const column = name === "servers" ? "id" : /\bserver_id\b/.test(sql) ? "server_id" : "NULL";
      return directory.prepare(
        `SELECT * FROM "${name}" WHERE ${column} IS NULL OR ${column} IN ${living} ORDER BY 1, 2, 3`,
      );
    }),
    // Streams whose time has come are queued by cron, whenever that comes.
    directory.prepare("SELECT id FROM erasures WHERE kind <> 'stream'"),
  ]);
  return Object.fromEntries(
    [...kept, { name: "erasures" }].map(({ name }, i) => [name, contents[i]?.results]),
  );
}

export default {
  ...worker,
  async fetch(request, env, ctx) {
    const { pathname } = new URL(request.url);
    if (pathname === "/test/settings") return Response.json(await settings(env.DIRECTORY));
    if (pathname === "/test/sql") {
      const { database, sql, bound } = await request.json<SqlRequest>();
      const { results } = await env[database]
        .prepare(sql)
        .bind(...bound)
        .all();
      return Response.json(results);
    }
    return worker.fetch(request, env, ctx);
  },
} satisfies ExportedHandler<Env, never>;
