/** The Worker of the tests of an Outbox as an object, with its alarms: the stores that it goes to take everything and keep nothing. */
import { OutboxObject } from "../../src/accept/outbox.ts";
import type { ServerPolicy } from "../../src/accounts/policy.ts";

interface Env {
  OUTBOX: DurableObjectNamespace<Outbox>;
}

const policy: Partial<ServerPolicy> = { serverId: 7, sandbox: false, transports: ["gateway"] };

export class Outbox extends OutboxObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, {
      ...{ now: Date.now, random: () => 0.5, log: () => undefined, mailDomain: "mail.example.com" },
      send: async () => undefined,
      putObject: async () => undefined,
      getObject: async () => undefined,
      deleteObjects: async () => undefined,
      record: async () => [],
      tellEvents: async () => undefined,
      announce: async () => undefined,
      policy: async () => policy as ServerPolicy,
      suppressionChanges: async () => [],
      registerShard: async () => undefined,
      sign: async () => "",
      returnPath: async () => "b@bounces.example.com",
      copyFor: async ({ bytes }) => bytes,
      randomBytes: (count) => new Uint8Array(count),
    });
  }

  /** When it wakes by itself. */
  async alarmAt(): Promise<number | null> {
    return this.ctx.storage.getAlarm();
  }
}

export default {
  /** `POST /<method>` with the arguments; a body is given as text. */
  async fetch(request: Request, env: Env): Promise<Response> {
    const method = new URL(request.url).pathname.slice(1);
    const args = JSON.parse(await request.text(), (key, value) =>
      key === "body" && typeof value === "string" ? new TextEncoder().encode(value) : value,
    ) as unknown[];
    const outbox = env.OUTBOX.get(env.OUTBOX.idFromName("7/local/0"));
    const bound = outbox as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
    return Response.json({ ok: (await bound[method]?.(...args)) ?? null });
  },
};
