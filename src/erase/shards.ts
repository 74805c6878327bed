/** Which Outboxes a server has. */
import type { ToErase } from "../mail/erasure.ts";
import type { EraseNeeds } from "./needs.ts";

/** An Outbox is registered before it takes its first message. */
export async function outboxesOf(directory: D1Database, serverId: number): Promise<string[]> {
  const { results } = await directory
    .prepare("SELECT name FROM shards WHERE server_id = ? ORDER BY name")
    .bind(serverId)
    .all<{ name: string }>();
  return results.map((r) => r.name);
}

/** Tells each; the ids of what is left in them. */
export async function eraseInOutboxes(needs: EraseNeeds, shards: string[], what: ToErase): Promise<string[]> {
  const left = await Promise.all(shards.map((shard) => needs.outbox(shard).erase(what)));
  return left.flat();
}
