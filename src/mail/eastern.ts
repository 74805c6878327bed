/**
 * US Eastern time, in which Postmark counts days and writes times. `Intl` knows when that is daylight saving time; it is slow, so an
 * offset is remembered for its hour (the changes are on the hour).
 */

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** A list shows at most 500 times; this is 40 days of hours. */
const MAX_REMEMBERED = 1_000;

const EASTERN = new Intl.DateTimeFormat("en-US", {
  timeZone: "America/New_York",
  hourCycle: "h23",
  year: "numeric",
  month: "numeric",
  day: "numeric",
  hour: "numeric",
  minute: "numeric",
});

const offsets = new Map<number, { ms: number; text: string }>();

/** "2026-02-17": the Eastern day, as statistics have it. */
export function formatDay(at: number): string {
  return new Date(at + easternOffset(at).ms).toISOString().slice(0, 10);
}

/**
 * When it is this wall-clock time in the East; `wall` is that time as if it were UTC. A time that a change skips is read with the
 * offset from before it; one that comes twice is the first.
 */
export function fromEastern(wall: number): number {
  const before = easternOffset(wall - DAY_MS).ms;
  for (const offset of [before, easternOffset(wall + DAY_MS).ms])
    if (easternOffset(wall - offset).ms === offset) return wall - offset;
  return wall - before;
}

/** What is added to UTC at that time, and how it is written: "-05:00". */
export function easternOffset(at: number): { ms: number; text: string } {
  const hour = Math.floor(at / HOUR_MS);
  let offset = offsets.get(hour);
  if (!offset) {
    if (offsets.size >= MAX_REMEMBERED) offsets.clear();
    offset = lookUp(hour * HOUR_MS);
    offsets.set(hour, offset);
  }
  return offset;
}

function lookUp(at: number): { ms: number; text: string } {
  const parts = Object.fromEntries(EASTERN.formatToParts(at).map((p) => [p.type, Number(p.value)]));
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0 } = parts;
  const ms = Date.UTC(year, month - 1, day, hour, minute) - at;
  const minutes = Math.abs(Math.round(ms / 60_000));
  const two = (n: number) => String(n).padStart(2, "0");
  return { ms, text: `${ms < 0 ? "-" : "+"}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}` };
}
