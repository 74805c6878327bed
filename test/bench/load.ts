/**
 * The load generator: a closed loop of N keep-alive connections that post messages and record how long each answer took. A child of the
 * bench, so that what it costs is never counted as the server's.
 */
import { Connection } from "./connection.ts";
import { jsonMessage, type MailSpec } from "./mail.ts";

export interface LoadOrder {
  http: string;
  token: string;
  connections: number;
  /** 1 posts to /email, more to /email/batch. */
  batch: number;
  mail: MailSpec;
  warmUpMs: number;
  /** Measures for so long, or until so many messages are sent. */
  measureMs: number;
  messages?: number;
}

export interface LoadResult {
  /** Messages that were answered with ErrorCode 0 in the measured time. */
  accepted: number;
  refused: number;
  /** An example of what was refused. */
  refusal: string;
  seconds: number;
  /** Milliseconds a request. */
  p50: number;
  p99: number;
}

const READY_BATCHES = 20;
const OK = '"ErrorCode":0';

function occurrences(text: string): number {
  let count = 0;
  for (let at = text.indexOf(OK); at >= 0; at = text.indexOf(OK, at + OK.length)) count++;
  return count;
}

async function run(order: LoadOrder): Promise<LoadResult> {
  const url = `${order.http}${order.batch === 1 ? "/email" : "/email/batch"}`;
  const connections = Array.from({ length: order.connections }, () => new Connection(url, order.token));
  let number = 0;
  let sent = 0;
  let counting = false;
  let ended = false;
  const latencies: number[] = [];
  const result: LoadResult = { accepted: 0, refused: 0, refusal: "", seconds: 0, p50: 0, p99: 0 };

  const nextBody = () => {
    if (order.batch === 1) return jsonMessage(order.mail, number++);
    return `[${Array.from({ length: order.batch }, () => jsonMessage(order.mail, number++)).join(",")}]`;
  };
  // Batches are made before they are measured: a megabyte of JSON takes its maker long enough to show.
  const ready = order.batch === 1 ? [] : Array.from({ length: READY_BATCHES }, nextBody);
  const drive = async (connection: Connection) => {
    while (!ended) {
      if (counting && order.messages !== undefined && sent >= order.messages) return;
      if (counting) sent += order.batch;
      const body = ready.length > 0 ? (ready[number++ % ready.length] as string) : nextBody();
      const start = performance.now();
      const answer = await connection.post(body).catch((error: Error) => error.message);
      // What ends in the measured time counts, whenever it began.
      if (!counting || ended) continue;
      latencies.push(performance.now() - start);
      const accepted = occurrences(answer);
      result.accepted += accepted;
      result.refused += order.batch - accepted;
      if (accepted < order.batch) result.refusal ||= answer.slice(0, 300);
    }
  };
  const loop = () => Promise.all(connections.map(drive));

  let running: Promise<unknown> | undefined;
  if (order.warmUpMs > 0) {
    running = loop();
    await new Promise((done) => setTimeout(done, order.warmUpMs));
  }
  counting = true;
  process.send?.({ measuring: true });
  const start = performance.now();
  running ??= loop();
  let timer: NodeJS.Timeout | undefined;
  const time = new Promise((done) => {
    timer = setTimeout(done, order.measureMs);
  });
  await (order.messages === undefined ? time : Promise.race([running, time]));
  ended = true;
  clearTimeout(timer);
  result.seconds = (performance.now() - start) / 1_000;
  process.send?.({ measuring: false });
  await running;
  for (const connection of connections) connection.close();

  latencies.sort((a, b) => a - b);
  const at = (share: number) =>
    latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))];
  return { ...result, p50: at(0.5) ?? 0, p99: at(0.99) ?? 0 };
}

process.on("message", async (order: LoadOrder) => {
  process.send?.(await run(order));
});
process.on("disconnect", () => process.exit(0));
process.on("SIGTERM", () => process.exit(0));
