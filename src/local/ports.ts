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
 * Every port as a number that is free now; 0 becomes one that the system chose. They are chosen once, so that a part that is
 * killed comes back where it was. Throws a sentence that names the port and its variable when one is taken.
 */
export async function choosePorts(env: NodeJS.ProcessEnv): Promise<Record<PortName, number>> {
  const chosen: Partial<Record<PortName, number>> = {};
  for (const name of Object.keys(PORTS) as PortName[]) {
    const wanted = env[name] === undefined || env[name] === "" ? PORTS[name] : Number(env[name]);
    if (!Number.isInteger(wanted) || wanted < 0 || wanted > 65_535)
      throw new Error(`${name} is not a port number: ${env[name]}`);
    chosen[name] = await probe(wanted, name);
  }
  return chosen as Record<PortName, number>;
}

export function freePort(): Promise<number> {
  return probe(0, "");
}

function probe(port: number, name: string): Promise<number> {
  return new Promise((done, failed) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => {
      const taken = error.code === "EADDRINUSE";
      failed(
        taken ? new Error(`Port ${port} is taken: set ${name} to another, or to 0 for any free one.`) : error,
      );
    });
    server.listen(port, "127.0.0.1", () => {
      const address = server.address();
      const found = typeof address === "object" && address ? address.port : port;
      server.close(() => done(found));
    });
  });
}
