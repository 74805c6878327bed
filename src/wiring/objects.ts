/** Where a deployment's Durable Objects are: each is found by a name, and which Outboxes a server has is in the directory. */
import type { Env } from "../bindings.ts";
import { log } from "../log.ts";
import { parseShardName, type Region, shardName } from "../mail/message-id.ts";

export function outboxesPerRegion(env: Env): number {
  return Number(env.OUTBOXES_PER_REGION) || 1;
}

/** A region that the platform does not know ("local") gives no hint. */
export function outboxOf(env: Env, shard: string, region: Region = parseShardName(shard).region) {
  const options = region === "local" ? {} : { locationHint: region as DurableObjectLocationHint };
  return env.OUTBOX.get(env.OUTBOX.idFromName(shard), options);
}

export function eventsOf(env: Env, serverId: number) {
  return env.EVENTS.get(env.EVENTS.idFromName(String(serverId)));
}

export function seenOf(env: Env, serverId: number) {
  return env.SEEN.get(env.SEEN.idFromName(String(serverId)));
}

/** By its name (accounts/hooks.ts). */
export function hookOf(env: Env, name: string) {
  return env.HOOK.get(env.HOOK.idFromName(name));
}

export function scheduleOf(env: Env, serverId: number) {
  return env.SCHEDULE.get(env.SCHEDULE.idFromName(String(serverId)));
}

export function bulkOf(env: Env, serverId: number) {
  return env.BULK.get(env.BULK.idFromName(String(serverId)));
}

/** By the name of the object that keeps a destination (deliver/rules.ts). */
export function destinationOf(env: Env, object: string) {
  return env.DESTINATION.get(env.DESTINATION.idFromName(object));
}

/** Every Outbox of a server (of all servers without one) that ever accepted. */
export async function shardNames(env: Env, serverId?: number): Promise<string[]> {
  const where = serverId === undefined ? "" : " WHERE server_id = ?";
  const statement = env.DIRECTORY.prepare(`SELECT name FROM shards${where}`);
  const { results } = await (serverId === undefined ? statement : statement.bind(serverId)).all<{
    name: string;
  }>();
  return results.map((r) => r.name);
}

/** Also those near the caller, which may have accepted before the directory heard of them, or while it is away. */
export async function shardNamesNear(env: Env, serverId: number, region: Region): Promise<string[]> {
  const names = new Set<string>();
  for (let number = 0; number <= outboxesPerRegion(env); number++)
    names.add(shardName(serverId, { region, number }));
  try {
    for (const name of await shardNames(env, serverId)) names.add(name);
  } catch (error) {
    log("directory is away", { error: String(error) });
  }
  return [...names];
}
