/**
 * One port. The library's server, with two things of our own: who is let in is decided before anything is made for a connection, so that
 * a flood costs little; and TLS from the first byte is a session's matter from the start, so that a client which stalls in its
 * handshake counts as a session like any other.
 */
import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { SMTPServer } from "smtp-server";
import { isAddressAllowed, type SMTPConnectionOptions } from "smtp-server/lib/smtp-connection.js";
import type { Reply } from "../../mail/reply.ts";
import type { DoorConfig, Listener as ListenerConfig } from "../config.ts";
import type { Certificate } from "./certificate.ts";
import type { SessionCounts } from "./limits.ts";
import type { DoorMetrics } from "./metrics.ts";
import { readProxyHeader } from "./proxy-header.ts";
import { Session } from "./session.ts";
import type { SessionNeeds } from "./session-needs.ts";

/** How long a client that is refused may take to read it, and how many at once are waited for. */
const LINGER_MS = 1_000;
const MAX_LINGERING = 200;
/** Every connection of a flood may fail in the same way. */
const COMPLAIN_MS = 1_000;
const KEEP_ALIVE_MS = 60_000;

export interface ListenerNeeds {
  config: ListenerConfig;
  door: DoorConfig;
  certificate: Certificate;
  counts: SessionCounts;
  metrics: DoorMetrics;
  session: SessionNeeds;
  opened(session: Session): void;
  log(event: string, fields: Record<string, unknown>): void;
}

type Admit = (error: Error | null, options?: SMTPConnectionOptions & { id: string }) => void;

export class Listener extends SMTPServer {
  readonly #needs: ListenerNeeds;
  #lingering = 0;
  #complainedAt = 0;

  constructor(needs: ListenerNeeds) {
    const isTls = needs.config.kind === "tls";
    super({
      secure: isTls,
      needsUpgrade: isTls,
      // Only so that it does not take its own; contexts are set below and when the certificate changes.
      SNICallback: (_name, done) => done(null, undefined),
      logger: false,
      socketTimeout: needs.door.limits.idle,
      maxClients: needs.door.limits.sessions,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
      noDelay: true,
    });
    this.#needs = needs;
    this.secureContext.set("*", needs.certificate.context);
    // Out of file descriptors, most likely: those who are in go on, and the next may be taken again.
    this.on("error", (error: NodeJS.ErrnoException) => {
      if (!this.server.listening || Date.now() - this.#complainedAt < COMPLAIN_MS) return;
      this.#complainedAt = Date.now();
      needs.log("accept failed", { error: error.code ?? error.message });
    });
  }

  get kind(): ListenerConfig["kind"] {
    return this.#needs.config.kind;
  }

  override connect(socket: Socket, options: SMTPConnectionOptions): void {
    const session = new Session(this, { socket, options, kind: this.kind }, this.#needs.session);
    this.connections.add(session);
    this.#needs.metrics.sessions.inc({ kind: this.kind });
    this.#needs.opened(session);
    session.init();
  }

  /** The library asks whether its own reader is to wait for a header; ours does, and it is guarded alike. */
  override _expectsProxyHeader(): boolean {
    return this.#needs.config.proxy;
  }

  override _handleProxy(socket: Socket, admit: Admit): void {
    const peer = plainAddress(socket.remoteAddress);
    if (!this.#needs.config.proxy) this.#enter(socket, { address: peer, port: undefined }, admit);
    else if (isAddressAllowed(this.#needs.door.proxies, peer)) this.#readHeader(socket, peer, admit);
    else {
      // Without an address it is gone already, as a balancer's health checks are.
      if (peer !== "") this.#needs.log("not a proxy of ours", { address: peer });
      this.#turnAway(socket, "proxy", admit);
    }
  }

  #readHeader(socket: Socket, peer: string, admit: Admit): void {
    let start = Buffer.alloc(0);
    const timer = setTimeout(() => socket.destroy(), this.#needs.door.limits.handshake);
    const end = () => {
      clearTimeout(timer);
      socket.off("readable", read).off("close", fail).off("end", fail);
    };
    const fail = () => {
      end();
      this.#turnAway(socket, "proxy", admit);
    };
    const read = () => {
      for (let chunk = socket.read() as Buffer | null; chunk; chunk = socket.read() as Buffer | null) {
        start = Buffer.concat([start, chunk]);
        const header = readProxyHeader(start);
        if (header === "more") continue;
        if (header === "malformed") {
          this.#needs.log("malformed PROXY header", { proxy: peer });
          return fail();
        }
        end();
        const rest = start.subarray(header.bytes);
        if (rest.length > 0) socket.unshift(rest);
        const address = plainAddress(header.address ?? peer);
        return this.#enter(socket, { address, port: header.port }, admit);
      }
    };
    socket.on("readable", read).on("close", fail).on("end", fail).on("error", ignore);
  }

  #enter(socket: Socket, from: { address: string; port: number | undefined }, admit: Admit): void {
    const refused = this.#needs.counts.enter(from.address);
    if (!refused) admit(null, { id: newSessionId(), remoteAddress: from.address, remotePort: from.port });
    else if (this.kind === "tls" || this.#lingering >= MAX_LINGERING)
      this.#turnAway(socket, refused.reason, admit);
    else {
      this.#needs.metrics.refused.inc({ reason: refused.reason });
      this.#say(socket, refused.reply);
      admit(new Error(refused.reason));
    }
  }

  #say(socket: Socket, { code, enhanced, text }: Reply): void {
    this.#lingering++;
    const timer = setTimeout(() => socket.destroy(), LINGER_MS);
    socket.on("error", ignore).on("close", () => {
      clearTimeout(timer);
      this.#lingering--;
    });
    // What it says is read and dropped: unread bytes would make the kernel drop our reply.
    socket.resume().end(`${code} ${enhanced} ${text}\r\n`);
  }

  /** Without a word: there is none before TLS, or there are too many. */
  #turnAway(socket: Socket, reason: string, admit: Admit): void {
    this.#needs.metrics.refused.inc({ reason });
    socket.on("error", ignore).destroy();
    admit(new Error(reason));
  }
}

/** The socket closes, which is all that there is to do. */
function ignore(): void {}

/** A listener on "::" sees IPv4 clients as "::ffff:192.0.2.1". */
function plainAddress(address: string | undefined): string {
  return (address ?? "").replace(/^::ffff:(?=\d+\.)/i, "");
}

/** 80 bits, in the letters that log searches and Received fields take. */
function newSessionId(): string {
  return BigInt(`0x${randomBytes(10).toString("hex")}`)
    .toString(32)
    .padStart(16, "0");
}
