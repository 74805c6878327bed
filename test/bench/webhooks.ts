/**
 * What webhooks cost the message path, with and without in one run, and how fast 100,000 events reach an endpoint beside one that fails
 * half the time and one that hangs.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import { delivery, Hooks } from "../notify/hooks-running.ts";
import { type Product, throughput } from "./journey.ts";
import { BATCH, type MailSpec } from "./mail.ts";
import { calm, type Figures, type Summary, summarize } from "./measure.ts";
import type { Effort } from "./run.ts";
import { toStop } from "./started.ts";
import { aim, doubts, HEAD, row, short, table, whole } from "./table.ts";
import { startProduct } from "./targets.ts";

const MESSAGES = 4_000;
const BYTES = 2_048;
const EVENTS = 100_000;
const EVENTS_PER_CALL = 500;
const GIVE_UP_MS = 600_000;
const MINUTE = 60_000;

/** Three endpoints: one takes everything, one half of it, one never answers. */
class Endpoints {
  readonly #http = createServer((request, response) => {
    const { url = "" } = request;
    const id = String(request.headers["x-pm-webhook-trace-id"]);
    request.resume();
    if (url === "/hanging") return;
    if (url === "/failing" && ++this.#calls % 2 === 1) {
      response.writeHead(500).end();
      return;
    }
    (url === "/failing" ? this.failing : this.healthy).add(id);
    response.end();
  });
  #calls = 0;
  /** Events that each has taken. */
  readonly healthy = new Set<string>();
  readonly failing = new Set<string>();
  url = "";

  async open(): Promise<void> {
    await new Promise<void>((done) => this.#http.listen(0, "127.0.0.1", done));
    this.url = `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#http.closeAllConnections();
    await new Promise((done) => this.#http.close(done));
  }
}

async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<number> {
  const start = performance.now();
  while (!(await isSo())) {
    if (performance.now() - start > GIVE_UP_MS)
      throw new Error(`${what}: not within ${GIVE_UP_MS / 1_000} s`);
    await wait(20);
  }
  return (performance.now() - start) / 1_000;
}

async function makeHooks({ system }: Product, url: string): Promise<void> {
  for (const path of ["healthy", "failing", "hanging"]) {
    const Triggers = { Delivery: { Enabled: true } };
    const made = await system.api("POST", "/webhooks", { Url: `${url}/${path}`, Triggers });
    if (made.status !== 200) throw new Error(`no webhook: ${JSON.stringify(made.json)}`);
  }
}

/** How long 100,000 events take, and whether the endpoint that fails half the time has all of them in the end. */
async function events(count: number): Promise<{ seconds: number; cost: number; late: number }> {
  const hooks = await Hooks.open();
  const endpoints = new Endpoints();
  await endpoints.open();
  const stop = toStop(async () => {
    await hooks.close();
    await endpoints.close();
  });
  const names = ["healthy", "failing", "hanging"].map((path, i) => [`7/webhook/${i + 1}`, path] as const);
  for (const [name, path] of names) await hooks.make(name, ["Delivery"], { url: `${endpoints.url}/${path}` });
  const start = performance.now();
  for (let i = 0; i < count; i += EVENTS_PER_CALL)
    await hooks.log(
      "append",
      Array.from({ length: EVENTS_PER_CALL }, (_, n) => delivery(i + n)),
    );
  const appended = (performance.now() - start) / 1_000;
  await until("the healthy endpoint has all", () => endpoints.healthy.size === count);
  const seconds = (performance.now() - start) / 1_000;
  // The retries of a schedule are minutes apart; the objects' clock is moved, and they are woken as cron would.
  let minutes = 0;
  await until("the failing endpoint has all", async () => {
    minutes += 61;
    await hooks.ahead(minutes * MINUTE);
    await hooks.hook("7/webhook/2", "wake");
    await wait(1_000);
    return endpoints.failing.size === count;
  });
  await stop();
  return { seconds, cost: appended, late: minutes };
}

export async function webhooksBench(effort: Effort): Promise<string> {
  const names = [
    "2 KB, batches: without webhooks",
    "2 KB, batches: three webhooks, one fails half, one hangs",
  ] as const;
  const runs: Figures[][] = names.map(() => []);
  const behind: number[] = [];
  const messages = Math.max(BATCH, Math.round((MESSAGES * effort.share) / BATCH) * BATCH);
  for (let i = 0; i < effort.repeats; i++) {
    const product = await startProduct();
    const endpoints = new Endpoints();
    await endpoints.open();
    const close = toStop(() => endpoints.close());
    const spec = (run: string): MailSpec => ({
      from: product.from,
      to: "live",
      bytes: BYTES,
      run: `${run}${i}`,
    });
    // The first run finds cold code, and no connections.
    await throughput(product, spec("cold"), BATCH);
    await calm(product, 3_000);
    runs[0]?.push(await throughput(product, spec("none"), messages));
    await calm(product, 3_000);
    await makeHooks(product, endpoints.url);
    runs[1]?.push(await throughput(product, spec("hooks"), messages));
    behind.push(await until("each delivery is told", () => endpoints.healthy.size >= messages));
    await product.stop();
    await close();
  }
  const count = Math.max(EVENTS_PER_CALL, Math.round(EVENTS * effort.share));
  const told = await events(count);
  const [without, withHooks] = runs.map(summarize) as [Summary, Summary];
  const named: [string, Summary][] = [
    [names[0], without],
    [names[1], withHooks],
  ];
  return [
    table(
      "Webhooks: accept to inbox with and without",
      HEAD,
      named.map((n) => row(...n)),
    ),
    `The healthy webhook had the last of ${whole(messages)} deliveries ${short(Math.max(...behind))} s after the last was in the inbox.`,
    `${whole(count)} events, told to a healthy endpoint in ${short(told.seconds)} s (${whole(count / told.seconds)}/s; appending them took ${short(told.cost)} s),`,
    `beside one that fails half the time, which had all of them too (its retries' ${told.late} minutes were skipped), and one that hangs.`,
    "",
    aim("rate with webhooks, of that without", withHooks.perSecond / without.perSecond, { least: 0.8 }),
    ...doubts(named),
    "",
  ].join("\n");
}
