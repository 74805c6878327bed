/** The Worker of the hooks' tests: the real objects of the event log and of hooks in workerd; settings, and the time, are the test's. */
import { HookObject } from "../../src/notify/hook.ts";
import { EventsObject } from "../../src/notify/log.ts";

interface Env {
  EVENTS: DurableObjectNamespace<Events>;
  HOOK: DurableObjectNamespace<Hook>;
  WORLD: Fetcher;
}

/** Of the whole process: how far the test has moved the time. */
let ahead = 0;

async function ask<T>(env: Env, method: string, ...args: unknown[]): Promise<T | undefined> {
  const response = await env.WORLD.fetch(`http://world/${method}`, {
    method: "POST",
    body: JSON.stringify(args),
  });
  if (!response.ok) throw new Error(await response.text());
  return ((await response.json()) as T | null) ?? undefined;
}

const now = () => Date.now() + ahead;
const log = (event: string, fields: object) => console.log(JSON.stringify({ event, ...fields }));

export class Events extends EventsObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, {
      now,
      log,
      hooks: async (serverId) => (await ask(env, "hooks", serverId)) ?? [],
      wakeHook: (name, types) => env.HOOK.get(env.HOOK.idFromName(name)).wake(types),
      suppressionChanges: async () => [],
    });
  }
}

export class Hook extends HookObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, {
      now,
      log,
      fetch: (url, init) => fetch(url, init),
      addressesOf: async () => [],
      allowPrivate: true,
      settings: (name) => ask(env, "settings", name),
      events: () => env.EVENTS.get(env.EVENTS.idFromName("7")),
      bounce: (serverId, of) => ask(env, "bounce", serverId, of),
      bounceContent: async (_serverId, id) => `what came back with ${id}`,
      async inboundPayload(_serverId, id) {
        const text = await ask<string>(env, "payload", id);
        return text === undefined ? undefined : async () => new Response(text).body!;
      },
      inboundTold: (serverId, id, status) => ask(env, "told", serverId, id, status),
    });
  }

  rows(): Record<string, number> {
    const count = (table: string) =>
      Number(this.ctx.storage.sql.exec(`SELECT count(*) n FROM ${table}`).one().n);
    return { retries: count("retries"), packs: count("packs"), replays: count("replays") };
  }

  /** As its alarm does. */
  ring(): Promise<void> {
    return this.alarm();
  }

  alarmAt(): Promise<number | null> {
    return this.ctx.storage.getAlarm();
  }

  tables(): number {
    return Number(
      this.ctx.storage.sql
        .exec("SELECT count(*) n FROM sqlite_master WHERE name IN ('retries', 'packs', 'triggers')")
        .one().n,
    );
  }
}

export default {
  /** `POST /<object>/<method>` with the name of the hook and the arguments. */
  async fetch(request: Request, env: Env): Promise<Response> {
    const [, of, method = ""] = new URL(request.url).pathname.split("/");
    const [name, ...args] = (await request.json()) as [string, ...unknown[]];
    if (of === "ahead") {
      ahead = Number(name);
      return Response.json({ ok: null });
    }
    const stub =
      of === "log" ? env.EVENTS.get(env.EVENTS.idFromName("7")) : env.HOOK.get(env.HOOK.idFromName(name));
    try {
      const bound = stub as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
      return Response.json({ ok: (await bound[method]?.(...args)) ?? null });
    } catch (error) {
      return Response.json({ error: String(error) });
    }
  },
};
