/** Spools for tests, with a folder and a registry of their own, and what is handed to them. */
import { mkdtempSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Registry } from "prom-client";
import type { SpoolLimits } from "../../../src/gateway/config.ts";
import type { Receipt, Submitted } from "../../../src/gateway/intake.ts";
import { newSpoolMetrics } from "../../../src/gateway/spool/metrics.ts";
import { Spool } from "../../../src/gateway/spool/spool.ts";
import { Worker } from "../../../src/gateway/worker.ts";
import { SECRET } from "../worker-stand-in.ts";
import type { FakeWorker } from "./fake-worker.ts";

export const LIMITS: SpoolLimits = {
  patience: 2_000,
  forward: 5_000,
  bytes: 1024 ** 3,
  freeShare: 0,
  age: 5 * 24 * 3_600_000,
};

/** "spool" in the state of a gateway. */
export const newFolder = () => join(mkdtempSync(join(tmpdir(), "edgepost-spool-")), "spool");

export interface Under {
  spool: Spool;
  worker: Worker;
  folder: string;
  events: { event: string; fields: Record<string, unknown> }[];
  metric(line: string): Promise<number>;
  files(place: string): string[];
  end(ms?: number): Promise<void>;
}

export async function newSpool(
  fake: { url: string },
  { folder = newFolder(), limits = {} }: { folder?: string; limits?: Partial<SpoolLimits> } = {},
): Promise<Under> {
  const registry = new Registry();
  const worker = new Worker(fake.url, SECRET);
  const events: Under["events"] = [];
  const spool: Spool = new Spool({
    folder,
    limits: { ...LIMITS, ...limits },
    worker,
    metrics: newSpoolMetrics(registry, () => spool.state()),
    log: (event, fields) => events.push({ event, fields }),
  });
  await spool.start();
  return {
    spool,
    worker,
    folder,
    events,
    async metric(line) {
      const text = await registry.metrics();
      return Number(
        text
          .split("\n")
          .find((l) => l.startsWith(`${line} `))
          ?.slice(line.length + 1),
      );
    },
    files: (place) => readdirSync(join(folder, place)),
    async end(ms = 5_000) {
      await spool.end(ms);
      worker.close();
    },
  };
}

let count = 0;

export function message(some: { serverId?: number; text?: string; bytes?: number } = {}): Submitted {
  const { serverId = 7, text = "hello", bytes = 0 } = some;
  const id = ++count;
  return {
    account: { serverId, region: "weur", shards: 4, stream: "outbound" },
    envelope: { reversePath: "a@example.com", recipients: [{ address: "b@good.test" }] },
    session: `s${id}`,
    remoteAddress: "192.0.2.1",
    bytes: Buffer.from(`Subject: ${id}\r\n\r\n${text}\r\n${"x".repeat(bytes)}`),
  };
}

export function inbound(): Submitted {
  const { account: _, ...rest } = message();
  return rest;
}

export function idOf(receipt: Receipt): string {
  if ("reply" in receipt) throw new Error(`refused: ${JSON.stringify(receipt.reply)}`);
  return receipt.messageId;
}

/** Waits until it holds; the limit is for a test that fails, and not a claim about time. */
export async function until(
  holds: () => boolean | Promise<boolean>,
  what: string,
  ms = 20_000,
): Promise<void> {
  const end = Date.now() + ms;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`never came true: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** The Worker has all of them, none twice. */
export function accountFor(fake: FakeWorker, ids: string[]) {
  const held = new Set(fake.ids);
  return {
    acknowledged: ids.length,
    lost: ids.filter((id) => !held.has(id)).length,
    twice: fake.ids.length - held.size,
  };
}
