/**
 * smtp-server as the local MX needs it: a greeting at once, enhanced status codes of our own, and a way to cut a session off. The smallest
 * overrides that do it.
 */
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { SMTPServer, type SMTPServerSession } from "smtp-server";
import { SMTPConnection } from "smtp-server/lib/smtp-connection";

const ENHANCED = /^[245]\.\d{1,3}\.\d{1,3} /;

class PromptConnection extends SMTPConnection {
  /**
   * The library waits 100 ms before its greeting, to catch clients that talk too soon, and has no option for it. Nobody is
   * to be caught here, and every new connection would pay. Its other task at this place is maxClients, which is not set.
   */
  override init(): void {
    this._setListeners(() => this.connectionReady());
  }

  /** A text that brings its own enhanced status code is not given a second one. */
  override send(code: number, data?: string | string[] | null, context?: string | false): void {
    super.send(code, data, typeof data === "string" && ENHANCED.test(data) ? false : context);
  }
}

export class PromptServer extends SMTPServer {
  readonly #connections = new WeakMap<SMTPServerSession, SMTPConnection>();

  override connect(
    socket: Socket | TLSSocket,
    options: ConstructorParameters<typeof SMTPConnection>[2],
  ): void {
    const connection = new PromptConnection(this, socket, options);
    this.connections.add(connection);
    this.#connections.set(connection.session, connection);
    connection.on("error", (error) => this._onError(error));
    connection.on("connect", (info) => this._onClientConnect(info));
    connection.init();
  }

  /** Closes the connection without another word. */
  cut(session: SMTPServerSession): void {
    this.#connections.get(session)?._socket.destroy();
  }

  /** Whether a reply can still be written. */
  isOpen(session: SMTPServerSession): boolean {
    return this.#connections.get(session)?._socket.writable ?? false;
  }
}
