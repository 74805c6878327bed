/**
 * The Worker of the tests of scheduled messages: the real object in workerd. The gate for mail is a fake at its port, kept by the test
 * in Node behind a service binding.
 */
import { ScheduleObject } from "../../src/accept/schedule.ts";

interface Env {
  SCHEDULE: DurableObjectNamespace<Schedule>;
  GATE: Fetcher;
}

async function call<T>(env: Env, method: string, ...args: unknown[]): Promise<T> {
  const body = JSON.stringify(args);
  const response = await env.GATE.fetch(`http://gate/${method}`, { method: "POST", body });
  if (!response.ok) throw new Error(await response.text());
  return (await response.json()) as T;
}

export class Schedule extends ScheduleObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, {
      now: Date.now,
      mailDomain: "mail.example.com",
      policy: async (serverId, place) => (await call(env, "policy", serverId, place)) ?? undefined,
      release: ({ serverId }, batch) => call(env, "release", serverId, batch),
      log: (event, fields) => void call(env, "log", event, fields),
    });
  }

  /** Rows that are left, by table. */
  rows(): Record<string, number> {
    const count = (table: string) =>
      Number(this.ctx.storage.sql.exec(`SELECT count(*) n FROM ${table}`).one().n);
    return { messages: count("messages"), pieces: count("pieces"), step: count("step") };
  }

  /** As if it had never been set. */
  async loseAlarm(): Promise<void> {
    await this.ctx.storage.deleteAlarm();
  }

  /** Answers become that much older. */
  age(ms: number): void {
    this.ctx.storage.sql.exec("UPDATE answers SET at = at - ?", ms);
  }

  async source(id: string): Promise<string> {
    const found = await this.find(id);
    return found ? new TextDecoder().decode(found.raw) : "";
  }
}

export default {
  /** `POST /<server>/<method>` with the arguments; a body is given as text. */
  async fetch(request: Request, env: Env): Promise<Response> {
    const [, server, method] = new URL(request.url).pathname.split("/");
    const text = await request.text();
    const args = JSON.parse(text, (key, value) =>
      key === "body" && typeof value === "string" ? new TextEncoder().encode(value) : value,
    ) as unknown[];
    const stub = env.SCHEDULE.get(env.SCHEDULE.idFromName(String(server)));
    try {
      const bound = stub as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
      return Response.json({ ok: (await bound[String(method)]?.(...args)) ?? null });
    } catch (error) {
      return Response.json({ error: String(error) });
    }
  },
};
