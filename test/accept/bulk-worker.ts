/**
 * The Worker of the tests of bulk requests: the real object in workerd. The gate for mail is a fake at its port, kept by the test in
 * Node behind a service binding.
 */
import { BulkObject } from "../../src/accept/bulk.ts";
import type { BulkNeeds } from "../../src/accept/bulk-release.ts";

interface Env {
  BULK: DurableObjectNamespace<Bulk>;
  GATE: Fetcher;
}

async function call<T>(env: Env, method: string, ...args: unknown[]): Promise<T> {
  const response = await env.GATE.fetch(`http://gate/${method}`, {
    method: "POST",
    body: JSON.stringify(args),
  });
  if (!response.ok) throw new Error(await response.text());
  return (await response.json()) as T;
}

export class Bulk extends BulkObject {
  constructor(ctx: DurableObjectState, env: Env) {
    const needs: BulkNeeds = {
      now: Date.now,
      policy: async (serverId, place) => (await call(env, "policy", serverId, place)) ?? undefined,
      release: ({ serverId }, batch) => call(env, "release", serverId, batch),
      log: (event, fields) => void call(env, "log", event, fields),
    };
    super(ctx, env, needs);
  }

  /** Rows that are left, by table. */
  rows(): Record<string, number> {
    const count = (table: string) =>
      Number(this.ctx.storage.sql.exec(`SELECT count(*) n FROM ${table}`).one().n);
    return { requests: count("requests"), pieces: count("pieces") };
  }

  /** Who has an answer first, when a person is to be removed and then somebody asks how a request stands. */
  async race(email: string, id: string): Promise<string[]> {
    const answered: string[] = [];
    await Promise.all([
      this.removePerson(email).then(() => answered.push("removePerson")),
      this.status(id).then(() => answered.push("status")),
    ]);
    return answered;
  }

  /** Makes everything that much older. */
  age(ms: number): void {
    this.ctx.storage.sql.exec("UPDATE requests SET at = at - ?", ms);
    this.ctx.storage.sql.exec(
      "UPDATE requests SET intent = json_set(intent, '$.at', intent ->> 'at' - ?) WHERE intent IS NOT NULL",
      ms,
    );
  }
}

export default {
  /** `POST /<server>/<method>` with the arguments; bytes are given as text. */
  async fetch(request: Request, env: Env): Promise<Response> {
    const [, server, method] = new URL(request.url).pathname.split("/");
    const args = ((await request.json()) as unknown[]).map((arg) =>
      typeof arg === "string" && /^[[{]/.test(arg) ? new TextEncoder().encode(arg) : arg,
    );
    const stub = env.BULK.get(env.BULK.idFromName(String(server)));
    try {
      const bound = stub as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
      return Response.json({ ok: (await bound[String(method)]?.(...args)) ?? null });
    } catch (error) {
      return Response.json({ error: String(error) });
    }
  },
};
