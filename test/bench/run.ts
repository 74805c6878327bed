/**
 * `npm run bench [-- name…] [--quick] [--rows=1000000] [--repeats=3]`: starts everything itself, measures floor and product in turn, and prints medians and
 * ratios. Absolute numbers are this machine's; only the ratios travel.
 */
import { readFileSync, statfsSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { acceptBench } from "./accept.ts";
import { archiveBench } from "./archive.ts";
import { dmarcBench } from "./dmarc.ts";
import { egressBench } from "./egress.ts";
import { journeyBench } from "./journey.ts";
import { smtpBench } from "./smtp.ts";
import { stopAll } from "./started.ts";
import { webhooksBench } from "./webhooks.ts";

export interface Effort {
  repeats: number;
  warmUpMs: number;
  measureMs: number;
  /** Shares of the full number of messages, where a section counts messages. */
  share: number;
  /** Messages in the archive. */
  rows: number;
}

const FULL: Effort = { repeats: 3, warmUpMs: 700, measureMs: 2_500, share: 1, rows: 1_000_000 };
const QUICK: Effort = { repeats: 1, warmUpMs: 400, measureMs: 1_000, share: 0.25, rows: 100_000 };
const TMPFS = 0x01021994;

const SECTIONS: Record<string, (effort: Effort) => Promise<string>> = {
  accept: acceptBench,
  smtp: smtpBench,
  journey: journeyBench,
  egress: egressBench,
  archive: archiveBench,
  webhooks: webhooksBench,
  dmarc: dmarcBench,
};

function versionOf(name: string): string {
  const file = createRequire(import.meta.url).resolve(`${name}/package.json`);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}

function machine(): string {
  const lines = [
    `${availableParallelism()} cores (${cpus()[0]?.model.trim() ?? "unknown"}), Node ${process.versions.node}, workerd ${versionOf("workerd")}.`,
    "Floor and product listen on a direct socket, past Miniflare's entry worker; only one of them is up at a time; load over loopback,",
    "from a process whose CPU is not counted. CPU is of the whole tree that serves; flushes are the disk's.",
  ];
  if (statfsSync(tmpdir()).type === TMPFS)
    lines.push(
      `noise: ${tmpdir()} is in memory, so a flush costs nothing here; set TMPDIR to a folder on a disk.`,
    );
  return `${lines.join("\n")}\n`;
}

const args = process.argv.slice(2);
const numberOf = (option: string) =>
  Number(args.find((a) => a.startsWith(`--${option}=`))?.slice(`--${option}=`.length));
const rows = numberOf("rows");
const repeats = numberOf("repeats");
const effort = {
  ...(args.includes("--quick") ? QUICK : FULL),
  ...(rows > 0 ? { rows } : {}),
  ...(repeats > 0 ? { repeats } : {}),
};
const names = args.filter((a) => !a.startsWith("--"));
const unknown = names.filter((n) => !(n in SECTIONS));
if (unknown.length > 0) {
  console.error(`No such section: ${unknown.join(", ")}. There are: ${Object.keys(SECTIONS).join(", ")}.`);
  process.exit(2);
}

for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.on(signal, () => void stopAll().then(() => process.exit(130)));

const began = performance.now();
let failed = 0;
console.log(`${effort.repeats} interleaved repeats, medians. ${machine()}`);
for (const [name, section] of Object.entries(SECTIONS)) {
  if (names.length > 0 && !names.includes(name)) continue;
  try {
    console.log(await section(effort));
  } catch (error) {
    // The other sections are worth having all the same.
    failed++;
    console.error(
      `${name} could not be measured: ${error instanceof Error ? error.message : String(error)}\n`,
    );
  }
  await stopAll();
}
console.log(`Took ${Math.round((performance.now() - began) / 1_000)} s.`);
process.exit(failed > 0 ? 1 : 0);
