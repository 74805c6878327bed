/** What removing needs (erase/erase.ts): at cron's round, and at once when it was just asked for. */
import { waitUntil } from "cloudflare:workers";
import type { Env } from "../bindings.ts";
import { erase } from "../erase/erase.ts";
import type { EraseNeeds } from "../erase/needs.ts";
import { log } from "../log.ts";
import { bulkOf, eventsOf, hookOf, outboxOf, scheduleOf, seenOf } from "./objects.ts";
import { systemMessage } from "./system-message.ts";

/** How often a removal that was just asked for looks again at what has to end first; then cron does. */
const LOOKS_SOON = 4;
/** A run that was asked for is over by then, or was cut off. */
const RUN_MS = 30_000;

/** While one run of this isolate looks again and again, another beside it would only do the same. */
let erasingUntil = 0;

export function eraseNeeds(env: Env): EraseNeeds {
  return {
    directory: env.DIRECTORY,
    archive: () => env.ARCHIVE,
    mail: env.MAIL,
    now: Date.now,
    log,
    outbox: (shard) => outboxOf(env, shard),
    waitingMail: (serverId) => [bulkOf(env, serverId), scheduleOf(env, serverId)],
    events: (serverId) => eventsOf(env, serverId),
    seen: (serverId) => seenOf(env, serverId),
    hook: (name) => hookOf(env, name),
    sendSystemMessage: (message) => systemMessage(env, message),
  };
}

export function eraseSoon(env: Env): void {
  if (Date.now() < erasingUntil) return;
  erasingUntil = Date.now() + RUN_MS;
  const done = () => {
    erasingUntil = 0;
  };
  waitUntil(erase(eraseNeeds(env), { patience: LOOKS_SOON }).finally(done));
}
