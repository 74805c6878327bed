/** What the gate for mail (accept/accept.ts) needs: for the API, and for whatever else lets a message come to exist. */
import type { AcceptNeeds } from "../accept/accept.ts";
import { makeTracker } from "../accept/tracker.ts";
import type { TrackingNeeds } from "../accept/tracking.ts";
import type { Env } from "../bindings.ts";
import { log } from "../log.ts";
import { RECIPIENT_BLANK } from "../mail/tracking-link.ts";
import { trackingKeyOf } from "./isolate.ts";
import { putObject } from "./mail-bucket.ts";
import { outboxesPerRegion, outboxOf } from "./objects.ts";

export function acceptNeeds(env: Env): AcceptNeeds {
  return {
    now: Date.now,
    randomBytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
    outbox: (shard, region) => outboxOf(env, shard, region),
    putObject: (key, bytes) => putObject(env.MAIL, key, bytes),
    mailDomain: env.MAIL_DOMAIN,
    shardsPerRegion: outboxesPerRegion(env),
    tracking: trackingNeeds(env),
    log,
  };
}

function trackingNeeds(env: Env): TrackingNeeds {
  return {
    publicUrl: env.PUBLIC_URL,
    recipientBlank: RECIPIENT_BLANK,
    tracker: async (message, wishes) => makeTracker(await trackingKeyOf(env), message, wishes),
    log,
  };
}
