/** What the API needs to show and change what became of mail: messages, bounces, opens and clicks, received mail, events. */
import { isScheduledOutbox } from "../accept/schedule-release.ts";
import type { EventsNeeds } from "../api/events.ts";
import type { InboundNeeds } from "../api/inbound.ts";
import type { ReadNeeds } from "../api/read-needs.ts";
import { together } from "../archive/pending.ts";
import type { Env } from "../bindings.ts";
import { log } from "../log.ts";
import { parseMessageId, shardName } from "../mail/message-id.ts";
import { recentShardNames } from "./isolate.ts";
import { objectBytes } from "./mail-bucket.ts";
import { copyFor } from "./message-copy.ts";
import { eventsOf, outboxOf, scheduleOf } from "./objects.ts";
import { regionOfRequest } from "./request-region.ts";
import { announce } from "./suppressions-told.ts";

type ReadingNeeds = Omit<ReadNeeds, "authenticate" | "retryAfter"> & EventsNeeds & InboundNeeds;

export function readingNeeds(env: Env): ReadingNeeds {
  return {
    now: Date.now,
    log,
    archive: () => env.ARCHIVE,
    directory: env.DIRECTORY,
    async pending(serverId, { filter, page }, request) {
      const shards = await recentShardNames(env, serverId, regionOfRequest(request));
      return together(
        await Promise.all(shards.map((shard) => outboxOf(env, shard).pending(filter, page))),
        page,
      );
    },
    async held(serverId, messageId) {
      const place = parseMessageId(messageId);
      if (!place) return undefined;
      // In this order: the schedule lets go only of what the Outbox has.
      const scheduled = isScheduledOutbox(place.number) && (await scheduleOf(env, serverId).find(messageId));
      return scheduled || outboxOf(env, shardName(serverId, place), place.region).find(messageId);
    },
    object: (key) => objectBytes(env.MAIL, key),
    segment: (key, offset, length) => objectBytes(env.MAIL, key, { offset, length }),
    copyFor: (message, place) => copyFor(env, message, place),
    events: (serverId) => eventsOf(env, serverId),
    tellEvents: (serverId, events) => eventsOf(env, serverId).append(events),
    announce: (serverId, changes) => announce(env, serverId, changes),
  };
}
