/** Tables as plain text, and how the bench writes its figures, ratios and aims. */
import type { Summary } from "./measure.ts";

/** More than this beside the measured processes, and a figure is not to be judged by. */
const NOISY_CORES = 0.4;
/** The slowest repeat against the fastest. */
const WIDE_SPREAD = 1.5;

export function table(title: string, head: string[], rows: string[][]): string {
  const widths = head.map((h, i) => Math.max(h.length, ...rows.map((r) => r[i]?.length ?? 0)));
  const line = (cells: string[]) =>
    cells
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join("  ")
      .trimEnd();
  const rule = widths.map((w) => "-".repeat(w)).join("  ");
  return [title, "", line(head), rule, ...rows.map(line), ""].join("\n");
}

export const HEAD = ["", "msgs/s", "lowest-highest", "p50 ms", "p99 ms", "CPU ms/msg", "flushes/s"];

export function whole(value: number): string {
  return Number.isFinite(value) ? Math.round(value).toLocaleString("en-US") : "-";
}

/** Three significant digits. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return "-";
  return value >= 100 ? whole(value) : String(Number(value.toPrecision(3)));
}

export function row(name: string, s: Summary): string[] {
  return [
    name,
    whole(s.perSecond),
    Number.isFinite(s.lowest) ? `${whole(s.lowest)}-${whole(s.highest)}` : "-",
    short(s.p50),
    short(s.p99),
    short(s.cpuMs),
    s.flushesPerSecond === undefined ? "n/a" : whole(s.flushesPerSecond),
  ];
}

/** "single, 10 connections: 0.62 of workerd-group's rate (aim: at least 0.5): meets". */
export function aim(what: string, value: number, goal: { least?: number; most?: number }): string {
  const { least, most } = goal;
  const meets = (least === undefined || value >= least) && (most === undefined || value <= most);
  const wanted = least === undefined ? `at most ${most}` : `at least ${least.toLocaleString("en-US")}`;
  return `  ${meets && Number.isFinite(value) ? "meets" : "short"}  ${what}: ${short(value)} (aim: ${wanted})`;
}

/** What makes these figures doubtful, a line for each that is. */
export function doubts(named: [string, Summary][]): string[] {
  return named.flatMap(([name, s]) => {
    const noise: string[] = [];
    if (s.foreignCores > NOISY_CORES)
      noise.push(`up to ${short(s.foreignCores)} cores went to something else`);
    if (s.highest > s.lowest * WIDE_SPREAD)
      noise.push(`repeats from ${whole(s.lowest)} to ${whole(s.highest)}`);
    const lines = noise.length > 0 ? [`  noise, ${name}: ${noise.join("; ")}`] : [];
    return s.trouble === "" ? lines : [`  ${name}: ${s.trouble}`, ...lines];
  });
}
