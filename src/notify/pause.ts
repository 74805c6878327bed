/**
 * When a trigger of a hook is left alone: after calls that failed in a row. While it is, its events wait where they are and none is
 * dropped; one of them tries it, each minute at first, each hour once it is called paused, and the first that is taken lets the others
 * follow.
 */
export interface Health {
  /** Calls that failed since the last that was taken. */
  failures: number;
  /** When the first of them failed, ms. */
  failingSince?: number;
  /** What the last failure was. */
  reason?: string;
  /** When one event is to try it; absent while all are told. */
  tryAt?: number;
  pausedSince?: number;
}

/** Postmark publishes no threshold. An event that always fails alone, among others that are taken, never comes to it. */
const FAILURES = 10;
/** Long enough for one that is being deployed anew. */
const FAILING_MS = 15 * 60_000;
const TRY_MS = 60_000;
const TRY_PAUSED_MS = 60 * 60_000;

export const HEALTHY: Health = { failures: 0 };

export function afterFailure(health: Health, reason: string, now: number): Health {
  const failures = health.failures + 1;
  const failingSince = health.failingSince ?? now;
  if (failures < FAILURES) return { failures, failingSince, reason };
  const isPaused = health.pausedSince !== undefined || now - failingSince >= FAILING_MS;
  return {
    ...{ failures, failingSince, reason },
    ...(isPaused
      ? { pausedSince: health.pausedSince ?? now, tryAt: now + TRY_PAUSED_MS }
      : { tryAt: now + TRY_MS }),
  };
}
