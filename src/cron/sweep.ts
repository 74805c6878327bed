/**
 * Cron's round, each minute, of all that keeps time by an alarm of its own: one whose alarm was lost is woken, and what was not told is
 * told. None keeps another waiting: one that is away, or never answers, is visited again in a minute.
 */
import { isBulkOutbox } from "../accept/bulk-release.ts";
import { isScheduledOutbox } from "../accept/schedule-release.ts";
import { serversWithHooks } from "../accounts/hooks.ts";
import type { Env } from "../bindings.ts";
import { log } from "../log.ts";
import { parseShardName } from "../mail/message-id.ts";
import { within } from "../mail/within.ts";
import { bulkOf, eventsOf, outboxOf, scheduleOf, seenOf, shardNames } from "../wiring/objects.ts";

/** What a sweep does itself takes milliseconds: it wakes, and does not wait for what it woke. */
const VISIT_MS = 10_000;
/** A platform lets a request wait for so many others at a time. */
const AT_ONCE = 6;

interface Visit {
  object: string;
  sweep(): Promise<void>;
}

/** The Outboxes first: mail waits for them, and for the others only what is told of it. */
export async function sweepAll(env: Env): Promise<void> {
  const shards = await shardNames(env);
  const servers = new Set([
    ...shards.map((shard) => parseShardName(shard).serverId),
    ...(await serversWithHooks(env.DIRECTORY)),
  ]);
  const visits = [
    ...shards.flatMap((shard) => visitsOfShard(env, shard)),
    ...[...servers].flatMap((serverId): Visit[] => [
      { object: `events of ${serverId}`, sweep: () => eventsOf(env, serverId).sweep() },
      { object: `seen of ${serverId}`, sweep: () => seenOf(env, serverId).sweep() },
    ]),
  ].values();
  await Promise.all(Array.from({ length: AT_ONCE }, () => visit(visits)));
}

function visitsOfShard(env: Env, shard: string): Visit[] {
  const { serverId, number } = parseShardName(shard);
  const visits = [{ object: `outbox ${shard}`, sweep: () => outboxOf(env, shard).sweep() }];
  if (isBulkOutbox(number))
    visits.push({ object: `bulk of ${serverId}`, sweep: () => bulkOf(env, serverId).sweep() });
  if (isScheduledOutbox(number))
    visits.push({ object: `schedule of ${serverId}`, sweep: () => scheduleOf(env, serverId).sweep() });
  return visits;
}

async function visit(visits: Iterable<Visit>): Promise<void> {
  for (const { object, sweep } of visits) {
    try {
      await within(VISIT_MS, sweep());
    } catch (error) {
      log("not swept", { object, error: String(error) });
    }
  }
}
