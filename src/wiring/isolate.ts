/**
 * What a Worker's isolate keeps between requests: each of these is made from what is stored elsewhere, may be gone at any time, and says how
 * old it may be.
 */
import type { ServerPolicy } from "../accounts/policy.ts";
import { PolicyCache } from "../accounts/policy-cache.ts";
import { type Loan, type LoanRequest, RateLeases } from "../accounts/rate-limit.ts";
import { StoredTemplateCache } from "../accounts/template-cache.ts";
import { loadTemplate } from "../accounts/templates.ts";
import type { Env } from "../bindings.ts";
import { log } from "../log.ts";
import { type Region, shardName } from "../mail/message-id.ts";
import { returnPathKey } from "../mail/return-path.ts";
import { shardsFor } from "../mail/shards.ts";
import { trackingKey } from "../mail/tracking-link.ts";
import { outboxesPerRegion, outboxOf, shardNamesNear } from "./objects.ts";

/** A request waits so long at most to be counted; then it goes uncounted. */
const BORROW_MS = 1_000;

let pathKey: CryptoKey | undefined;

export async function pathKeyOf(env: Env): Promise<CryptoKey> {
  pathKey ??= await returnPathKey(env.EDGEPOST_SECRET);
  return pathKey;
}

let linkKey: CryptoKey | undefined;

/** Signs the links of messages. */
export async function trackingKeyOf(env: Env): Promise<CryptoKey> {
  linkKey ??= await trackingKey(env.EDGEPOST_SECRET);
  return linkKey;
}

let policies: PolicyCache | undefined;

/** Policies as this isolate knows them, from the Outbox nearest to the caller, or the next when that one fails. */
export function policyCache(env: Env): PolicyCache {
  policies ??= new PolicyCache(async (serverId, region): Promise<ServerPolicy | undefined> => {
    let failure: unknown;
    for (const shard of shardsFor(region, outboxesPerRegion(env))) {
      const name = shardName(serverId, shard);
      try {
        return await outboxOf(env, name, shard.region).policy(name);
      } catch (error) {
        log("outbox passed over", { shard: name, error: String(error) });
        failure = error;
      }
    }
    throw failure;
  }, Date.now);
  return policies;
}

let leases: RateLeases | undefined;

/** What this isolate has borrowed of tokens' requests. */
export function rateLeases(): RateLeases {
  leases ??= new RateLeases(Date.now);
  return leases;
}

/** From one Outbox of the region, which counts for all Workers there. */
export async function borrow(env: Env, name: string, request: LoanRequest): Promise<Loan> {
  try {
    const late = scheduler.wait(BORROW_MS).then(() => Promise.reject(new Error("no answer in time")));
    return await Promise.race([outboxOf(env, name).lend(request), late]);
  } catch (error) {
    log("rate not counted", { shard: name, error: String(error) });
    throw error;
  }
}

let templates: StoredTemplateCache | undefined;

/** Templates as this isolate has compiled them. */
export function templateCache(env: Env): StoredTemplateCache {
  templates ??= new StoredTemplateCache({
    load: (serverId, ref) => loadTemplate(env.DIRECTORY, serverId, ref),
    now: Date.now,
    log,
  });
  return templates;
}

/** A server's first message from another region may be missing for so long in a list that is asked for elsewhere. */
const SHARDS_MS = 5_000;
const MAX_REMEMBERED_SERVERS = 1_000;
const recentShards = new Map<string, { names: string[]; until: number }>();

/** As shardNamesNear has it, not asked for each time: a list of messages would else wait for the directory before it asks anything. */
export async function recentShardNames(env: Env, serverId: number, region: Region): Promise<string[]> {
  const name = `${serverId}/${region}`;
  const known = recentShards.get(name);
  if (known && Date.now() < known.until) return known.names;
  const names = await shardNamesNear(env, serverId, region);
  if (recentShards.size >= MAX_REMEMBERED_SERVERS) recentShards.clear();
  recentShards.set(name, { names, until: Date.now() + SHARDS_MS });
  return names;
}

/** These live as long as the isolate: what one call of the consumer met, the next need not try. */
export const gatewaysDown = new Map<string, number>();
export const cloudflareQuota = { goneUntil: 0 };
