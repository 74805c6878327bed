/**
 * From accept to the inbox of the local MX, through everything: Outbox, queue, gateway, SMTP. How many a second, and how
 * long one takes on an idle system.
 */
import { setTimeout as wait } from "node:timers/promises";
import { watch } from "./cpu.ts";
import { CONNECTIONS, mailerFloor } from "./floor-mailer.ts";
import { BATCH, type MailSpec } from "./mail.ts";
import { type Figures, figures, Loader, type Summary, summarize } from "./measure.ts";
import type { Effort } from "./run.ts";
import { aim, doubts, HEAD, row, short, table } from "./table.ts";
import { startProduct } from "./targets.ts";

export type Product = Awaited<ReturnType<typeof startProduct>>;

const SMALL = { bytes: 2_048, messages: 2_000 };
const LARGE = { bytes: 25_600, messages: 1_000 };
const ONE_BY_ONE = 200;
/** The first ones find cold code and no connections; an idle system is not a new one. */
const FIRST = 20;
const POLL_MS = 5;
const COUNT_MS = 40;
/** A run that does not get through says so, rather than never ending. */
const GIVE_UP_MS = 40_000;

async function accepted({ system }: Product): Promise<number> {
  const response = await fetch(`${system.local.world.http}/inbox/count`);
  return ((await response.json()) as { accepted: number }).accepted;
}

/** Waits for so many in the inbox; returns how many are missing when it gives up. */
async function arrive(product: Product, count: number, everyMs: number): Promise<number> {
  const late = Date.now() + GIVE_UP_MS;
  for (;;) {
    const missing = count - (await accepted(product));
    if (missing <= 0 || Date.now() > late) return Math.max(0, missing);
    await wait(everyMs);
  }
}

/** Batches of 500 one after another, until the last one is in the inbox. */
export async function throughput(product: Product, spec: MailSpec, messages: number): Promise<Figures> {
  const before = await accepted(product);
  const loader = new Loader();
  const result = await loader.begin({
    http: product.http,
    token: product.token,
    connections: 1,
    batch: BATCH,
    mail: spec,
    warmUpMs: 0,
    measureMs: GIVE_UP_MS,
    messages,
  });
  const used = watch(product);
  const start = performance.now();
  const { refused, refusal } = await result();
  const missing = await arrive(product, before + messages - refused, COUNT_MS);
  const seconds = (performance.now() - start) / 1_000;
  const cost = used();
  await loader.stop();
  const trouble =
    refused > 0 ? `${refused} refused: ${refusal}` : missing > 0 ? `${missing} never arrived` : "";
  const none = { p50: Number.NaN, p99: Number.NaN };
  return { ...figures(messages - refused - missing, seconds, cost), ...none, trouble };
}

/** One message at a time: from when the client has its 200 to when the MX had it on disk. */
async function latency(product: Product, count: number): Promise<Figures> {
  const { system } = product;
  const waits: number[] = [];
  let before = await accepted(product);
  const used = watch(product);
  const start = performance.now();
  for (let i = 0; i < count; i++) {
    const to = `idle-${Date.now().toString(36)}-${i}@d${i % CONNECTIONS}.example`;
    await system.api("POST", "/email", {
      From: product.from,
      To: to,
      Subject: `Idle ${i}`,
      TextBody: "x".repeat(1_500),
    });
    const answeredAt = performance.timeOrigin + performance.now();
    if ((await arrive(product, ++before, POLL_MS)) > 0) break;
    const [message] = await system.inbox({ to });
    if (message) waits.push(message.receivedAt - answeredAt);
  }
  const seconds = (performance.now() - start) / 1_000;
  waits.sort((a, b) => a - b);
  const at = (share: number) => waits[Math.min(waits.length - 1, Math.floor(waits.length * share))];
  const trouble = waits.length < count ? `only ${waits.length} of ${count} arrived` : "";
  return {
    ...figures(waits.length, seconds, used()),
    // One at a time has no rate worth a name.
    perSecond: Number.NaN,
    p50: at(0.5) ?? Number.NaN,
    p99: at(0.99) ?? Number.NaN,
    trouble,
  };
}

export async function journeyBench(effort: Effort): Promise<string> {
  const names = [
    "2 KB, batches: nodemailer pool straight to the MX",
    "2 KB, batches: Edgepost, accept to inbox",
    "25 KB, batches: nodemailer pool straight to the MX",
    "25 KB, batches: Edgepost, accept to inbox",
    "one at a time, idle: Edgepost, 200 to inbox",
  ] as const;
  const runs: Figures[][] = names.map(() => []);
  for (let i = 0; i < effort.repeats; i++) {
    const product = await startProduct();
    const { mxPort } = product.system.local.world;
    await latency(product, FIRST);
    runs[4]?.push(await latency(product, Math.round(ONE_BY_ONE * effort.share)));
    for (const [row, { bytes, messages }] of [SMALL, LARGE].entries()) {
      const count = Math.max(BATCH, Math.round((messages * effort.share) / BATCH) * BATCH);
      const spec = (run: string): MailSpec => ({
        from: product.from,
        to: "live",
        bytes,
        run: `${run}${i}${row}`,
      });
      const order = {
        port: mxPort,
        connections: CONNECTIONS,
        warmUp: BATCH,
        messages: count,
        mail: spec("floor"),
      };
      runs[row * 2]?.push(await mailerFloor(order, product.folder));
      runs[row * 2 + 1]?.push(await throughput(product, spec("edge"), count));
    }
    await product.stop();
  }
  const summaries = runs.map(summarize) as Summary[];
  const named = names.map((name, i): [string, Summary] => [name, summaries[i] as Summary]);
  const [floor, small, largeFloor, large, idle] = summaries as [Summary, Summary, Summary, Summary, Summary];
  return [
    table(
      "Accept to inbox, through the Outbox, the queue and the gateway to the local MX",
      HEAD,
      named.map((n) => row(...n)),
    ),
    "Batches of 500 on one connection to recipients at 20 domains, until all are in the inbox; CPU is of supervisor, workerd and gateway together.",
    `Floor: nodemailer's pool of ${CONNECTIONS} connections sends the same from memory to the same MX, which has each message on disk before its 250;`,
    "nothing is accepted, queued or remembered. One at a time: from the client's 200 to the inbox record's receivedAt, on one clock,",
    `after ${FIRST} that do not count.`,
    "",
    aim("2 KB, messages a second", small.perSecond, { least: 250 }),
    aim("idle, p99 in ms", idle.p99, { most: 300 }),
    `         2 KB: ${short(small.perSecond / floor.perSecond)} of the floor's rate; 25 KB, from the durable queue: ${short(large.perSecond / largeFloor.perSecond)}`,
    ...doubts(named),
    "",
  ].join("\n");
}
