/** What a server's bulk requests (accept/bulk.ts) need. */
import { acceptDrafts } from "../accept/accept.ts";
import type { BulkNeeds } from "../accept/bulk-release.ts";
import type { Env } from "../bindings.ts";
import { log } from "../log.ts";
import { shardName } from "../mail/message-id.ts";
import { acceptNeeds } from "./accept.ts";
import { outboxOf } from "./objects.ts";

export function bulkNeeds(env: Env): BulkNeeds {
  const gate = acceptNeeds(env);
  return {
    now: Date.now,
    log,
    policy(serverId, place) {
      const name = shardName(serverId, place);
      return outboxOf(env, name, place.region).policy(name);
    },
    release: (policy, batch) => acceptDrafts(policy, batch, gate),
  };
}
