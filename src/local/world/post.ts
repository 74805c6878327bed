/**
 * Sends what the world says back to the front door (EDGEPOST_FRONT_DOOR), as a mail server of the internet would. What is refused for
 * now, or cannot be sent at all because there is no door, waits in memory and is tried a few times; then it is logged and dropped.
 */
import { setTimeout as wait } from "node:timers/promises";
import { createTransport } from "nodemailer";
import type { Outgoing } from "./replies.ts";
import { MX_HOST } from "./zone.ts";

/** The first is how long an answer takes at all: what it answers has its 250 by then. */
const TRIES_AFTER_MS = [300, 1_000, 5_000, 30_000, 120_000];
const MAX_WAITING = 10_000;
const SOCKET_MS = 30_000;

export class Post {
  readonly #transport;
  #waiting = 0;

  /** `door` is host:port, "" for none. */
  constructor(door: string) {
    const [host, port] = door.split(":");
    this.#transport = host
      ? createTransport({
          host,
          port: Number(port || 25),
          name: MX_HOST,
          pool: true,
          maxConnections: 5,
          // As between strangers: encrypted when offered, whatever the certificate says.
          tls: { rejectUnauthorized: false },
          connectionTimeout: SOCKET_MS,
          greetingTimeout: SOCKET_MS,
          socketTimeout: SOCKET_MS,
        })
      : undefined;
  }

  /** Never throws: nobody waits for it. */
  async send(message: Outgoing): Promise<void> {
    const { from, to } = message.envelope;
    if (this.#waiting >= MAX_WAITING) return log(`too much waits; dropped what was for ${to}`);
    this.#waiting++;
    try {
      for (const afterMs of TRIES_AFTER_MS) {
        await wait(afterMs, undefined, { ref: false });
        const problem = await this.#try(message);
        if (!problem) return;
        log(`from <${from}> to <${to}>: ${problem.text}`);
        if (problem.isFinal) return;
      }
      log(`gave up on what was for ${to}`);
    } finally {
      this.#waiting--;
    }
  }

  async #try({ envelope, raw }: Outgoing): Promise<{ text: string; isFinal: boolean } | undefined> {
    if (!this.#transport) return { text: "EDGEPOST_FRONT_DOOR is not set", isFinal: false };
    try {
      await this.#transport.sendMail({ envelope, raw });
      return undefined;
    } catch (error) {
      // Refused, or nobody there: only a 5xx is final.
      const { responseCode = 0, message } = error as Error & { responseCode?: number };
      return { text: message, isFinal: responseCode >= 500 };
    }
  }

  close(): void {
    this.#transport?.close();
  }
}

function log(text: string): void {
  console.error(`post: ${text}`);
}
