/** When a recipient that waits is tried again. Pure; kept by the Outbox, which knows every recipient that is not final. */

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** From the end of attempt 1, 2, … to the next; the last is repeated. Quick at first: the mail is wanted now. */
const WAITS_MS = [
  MINUTE_MS,
  5 * MINUTE_MS,
  15 * MINUTE_MS,
  30 * MINUTE_MS,
  HOUR_MS,
  2 * HOUR_MS,
  4 * HOUR_MS,
  8 * HOUR_MS,
];
/** Spreads what failed together, so that it does not come back together. */
const JITTER = 0.1;

/** When our own side failed before anything was sent, nothing was learned of the recipient: soon, and ever less so. */
const OURS_FIRST_MS = 5_000;
const OURS_MOST_MS = MINUTE_MS;

export const GIVE_UP_AFTER_MS = 72 * HOUR_MS;
/** RFC 5321 §4.5.4.1 speaks of 4 to 5 days; nobody waits longer for transactional mail. */
export const MAX_GIVE_UP_AFTER_MS = 120 * HOUR_MS;

/** When to try again after a failure of our own at `now`, that of a message which has waited since `acceptedAt`. `random` is in [0, 1). */
export function nextTryOfOurs(acceptedAt: number, now: number, random: number): number {
  const wait = Math.min(Math.max((now - acceptedAt) / 4, OURS_FIRST_MS), OURS_MOST_MS);
  return Math.round(now + wait * (1 - JITTER + 2 * JITTER * random));
}

/**
 * When to try again after attempt `attempt` (from 1) ended at `now`; "give up" when the message's time is over. The
 * wait that would pass the end is cut to it, so that there is one last try. `random` is in [0, 1).
 */
export function nextTry(
  attempt: number,
  acceptedAt: number,
  giveUpAfterMs: number,
  now: number,
  random: number,
): number | "give up" {
  const giveUpAt = acceptedAt + Math.min(giveUpAfterMs, MAX_GIVE_UP_AFTER_MS);
  // Within a minute of the end, another try would tell nothing new.
  if (giveUpAt - now < MINUTE_MS) return "give up";
  const wait = WAITS_MS[Math.min(Math.max(attempt, 1), WAITS_MS.length) - 1] ?? 8 * HOUR_MS;
  const due = Math.round(now + wait * (1 - JITTER + 2 * JITTER * random));
  return Math.min(due, giveUpAt);
}
