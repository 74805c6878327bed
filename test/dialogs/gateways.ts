/** The gateway processes that dialogs are held with: one for each kind of configuration, each with a Worker of its own. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { certificate } from "../gateway/certificate.ts";
import { GatewayProcess } from "../gateway/gateway-process.ts";
import { FakeWorker } from "./fake-worker.ts";
import type { Port } from "./script.ts";

export const NAME = "gateway.test";

interface Kind {
  env?: Record<string, string>;
  limits?: Record<string, number>;
  isWorkerAway?: true;
  /** The address that PROXY headers are believed from. All of these clients connect from 127.0.0.1. */
  proxy?: string;
}

export const KINDS: Record<string, Kind> = {
  /** As it comes. */
  usual: {},
  /** For clients that have no TLS. */
  clear: { env: { GATEWAY_AUTH_IN_CLEAR: "1" } },
  /** Every limit within a test's reach. */
  strict: {
    limits: {
      idle: 1_500,
      sessionWithoutAuth: 5_000,
      data: 3_000,
      dataBytesPerSecond: 2_000,
      commandsWithoutMail: 20,
      errors: 5,
      recipients: 10,
      headerBytes: 4_096,
      headerFields: 50,
      receivedFields: 5,
    },
  },
  /** Its Worker goes and comes. */
  away: {},
  /** Has never seen its Worker. */
  orphan: { isWorkerAway: true },
  /** Behind a load balancer, which is where its clients connect from; and where they are not. */
  proxied: { proxy: "127.0.0.1" },
  guarded: { proxy: "127.0.0.99" },
};

interface Listening {
  port: number;
  kind: string;
}

class DoorProcess extends GatewayProcess {
  smtp: Listening[] = [];

  override start(): Promise<this> {
    const started = super.start();
    // There is a process already, which has not said anything yet.
    this.process?.once("message", ({ smtp }: { smtp?: Listening[] }) => {
      this.smtp = smtp ?? [];
    });
    return started;
  }
}

export class DialogGateway {
  readonly worker = new FakeWorker();
  readonly ca: string;
  readonly #process: DoorProcess;
  #ports = new Map<string, number>();

  static async start(kind: Kind): Promise<DialogGateway> {
    const pair = await certificate(NAME);
    const folder = mkdtempSync(join(tmpdir(), "edgepost-dialogs-"));
    for (const [name, pem] of Object.entries(pair)) writeFileSync(join(folder, `${name}.pem`), pem);
    const gateway = new DialogGateway(kind, pair.cert, folder);
    await gateway.worker.start();
    gateway.#process.env.EDGEPOST_WORKER_URL = gateway.worker.url;
    if (kind.isWorkerAway) await gateway.worker.stop();
    await gateway.#start();
    return gateway;
  }

  private constructor({ env, limits, proxy }: Kind, ca: string, folder: string) {
    this.ca = ca;
    const suffix = proxy === undefined ? "" : "+proxy";
    this.#process = new DoorProcess({
      GATEWAY_NAME: NAME,
      GATEWAY_SMTP_LISTEN: ["mx", "submission", "tls"].map((kind) => `127.0.0.1:0:${kind}${suffix}`).join(),
      GATEWAY_TLS_CERT: join(folder, "cert.pem"),
      GATEWAY_TLS_KEY: join(folder, "key.pem"),
      GATEWAY_DOOR_LIMITS: JSON.stringify({ sessionsPerAddress: 5, ...limits }),
      ...(proxy === undefined ? {} : { GATEWAY_PROXIES: proxy }),
      ...env,
    });
  }

  /** The certificate and the state stay; so does what is spooled. */
  async restart(): Promise<void> {
    await this.#process.end();
    await this.#start();
  }

  async end(): Promise<void> {
    await this.#process.end();
    await this.worker.stop();
  }

  portOf(port: Port): number {
    const number = this.#ports.get(port.replace("+starttls", ""));
    if (number === undefined)
      throw new Error(`the gateway does not listen for ${port}: ${JSON.stringify(this.#process.smtp)}`);
    return number;
  }

  get log(): string {
    return this.#process.log;
  }

  async #start(): Promise<void> {
    await this.#process.start();
    this.#ports = new Map(this.#process.smtp.map(({ kind, port }) => [kind, port]));
  }
}
