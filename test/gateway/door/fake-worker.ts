/** Stands for the Worker where the door asks it: logins, own domains, recipients. What it knows may be changed between requests. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Login } from "../../../src/mail/ingress.ts";

export const SECRET = "a secret for the tests";
export const TOKEN = "5e5e5e5e-0000-4000-8000-000000000001";
export const INBOUND = "inbound.example.com";

export class FakeWorker {
  mode: "ok" | "500" | "hang" | "nonsense" = "ok";
  /** User and password alike. */
  readonly tokens = new Set([TOKEN]);
  readonly recipients = new Set([`hash@${INBOUND}`, "pm.abc@bounces.example.com"]);
  domains = { inbound: [INBOUND], returnPath: ["bounces.example.com"] };
  delayMs = 0;
  readonly logins: Login[] = [];
  readonly asked: string[] = [];
  url = "";
  #server: Server | undefined;
  #port = 0;

  async start(): Promise<this> {
    const server = createServer((request, response) => void this.#serve(request, response));
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.#port, "127.0.0.1", resolve));
    this.#port = (server.address() as AddressInfo).port;
    this.url = `http://127.0.0.1:${this.#port}`;
    return this;
  }

  /** The port stays its own. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server) return;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    if (request.headers.authorization !== `Bearer ${SECRET}`) return void response.writeHead(401).end();
    if (this.mode === "hang") return;
    if (this.mode === "500") return void response.writeHead(500).end("no");
    if (this.mode === "nonsense") return void response.end('{"account":{"serverId":"seven"},"known":"all"}');
    if (this.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, this.delayMs));
    const body: unknown = chunks.length > 0 ? JSON.parse(Buffer.concat(chunks).toString()) : undefined;
    response.end(JSON.stringify(this.#answer(request.url ?? "", body)));
  }

  #answer(url: string, body: unknown): object {
    if (url === "/gateway/domains") return this.domains;
    if (url === "/gateway/recipients") {
      const { addresses } = body as { addresses: string[] };
      this.asked.push(...addresses);
      return { known: addresses.map((a) => this.recipients.has(a.toLowerCase())) };
    }
    const login = body as Login;
    this.logins.push(login);
    if (login.user !== login.password || !this.tokens.has(login.user)) return { refused: "unknown token" };
    return { account: { serverId: 7, region: "local", shards: 2 } };
  }
}
