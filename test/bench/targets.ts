/** What is measured: a floor or the product, each started afresh on a home of its own, and only one of them up at a time. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { System } from "../journeys/system.ts";
import { BenchChild } from "./child.ts";
import type { Watched } from "./cpu.ts";
import { toStop } from "./started.ts";

export interface Target extends Watched {
  http: string;
  token: string;
  from: string;
  stop(): Promise<void>;
}

export async function startFloor(): Promise<Target> {
  const folder = mkdtempSync(join(tmpdir(), "edgepost-floor-"));
  const child = new BenchChild("floor-server.ts", { EDGEPOST_HOME: folder });
  const stop = toStop(async () => {
    await child.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  const { http } = await child.next<{ http: string }>();
  return {
    http,
    token: "",
    from: "sender@example.com",
    serving: [child.pid],
    standIns: [],
    folder,
    stop,
  };
}

export async function startProduct(env: Record<string, string> = {}): Promise<Target & { system: System }> {
  const folder = mkdtempSync(join(tmpdir(), "edgepost-bench-"));
  const system = await System.start(folder, env).catch((error: unknown) => {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  });
  const { http, serverToken, from, pid, pids } = system.local;
  return {
    system,
    http,
    token: serverToken,
    from,
    serving: [pid],
    standIns: [pids.world],
    folder: system.home,
    stop: toStop(() => system.remove()),
  };
}
