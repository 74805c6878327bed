/** The gateway as a process of its own, asked over HTTP as a Worker asks it. */
import { type ChildProcess, fork } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Consignment, EgressResult } from "../../src/mail/egress.ts";
import { encodeFrame } from "../../src/mail/frame.ts";
import type { Outcome } from "../../src/mail/outcome.ts";

export const SECRET = "a secret for the tests";
const MAIN = resolve(import.meta.dirname, "../../src/gateway/main.ts");

export class GatewayProcess {
  readonly env: Record<string, string>;
  url = "";
  log = "";
  process: ChildProcess | undefined;

  constructor(env: Record<string, string>, timeouts: Record<string, number> = {}) {
    this.env = {
      EDGEPOST_GATEWAY_HTTP_PORT: "0",
      GATEWAY_SECRET: SECRET,
      GATEWAY_NAME: "gateway.test",
      GATEWAY_STATE: mkdtempSync(join(tmpdir(), "edgepost-gateway-")),
      EDGEPOST_ALLOW_PRIVATE_MX: "1",
      GATEWAY_TIMEOUTS: JSON.stringify({ routeCache: 0, ...timeouts }),
      ...env,
    };
  }

  async start(): Promise<this> {
    const child = fork(MAIN, {
      env: { PATH: process.env.PATH, ...this.env },
      stdio: ["ignore", "ignore", "pipe", "ipc"],
      execArgv: [],
    });
    this.process = child;
    child.stderr?.on("data", (chunk) => {
      this.log += chunk;
    });
    this.url = await new Promise<string>((ready, failed) => {
      child.once("message", (message: { http: string }) => ready(message.http));
      child.once("exit", (code) => failed(new Error(`exit ${code}: ${this.log}`)));
    });
    return this;
  }

  /** Resolves with its exit code, or the signal that ended it. */
  end(signal: NodeJS.Signals = "SIGTERM"): Promise<number | string | null> {
    const child = this.process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return Promise.resolve(null);
    return new Promise((done) => {
      child.once("exit", (code, by) => done(code ?? by));
      child.kill(signal);
    });
  }

  post(body: Uint8Array | ReadableStream, init: RequestInit = {}): Promise<Response> {
    return fetch(`${this.url}/egress`, {
      method: "POST",
      headers: { authorization: `Bearer ${SECRET}`, "content-type": "application/vnd.edgepost.egress" },
      body: body as BodyInit,
      ...init,
    });
  }

  async send(...parcels: [Partial<Consignment>, string | Uint8Array][]): Promise<EgressResult[]> {
    const response = await this.post(Buffer.concat(parcels.map(([some, message]) => frame(some, message))));
    if (response.status !== 200) throw new Error(`status ${response.status}`);
    const lines = (await response.text()).split("\n").filter((line) => line !== "");
    return lines.map((line) => JSON.parse(line) as EgressResult);
  }

  /** One recipient, one outcome. */
  async sendOne(
    to: string,
    some: Partial<Consignment> = {},
    message: string | Uint8Array = MESSAGE,
  ): Promise<Outcome> {
    const [result] = await this.send([{ recipients: [to], domain: to.split("@")[1], ...some }, message]);
    return result?.outcomes[0] as Outcome;
  }

  async metric(name: string): Promise<number> {
    const text = await (await fetch(`${this.url}/metrics`)).text();
    const line = text.split("\n").find((l) => l.startsWith(`${name} `));
    return Number(line?.slice(name.length + 1) ?? 0);
  }
}

export const MESSAGE = "Subject: hello\r\n\r\nhello\r\n";

let count = 0;

export function frame(some: Partial<Consignment>, message: string | Uint8Array): Uint8Array {
  const consignment: Consignment = {
    key: `message-${process.pid}-${++count}/x/1`,
    domain: "good.test",
    reversePath: "b-1@bounces.example.com",
    recipients: ["a@good.test"],
    tls: "opportunistic",
    connections: 5,
    ...some,
  };
  return encodeFrame(consignment, Buffer.from(message as string));
}
