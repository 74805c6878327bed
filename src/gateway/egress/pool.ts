/**
 * Connections that are open and wait for the next message, by MX host and address. Mail for different domains at the same host
 * shares them. A connection waits for seconds only: servers count those that idle.
 */
import type { SmtpClient } from "./smtp-client.ts";

/** A hundred messages is what large providers let pass; a new connection also finds a host that was added. */
const MAX_MESSAGES = 100;
/** In all; beyond this the connection is closed rather than kept. */
const MAX_IDLE = 500;

interface Idle {
  client: SmtpClient;
  timer: NodeJS.Timeout;
}

export class Pool {
  readonly #idleMs: number;
  readonly #idle = new Map<string, Idle[]>();
  #count = 0;

  constructor(idleMs: number) {
    this.#idleMs = idleMs;
  }

  has(host: string, address: string): boolean {
    return this.#idle.has(key(host, address));
  }

  /** The one used last, since it is the likeliest to be open still. */
  take(host: string, address: string, mustBeVerified: boolean): SmtpClient | undefined {
    const name = key(host, address);
    const list = this.#idle.get(name) ?? [];
    for (let i = list.length - 1; i >= 0; i--) {
      const { client, timer } = list[i] as Idle;
      if (mustBeVerified && !client.isVerified && client.isUsable()) continue;
      this.#remove(name, list, i);
      clearTimeout(timer);
      if (client.isUsable()) return client;
      client.channel.end("not in step");
    }
    return undefined;
  }

  give(client: SmtpClient): void {
    if (!client.isUsable()) {
      client.channel.end("not in step");
      return;
    }
    if (client.count >= MAX_MESSAGES || this.#count >= MAX_IDLE) {
      client.quit();
      return;
    }
    const name = key(client.host, client.address);
    const list = this.#idle.get(name) ?? [];
    this.#idle.set(name, list);
    const timer = setTimeout(() => {
      const at = list.findIndex((idle) => idle.client === client);
      if (at >= 0) this.#remove(name, list, at);
      if (client.isUsable()) client.quit();
      else client.channel.end("idle");
    }, this.#idleMs);
    list.push({ client, timer });
    this.#count++;
  }

  close(): void {
    for (const { client, timer } of [...this.#idle.values()].flat()) {
      clearTimeout(timer);
      client.quit();
    }
    this.#idle.clear();
    this.#count = 0;
  }

  #remove(name: string, list: Idle[], at: number): void {
    list.splice(at, 1);
    this.#count--;
    if (list.length === 0) this.#idle.delete(name);
  }
}

function key(host: string, address: string): string {
  return `${host}|${address}`;
}
