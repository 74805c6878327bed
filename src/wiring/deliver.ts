/** What delivering needs: the consumer of jobs with its transports (deliver/consume.ts), and a Destination (deliver/destination.ts). */
import { openKeys } from "../accounts/signing-keys.ts";
import type { Env } from "../bindings.ts";
import type { DeliverNeeds } from "../deliver/consume.ts";
import type { DestinationNeeds } from "../deliver/destination.ts";
import { cloudflareTransport } from "../deliver/transport/cloudflare.ts";
import { type Gateway, gatewayTransport } from "../deliver/transport/gateway.ts";
import { sandboxTransport } from "../deliver/transport/sandbox.ts";
import { type SmarthostConfig, smarthostTransport } from "../deliver/transport/smarthost.ts";
import { log } from "../log.ts";
import { cloudflareQuota, gatewaysDown, policyCache } from "./isolate.ts";
import { objectBytes } from "./mail-bucket.ts";
import { copyFor, ownFields } from "./message-copy.ts";
import { destinationOf, outboxOf } from "./objects.ts";

export function deliverNeeds(env: Env, ctx: ExecutionContext): DeliverNeeds {
  const now = Date.now;
  const smarthost = smarthostOf(env);
  return {
    now,
    log,
    newClaimer: () => crypto.randomUUID(),
    outbox: (shard) => outboxOf(env, shard),
    destination: (object) => destinationOf(env, object),
    async keys(serverId, fromDomain) {
      const policy = await policyCache(env).byServer(serverId, "local");
      return policy ? openKeys(policy, fromDomain, env.EDGEPOST_SECRET) : [];
    },
    ownFields: (of) => ownFields(env, of),
    copyFor: (message, place) => copyFor(env, message, place),
    readObject: (key, offset, length) => objectBytes(env.MAIL, key, { offset, length }),
    transports: {
      gateway: gatewayTransport({
        gateways: gatewaysOf(env),
        fetch: (url, init) => fetch(url, init),
        now,
        log,
        down: gatewaysDown,
      }),
      ...(smarthost ? { smarthost: smarthostTransport(smarthost, now) } : {}),
      cloudflare: cloudflareTransport({ binding: env.SEND_EMAIL, now, quota: cloudflareQuota }),
      sandbox: sandboxTransport(now),
    },
    handOverMs: Number(env.HAND_OVER_MS) || 0,
    waitUntil: (promise) => ctx.waitUntil(promise),
    poison: (job, reason) => log("job cannot be read", { job, reason }),
  };
}

function gatewaysOf(env: Env): Gateway[] {
  const gateways = JSON.parse(env.GATEWAYS || "[]") as { url: string }[];
  return gateways.map(({ url }) => ({ url, secret: env.GATEWAY_SECRET }));
}

function smarthostOf(env: Env): SmarthostConfig | undefined {
  if (!env.SMARTHOST) return undefined;
  const config = JSON.parse(env.SMARTHOST) as Omit<SmarthostConfig, "pass">;
  return { ...config, name: config.name || env.MAIL_DOMAIN, pass: env.SMARTHOST_PASSWORD ?? "" };
}

export function destinationNeeds(): DestinationNeeds {
  return { now: Date.now, random: Math.random, log };
}
