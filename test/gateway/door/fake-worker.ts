/** Stands for the Worker where the door asks it: logins, own domains, recipients. What it knows may be changed between requests. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { json } from "node:stream/consumers";
import type { Login } from "../../../src/mail/ingress.ts";
import { WorkerStandIn } from "../worker-stand-in.ts";

export const TOKEN = "5e5e5e5e-0000-4000-8000-000000000001";
export const INBOUND = "inbound.example.com";

export class FakeWorker extends WorkerStandIn {
  mode: "ok" | "500" | "hang" | "nonsense" = "ok";
  /** User and password alike. */
  readonly tokens = new Set([TOKEN]);
  readonly recipients = new Set([`hash@${INBOUND}`, "pm.abc@bounces.example.com"]);
  domains = { inbound: [INBOUND], returnPath: ["bounces.example.com"] };
  delayMs = 0;
  /** The next request finds its connection closed, as one that was kept for too long. */
  closesNext = false;
  readonly logins: Login[] = [];
  readonly asked: string[] = [];
  protected override async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.closesNext) {
      this.closesNext = false;
      return void response.destroy();
    }
    const body = request.method === "POST" ? await json(request) : undefined;
    if (this.mode === "hang") return;
    if (this.mode === "500") return void response.writeHead(500).end("no");
    if (this.mode === "nonsense") return void response.end('{"account":{"serverId":"seven"},"known":"all"}');
    if (this.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, this.delayMs));
    response.end(JSON.stringify(this.#said(request.url ?? "", body)));
  }

  #said(url: string, body: unknown): object {
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
