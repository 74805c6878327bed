/**
 * The front door: SMTP sessions on all listeners, which end in an intake. Its state is small and on disk: who may log in and whose mail is
 * taken, for when the Worker can't be asked.
 */
import type { AddressInfo } from "node:net";
import type { Config, DoorConfig, Listener as ListenerConfig } from "../config.ts";
import type { Intake } from "../intake.ts";
import type { Worker } from "../worker.ts";
import { Certificate } from "./certificate.ts";
import { KeptLogins } from "./kept-logins.ts";
import { DataMemory, SessionCounts } from "./limits.ts";
import { Listener } from "./listener.ts";
import { Logins } from "./logins.ts";
import type { DoorMetrics } from "./metrics.ts";
import { OwnDomainList } from "./own-domains.ts";
import type { Session } from "./session.ts";
import type { SessionNeeds } from "./session-needs.ts";
import { Tarpit } from "./tarpit.ts";

/** How often sessions are looked at: their limits are of seconds and minutes. */
const TICK_MS = 250;
const BACKLOG = 1_024;

export interface DoorNeeds {
  config: Pick<Config, "name" | "state"> & { door: DoorConfig };
  worker: Pick<Worker, "json">;
  intake: Intake;
  metrics: DoorMetrics;
  log(event: string, fields: Record<string, unknown>): void;
}

export class Door {
  readonly #needs: DoorNeeds;
  readonly #certificate: Certificate;
  readonly #kept: KeptLogins;
  readonly #ownDomains: OwnDomainList;
  readonly #counts: SessionCounts;
  readonly #sessions = new Set<Session>();
  readonly #listeners: Listener[] = [];
  #tick: NodeJS.Timeout | undefined;
  #isStopping = false;
  #whenEmpty: (() => void) | undefined;

  constructor(needs: DoorNeeds) {
    this.#needs = needs;
    const { config, worker, log } = needs;
    const { certFile, keyFile, limits } = config.door;
    this.#certificate = new Certificate({ certFile, keyFile, log });
    this.#kept = new KeptLogins(config.state, log);
    this.#ownDomains = new OwnDomainList({ folder: config.state, worker, log });
    this.#counts = new SessionCounts(limits);
  }

  /** Throws when a port or the certificate can't be had; the ports are those that it listens on, in the order of the configuration. */
  async listen(): Promise<{ port: number; kind: ListenerConfig["kind"] }[]> {
    await Promise.all([this.#certificate.load(), this.#kept.load(), this.#ownDomains.load()]);
    this.#ownDomains.refreshIfOld();
    const ports: { port: number; kind: ListenerConfig["kind"] }[] = [];
    for (const config of this.#needs.config.door.listeners) {
      const listener = this.#newListener(config);
      ports.push({ port: await bind(listener, config), kind: config.kind });
      this.#listeners.push(listener);
    }
    this.#certificate.watch((context) => {
      for (const listener of this.#listeners) listener.secureContext.set("*", context);
    });
    this.#tick = setInterval(() => this.#look(), TICK_MS);
    return ports;
  }

  /** Takes no new sessions, lets transactions come to their end for `ms`, and ends what is left. */
  async end(ms: number): Promise<void> {
    this.#isStopping = true;
    this.#certificate.end();
    for (const listener of this.#listeners) {
      listener.server.close();
      // Those wait for a PROXY header.
      for (const socket of listener._pendingSockets.values()) socket.destroy();
    }
    for (const session of this.#sessions) session.stop();
    const timer = setTimeout(() => {
      for (const session of this.#sessions) session.destroy("the gateway stops");
    }, ms);
    await new Promise<void>((resolve) => {
      this.#whenEmpty = resolve;
      if (this.#sessions.size === 0) resolve();
    });
    clearTimeout(timer);
    clearInterval(this.#tick);
    await Promise.all([this.#kept.end(), this.#ownDomains.end()]);
  }

  #newListener(config: ListenerConfig): Listener {
    const { metrics, log } = this.#needs;
    return new Listener({
      config,
      door: this.#needs.config.door,
      certificate: this.#certificate,
      counts: this.#counts,
      metrics,
      session: this.#sessionNeeds(),
      opened: (session) => {
        this.#sessions.add(session);
        metrics.open.set(this.#sessions.size);
        this.#ownDomains.refreshIfOld();
      },
      log,
    });
  }

  #sessionNeeds(): SessionNeeds {
    const { config, intake, metrics, worker, log } = this.#needs;
    this.#shared ??= {
      name: config.name,
      limits: config.door.limits,
      authInClear: config.door.authInClear,
      intake,
      logins: new Logins({ worker, kept: this.#kept, log }),
      tarpit: new Tarpit(),
      ownDomains: this.#ownDomains,
      counts: this.#counts,
      memory: new DataMemory(),
      metrics,
      isStopping: () => this.#isStopping,
      closed: (session) => this.#closed(session),
      log,
    };
    return this.#shared;
  }
  #shared: SessionNeeds | undefined;

  #look(): void {
    if (this.#sessions.size === 0) return;
    const now = Date.now();
    for (const session of this.#sessions) session.check(now);
    this.#ownDomains.refreshIfOld();
  }

  #closed(session: Session): void {
    const { metrics, log } = this.#needs;
    this.#sessions.delete(session);
    this.#counts.leave(session.countedBy);
    metrics.open.set(this.#sessions.size);
    log("session ended", {
      session: session.id,
      kind: session.kind,
      address: session.remoteAddress,
      seconds: Math.round((Date.now() - session.openedAt) / 100) / 10,
      tls: session.secure,
      messages: session.messages,
      ...(session.account ? { server: session.account.serverId } : {}),
      ...(session.endReason ? { why: session.endReason } : {}),
    });
    if (this.#sessions.size === 0) this.#whenEmpty?.();
  }
}

async function bind(listener: Listener, { host, port }: ListenerConfig): Promise<number> {
  try {
    return await listen(listener, host, port);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    // A machine without IPv6.
    if (host === "::" && (code === "EAFNOSUPPORT" || code === "EADDRNOTAVAIL"))
      return listen(listener, "0.0.0.0", port);
    if (code === "EADDRINUSE") throw new Error(`Port ${port} is taken; set GATEWAY_SMTP_LISTEN to others.`);
    throw new Error(`The front door can't listen on ${host}:${port}: ${message}`);
  }
}

function listen(listener: Listener, host: string, port: number): Promise<number> {
  const { server } = listener;
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port, backlog: BACKLOG }, () => {
      server.off("error", reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}
