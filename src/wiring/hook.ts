/** What a webhook (notify/hook.ts) needs to tell what happened; and how it hears that its settings are others. */
import { lookUpAddresses } from "../accounts/dns.ts";
import { hookSettings } from "../accounts/hook-settings.ts";
import { contentOf, hasDump } from "../api/bounce-dump.ts";
import { findBounce, findBounceOf } from "../archive/bounces.ts";
import { findInbound, moveInbound } from "../archive/inbound.ts";
import type { Env } from "../bindings.ts";
import { log } from "../log.ts";
import type { CallNeeds } from "../notify/call.ts";
import type { HookNeeds } from "../notify/hook-needs.ts";
import { objectBytes } from "./mail-bucket.ts";
import { eventsOf, hookOf } from "./objects.ts";

export function hookNeeds(env: Env): HookNeeds {
  const store = { directory: env.DIRECTORY, deploymentSecret: env.EDGEPOST_SECRET };
  return {
    ...callNeeds(env),
    now: Date.now,
    log,
    settings: (name) => hookSettings(store, name),
    events: (serverId) => eventsOf(env, serverId),
    async bounce(serverId, of) {
      const bounce = await findBounceOf(env.ARCHIVE, serverId, of);
      return bounce && { id: bounce.id, inactive: bounce.inactive, hasDump: hasDump(bounce, Date.now()) };
    },
    async bounceContent(serverId, id) {
      const bounce = await findBounce(env.ARCHIVE, serverId, id);
      if (!bounce || !hasDump(bounce, Date.now())) return "";
      const segment = (key: string, offset: number, length: number) =>
        objectBytes(env.MAIL, key, { offset, length });
      return contentOf({ archive: env.ARCHIVE, segment }, bounce);
    },
    async inboundPayload(serverId, id) {
      const message = await findInbound(env.ARCHIVE, serverId, id);
      if (!message?.payload || message.status === "blocked") return undefined;
      const { payload } = message;
      return async () => {
        const object = await env.MAIL.get(payload);
        if (!object) throw new Error(`${payload} is gone`);
        return object.body;
      };
    },
    async inboundTold(serverId, id, to) {
      for (const from of ["scheduled", "queued", "failed"] as const)
        if (await moveInbound(env.ARCHIVE, { serverId, id }, { from, to })) return;
    },
  };
}

/** Also for the API, which tries a webhook before it keeps it. */
export function callNeeds(env: Env): CallNeeds {
  return {
    fetch: (url, init) => fetch(url, init),
    addressesOf: (host) =>
      lookUpAddresses(host, { dnsUrl: env.DNS_OVER_HTTPS, fetchDns: (url, init) => fetch(url, init) }),
    allowPrivate: env.ALLOW_PRIVATE_HOOKS === "1",
  };
}

/** The log is to wake those that are new, and they are to read their settings; both find out by themselves within a minute. */
export async function hooksChanged(env: Env, serverId: number, names: string[]): Promise<void> {
  try {
    await eventsOf(env, serverId).hooksChanged();
    await Promise.all(names.map((name) => hookOf(env, name).changed()));
  } catch (error) {
    log("hooks not told", { serverId, error: String(error) });
  }
}
