/** When a hook is to look again by itself: for what is to be told again, what tries a paused trigger, and what is too old to be kept. */
import type { HookSettings } from "../accounts/hook-settings.ts";
import type { EventType } from "../mail/event.ts";
import type { HookStore } from "./hook-store.ts";
import { HEALTHY } from "./pause.ts";

const PRUNE_MS = 86_400_000;
/** After a failure of our own: cron wakes it too. */
export const AGAIN_MS = 15_000;

/** undefined when nothing is waited for. */
export function nextAlarm(
  store: HookStore,
  { triggers }: HookSettings,
  { now, failed }: { now: number; failed: ReadonlySet<EventType> },
): number | undefined {
  const times: number[] = [];
  for (const { type } of triggers) {
    const { tryAt } = store.trigger(type)?.health ?? HEALTHY;
    const at = tryAt ?? store.nextRetry(type);
    if (failed.has(type)) times.push(Math.max(tryAt ?? 0, now + AGAIN_MS));
    // One that could be tried and was not has nothing to be tried with.
    else if (at !== undefined && (tryAt === undefined || tryAt > now)) times.push(at);
  }
  if (store.lastCall > 0) times.push(now + PRUNE_MS);
  return times.length === 0 ? undefined : Math.min(...times);
}
