/** What a run cost, read from /proc: CPU of process trees, CPU of everybody else, and flushes of the disk. Linux only. */
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";

/** USER_HZ: 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

interface Process {
  pid: number;
  parent: number;
  seconds: number;
}

function processes(): Process[] {
  const found: Process[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    let text: string;
    try {
      text = readFileSync(`/proc/${name}/stat`, "utf8");
    } catch {
      // Ended between the list and the read.
      continue;
    }
    // The command's name may hold spaces and parentheses, so fields are counted from its last one.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    // Its own, and that of children which have ended: servers with a process for each session would else cost nothing.
    const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
    found.push({ pid: Number(name), parent: Number(fields[1]), seconds: ticks / TICKS_PER_SECOND });
  }
  return found;
}

/** Seconds of CPU that these processes and all below them have used, leaving out the trees of `except`. */
function treeSeconds(all: Process[], roots: number[], except: number[]): number {
  const below = (pid: number): number => {
    if (except.includes(pid)) return 0;
    const own = all.find((p) => p.pid === pid)?.seconds ?? 0;
    return all.filter((p) => p.parent === pid).reduce((sum, p) => sum + below(p.pid), own);
  };
  return roots.reduce((sum, pid) => sum + below(pid), 0);
}

function machineSeconds(): number {
  const first = readFileSync("/proc/stat", "utf8").split("\n")[0] ?? "";
  const [user, nice, system, , , irq, soft] = first.split(/\s+/).slice(1).map(Number);
  return ((user ?? 0) + (nice ?? 0) + (system ?? 0) + (irq ?? 0) + (soft ?? 0)) / TICKS_PER_SECOND;
}

/** Flush requests that the disk below `folder` has completed; undefined where the kernel doesn't say. */
export function diskFlushes(folder: string): number | undefined {
  const { dev } = statSync(folder);
  const major = (dev >> 8) & 0xfff;
  const minor = (dev & 0xff) | ((dev >> 12) & 0xfff00);
  let disk: string;
  try {
    // A partition has no flush counter of its own: its disk is the folder above it.
    const parts = readlinkSync(`/sys/dev/block/${major}:${minor}`).split("/");
    disk = (parts.at(-2) === "block" ? parts.at(-1) : parts.at(-2)) ?? "";
  } catch {
    // An overlay or a tmpfs: no block device below it.
    return undefined;
  }
  const line = readFileSync("/proc/diskstats", "utf8")
    .split("\n")
    .map((l) => l.trim().split(/\s+/))
    .find((l) => l[2] === disk);
  return line?.[18] === undefined ? undefined : Number(line[18]);
}

export interface Watched {
  /** Processes that serve, with everything below them. */
  serving: number[];
  /** Below them, but only a stand-in: not counted as serving. */
  standIns: number[];
  folder: string;
}

export interface Cost {
  cpuSeconds: number;
  /** Cores that neither those who serve, nor stand-ins, nor the bench used. */
  foreignCores: number;
  flushes: number | undefined;
}

/** Starts to watch; the function that it returns says what was used since. */
export function watch({ serving, standIns, folder }: Watched): () => Cost {
  const sample = () => {
    const all = processes();
    return {
      at: performance.now(),
      serving: treeSeconds(all, serving, standIns),
      known: treeSeconds(all, [process.pid], []),
      machine: machineSeconds(),
      flushes: diskFlushes(folder),
    };
  };
  const before = sample();
  return () => {
    const after = sample();
    const seconds = (after.at - before.at) / 1_000;
    const foreign = after.machine - before.machine - (after.known - before.known);
    return {
      cpuSeconds: after.serving - before.serving,
      foreignCores: Math.max(0, foreign / seconds),
      flushes:
        after.flushes === undefined || before.flushes === undefined
          ? undefined
          : after.flushes - before.flushes,
    };
  };
}
