/** The Worker of the tests of what is seen: the real object in workerd, with an archive and a log that the test keeps in Node. */

import { type SeenNeeds, SeenObject } from "../../src/track/seen.ts";
import type { SeenFact } from "../../src/track/seen-fact.ts";

interface Env {
  SEEN: DurableObjectNamespace<Seen>;
  ARCHIVE: D1Database;
  DIRECTORY: D1Database;
  WORLD: Fetcher;
}

async function ask<T>(env: Env, method: string, body?: unknown): Promise<T> {
  const response = await env.WORLD.fetch(`http://world/${method}`, {
    method: "POST",
    body: JSON.stringify(body ?? null),
  });
  if (!response.ok) throw new Error(await response.text());
  return (await response.json()) as T;
}

export class Seen extends SeenObject {
  constructor(ctx: DurableObjectState, env: Env) {
    const needs: SeenNeeds = {
      now: Date.now,
      log: () => undefined,
      directory: env.DIRECTORY,
      archive: () => env.ARCHIVE,
      heldRecords: (_, ids) => ask(env, "held", ids),
      announce: async () => undefined,
      tellEvents: (_, events) => ask(env, "tell", events),
    };
    super(ctx, env, needs, { recordMs: 3_000 });
  }

  rows(): number {
    return Number(this.ctx.storage.sql.exec("SELECT count(*) n FROM packs").one().n);
  }
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const method = new URL(request.url).pathname.slice(1);
    const stub = env.SEEN.get(env.SEEN.idFromName("1"));
    try {
      if (method === "add") await stub.add((await request.json()) as SeenFact[]);
      if (method === "sweep") await stub.sweep();
      if (method === "destroy") await stub.destroy();
      if (method === "rows") return Response.json({ ok: await stub.rows() });
      return Response.json({ ok: null });
    } catch (error) {
      return Response.json({ error: String(error) });
    }
  },
};
