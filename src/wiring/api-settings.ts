/** What the API needs to change settings: those of servers, domains, senders and webhooks; and to begin with what they ask for. */
import type { SenderNeeds } from "../api/ask-to-confirm.ts";
import type { DataRemovalNeeds } from "../api/data-removals.ts";
import type { DmarcNeeds } from "../api/dmarc-door.ts";
import type { TemplateNeeds } from "../api/templates.ts";
import type { WebhookNeeds } from "../api/webhooks.ts";
import type { Env } from "../bindings.ts";
import { log } from "../log.ts";
import { eraseSoon } from "./erase.ts";
import { callNeeds, hooksChanged } from "./hook.ts";
import { policyCache, templateCache } from "./isolate.ts";
import { deleteObjects, objectBytes } from "./mail-bucket.ts";
import { eventsOf, hookOf, outboxOf, shardNamesNear } from "./objects.ts";
import { systemMessage } from "./system-message.ts";

type SettingNeeds = TemplateNeeds & SenderNeeds & WebhookNeeds & DmarcNeeds & DataRemovalNeeds;

export function settingNeeds(env: Env): SettingNeeds {
  return {
    now: Date.now,
    newId: () => crypto.randomUUID(),
    log,
    directory: env.DIRECTORY,
    policyChanged: (serverId) => policyChanged(env, serverId),
    async accountChanged(accountId) {
      for (const serverId of await serversOf(env, accountId)) await policyChanged(env, serverId);
    },
    templatesChanged: (serverId) => templateCache(env).forget(serverId),
    sendSystemMessage: (message) => systemMessage(env, message),
    eraseSoon: () => eraseSoon(env),
    deploymentSecret: env.EDGEPOST_SECRET,
    mailDomain: env.MAIL_DOMAIN,
    publicUrl: env.PUBLIC_URL,
    dnsUrl: env.DNS_OVER_HTTPS,
    fetchDns: (url, init) => fetch(url, init),
    hooks: callNeeds(env),
    hook: (name) => hookOf(env, name),
    logHead: (serverId) => eventsOf(env, serverId).head(),
    hooksChanged: (serverId, names) => hooksChanged(env, serverId, names),
    reports: env.ARCHIVE,
    object: (key) => objectBytes(env.MAIL, key),
    deleteObjects: (keys) => deleteObjects(env.MAIL, keys),
  };
}

async function policyChanged(env: Env, serverId: number): Promise<void> {
  policyCache(env).forget(serverId);
  const shards = await shardNamesNear(env, serverId, "local");
  const told = await Promise.allSettled(shards.map((shard) => outboxOf(env, shard).policyChanged()));
  // One that is away reads its policy anew by itself before long.
  for (const result of told)
    if (result.status === "rejected") log("outbox not told", { serverId, error: String(result.reason) });
}

async function serversOf(env: Env, accountId: number): Promise<number[]> {
  const { results } = await env.DIRECTORY.prepare(
    "SELECT id FROM servers WHERE account_id = ? AND deleted_at IS NULL",
  )
    .bind(accountId)
    .all<{ id: number }>();
  return results.map((r) => r.id);
}
