/** How fast messages are accepted, durable before the answer, beside the least that this platform allows. */

import { BATCH } from "./mail.ts";
import { calm, type Figures, Loader, type Summary, summarize } from "./measure.ts";
import type { Effort } from "./run.ts";
import { aim, doubts, HEAD, row, table } from "./table.ts";
import { startFloor, startProduct, type Target } from "./targets.ts";

interface Cell {
  batch: number;
  connections: number;
}

const CELLS: Cell[] = [
  { batch: 1, connections: 1 },
  { batch: 1, connections: 10 },
  { batch: 1, connections: 50 },
  { batch: BATCH, connections: 1 },
  { batch: BATCH, connections: 10 },
];
const LIVE: Cell = { batch: 1, connections: 10 };
const BYTES = 2_048;

const nameOf = ({ batch, connections }: Cell) =>
  `${batch === 1 ? "single" : `batches of ${batch}`}, ${connections} conn.`;
const floorOf = ({ batch }: Cell) => (batch === 1 ? "workerd-group" : "workerd-batch");

type Runs = Map<string, Figures[]>;

async function measure(target: Target, to: "dead" | "live", cells: Cell[], effort: Effort, into: Runs) {
  const loader = new Loader();
  for (const cell of cells) {
    const { batch, connections } = cell;
    await calm(target);
    const figures = await loader.run(target, {
      http: target.http,
      token: target.token,
      connections,
      batch,
      mail: { from: target.from, to, bytes: BYTES, run: `a${Date.now().toString(36)}` },
      warmUpMs: effort.warmUpMs,
      measureMs: effort.measureMs,
    });
    const key = nameOf(cell);
    into.set(key, [...(into.get(key) ?? []), figures]);
  }
  await loader.stop();
  await target.stop();
}

export async function acceptBench(effort: Effort): Promise<string> {
  const floor: Runs = new Map();
  const dead: Runs = new Map();
  const live: Runs = new Map();
  for (let i = 0; i < effort.repeats; i++) {
    await measure(await startFloor(), "dead", CELLS, effort, floor);
    await measure(await startProduct(), "dead", CELLS, effort, dead);
    await measure(await startProduct(), "live", [LIVE], effort, live);
  }
  return report(floor, dead, live);
}

function report(floors: Runs, dead: Runs, lives: Runs): string {
  const rows: string[][] = [];
  const named: [string, Summary][] = [];
  const aims: string[] = [];
  const add = (name: string, of: Figures[]): Summary => {
    const summary = summarize(of);
    rows.push(row(name, summary));
    named.push([name, summary]);
    return summary;
  };
  let single = 0;
  for (const cell of CELLS) {
    const name = nameOf(cell);
    const floor = add(`${name}: ${floorOf(cell)}`, floors.get(name) ?? []);
    const product = add(`${name}: Edgepost`, dead.get(name) ?? []);
    const rate = product.perSecond / floor.perSecond;
    const isSingle = cell.batch === 1;
    if (isSingle) single = Math.max(single, product.perSecond);
    if (!isSingle) aims.push(aim(`${name}, messages a second`, product.perSecond, { least: 10_000 }));
    if (isSingle && cell.connections === 1) {
      aims.push(`         ${name}: ${rate.toFixed(2)} of ${floorOf(cell)}'s rate`);
      continue;
    }
    aims.push(aim(`${name}, rate to ${floorOf(cell)}'s`, rate, { least: isSingle ? 0.5 : 0.4 }));
    if (isSingle)
      aims.push(aim(`${name}, CPU to ${floorOf(cell)}'s`, product.cpuMs / floor.cpuMs, { most: 2 }));
    else aims.push(aim(`${name}, rate to its own best single`, product.perSecond / single, { least: 5 }));
  }
  add(`${nameOf(LIVE)}: Edgepost, delivering meanwhile`, lives.get(nameOf(LIVE)) ?? []);
  return [
    table("Accept over HTTP, 2 KB, durable before the answer", HEAD, rows),
    "Recipients are at servfail.test: first attempts fail and everything then waits, so this is accepting while a destination is dead, and",
    "delivery does not compete for the cores. The last row has live recipients, so delivery and the local MX share the cores with accepting.",
    "Floors: a bare Hono Worker and one SQLite Durable Object. workerd-group parses the JSON and writes the rows of one scheduler.wait(0) in one",
    "transaction, one insert a message; workerd-batch writes a request of 500 in one json_each statement. p50 and p99 are of a request.",
    "",
    ...aims,
    ...doubts(named),
    "",
  ].join("\n");
}
