/** What a server's scheduled messages (accept/schedule.ts) need. */
import { acceptReleased } from "../accept/accept.ts";
import type { ScheduleNeeds } from "../accept/schedule.ts";
import type { Env } from "../bindings.ts";
import { acceptNeeds } from "./accept.ts";
import { bulkNeeds } from "./bulk.ts";

export function scheduleNeeds(env: Env): ScheduleNeeds {
  const { now, log, policy } = bulkNeeds(env);
  const gate = acceptNeeds(env);
  return {
    ...{ now, log, policy, mailDomain: env.MAIL_DOMAIN },
    release: (policy, batch) => acceptReleased(policy, batch, gate),
  };
}
