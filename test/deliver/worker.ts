/**
 * The Worker of these tests: the real stage and the real Destination in workerd. The Outbox is a fake at its port, kept by the
 * test in Node behind a service binding, which also sees what the stage says and did.
 */
import { type DeliverNeeds, deliver } from "../../src/deliver/consume.ts";
import { DestinationObject } from "../../src/deliver/destination.ts";
import { objectOf } from "../../src/deliver/rules.ts";
import { cloudflareTransport } from "../../src/deliver/transport/cloudflare.ts";
import { gatewayTransport } from "../../src/deliver/transport/gateway.ts";
import { sandboxTransport } from "../../src/deliver/transport/sandbox.ts";
import { smarthostTransport } from "../../src/deliver/transport/smarthost.ts";
import type { Claim, JobRef } from "../../src/mail/job.ts";

interface Env {
  DESTINATION: DurableObjectNamespace<Destination>;
  OUTBOX: Fetcher;
  JOBS: Queue<unknown>;
  SEND_EMAIL: SendEmail;
  CONFIG: string;
}

export class Destination extends DestinationObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env, { now: Date.now, random: Math.random, log: () => undefined });
  }
}

const down = new Map<string, number>();
const quota = { goneUntil: 0 };

/** Claims travel as JSON here, with their bytes as base64. */
async function call<T>(env: Env, method: string, ...args: unknown[]): Promise<T> {
  const response = await env.OUTBOX.fetch(`http://outbox/${method}`, {
    method: "POST",
    body: JSON.stringify(args),
  });
  if (!response.ok) throw new Error(await response.text());
  return (await response.json()) as T;
}

function needs(env: Env, ctx: ExecutionContext): DeliverNeeds {
  const config = JSON.parse(env.CONFIG);
  const note = (event: string, fields: Record<string, unknown>) =>
    ctx.waitUntil(call(env, "log", event, fields));
  return {
    now: Date.now,
    newClaimer: () => crypto.randomUUID(),
    outbox: (shard) => ({
      async claim(refs: JobRef[], claimer: string) {
        const { claims, gone } = await call<{ claims: Claim[]; gone: JobRef[] }>(
          env,
          "claim",
          shard,
          refs,
          claimer,
        );
        for (const { message } of claims)
          if (message.kind === "bytes") message.bytes = new TextEncoder().encode(String(message.bytes));
        return { claims, gone };
      },
      renew: (refs, claimer) => call(env, "renew", shard, refs, claimer),
      settle: (settlements) => call(env, "settle", shard, settlements),
      hold: (holds) => call(env, "hold", shard, holds),
    }),
    destination: (object) => env.DESTINATION.get(env.DESTINATION.idFromName(object)),
    keys: async () => config.keys ?? [],
    ownFields: async () => "",
    async copyFor({ bytes }, place) {
      return new TextEncoder().encode(
        new TextDecoder().decode(bytes).replaceAll("{blank}", `place-${place}`),
      );
    },
    async readObject(key, offset, length) {
      const text = await call<string | null>(env, "readObject", key, offset, length);
      return text === null ? undefined : new TextEncoder().encode(text);
    },
    transports: {
      gateway: gatewayTransport({
        gateways: config.gateways ?? [],
        fetch: (url, init) => fetch(url, init),
        now: Date.now,
        log: note,
        down,
      }),
      sandbox: sandboxTransport(Date.now),
      ...(config.smarthost ? { smarthost: smarthostTransport(config.smarthost, Date.now) } : {}),
      ...(config.sendEmail
        ? { cloudflare: cloudflareTransport({ binding: env.SEND_EMAIL, now: Date.now, quota }) }
        : {}),
      ...(config.cloudflare
        ? {
            cloudflare: cloudflareTransport({
              binding: {
                send: async ({ from, to }) => {
                  const { code, messageId } = await call<{ code?: string; messageId?: string }>(
                    env,
                    "sendEmail",
                    from,
                    to,
                  );
                  if (code) throw Object.assign(new Error("as scripted"), { code });
                  return { messageId };
                },
              },
              now: Date.now,
              quota,
            }),
          }
        : {}),
    },
    log: note,
    handOverMs: config.handOverMs ?? 0,
    waitUntil: (promise) => ctx.waitUntil(promise),
    poison: (job, reason) => note("poison", { job, reason }),
  };
}

export default {
  async fetch(request, env, ctx) {
    const url = new URL(request.url);
    if (url.pathname === "/send") {
      const bodies = (await request.json()) as unknown[];
      await env.JOBS.sendBatch(bodies.map((body) => ({ body })));
      return new Response();
    }
    if (url.pathname === "/describe") {
      const name = url.searchParams.get("name") ?? "";
      const destination = env.DESTINATION.get(env.DESTINATION.idFromName(objectOf(name)));
      if (url.searchParams.has("resume")) await destination.resume(name);
      const [state] = await destination.describe([name]);
      return Response.json(state);
    }
    // /deliver: the stage called as the queue would, to see what was acked.
    const jobs = (await request.json()) as unknown[];
    const said: string[] = [];
    const messages = jobs.map((body, i) => ({
      body,
      ack: () => said.push(`ack ${i}`),
      retry: () => said.push(`retry ${i}`),
    }));
    const started = Date.now();
    await deliver(messages, needs(env, ctx));
    return Response.json({ said, tookMs: Date.now() - started });
  },
  async queue(batch, env, ctx) {
    await deliver(batch.messages, needs(env, ctx));
  },
} satisfies ExportedHandler<Env>;
