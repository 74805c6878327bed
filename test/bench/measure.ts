/** One cell of a table: a load against a target, with what the target's processes and the disk did meanwhile. */
import { setTimeout as wait } from "node:timers/promises";
import { BenchChild } from "./child.ts";
import { type Cost, type Watched, watch } from "./cpu.ts";
import type { LoadOrder, LoadResult } from "./load.ts";

export interface Figures {
  perSecond: number;
  p50: number;
  p99: number;
  /** Milliseconds of CPU, of those who serve, a message. */
  cpuMs: number;
  flushesPerSecond: number | undefined;
  foreignCores: number;
  /** Why the figure is not to be trusted; "" when nothing was refused. */
  trouble: string;
}

/** The load generator's process, to be asked more than once: its start is not to be measured. */
export class Loader {
  readonly #child = new BenchChild("load.ts");

  async run(target: Watched, order: LoadOrder): Promise<Figures> {
    this.#child.send(order);
    await this.#child.next();
    const used = watch(target);
    await this.#child.next();
    const cost = used();
    const result = await this.#child.next<LoadResult>();
    const { accepted, refused, refusal } = result;
    const silence = accepted === 0 ? "no answer within the measured time" : "";
    const trouble = refused > 0 ? `${refused} not accepted: ${refusal}` : silence;
    return { ...figures(accepted, result.seconds, cost), p50: result.p50, p99: result.p99, trouble };
  }

  /** Starts a load and says when it began to count; the result comes when all are answered. */
  async begin(order: LoadOrder): Promise<() => Promise<LoadResult>> {
    this.#child.send(order);
    await this.#child.next();
    return async () => {
      await this.#child.next();
      return this.#child.next<LoadResult>();
    };
  }

  stop(): Promise<void> {
    return this.#child.stop();
  }
}

const CALM_CORES = 0.1;
const CALM_LOOK_MS = 300;
const CALM_WAIT_MS = 5_000;

/**
 * Waits until a target has done what the cell before left behind, so that each cell pays for its own work; not for ever.
 * `silentMs`: how long it must have done nothing, where what it has yet to do begins later.
 */
export async function calm(target: Watched, silentMs = 0): Promise<void> {
  const late = Date.now() + CALM_WAIT_MS + 4 * silentMs;
  let busyAt = Date.now();
  for (let cores = 1; (cores > CALM_CORES || Date.now() - busyAt < silentMs) && Date.now() < late; ) {
    const used = watch(target);
    await wait(CALM_LOOK_MS);
    cores = used().cpuSeconds / (CALM_LOOK_MS / 1_000);
    if (cores > CALM_CORES) busyAt = Date.now();
  }
}

export function figures(messages: number, seconds: number, cost: Cost): Omit<Figures, "p50" | "p99"> {
  return {
    perSecond: messages / seconds,
    cpuMs: messages === 0 ? Number.NaN : (cost.cpuSeconds * 1_000) / messages,
    flushesPerSecond: cost.flushes === undefined ? undefined : cost.flushes / seconds,
    foreignCores: cost.foreignCores,
    trouble: "",
  };
}

const middle = (values: number[]): number => {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
  const half = sorted.length >> 1;
  const upper = sorted[half] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[half - 1] ?? Number.NaN)) / 2;
};

export interface Summary extends Figures {
  lowest: number;
  highest: number;
}

/** Medians, figure by figure, and the spread of the rate. */
export function summarize(repeats: Figures[]): Summary {
  const of = (pick: (f: Figures) => number | undefined) =>
    middle(repeats.map(pick).filter((v) => v !== undefined));
  const rates = repeats.map((f) => f.perSecond);
  const flushes = of((f) => f.flushesPerSecond);
  return {
    perSecond: of((f) => f.perSecond),
    p50: of((f) => f.p50),
    p99: of((f) => f.p99),
    cpuMs: of((f) => f.cpuMs),
    flushesPerSecond: Number.isNaN(flushes) ? undefined : flushes,
    foreignCores: Math.max(...repeats.map((f) => f.foreignCores)),
    trouble: repeats.find((f) => f.trouble !== "")?.trouble ?? "",
    lowest: Math.min(...rates),
    highest: Math.max(...rates),
  };
}
