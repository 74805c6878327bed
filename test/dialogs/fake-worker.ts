/**
 * Stands for the Worker at the far end of HTTP, for dialogs: knows four logins and two domains, takes whatever the front door hands
 * over, and keeps a ledger that says from which address each message came.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import { decodeFrames } from "../../src/mail/frame.ts";
import {
  type AuthAnswer,
  type Batch,
  type BatchMessage,
  type BatchResult,
  type Login,
  MAX_BATCH_BYTES,
  type SmtpAccount,
} from "../../src/mail/ingress.ts";
import { WorkerStandIn } from "../gateway/worker-stand-in.ts";

export const INBOUND_DOMAIN = "inbound.example.com";
export const RETURN_PATH_DOMAIN = "bounces.example.com";

const TOKEN = "0d0ea5e1-51ab-4e6f-9d0c-6f7f4c1f2a01";
/** By the names that dialogs use. */
export const CREDENTIALS: Record<string, { user: string; password: string }> = {
  good: { user: TOKEN, password: TOKEN },
  /** An SMTP token, bound to the stream "broadcast". */
  stream: { user: "PM-T-broadcast-8Zt9K3q", password: "secret key of the stream" },
  wrong: { user: TOKEN, password: "guessed" },
  revoked: { user: "PM-T-revoked-1111111", password: "was good once" },
  account: { user: "ac0ac0ac-0000-4000-8000-000000000001", password: "ac0ac0ac-0000-4000-8000-000000000001" },
  /** Never asked about by any dialog while the Worker is there. */
  stranger: {
    user: "5757575e-0000-4000-8000-000000000002",
    password: "5757575e-0000-4000-8000-000000000002",
  },
  long: { user: "u".repeat(300), password: "p".repeat(300) },
};
const ACCOUNTS: Record<string, SmtpAccount> = {
  good: { serverId: 7, region: "weur", shards: 2 },
  stream: { serverId: 7, stream: "broadcast", region: "weur", shards: 2 },
};

export interface Accepted {
  serverId: number | undefined;
  message: BatchMessage;
  bytes: Buffer;
}

export class FakeWorker extends WorkerStandIn {
  readonly ledger: Accepted[] = [];
  readonly #results = new Map<string, BatchResult>();

  /** What came from a client at this address. */
  from(address: string): Accepted[] {
    return this.ledger.filter(({ message }) => message.remoteAddress.replace(/^::ffff:/, "") === address);
  }

  protected override async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const said = await this.#said(request);
    if (said === undefined) response.writeHead(404).end("no");
    else response.end(said);
  }

  async #said(request: IncomingMessage): Promise<string | undefined> {
    switch (`${request.method} ${request.url}`) {
      case "POST /gateway/authenticate":
        return JSON.stringify(judge(JSON.parse(await text(request)) as Login));
      case "GET /gateway/domains":
        return JSON.stringify({ inbound: [INBOUND_DOMAIN], returnPath: [RETURN_PATH_DOMAIN] });
      case "POST /gateway/recipients": {
        const { addresses } = JSON.parse(await text(request)) as { addresses: string[] };
        return JSON.stringify({ known: addresses.map((address) => !address.startsWith("nobody")) });
      }
      case "POST /gateway/ingress": {
        let lines = "";
        for await (const { header, body } of decodeFrames(request, MAX_BATCH_BYTES))
          lines += `${JSON.stringify(this.#take(header as Batch, Buffer.from(body)))}\n`;
        return lines;
      }
    }
    return undefined;
  }

  #take({ key, serverId, messages }: Batch, body: Buffer): BatchResult {
    const before = this.#results.get(key);
    if (before) return before;
    let offset = 0;
    for (const message of messages) {
      this.ledger.push({ serverId, message, bytes: body.subarray(offset, offset + message.length) });
      offset += message.length;
    }
    if (offset !== body.length) throw new Error("the lengths do not add up");
    const result: BatchResult = { key, results: messages.map(() => ({ accepted: true })) };
    this.#results.set(key, result);
    return result;
  }
}

function judge({ user, password }: Login): AuthAnswer {
  const [name = ""] =
    Object.entries(CREDENTIALS).find(([, c]) => c.user === user && c.password === password) ?? [];
  const account = ACCOUNTS[name];
  return account ? { account } : { refused: name === "account" ? "an account token" : "no such login" };
}
