/** Doors for tests, on ports of their own, with an intake that keeps what it is handed. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Registry } from "prom-client";
import { type DoorConfig, type DoorLimits, type Listener, readConfig } from "../../../src/gateway/config.ts";
import { Door } from "../../../src/gateway/door/door.ts";
import { newDoorMetrics } from "../../../src/gateway/door/metrics.ts";
import type { Intake, Receipt, Submitted } from "../../../src/gateway/intake.ts";
import { Worker } from "../../../src/gateway/worker.ts";
import type { Reply } from "../../../src/mail/reply.ts";
import { certificate, type Pair } from "../certificate.ts";
import { SECRET } from "../worker-stand-in.ts";
import type { FakeWorker } from "./fake-worker.ts";

/** Keeps messages; what it says of them may be changed. */
export class Keeper implements Intake {
  readonly messages: Submitted[] = [];
  receipt: (message: Submitted) => Receipt | Promise<Receipt> = (message) => ({
    messageId: message.account ? `id-${this.messages.length}` : "",
  });
  refuses: Reply | undefined;

  async take(message: Submitted): Promise<Receipt> {
    // Copied: what the door does with its memory afterwards must not matter, and must not be hidden either.
    this.messages.push({ ...message, bytes: Buffer.from(message.bytes) });
    return this.receipt(message);
  }

  refusal(): Reply | undefined {
    return this.refuses;
  }

  /** The newest, without our Received field. */
  get body(): string {
    return bodyOf(this.messages.at(-1));
  }
}

export function bodyOf(message: Submitted | undefined): string {
  const text = Buffer.from(message?.bytes ?? []).toString("latin1");
  return text.replace(/^Received: [^\r]*\r\n(?:\t[^\r]*\r\n)*/, "");
}

export interface Under {
  door: Door;
  keeper: Keeper;
  state: string;
  /** In the order of the listeners: by default mx, submission, tls. */
  ports: [number, number, number];
  certFile: string;
  keyFile: string;
  events: { event: string; fields: Record<string, unknown> }[];
  metric(line: string): Promise<number>;
  end(ms?: number): Promise<void>;
}

export interface DoorOptions {
  limits?: Partial<DoorLimits>;
  listeners?: Listener[];
  authInClear?: boolean;
  proxies?: string[];
  state?: string;
}

export const newState = () => mkdtempSync(join(tmpdir(), "edgepost-door-"));

export const listenerOf = (kind: Listener["kind"], proxy = false): Listener => ({
  host: "127.0.0.1",
  port: 0,
  kind,
  proxy,
});

let pair: Promise<Pair> | undefined;

export async function newDoor(fake: FakeWorker, options: DoorOptions = {}): Promise<Under> {
  pair ??= certificate("gateway.test");
  const { cert, key } = await pair;
  const state = options.state ?? newState();
  const certFile = join(state, "cert.pem");
  const keyFile = join(state, "key.pem");
  writeFileSync(certFile, cert);
  writeFileSync(keyFile, key);
  const read = readConfig({
    EDGEPOST_WORKER_URL: fake.url,
    GATEWAY_SMTP_LISTEN: "0:mx",
    GATEWAY_TLS_CERT: certFile,
    GATEWAY_TLS_KEY: keyFile,
    GATEWAY_SECRET: SECRET,
    GATEWAY_NAME: "gateway.test",
    GATEWAY_STATE: state,
    GATEWAY_DOOR_LIMITS: JSON.stringify(options.limits ?? {}),
  });
  const door: DoorConfig = {
    ...(read.door as DoorConfig),
    listeners: options.listeners ?? [listenerOf("mx"), listenerOf("submission"), listenerOf("tls")],
    authInClear: options.authInClear ?? false,
    proxies: options.proxies ?? [],
  };
  const registry = new Registry();
  const worker = new Worker(fake.url, SECRET);
  const keeper = new Keeper();
  const events: Under["events"] = [];
  const made = new Door({
    config: { ...read, door },
    worker,
    intake: keeper,
    metrics: newDoorMetrics(registry),
    log: (event, fields) => events.push({ event, fields }),
  });
  const ports = (await made.listen()).map(({ port }) => port) as Under["ports"];
  return {
    door: made,
    keeper,
    state,
    ports,
    certFile,
    keyFile,
    events,
    async metric(line) {
      const text = await registry.metrics();
      const found = text.split("\n").find((l) => l.startsWith(`${line} `));
      return Number(found?.slice(line.length + 1) ?? Number.NaN);
    },
    async end(ms = 100) {
      await made.end(ms);
      worker.close();
    },
  };
}

/** Until it is true, and not for ever. */
export async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!(await isTrue())) {
    if (Date.now() > deadline) throw new Error("it did not come true");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
