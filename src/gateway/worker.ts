/** The Worker, as a gateway asks it (mail/ingress.ts). An error is thrown for everything but an answer with status 200. */
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";

/** An answer is a few lines; what is longer is not from our Worker. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;

interface Question {
  bytes: Uint8Array | undefined;
  type: string;
  ms: number;
}

export class Worker {
  readonly #url: URL;
  readonly #secret: string;
  readonly #agent: HttpAgent;

  constructor(url: string, secret: string) {
    this.#url = new URL(url);
    this.#secret = secret;
    const options = { keepAlive: true, maxSockets: 64 };
    this.#agent = this.#url.protocol === "https:" ? new HttpsAgent(options) : new HttpAgent(options);
  }

  /** `body` undefined: a GET. `ms` is for all of it. */
  async json(path: string, body: object | undefined, ms: number): Promise<unknown> {
    const bytes = body && Buffer.from(JSON.stringify(body));
    return JSON.parse(await this.#ask(path, { bytes, type: "application/json", ms })) as unknown;
  }

  /** The lines of the answer, each parsed. */
  async frames(path: string, bytes: Uint8Array, ms: number): Promise<unknown[]> {
    const text = await this.#ask(path, { bytes, type: "application/vnd.edgepost.ingress", ms });
    return text
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as unknown);
  }

  close(): void {
    this.#agent.destroy();
  }

  /** Asks again at once when a connection that was kept turns out to be closed: that says nothing about the Worker, and all may be repeated. */
  async #ask(path: string, what: Question): Promise<string> {
    const startedAt = performance.now();
    try {
      return await this.#askOnce(path, what);
    } catch (error) {
      const left = what.ms - (performance.now() - startedAt);
      if ((error as NodeJS.ErrnoException).code !== "ECONNRESET" || left <= 0) throw error;
      return this.#askOnce(path, { ...what, ms: left });
    }
  }

  #askOnce(path: string, { bytes, type, ms }: Question): Promise<string> {
    return new Promise((resolve, reject) => {
      const open = this.#url.protocol === "https:" ? httpsRequest : httpRequest;
      const request = open(new URL(path, this.#url).href, {
        agent: this.#agent,
        method: bytes ? "POST" : "GET",
        headers: {
          authorization: `Bearer ${this.#secret}`,
          ...(bytes ? { "content-type": type, "content-length": bytes.length } : {}),
        },
      });
      // Of the whole, and not of silence: a Worker that trickles is slow too.
      const timer = setTimeout(() => {
        const late = new Error(`no answer within ${ms} ms`);
        request.destroy(late);
        // One that still waits for a connection would be told only when it has one.
        reject(late);
      }, ms);
      request.on("close", () => clearTimeout(timer));
      request.on("error", reject);
      request.on("response", (response) => readAnswer(response).then(resolve, reject));
      request.end(bytes);
    });
  }
}

async function readAnswer(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_ANSWER_BYTES) throw new Error("the Worker's answer is too long");
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString("utf8");
  if (response.statusCode !== 200)
    throw new Error(`the Worker answered ${response.statusCode}: ${text.slice(0, 200)}`);
  return text;
}
