/** The gateway alone, sending to a mail server that discards, beside nodemailer's pool sending the same to the same server. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { freePort } from "../../src/local/ports.ts";
import type { Consignment, EgressResult } from "../../src/mail/egress.ts";
import { encodeFrame } from "../../src/mail/frame.ts";
import { BenchChild } from "./child.ts";
import { watch } from "./cpu.ts";
import { CONNECTIONS, mailerFloor } from "./floor-mailer.ts";
import { type MailSpec, rawMessage } from "./mail.ts";
import { type Figures, figures, summarize } from "./measure.ts";
import type { Effort } from "./run.ts";
import { type Sink, startSink } from "./sink.ts";
import { toStop } from "./started.ts";
import { aim, doubts, HEAD, row, table } from "./table.ts";

const SRC = resolve(import.meta.dirname, "../../src");
const BYTES = 25_600;
const MESSAGES = 3_000;
/** Both senders take about so many to reach their pace. */
const WARM_UP = 3_000;
/** The Worker's requests are of 8 MB at most; two at a time, so that the gateway is never without work. */
const PER_REQUEST = 300;
const REQUESTS_AT_ONCE = 2;
const DOMAIN = "sink.example";
const SECRET = "the bench's own secret";

interface Gateway {
  pid: number;
  url: string;
  folder: string;
  stop(): Promise<void>;
}

/** The gateway as the local system starts it, except that every MX's port is the sink's; the local world is its DNS. */
async function startGateway(sink: Sink): Promise<Gateway> {
  const folder = mkdtempSync(join(tmpdir(), "edgepost-egress-"));
  const port = await freePort();
  const dns = await freePort();
  const world = await freePort();
  const frontDoor = await freePort();
  const env = {
    EDGEPOST_HOME: folder,
    EDGEPOST_WORLD_PORT: String(world),
    EDGEPOST_DNS_PORT: String(dns),
    EDGEPOST_DNS: `127.0.0.1:${dns}`,
    EDGEPOST_SMTP_PORT: String(frontDoor),
    EDGEPOST_SMTPS_PORT: String(await freePort()),
    EDGEPOST_HTTP_PORT: String(await freePort()),
    EDGEPOST_FRONT_DOOR: `127.0.0.1:${frontDoor}`,
    EDGEPOST_ALLOW_PRIVATE_MX: "1",
    EDGEPOST_CA_FILE: join(folder, "world", "ca.pem"),
    EDGEPOST_GATEWAY_HTTP_PORT: String(port),
    GATEWAY_SECRET: SECRET,
    GATEWAY_NAME: "gateway.example.com",
  };
  const names = new BenchChild(join(SRC, "local/world/main.ts"), {
    ...env,
    EDGEPOST_MX_PORT: String(await freePort()),
  });
  const gateway = new BenchChild(join(SRC, "gateway/main.ts"), {
    ...env,
    EDGEPOST_MX_PORT: String(sink.port),
  });
  const stop = toStop(async () => {
    await gateway.stop();
    await names.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  await names.next();
  await gateway.next();
  return { pid: gateway.pid, url: `http://127.0.0.1:${port}`, folder, stop };
}

interface Ends {
  delivered: number;
  latencies: number[];
  failure: string;
}

/** One request of many frames; each message's time runs from the request's start to its line. */
async function request(gateway: Gateway, spec: MailSpec, numbers: number[], ends: Ends): Promise<void> {
  const raw = Buffer.from(rawMessage(spec, 0));
  const frames = numbers.map((number) => {
    const consignment: Consignment = {
      key: `${spec.run}-${number}/${DOMAIN}/1`,
      domain: DOMAIN,
      reversePath: "bounce@example.com",
      recipients: [`r${number}@${DOMAIN}`],
      tls: "opportunistic",
      connections: CONNECTIONS,
    };
    return encodeFrame(consignment, raw);
  });
  const start = performance.now();
  const response = await fetch(`${gateway.url}/egress`, {
    method: "POST",
    headers: { Authorization: `Bearer ${SECRET}`, "Content-Type": "application/vnd.edgepost.egress" },
    body: Buffer.concat(frames),
  });
  let rest = "";
  for await (const chunk of response.body ?? []) {
    const lines = (rest + Buffer.from(chunk).toString()).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines.filter(Boolean)) {
      const { outcomes } = JSON.parse(line) as EgressResult;
      const bad = outcomes.find((o) => o.result !== "delivered");
      if (bad) ends.failure ||= `${bad.result}: ${bad.reason} ${bad.reply.text}`;
      else ends.delivered++;
      ends.latencies.push(performance.now() - start);
    }
  }
  if (response.status !== 200) ends.failure ||= `HTTP ${response.status} ${rest}`;
}

async function send(gateway: Gateway, spec: MailSpec, messages: number): Promise<Ends> {
  const ends: Ends = { delivered: 0, latencies: [], failure: "" };
  let next = 0;
  const lane = async () => {
    while (next < messages) {
      const first = next;
      next = Math.min(messages, next + PER_REQUEST);
      const numbers = Array.from({ length: next - first }, (_, i) => first + i);
      await request(gateway, spec, numbers, ends);
    }
  };
  await Promise.all(Array.from({ length: REQUESTS_AT_ONCE }, lane));
  return ends;
}

async function gatewayAlone(sink: Sink, run: string, messages: number): Promise<Figures> {
  const gateway = await startGateway(sink);
  const spec: MailSpec = { from: "sender@example.com", to: "live", bytes: BYTES, run };
  await send(gateway, { ...spec, run: `warm${run}` }, WARM_UP);
  const used = watch({ serving: [gateway.pid], standIns: [], folder: gateway.folder });
  const start = performance.now();
  const { delivered, latencies, failure } = await send(gateway, spec, messages);
  const seconds = (performance.now() - start) / 1_000;
  const cost = used();
  await gateway.stop();
  latencies.sort((a, b) => a - b);
  const at = (share: number) => latencies[Math.floor(latencies.length * share)] ?? Number.NaN;
  return { ...figures(delivered, seconds, cost), p50: at(0.5), p99: at(0.99), trouble: failure };
}

export async function egressBench(effort: Effort): Promise<string> {
  const sink = await startSink();
  const messages = Math.round(MESSAGES * effort.share);
  const floors: Figures[] = [];
  const gateways: Figures[] = [];
  for (let i = 0; i < effort.repeats; i++) {
    const mail: MailSpec = { from: "sender@example.com", to: "live", bytes: BYTES, run: `f${i}` };
    const order = { port: sink.port, connections: CONNECTIONS, warmUp: WARM_UP, messages, mail };
    floors.push(await mailerFloor(order, tmpdir()));
    gateways.push(await gatewayAlone(sink, `g${i}`, messages));
  }
  await sink.stop();
  const floor = summarize(floors);
  const gateway = summarize(gateways);
  const floorName = `nodemailer pool, ${CONNECTIONS} connections, raw`;
  return [
    table("Egress, 25 KB, in clear, one destination", HEAD, [
      row(floorName, floor),
      row("Edgepost's gateway alone", gateway),
    ]),
    `To ${sink.name}. Floor: ready-made messages from memory, each on its own way. The gateway is asked with POST /egress, ${PER_REQUEST} messages a request,`,
    `${REQUESTS_AT_ONCE} requests at a time, and its times run from the request's start; it answers each message with its outcome and transcript. Both warmed up with`,
    `${WARM_UP.toLocaleString("en-US")} messages. From the durable queue: the 25 KB rows of the section "journey".`,
    "",
    aim("rate to nodemailer's", gateway.perSecond / floor.perSecond, { least: 0.8 }),
    `         CPU to nodemailer's: ${(gateway.cpuMs / floor.cpuMs).toFixed(2)}`,
    ...doubts([
      [floorName, floor],
      ["gateway", gateway],
    ]),
    "",
  ].join("\n");
}
