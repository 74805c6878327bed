/** What is asked of Destinations, and of the Outboxes whose mail waits for them, by those who look at them through the API. */
import type { DestinationsNeeds } from "../api/destinations.ts";
import type { Env } from "../bindings.ts";
import type { DestinationState } from "../deliver/destination.ts";
import { objectOf } from "../deliver/rules.ts";
import type { WaitingDomain } from "../mail/waiting.ts";
import { recentShardNames } from "./isolate.ts";
import { destinationOf, outboxOf } from "./objects.ts";
import { regionOfRequest } from "./request-region.ts";

export function destinationsNeeds(env: Env): DestinationsNeeds {
  return {
    now: Date.now,
    async waitingDomains(serverId, request, only) {
      const shards = await recentShardNames(env, serverId, regionOfRequest(request));
      return (await Promise.all(shards.map((shard) => outboxOf(env, shard).waiting(only)))).flat();
    },
    waitingOfAccount: async (accountId, domains) =>
      (await waitingOfAccount(env, accountId, domains)).flatMap((found) => found.waiting),
    destinations: (names) => describeDestinations(env, names),
    resumeDestinations: (accountId, names, domains) => resumeDestinations(env, accountId, names, domains),
  };
}

/** A call for each object that keeps one of them. */
async function describeDestinations(env: Env, names: string[]): Promise<DestinationState[]> {
  const byObject = Map.groupBy(new Set(names), objectOf);
  const asked = [...byObject].map(([object, of]) => destinationOf(env, object).describe(of));
  return (await Promise.all(asked)).flat();
}

async function waitingOfAccount(
  env: Env,
  accountId: number,
  domains: string[],
): Promise<{ shard: string; waiting: WaitingDomain[] }[]> {
  const { results } = await env.DIRECTORY.prepare(
    `SELECT shards.name FROM shards JOIN servers ON servers.id = shards.server_id
     WHERE servers.account_id = ? AND servers.deleted_at IS NULL`,
  )
    .bind(accountId)
    .all<{ name: string }>();
  return Promise.all(
    results.map(async ({ name }) => ({ shard: name, waiting: await outboxOf(env, name).waiting(domains) })),
  );
}

/** In this order: what is handed over finds that it may be tried. */
async function resumeDestinations(
  env: Env,
  accountId: number,
  names: string[],
  domains: string[],
): Promise<void> {
  await Promise.all(names.map((name) => destinationOf(env, objectOf(name)).resume(name)));
  const found = await waitingOfAccount(env, accountId, domains);
  const shards = found.filter(({ waiting }) => waiting.length > 0).map(({ shard }) => shard);
  await Promise.all(shards.map((shard) => outboxOf(env, shard).resume(domains)));
}
