/**
 * A Worker that is only there locally: before the Worker itself takes anything, it applies migrations and makes the demo account. A Worker,
 * since beside the databases it takes a fraction of the time that this takes from outside; `npm start` asks it once.
 */
import { applyMigrations, type Migration } from "./apply-migrations.ts";
import type { Secrets } from "./secrets.ts";
import { seed } from "./seed.ts";

export interface SetUp {
  /** Of each database, by its binding. */
  migrations: Record<string, Migration[]>;
  secrets: Secrets;
  domain: string;
}

type Env = Record<string, D1Database>;

export default {
  async fetch(request, env) {
    const { migrations, secrets, domain } = await request.json<SetUp>();
    for (const [binding, list] of Object.entries(migrations))
      await applyMigrations(database(env, binding), list);
    return Response.json(await seed(database(env, "DIRECTORY"), secrets, domain));
  },
} satisfies ExportedHandler<Env>;

function database(env: Env, binding: string): D1Database {
  const found = env[binding];
  if (!found) throw new Error(`no database is bound as ${binding}`);
  return found;
}
