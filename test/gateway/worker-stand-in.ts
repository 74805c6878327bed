/** An HTTP server that stands where the Worker does: it can be away and come back on its port, and asks for the gateway's secret. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export const SECRET = "a secret for the tests";

export abstract class WorkerStandIn {
  url = "";
  #server: Server | undefined;
  #port = 0;

  async start(): Promise<this> {
    if (this.#server) return this;
    const server = createServer((request, response) => {
      // The other end went away in the middle, or sent nonsense; it sees a connection that closes.
      this.#serve(request, response).catch(() => response.destroy());
    });
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.#port, "127.0.0.1", resolve));
    this.#port = (server.address() as AddressInfo).port;
    this.url = `http://127.0.0.1:${this.#port}`;
    return this;
  }

  /** As if it were killed: connections end in the middle of whatever they were doing. The port stays its own. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server) return;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.headers.authorization === `Bearer ${SECRET}`) return this.answer(request, response);
    response.writeHead(401).end("who?");
  }

  protected abstract answer(request: IncomingMessage, response: ServerResponse): Promise<void>;
}
