/**
 * `npm start`: the whole system on this machine. Starts the local world, the Worker in workerd and the gateway, brings
 * back whichever is killed, and says where everything is. State lies in EDGEPOST_HOME; whatever was accepted there before
 * goes on.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { Child } from "./child.ts";
import { queueReceived } from "./forgotten.ts";
import { greeting } from "./greeting.ts";
import { choosePorts, freePort, homeFolder } from "./ports.ts";
import { type Secrets, secretsOf } from "./secrets.ts";
import type { Seeded } from "./seed.ts";
import { LocalWorker } from "./workerd.ts";
import { certificateFor } from "./world/certificates.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const WATCH_MS = 50;
/** The platform's cron has this as its shortest interval. */
const CRON_MS = 60_000;
const DOMAIN = "example.com";

export interface LocalJson {
  pid: number;
  http: string;
  smtp: { host: string; port: number; tlsPort: number; caFile: string };
  world: { http: string; mxPort: number; dnsPort: number };
  /** Health, metrics. */
  gateway: { http: string };
  domain: string;
  from: string;
  serverToken: string;
  accountToken: string;
  serverId: number;
  inboundAddress: string;
  dashboard: { url: string; email: string; password: string };
  pids: { workerd: number; gateway: number; world: number };
}

async function main(): Promise<void> {
  const home = homeFolder(process.env);
  const file = join(home, "local.json");
  mkdirSync(home, { recursive: true });
  refuseSecond(file);
  const ports = await choosePorts(process.env);
  const gatewayPort = await freePort();
  const secrets = secretsOf(home);
  const worldFolder = join(home, "world");
  mkdirSync(worldFolder, { recursive: true });
  // Before the world starts, which would make an authority of its own.
  await certificateFor(worldFolder, "front-door", ["localhost", "127.0.0.1", `gateway.${DOMAIN}`]);
  const worldUrl = `http://127.0.0.1:${ports.EDGEPOST_WORLD_PORT}`;

  const env = {
    EDGEPOST_HOME: home,
    EDGEPOST_MX_PORT: String(ports.EDGEPOST_MX_PORT),
    EDGEPOST_WORLD_PORT: String(ports.EDGEPOST_WORLD_PORT),
    EDGEPOST_DNS_PORT: String(ports.EDGEPOST_DNS_PORT),
    EDGEPOST_DNS: `127.0.0.1:${ports.EDGEPOST_DNS_PORT}`,
    EDGEPOST_FRONT_DOOR: `127.0.0.1:${ports.EDGEPOST_SMTP_PORT}`,
    EDGEPOST_ALLOW_PRIVATE_MX: "1",
    EDGEPOST_CA_FILE: join(worldFolder, "ca.pem"),
    EDGEPOST_GATEWAY_HTTP_PORT: String(gatewayPort),
    GATEWAY_SECRET: secrets.gateway,
    GATEWAY_NAME: `gateway.${DOMAIN}`,
    EDGEPOST_WORKER_URL: `http://127.0.0.1:${ports.EDGEPOST_HTTP_PORT}`,
    GATEWAY_SMTP_LISTEN: `127.0.0.1:${ports.EDGEPOST_SMTP_PORT}:mx,127.0.0.1:${ports.EDGEPOST_SMTPS_PORT}:tls`,
    GATEWAY_TLS_CERT: join(worldFolder, "front-door.pem"),
    GATEWAY_TLS_KEY: join(worldFolder, "front-door-key.pem"),
  };
  const worker = new LocalWorker({
    home,
    port: ports.EDGEPOST_HTTP_PORT,
    vars: {
      MAIL_DOMAIN: DOMAIN,
      PUBLIC_URL: `http://127.0.0.1:${ports.EDGEPOST_HTTP_PORT}`,
      DNS_OVER_HTTPS: `http://127.0.0.1:${ports.EDGEPOST_WORLD_PORT}/dns-query`,
      GATEWAYS: JSON.stringify([{ url: `http://127.0.0.1:${gatewayPort}` }]),
      OUTBOXES_PER_REGION: "1",
      HAND_OVER_MS: "0",
      ALLOW_PRIVATE_HOOKS: "1",
      PROBE_DAILY: "0",
      EDGEPOST_SECRET: secrets.deployment,
      GATEWAY_SECRET: secrets.gateway,
      ...(JSON.parse(process.env.EDGEPOST_WORKER_VARS || "{}") as Record<string, string>),
    },
    // For tests that count what the Worker does or let its bindings fail: the same Worker, wrapped.
    entry: process.env.EDGEPOST_WORKER_ENTRY,
  });
  let seeded: Seeded | undefined;
  const tell = () => seeded && writeLocalJson(file, describe(seeded, secrets));
  const child = (name: string, script: string, nodeOptions: string[] = []) =>
    new Child({
      name,
      script: join(ROOT, script),
      env,
      nodeOptions,
      logFile: join(home, `${name}.log`),
      onRestart: tell,
    });
  const world = child("world", "src/local/world/main.ts");
  // As its Dockerfile has it.
  const gateway = child("gateway", "src/gateway/main.ts", ["--max-semi-space-size=4"]);

  function describe(
    { serverId, inboundHash }: Seeded,
    { serverToken, accountToken, password }: Secrets,
  ): LocalJson {
    const http = `http://127.0.0.1:${ports.EDGEPOST_HTTP_PORT}`;
    return {
      pid: process.pid,
      http,
      smtp: {
        host: "127.0.0.1",
        port: ports.EDGEPOST_SMTP_PORT,
        tlsPort: ports.EDGEPOST_SMTPS_PORT,
        caFile: env.EDGEPOST_CA_FILE,
      },
      world: { http: worldUrl, mxPort: ports.EDGEPOST_MX_PORT, dnsPort: ports.EDGEPOST_DNS_PORT },
      gateway: { http: `http://127.0.0.1:${gatewayPort}` },
      domain: DOMAIN,
      from: `sender@${DOMAIN}`,
      serverToken,
      accountToken,
      serverId,
      inboundAddress: `${inboundHash}@inbound.${DOMAIN}`,
      dashboard: { url: `${http}/`, email: `owner@${DOMAIN}`, password },
      pids: { workerd: worker.pid, gateway: gateway.pid, world: world.pid },
    };
  }

  let stopping = false;
  const stop = async () => {
    if (stopping) return;
    stopping = true;
    rmSync(file, { force: true });
    await Promise.all([gateway.stop(), worker.stop()]);
    await world.stop();
    process.exit(0);
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);

  await Promise.all([world.start(), gateway.start(), worker.start()]);
  seeded = await worker.setUp(secrets, DOMAIN);
  for (const { name, type, value } of seeded.dns)
    await fetch(`${worldUrl}/dns/${name}/${type}`, { method: "PUT", body: value });

  await queueReceived(worker.miniflare);
  await sweep(worker);
  tell();
  console.log(greeting(describe(seeded, secrets)));

  setInterval(() => void sweep(worker), CRON_MS);
  for (;;) {
    await new Promise((done) => setTimeout(done, WATCH_MS));
    if (stopping || worker.isRunning()) continue;
    await worker.restart();
    tell();
    // Not waited for: the next kill may fall into it.
    void afterRestart(worker);
  }
}

async function afterRestart(worker: LocalWorker): Promise<void> {
  try {
    await queueReceived(worker.miniflare);
  } catch (error) {
    // Killed again meanwhile: the next restart does it.
    console.error(`received mail not queued: ${String(error)}`);
  }
  await sweep(worker);
}

/** What the platform's cron does each minute; locally nothing else would. */
async function sweep(worker: LocalWorker): Promise<void> {
  try {
    const fetcher = await worker.miniflare.getWorker();
    await fetcher.scheduled({ cron: "* * * * *" });
  } catch (error) {
    // workerd was killed in the middle: the watch starts it again, and this comes again.
    console.error(`sweep: ${String(error)}`);
  }
}

function refuseSecond(file: string): void {
  let pid: number;
  try {
    pid = (JSON.parse(readFileSync(file, "utf8")) as LocalJson).pid;
    process.kill(pid, 0);
  } catch {
    // No file, or its process is gone: it was killed, and this start goes on from its state.
    return;
  }
  throw new Error(
    `Edgepost runs on this home already (process ${pid}); set EDGEPOST_HOME to another folder.`,
  );
}

/** In one step, so that who waits for it never reads half a file. */
function writeLocalJson(file: string, value: LocalJson): void {
  writeFileSync(`${file}.new`, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

await main().catch((error: Error) => {
  console.error(error.message);
  process.exit(1);
});
