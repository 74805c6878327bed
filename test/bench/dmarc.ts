/** What a domain's DMARC summary takes over HTTP, when the archive has a year of reports of a thousand domains. */
import type { Effort } from "./run.ts";
import { aim, short, table, whole } from "./table.ts";
import { startProduct } from "./targets.ts";

const DOMAINS = 1_000;
const DOMAINS_PER_CALL = 20;
const DAY_MS = 86_400_000;
const ASKED = 100;
const AIM_MS = 100;

interface Answer {
  ID: number;
  Messages: number;
  Senders: unknown[];
}

export async function dmarcBench({ share, repeats }: Effort): Promise<string> {
  const product = await startProduct({ EDGEPOST_WORKER_ENTRY: "test/bench/dmarc-worker.ts" });
  const { system } = product;
  const headers = {
    "X-Postmark-Account-Token": system.local.accountToken,
    "X-Postmark-Server-Token": "",
  };
  const api = async (path: string) => {
    const { status, json } = await system.api("GET", path, undefined, headers);
    if (status !== 200) throw new Error(`${path}: ${JSON.stringify(json)}`);
    return json;
  };
  const [domain] = (await api("/domains?count=1&offset=0")).Domains as { ID: number }[];
  const path = `/domains/${domain?.ID}/dmarc`;
  // Its monitor is the first, made when it is first asked for.
  await api(path);
  const lastDay = Math.floor(Date.now() / DAY_MS);
  const domains = Math.max(
    DOMAINS_PER_CALL,
    Math.round((DOMAINS * share) / DOMAINS_PER_CALL) * DOMAINS_PER_CALL,
  );
  for (let from = 1; from <= domains; from += DOMAINS_PER_CALL) {
    const response = await fetch(`${product.http}/bench/dmarc`, {
      method: "POST",
      body: JSON.stringify({ from, to: from + DOMAINS_PER_CALL, lastDay }),
    });
    if (!response.ok) throw new Error(`not written: ${await response.text()}`);
  }
  const dayOf = (ago: number) => new Date((lastDay - ago) * DAY_MS).toISOString().slice(0, 10);
  const asked: [string, string][] = [
    ["30 days", path],
    ["a year", `${path}?fromdate=${dayOf(364)}&todate=${dayOf(0)}`],
  ];
  const rows: string[][] = [];
  let slowest = 0;
  for (const [name, of] of asked) {
    const answer = (await api(of)) as unknown as Answer;
    if (answer.Messages === 0 || answer.Senders.length === 0) throw new Error("the summary is empty");
    const times: number[] = [];
    for (let i = 0; i < ASKED * repeats; i++) {
      const start = performance.now();
      await api(of);
      times.push(performance.now() - start);
    }
    times.sort((a, b) => a - b);
    const [p50, p99] = [0.5, 0.99].map((q) => times[Math.floor(times.length * q)] ?? Number.NaN);
    rows.push([name, whole(answer.Messages), short(p50 ?? Number.NaN), short(p99 ?? Number.NaN)]);
    slowest = Math.max(slowest, p99 ?? Number.NaN);
  }
  await product.stop();
  return [
    table(
      `A domain's DMARC summary, of ${whole(domains)} domains with a year of reports`,
      ["", "messages", "p50 ms", "p99 ms"],
      rows,
    ),
    aim("p99 of the slower, ms", slowest, { most: AIM_MS }),
    "",
  ].join("\n");
}
