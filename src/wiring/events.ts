/** What a server's event log (notify/log.ts) needs. */
import { hooksOf } from "../accounts/hooks.ts";
import type { Env } from "../bindings.ts";
import { log } from "../log.ts";
import type { LogNeeds } from "../notify/log.ts";
import { toldSuppressions } from "../suppress/list.ts";
import { hookOf } from "./objects.ts";

export function logNeeds(env: Env): LogNeeds {
  return {
    now: Date.now,
    log,
    hooks: (serverId) => hooksOf(env.DIRECTORY, serverId),
    wakeHook: (name, types) => hookOf(env, name).wake(types),
    suppressionChanges: (serverId, after, limit) => toldSuppressions(env.DIRECTORY, serverId, after, limit),
  };
}
