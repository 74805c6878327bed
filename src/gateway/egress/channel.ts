/**
 * A socket to a mail server, as a line of replies. It knows nothing of the protocol but that replies come in the order of
 * the commands, that each has a time, and that once anything is wrong nothing more is to be said on it.
 */
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, type SecureContext, type TLSSocket } from "node:tls";
import { NotSmtp, type RawReply, ReplyReader } from "./reply-reader.ts";

/** The channel is of no more use; the message says why, for people. */
export class ChannelEnded extends Error {}

export interface Target {
  address: string;
  port: number;
  localAddress?: string;
}

/** Errors of the system, in words that need no manual. */
const WORDS: Record<string, string> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset",
  EPIPE: "connection closed",
  ETIMEDOUT: "connection timed out",
  EHOSTUNREACH: "no route to host",
  ENETUNREACH: "network unreachable",
  EADDRNOTAVAIL: "no source address for this network",
};

export class Channel {
  #socket: Socket;
  #reader = new ReplyReader();
  readonly #replies: RawReply[] = [];
  #waiter: { resolve(reply: RawReply): void; reject(error: Error): void } | undefined;
  #ended: ChannelEnded | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#listen(socket);
  }

  static async open({ address, port, localAddress }: Target, timeoutMs: number): Promise<Channel> {
    const socket = connectTcp({ host: address, port, localAddress, noDelay: true });
    const channel = new Channel(socket);
    await channel.#once(socket, "connect", timeoutMs, "no connection");
    return channel;
  }

  /** Whether it may be given another command: open, and nothing came that was not asked for. */
  isQuiet(): boolean {
    return !this.#ended && this.#replies.length === 0 && !this.#reader.isWithin();
  }

  /** Throws when it has ended. */
  insist(): void {
    if (this.#ended) throw this.#ended;
  }

  hasReply(): boolean {
    return this.#replies.length > 0;
  }

  write(data: string | Buffer): void {
    if (!this.#ended) this.#socket.write(data);
  }

  /** Writes, and waits until the system has taken it, or a reply came: who refuses in the middle may read no more. */
  async push(data: Buffer, timeoutMs: number): Promise<void> {
    this.insist();
    if (this.#socket.write(data) || this.hasReply()) return;
    await this.#once(this.#socket, "drain", timeoutMs, "the data was not taken");
  }

  /** The next reply. Throws ChannelEnded when there will be none. */
  next(timeoutMs: number): Promise<RawReply> {
    const ready = this.#replies.shift();
    if (ready) return Promise.resolve(ready);
    if (this.#ended) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => {
      const late = () => this.end(`no reply in ${seconds(timeoutMs)}`);
      const timer = setTimeout(late, Math.max(1, timeoutMs));
      this.#waiter = {
        resolve: (reply) => {
          clearTimeout(timer);
          resolve(reply);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      };
    });
  }

  /**
   * TLS from here on. What came in clear and was not read is thrown away: it may have been put there by another (RFC 3207 §6).
   * The certificate is looked at, not insisted upon: `certificateError` is "" when it is good for this host.
   */
  async secure(
    host: string,
    context: SecureContext,
    timeoutMs: number,
  ): Promise<{ certificateError: string }> {
    this.insist();
    const plain = this.#socket;
    plain.removeAllListeners();
    plain.on("error", () => {}); // the TLS socket tells of it
    this.#replies.length = 0;
    this.#reader = new ReplyReader();
    const servername = /^[\d.]+$|:/.test(host) ? "" : host;
    const socket: TLSSocket = connectTls({
      socket: plain,
      servername,
      host,
      secureContext: context,
      rejectUnauthorized: false,
    });
    this.#socket = socket;
    this.#listen(socket);
    await this.#once(socket, "secureConnect", timeoutMs, "no TLS handshake");
    const { authorized, authorizationError } = socket;
    return { certificateError: authorized ? "" : String(authorizationError) };
  }

  /** "TLSv1.3 TLS_AES_256_GCM_SHA384", or "" in clear. */
  tlsName(): string {
    const socket = this.#socket as Partial<TLSSocket>;
    if (!socket.encrypted) return "";
    return `${socket.getProtocol?.() ?? ""} ${socket.getCipher?.().name ?? ""}`.trim();
  }

  end(reason: string): void {
    if (this.#ended) return;
    this.#ended = new ChannelEnded(reason);
    this.#socket.destroy();
    const waiter = this.#waiter;
    this.#waiter = undefined;
    waiter?.reject(this.#ended);
    this.#socket.emit("edgepost-ended");
  }

  #listen(socket: Socket): void {
    socket.on("data", (chunk: Buffer) => this.#take(chunk));
    socket.on("error", (error: NodeJS.ErrnoException) => this.end(WORDS[error.code ?? ""] ?? error.message));
    socket.on("close", () => this.end("connection closed"));
    socket.on("end", () => this.end("connection closed"));
  }

  #take(chunk: Buffer): void {
    try {
      for (const reply of this.#reader.push(chunk)) {
        const waiter = this.#waiter;
        this.#waiter = undefined;
        if (waiter) waiter.resolve(reply);
        else this.#replies.push(reply);
        if (!waiter) this.#socket.emit("edgepost-reply");
      }
      // Replies that nobody asked for: this is no dialog, and it could go on for ever.
      if (this.#replies.length > 256) throw new NotSmtp("replies that were not asked for");
    } catch (error) {
      if (!(error instanceof NotSmtp)) throw error;
      this.end(error.message);
    }
  }

  /** For a channel that has not ended: its end is what rejects, and comes once. */
  #once(socket: Socket, event: string, timeoutMs: number, what: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.end(`${what} in ${seconds(timeoutMs)}`), Math.max(1, timeoutMs));
      const done = () => {
        clearTimeout(timer);
        socket.off(event, done).off("edgepost-reply", done).off("edgepost-ended", failed);
        resolve();
      };
      const failed = () => {
        clearTimeout(timer);
        socket.off(event, done).off("edgepost-reply", done).off("edgepost-ended", failed);
        reject(this.#ended);
      };
      socket.once(event, done);
      if (event === "drain") socket.once("edgepost-reply", done);
      socket.once("edgepost-ended", failed);
    });
  }
}

function seconds(ms: number): string {
  return ms < 1_000 ? `${Math.max(0, Math.round(ms))} ms` : `${Math.round(ms / 1_000)} s`;
}
