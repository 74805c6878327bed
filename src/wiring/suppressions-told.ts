/** Who is told when a server's suppressions change: its Outboxes, which refuse by them, and its event log, which tells hooks. */
import { waitUntil } from "cloudflare:workers";
import type { SuppressionChange } from "../accept/needs.ts";
import type { Env } from "../bindings.ts";
import { log } from "../log.ts";
import { eventsOf, outboxOf, shardNames } from "./objects.ts";

/** What the directory has already. */
export async function announce(env: Env, serverId: number, changes: SuppressionChange[]): Promise<void> {
  suppressionsChanged(env, serverId);
  const shards = await shardNames(env, serverId);
  await Promise.all(shards.map((shard) => outboxOf(env, shard).changeSuppressions(changes)));
}

/** The server's log is to read what changed. It reads that at cron's sweep too, so a call that is lost only costs time. */
export function suppressionsChanged(env: Env, serverId: number): void {
  const told = eventsOf(env, serverId).followSuppressions();
  waitUntil(told.catch((error) => log("suppressions not told", { serverId, error: String(error) })));
}
