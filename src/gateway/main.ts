/**
 * The gateway: a small Node process that speaks SMTP to the world, since Workers can't. Egress only, for now: the front door
 * will be a second listener beside it. Stops on SIGTERM and when the parent that started it is gone: it takes nothing new,
 * ends what it has in hand, and exits 0.
 */
import type { AddressInfo } from "node:net";
import pino from "pino";
import { type Config, readConfig } from "./config.ts";
import { Egress } from "./egress/egress.ts";
import { Journal } from "./egress/journal.ts";
import { newHttpServer } from "./http.ts";
import { newMetrics } from "./metrics.ts";

function main(): void {
  const config = readConfig(process.env);
  const logger = pino({ level: config.logLevel, base: undefined }, pino.destination(2));
  const log = (event: string, fields: Record<string, unknown>) => logger.info(fields, event);
  const metrics = newMetrics(() => egress.inHand);
  const journal = new Journal(config.state);
  const egress = new Egress({ config, journal, metrics, log });

  let stopping = false;
  const server = newHttpServer({ egress, metrics, secret: config.secret, isReady: () => !stopping, log });
  server.on("error", (error: NodeJS.ErrnoException) => fail(listenError(error, config)));
  server.listen(config.port, config.host, () => {
    const { port, family, address } = server.address() as AddressInfo;
    const http = `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
    console.log(JSON.stringify({ ready: true, http }));
    process.send?.({ ready: true, http });
  });

  const stop = async (why: string) => {
    if (stopping) return;
    stopping = true;
    log("stopping", { why, inHand: egress.inHand });
    server.close();
    server.closeIdleConnections();
    await egress.end(config.timeouts.drain);
    // Responses of what has just ended are on their way; nobody is waited for longer.
    setTimeout(() => process.exit(0), 500);
    server.close(() => process.exit(0));
    server.closeIdleConnections();
  };
  process.on("SIGTERM", () => void stop("SIGTERM"));
  process.on("SIGINT", () => void stop("SIGINT"));
  process.on("disconnect", () => void stop("the parent is gone"));
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
  main();
} catch (error) {
  fail(error instanceof Error ? error.message : String(error));
}
