/** The Worker of the event log's tests: the real object in workerd, with a directory and hooks that the test keeps in Node. */
import type { HookRef } from "../../src/accounts/hooks.ts";
import { EventsObject } from "../../src/notify/log.ts";
import type { SuppressionEntry } from "../../src/suppress/list.ts";

interface Env {
  EVENTS: DurableObjectNamespace<Events>;
  WORLD: Fetcher;
}

async function ask<T>(env: Env, method: string, ...args: unknown[]): Promise<T> {
  const response = await env.WORLD.fetch(`http://world/${method}`, {
    method: "POST",
    body: JSON.stringify(args),
  });
  if (!response.ok) throw new Error(await response.text());
  return (await response.json()) as T;
}

export class Events extends EventsObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, {
      now: Date.now,
      log: () => undefined,
      hooks: (serverId) => ask<HookRef[]>(env, "hooks", serverId),
      wakeHook: (name) => ask(env, "wake", name),
      suppressionChanges: (serverId, after, limit) =>
        ask<SuppressionEntry[]>(env, "changes", serverId, after, limit),
    });
  }

  rows(): number {
    return Number(this.ctx.storage.sql.exec("SELECT count(*) n FROM packs").one().n);
  }

  /** Makes everything that much older. */
  age(ms: number): void {
    this.ctx.storage.sql.exec("UPDATE packs SET at = at - ?", ms);
  }
}

export default {
  /** `POST /<method>` with the arguments; a stream is answered as it is. */
  async fetch(request: Request, env: Env): Promise<Response> {
    const method = new URL(request.url).pathname.slice(1);
    const stub = env.EVENTS.get(env.EVENTS.idFromName("7"));
    try {
      const bound = stub as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
      const answer = await bound[method]?.(...((await request.json()) as unknown[]));
      if (answer instanceof ReadableStream) return new Response(answer);
      return Response.json({ ok: answer ?? null });
    } catch (error) {
      return Response.json({ error: String(error) });
    }
  },
};
