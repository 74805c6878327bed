/**
 * How fast stored mail (bulk, scheduled) is released into its Outbox: in steps that an object can hold, at rest for as long as each took, and not
 * faster than the Outbox's own mail flows.
 */

/** A call between objects carries 32 MiB, and an object has 128 MB for all it does. */
export const STEP_BYTES = 4_000_000;
export const STEP_MESSAGES = 250;
/** An Outbox that does not answer is asked again. */
export const CALL_MS = 60_000;
export const FULL_WAIT_MS = 5_000;
export const FULL = "Too many messages wait for their recipients' mail servers.";

/** Recipients that stand in the Outbox's lines with nothing in their way: more would only wait there instead of here. */
const MAX_FLOWING = 5_000;
const FLOWING_WAIT_MS = 1_000;
const MIN_REST_MS = 5;
const MAX_REST_MS = 2_000;
const MAX_BACK_OFF_MS = 60_000;

/** Milliseconds; `flowing` is what the Outbox answered. */
export function waitForFlow(flowing: number): number {
  return flowing > MAX_FLOWING ? FLOWING_WAIT_MS : 0;
}

/** It rests as long as it worked: what is slow is busy, and this must not be what keeps it so. */
export function restAfter(workedMs: number): number {
  return Math.min(Math.max(workedMs, MIN_REST_MS), MAX_REST_MS);
}

/** `failures` in a row, before this one. */
export function backOff(failures: number): number {
  return Math.min(1_000 * 2 ** failures, MAX_BACK_OFF_MS);
}
