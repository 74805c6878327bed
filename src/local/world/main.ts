/**
 * The local world: it stands where the internet stands, and is the only stand-in there is. `node src/local/world/main.ts` with
 * EDGEPOST_HOME and ports in the environment; state lies in $EDGEPOST_HOME/world. It says where it listens on stdout and to the process
 * that forked it, and ends with that process.
 */
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { getRequestListener } from "@hono/node-server";
import { homeFolder, PORTS } from "../ports.ts";
import { certificateFor } from "./certificates.ts";
import { serveDns } from "./dns.ts";
import { forwarded } from "./forward.ts";
import { worldHttp } from "./http.ts";
import { type Arrival, Inbox } from "./inbox.ts";
import { Memory } from "./memory.ts";
import { mailServer } from "./mx.ts";
import { Post } from "./post.ts";
import type { PromptServer } from "./prompt-server.ts";
import { repliesTo } from "./replies.ts";
import { Throttle } from "./throttle.ts";
import { HOSTS, MX_HOST, Zone } from "./zone.ts";

type WorldPort = "EDGEPOST_MX_PORT" | "EDGEPOST_WORLD_PORT" | "EDGEPOST_DNS_PORT";

/** A port free on one loopback address may be taken on another. */
const PORT_TRIES = 10;

async function main(): Promise<void> {
  const folder = join(homeFolder(process.env), "world");
  mkdirSync(folder, { recursive: true });
  const zone = new Zone(folder);
  const inbox = new Inbox(join(folder, "inbox"));
  const post = new Post(process.env.EDGEPOST_FRONT_DOOR ?? "");
  const accepted = (arrival: Arrival) => {
    for (const mail of forwarded(arrival, zone)) void post.send(mail);
    void repliesTo(arrival).then(
      (replies) => Promise.all(replies.map((reply) => post.send(reply))),
      (error: unknown) => console.error(`replies: ${String(error)}`),
    );
  };

  const needs = { inbox, memory: new Memory(folder), throttle: new Throttle(), accepted };
  const right = await certificateFor(folder, "mx", [MX_HOST, "127.0.0.1"]);
  const wrong = await certificateFor(folder, "another-name", ["another-name.world.test"]);
  const mxOf = (name: string): PromptServer => {
    if (name.startsWith("notls."))
      return mailServer(needs, { name, hideSTARTTLS: true, disabledCommands: ["AUTH", "STARTTLS"] });
    return mailServer(needs, { name, ...(name.startsWith("badtls.") ? wrong : right) });
  };

  const mx = await named("EDGEPOST_MX_PORT", (port) => listenMx(mxOf, port));
  const dns = await named("EDGEPOST_DNS_PORT", (port) => serveDns(zone, port));
  const http = createServer(getRequestListener(worldHttp({ inbox, zone }).fetch));
  const httpPort = await named("EDGEPOST_WORLD_PORT", (port) => listenOn(http, port, "127.0.0.1"));

  let isStopping = false;
  const stop = async () => {
    if (isStopping) return;
    isStopping = true;
    dns.close();
    http.closeAllConnections();
    http.close();
    post.close();
    await Promise.all(mx.servers.map((server) => new Promise<void>((done) => server.close(done))));
    await inbox.close();
    process.exit(0);
  };
  for (const signal of ["SIGTERM", "SIGINT", "disconnect"]) process.on(signal, () => void stop());

  const ready = { ready: true, mxPort: mx.port, http: `http://127.0.0.1:${httpPort}`, dnsPort: dns.port };
  console.log(JSON.stringify(ready));
  process.send?.(ready);
}

/** One server for each host of the MX, all on one port. */
async function listenMx(mxOf: (name: string) => PromptServer, wanted: number) {
  for (let tries = 1; ; tries++) {
    const servers: PromptServer[] = [];
    let port = wanted;
    try {
      for (const [name, address] of Object.entries(HOSTS)) {
        const server = mxOf(name);
        servers.push(server);
        port = await listenOn(server.server, port, address);
      }
      return { port, servers };
    } catch (error) {
      for (const server of servers) server.close();
      // Chosen for the first address, taken on another: when any will do, another may be free on all.
      if (wanted === 0 && tries < PORT_TRIES) continue;
      throw error;
    }
  }
}

async function listenOn(
  server: Server | PromptServer["server"],
  port: number,
  host: string,
): Promise<number> {
  server.listen(port, host);
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

/** Runs it with the port that the variable names; a port that is taken becomes a sentence that says what to do. */
async function named<T>(name: WorldPort, listen: (port: number) => Promise<T>): Promise<T> {
  const given = process.env[name];
  const port = given === undefined || given === "" ? PORTS[name] : Number(given);
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new Error(`${name} is not a port number: ${given}`);
  try {
    return await listen(port);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    throw new Error(`Port ${port} is taken: set ${name} to another, or to 0 for any free one.`);
  }
}

await main().catch((error: Error) => {
  console.error(error.message);
  process.exit(1);
});
