/**
 * The gateway: a small Node process that speaks SMTP to the world, since Workers can't: the front door, where mail comes in, and the
 * egress, where it goes out. Stops on SIGTERM and when the parent that started it is gone: it takes nothing new, ends what
 * it has in hand, and exits 0.
 */
import type { AddressInfo } from "node:net";
import pino from "pino";
import type { Registry } from "prom-client";
import { type Config, type Listener, readConfig } from "./config.ts";
import { Door } from "./door/door.ts";
import { newDoorMetrics } from "./door/metrics.ts";
import { Egress } from "./egress/egress.ts";
import { Journal } from "./egress/journal.ts";
import { newHttpServer } from "./http.ts";
import { newMetrics } from "./metrics.ts";
import { spoolFolder } from "./spool/folder.ts";
import { newSpoolMetrics, type SpoolMetrics } from "./spool/metrics.ts";
import { Spool } from "./spool/spool.ts";
import { Worker } from "./worker.ts";

type Log = (event: string, fields: Record<string, unknown>) => void;

/** Of the time in which all must end: sessions first, then what they handed on. */
const SESSIONS_SHARE = 0.6;
const SPOOL_SHARE = 0.3;

async function main(): Promise<void> {
  const config = readConfig(process.env);
  const logger = pino({ level: config.logLevel, base: undefined }, pino.destination(2));
  const log: Log = (event, fields) => (fields.alarm ? logger.error : logger.info).call(logger, fields, event);
  const metrics = newMetrics(() => egress.inHand);
  const journal = new Journal(config.state);
  const egress = new Egress({ config, journal, metrics, log });
  const front = frontDoor(config, metrics.registry, log);

  let stopping = false;
  const isStopping = () => stopping;
  const isReady = () => !stopping && (front?.isReady() ?? true);
  const server = newHttpServer({ egress, metrics, secret: config.secret, isStopping, isReady, log });
  const smtp = (await front?.open()) ?? [];
  server.on("error", (error: NodeJS.ErrnoException) => {
    if (!server.listening) fail(listenError(error, config));
  });
  server.listen(config.port, config.host, () => {
    const { port, family, address } = server.address() as AddressInfo;
    const http = `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
    console.log(JSON.stringify({ ready: true, http, smtp }));
    process.send?.({ ready: true, http, smtp });
  });

  const stop = async (why: string) => {
    if (stopping) return;
    stopping = true;
    log("stopping", { why, inHand: egress.inHand });
    server.close();
    server.closeIdleConnections();
    await Promise.all([egress.end(config.timeouts.drain), front?.end(config.timeouts.drain)]);
    // Responses of what has just ended are on their way; nobody is waited for longer.
    setTimeout(() => process.exit(0), 500);
    server.close(() => process.exit(0));
    server.closeIdleConnections();
  };
  process.on("SIGTERM", () => void stop("SIGTERM"));
  process.on("SIGINT", () => void stop("SIGINT"));
  process.on("disconnect", () => void stop("the parent is gone"));
}

interface FrontDoor {
  open(): Promise<{ port: number; kind: Listener["kind"] }[]>;
  isReady(): boolean;
  end(ms: number): Promise<void>;
}

/** undefined when no listener is configured. */
function frontDoor(config: Config, registry: Registry, log: Log): FrontDoor | undefined {
  const { door: doorConfig, name, state, secret } = config;
  if (!doorConfig) return undefined;
  const worker = new Worker(doorConfig.workerUrl, secret);
  const metrics: SpoolMetrics = newSpoolMetrics(registry, () => spool.state());
  const spool = new Spool({ folder: spoolFolder(state), limits: doorConfig.spool, worker, metrics, log });
  const door = new Door({
    config: { name, state, door: doorConfig },
    worker,
    intake: spool,
    metrics: newDoorMetrics(registry),
    log,
  });
  return {
    async open() {
      await spool.start();
      return door.listen();
    },
    isReady: () => spool.ready(),
    async end(ms) {
      await door.end(ms * SESSIONS_SHARE);
      await spool.end(ms * SPOOL_SHARE);
      worker.close();
    },
  };
}

function listenError(error: NodeJS.ErrnoException, { host, port }: Config): string {
  if (error.code === "EADDRINUSE")
    return `Port ${port} on ${host} is taken; set EDGEPOST_GATEWAY_HTTP_PORT to another, or to 0 for any.`;
  return `The gateway can't listen on ${host}:${port}: ${error.message}`;
}

function fail(sentence: string): never {
  console.error(sentence);
  process.exit(1);
}

try {
  await main();
} catch (error) {
  fail(error instanceof Error ? error.message : String(error));
}
