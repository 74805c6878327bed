/** How fast mail is taken by SMTP, on disk before the 250, beside servers that do the same work and one that keeps nothing. */
import { readFileSync } from "node:fs";
import { BenchChild } from "./child.ts";
import { watch } from "./cpu.ts";
import { calm, type Figures, figures, type Summary, summarize } from "./measure.ts";
import type { Effort } from "./run.ts";
import type { SmtpOrder, SmtpResult } from "./smtp-load.ts";
import { type Cell, PEERS, type Peer, type PeerKind, type PeerName, startEdgepost } from "./smtp-peers.ts";
import { aim, doubts, row, short, table, whole } from "./table.ts";

const BYTES = 25_600;
const IDLE = 1_000;
const MAX_IDLE_RSS_MB = 256;
/** Haraka's queue beside Postfix with TLS and 10 sessions on the machine that had both: 370 and 332 messages a second. */
const HARAKA_TO_POSTFIX = 370 / 332;

const CELLS: Cell[] = [false, true].flatMap((starttls) =>
  (["one", "many"] as const).flatMap((each) => [1, 10, 50].map((sessions) => ({ starttls, sessions, each }))),
);
/** As long as what follows an acceptance (signing, the archive) takes to come, and then as long again and more. */
const STEADY: Effort = { repeats: 1, warmUpMs: 12_000, measureMs: 20_000, share: 1, rows: 0 };
const STEADY_CELL: Cell = { starttls: false, sessions: 10, each: "many" };
const STEADY_NAME = "plain, 10 sessions, many each, steady: Edgepost";
const BESIDE_IDLE: Cell = { starttls: true, sessions: 10, each: "many" };
const HEAD = ["", "msgs/s", "lowest-highest", "p50 ms", "p99 ms", "CPU ms/msg", "flushes/msg"];

const nameOf = ({ starttls, sessions, each }: Cell) =>
  `${starttls ? "STARTTLS" : "plain"}, ${sessions} session${sessions > 1 ? "s" : ""}, ${each} each`;

/** The load generator's process, to be asked more than once: its start is not to be measured. */
class SmtpLoader {
  readonly #child = new BenchChild("smtp-load.ts");

  async run(peer: Peer, { starttls, sessions, each }: Cell, effort: Effort): Promise<Figures> {
    await calm(peer, peer.silentMs);
    const order: SmtpOrder = {
      way: { port: peer.port, starttls, auth: peer.auth },
      sessions,
      each,
      mail: { from: peer.from, to: "dead", bytes: BYTES, run: `s${Date.now().toString(36)}` },
      warmUpMs: effort.warmUpMs,
      measureMs: effort.measureMs,
    };
    this.#child.send(order);
    await this.#child.next();
    const used = watch(peer);
    await this.#child.next();
    const cost = used();
    const { accepted, refused, refusal, seconds, p50, p99 } = await this.#child.next<SmtpResult>();
    const silence = accepted === 0 ? `no 250 within the measured time ${refusal}` : "";
    const trouble = refused > 0 ? `${refused} not accepted: ${refusal}` : silence;
    return { ...figures(accepted, seconds, cost), p50, p99, trouble };
  }

  async idle(peer: Peer, count: number): Promise<void> {
    this.#child.send({ way: { port: peer.port, starttls: true, auth: peer.auth }, idle: count });
    const { open, refusal } = await this.#child.next<{ open: number; refusal: string }>();
    if (open < count) throw new Error(`only ${open} of ${count} idle sessions: ${refusal}`);
  }

  stop(): Promise<void> {
    return this.#child.stop();
  }
}

type Runs = Map<string, Figures[]>;
const add = (runs: Runs, key: string, one: Figures) => runs.set(key, [...(runs.get(key) ?? []), one]);

async function measure(name: PeerName, kind: PeerKind, effort: Effort, runs: Runs): Promise<void> {
  const peer = await kind.start();
  const loader = new SmtpLoader();
  for (const cell of CELLS.filter(kind.takes)) {
    const one = await loader.run(peer, cell, effort);
    add(runs, `${nameOf(cell)}: ${name}`, one);
    // The table comes half an hour later: what is measured so far is worth having if the run is cut off.
    console.error(`${nameOf(cell)}: ${name}: ${Math.round(one.perSecond)}/s`);
  }
  if (name === "Edgepost") add(runs, STEADY_NAME, await loader.run(peer, STEADY_CELL, STEADY));
  await loader.stop();
  await peer.stop();
}

/** Ours alone: with nobody else, and beside sessions that are open, logged in by TLS, and silent. Returns the gateway's RSS in MB. */
async function besideIdle(effort: Effort, runs: Runs): Promise<number> {
  const peer = await startEdgepost();
  const loader = new SmtpLoader();
  const sleepers = new SmtpLoader();
  // The first run after a start is slower, and would flatter the second.
  await loader.run(peer, BESIDE_IDLE, effort);
  add(runs, "alone", await loader.run(peer, BESIDE_IDLE, effort));
  await sleepers.idle(peer, IDLE);
  add(runs, "beside idle", await loader.run(peer, BESIDE_IDLE, effort));
  const status = readFileSync(`/proc/${peer.system.local.pids.gateway}/status`, "utf8");
  await Promise.all([loader.stop(), sleepers.stop()]);
  await peer.stop();
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? Number.NaN) / 1_024;
}

export async function smtpBench(effort: Effort): Promise<string> {
  const runs: Runs = new Map();
  let rss = 0;
  const peers = Object.entries(PEERS) as [PeerName, PeerKind][];
  for (let i = 0; i < effort.repeats; i++) {
    for (const [name, kind] of peers) if (!kind.lacks) await measure(name, kind, effort, runs);
    rss = Math.max(rss, await besideIdle(effort, runs));
  }
  return report(runs, rss);
}

/** A disk flush is what a message costs here, so they are counted by message. */
function smtpRow(name: string, s: Summary): string[] {
  const flushes = s.flushesPerSecond === undefined ? "n/a" : short(s.flushesPerSecond / s.perSecond);
  return [...row(name, s).slice(0, -1), flushes];
}

function report(runs: Runs, rss: number): string {
  const named = [...new Set(CELLS.map(nameOf))].flatMap((cell) =>
    Object.keys(PEERS).flatMap((peer): [string, Summary][] => {
      const of = runs.get(`${cell}: ${peer}`);
      return of ? [[`${cell}: ${peer}`, summarize(of)]] : [];
    }),
  );
  const idle = (["alone", "beside idle"] as const).map((key) => summarize(runs.get(key) ?? []));
  const [alone, beside] = idle as [Summary, Summary];
  const beyond: [string, Summary][] = [
    [STEADY_NAME, summarize(runs.get(STEADY_NAME) ?? [])],
    [`${nameOf(BESIDE_IDLE)}: Edgepost alone`, alone],
    [`${nameOf(BESIDE_IDLE)}: Edgepost beside ${whole(IDLE)} idle`, beside],
  ];
  const lacking = (Object.entries(PEERS) as [PeerName, PeerKind][]).filter(([, { lacks }]) => lacks);
  return [
    table(
      "Accept over SMTP, 25 KB, on disk before the 250",
      HEAD,
      [...named, ...beyond].map((n) => smtpRow(...n)),
    ),
    "One load generator for all: raw sockets, no pipelining, p50 and p99 from MAIL to the 250. Edgepost is the whole local system, with AUTH always and",
    "recipients at servfail.test: first attempts fail and everything then waits. It signs and archives what nobody could deliver ten seconds later: the steady",
    `row, ${STEADY.measureMs / 1_000} s behind ${STEADY.warmUpMs / 1_000} s of warm-up, has that in it, and no other. Postfix delivers to discard: and OpenSMTPD to a sink in the same time, without AUTH;`,
    "held, Postfix only accepts. OpenSMTPD 6.8 as Debian has it answers before anything is flushed: strace sees no fsync at all.",
    "smtp-server logs in and keeps nothing; it waits 100 ms before its greeting. Each TLS session is a full handshake with RSA of 2048 bits.",
    "CPU is of the whole tree that serves, for Edgepost supervisor, workerd and gateway; flushes are those that the disk completed.",
    ...lacking.map(([name, { lacks }]) => `${name} was not measured: ${lacks}.`),
    "",
    ...aims(new Map(named)),
    aim(`beside ${whole(IDLE)} idle sessions, rate to alone`, beside.perSecond / alone.perSecond, {
      least: 0.9,
    }),
    aim(`beside ${whole(IDLE)} idle sessions, the gateway's RSS in MB`, rss, { most: MAX_IDLE_RSS_MB }),
    ...doubts([...named, ...beyond]),
    "",
  ].join("\n");
}

function aims(summaries: Map<string, Summary>): string[] {
  const lines: string[] = [];
  const compare = (cell: Cell, to: PeerName, least: number, what = `rate to ${to}'s`, factor = 1) => {
    const ours = summaries.get(`${nameOf(cell)}: Edgepost`);
    const theirs = summaries.get(`${nameOf(cell)}: ${to}`);
    if (!ours || !theirs) return;
    lines.push(aim(`${nameOf(cell)}, ${what}`, ours.perSecond / (theirs.perSecond * factor), { least }));
  };
  for (const cell of CELLS) {
    const isMany = cell.each === "many";
    if (cell.starttls && isMany && cell.sessions === 10)
      compare(
        cell,
        "Postfix",
        2,
        `rate to Haraka's queue (${short(HARAKA_TO_POSTFIX)} of Postfix's here)`,
        HARAKA_TO_POSTFIX,
      );
    else if (cell.starttls) compare(cell, "Postfix", 1);
    else {
      compare(cell, "OpenSMTPD", 1);
      compare(cell, "Postfix", isMany ? 2 : 1);
    }
  }
  return lines;
}
