/** What opens, clicks and unsubscribing need: at the door for links (api/tracking.ts), and when they are recorded (track/seen.ts). */
import { waitUntil } from "cloudflare:workers";
import type { TrackingDoorNeeds } from "../api/tracking.ts";
import type { Env } from "../bindings.ts";
import { log } from "../log.ts";
import { parseMessageId, shardName } from "../mail/message-id.ts";
import { recordSeen } from "../track/record-seen.ts";
import type { SeenNeeds } from "../track/seen.ts";
import type { UnsubscribeNeeds } from "../track/unsubscribe.ts";
import { trackingKeyOf } from "./isolate.ts";
import { eventsOf, outboxOf, seenOf } from "./objects.ts";
import { announce } from "./suppressions-told.ts";

export function trackingDoorNeeds(env: Env): TrackingDoorNeeds {
  return {
    ...unsubscribeNeeds(env),
    key: () => trackingKeyOf(env),
    see: (serverId, fact) => seenOf(env, serverId).add([fact]),
    recordNow: (serverId, fact) => recordSeen(seenNeeds(env), serverId, [fact]),
    waitUntil,
  };
}

export function seenNeeds(env: Env): SeenNeeds {
  return {
    ...unsubscribeNeeds(env),
    tellEvents: (serverId, events) => eventsOf(env, serverId).append(events),
  };
}

/** Also for mail that unsubscribes. */
export function unsubscribeNeeds(env: Env): UnsubscribeNeeds {
  return {
    directory: env.DIRECTORY,
    archive: () => env.ARCHIVE,
    now: Date.now,
    log,
    announce: (serverId, changes) => announce(env, serverId, changes),
    async heldRecords(serverId, messageIds) {
      const byShard = new Map<string, string[]>();
      for (const id of messageIds) {
        const place = parseMessageId(id);
        if (!place) continue;
        const shard = shardName(serverId, place);
        byShard.set(shard, [...(byShard.get(shard) ?? []), id]);
      }
      const found = [...byShard].map(([shard, ids]) => outboxOf(env, shard).records(ids));
      return (await Promise.all(found)).flat();
    },
  };
}
