/** What an Outbox (accept/outbox.ts) needs. */
import type { OutboxNeeds } from "../accept/needs.ts";
import { loadPolicy } from "../accounts/policy.ts";
import { openKeys } from "../accounts/signing-keys.ts";
import type { Env } from "../bindings.ts";
import { sign } from "../compose/sign.ts";
import { log } from "../log.ts";
import { parseShardName } from "../mail/message-id.ts";
import { formatReturnPath } from "../mail/return-path.ts";
import { suppressionChanges } from "../suppress/list.ts";
import { record } from "../track/record.ts";
import { pathKeyOf } from "./isolate.ts";
import { deleteObjects, objectBytes, putObject } from "./mail-bucket.ts";
import { copyFor, ownFields } from "./message-copy.ts";
import { eventsOf, outboxOf, shardNames } from "./objects.ts";
import { suppressionsChanged } from "./suppressions-told.ts";

/** sendBatch takes 100 messages and 256 KB; a job of 100 references is about 12 KB. */
const JOBS_PER_BATCH = 20;

export function outboxNeeds(env: Env): OutboxNeeds {
  return {
    now: Date.now,
    random: Math.random,
    log,
    async send(jobs) {
      for (let i = 0; i < jobs.length; i += JOBS_PER_BATCH)
        await env.DELIVERIES.sendBatch(jobs.slice(i, i + JOBS_PER_BATCH).map((body) => ({ body })));
    },
    putObject: (key, bytes) => putObject(env.MAIL, key, bytes),
    getObject: (key, range) => objectBytes(env.MAIL, key, range),
    deleteObjects: (keys) => deleteObjects(env.MAIL, keys),
    randomBytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
    mailDomain: env.MAIL_DOMAIN,
    record: async (serverId, records) => {
      const made = await record({ archive: env.ARCHIVE, directory: env.DIRECTORY, now: Date.now }, records);
      if (made.length > 0) suppressionsChanged(env, serverId);
      return made.map(({ stream, email }) => ({ stream, email, removed: false }));
    },
    tellEvents: (serverId, events) => eventsOf(env, serverId).append(events),
    async announce(shard, changes) {
      const others = (await shardNames(env, parseShardName(shard).serverId)).filter((name) => name !== shard);
      await Promise.all(others.map((name) => outboxOf(env, name).changeSuppressions(changes)));
    },
    policy: (serverId) => loadPolicy(env.DIRECTORY, serverId),
    suppressionChanges: (serverId, after, limit) => suppressionChanges(env.DIRECTORY, serverId, after, limit),
    async registerShard(shard) {
      await env.DIRECTORY.prepare("INSERT INTO shards VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
        .bind(shard, parseShardName(shard).serverId, Date.now())
        .run();
    },
    async sign(policy, message, bytes) {
      const keys = await openKeys(policy, message.fromDomain, env.EDGEPOST_SECRET);
      const fields = await ownFields(env, { serverId: policy.serverId, messageId: message.id });
      return (await sign(bytes, keys, message.acceptedAt)) + fields;
    },
    async returnPath(of, domain) {
      return formatReturnPath(await pathKeyOf(env), of, domain);
    },
    copyFor: (message, place) => copyFor(env, message, place),
  };
}
