/** The environment of `npm start`: where state lies and which ports to take. The contract is in the README. */
import { createServer } from "node:net";
import { resolve } from "node:path";

export const PORTS = {
  EDGEPOST_HTTP_PORT: 8787,
  EDGEPOST_SMTP_PORT: 2525,
  EDGEPOST_SMTPS_PORT: 2465,
  EDGEPOST_MX_PORT: 2600,
  EDGEPOST_WORLD_PORT: 2601,
  EDGEPOST_DNS_PORT: 2653,
} as const;

export type PortName = keyof typeof PORTS;

export function homeFolder(env: NodeJS.ProcessEnv): string {
  return resolve(env.EDGEPOST_HOME || ".edgepost");
}

/**
 * Below the ports that systems give to outgoing connections (32768 and up on Linux, 49152 on others): nobody is given one of
 * these by chance between our choice and our listening. Each process looks in sixteen of its own first, so that systems which start
 * side by side do not choose the same.
 */
const ANY = { from: 20_000, ports: 12_000, each: 16 };

/**
 * Every port as a number that is free now; 0 becomes one that is chosen here. They are chosen once, so that a part that is
 * killed comes back where it was. Throws a sentence that names the port and its variable when one is taken.
 */
export async function choosePorts(env: NodeJS.ProcessEnv): Promise<Record<PortName, number>> {
  const chosen: Partial<Record<PortName, number>> = {};
  for (const name of Object.keys(PORTS) as PortName[]) {
    const wanted = env[name] === undefined || env[name] === "" ? PORTS[name] : Number(env[name]);
    if (!Number.isInteger(wanted) || wanted < 0 || wanted > 65_535)
      throw new Error(`${name} is not a port number: ${env[name]}`);
    if (wanted !== 0 && !(await isFree(wanted)))
      throw new Error(`Port ${wanted} is taken: set ${name} to another, or to 0 for any free one.`);
    chosen[name] = wanted === 0 ? await freePort() : wanted;
  }
  return chosen as Record<PortName, number>;
}

let tried = 0;

/** A port of 127.0.0.1 that nobody listens on, and another at each call. */
export async function freePort(): Promise<number> {
  while (tried < ANY.ports) {
    const port = ANY.from + ((process.pid * ANY.each + tried++) % ANY.ports);
    if (await isFree(port)) return port;
  }
  throw new Error(`No port is free from ${ANY.from} to ${ANY.from + ANY.ports}.`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((done, failed) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) =>
      error.code === "EADDRINUSE" ? done(false) : failed(error),
    );
    server.listen(port, "127.0.0.1", () => server.close(() => done(true)));
  });
}
