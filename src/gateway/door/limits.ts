/**
 * Who has how many sessions, and what all sessions together hold in memory. Clients that have logged in, or sent mail after that, within the
 * hour may have more of them: a pool of connections is how programs send mail. IPv6 addresses are counted by /64, which is what one
 * customer has.
 */
import { isIPv6 } from "node:net";
import type { Reply } from "../../mail/reply.ts";
import type { DoorLimits } from "../config.ts";
import { ExpiringMap } from "./expiring-map.ts";
import type { Memory } from "./message-data.ts";
import { reply } from "./reply.ts";

const KNOWN_MS = 3_600_000;
const MAX_KNOWN = 20_000;
/** Of messages that are arriving or wait for their receipt. Above it no message grows over its first piece. */
const MAX_BYTES_IN_DATA = 256 * 1024 * 1024;

export type Refused = { reason: "sessions" | "sessions per address"; reply: Reply };

export class SessionCounts {
  readonly #limits: DoorLimits;
  readonly #byHost = new Map<string, number>();
  readonly #known = new ExpiringMap<true>(KNOWN_MS, MAX_KNOWN);
  #all = 0;

  constructor(limits: DoorLimits) {
    this.#limits = limits;
  }

  /** Why there may be no other session; undefined when there is one now, which `leave` ends. */
  enter(address: string): Refused | undefined {
    const { sessions, sessionsPerAddress, sessionsPerKnownAddress } = this.#limits;
    if (this.#all >= sessions)
      return { reason: "sessions", reply: reply(421, "4.3.2", "too many sessions, try again later") };
    const host = hostOf(address);
    const count = this.#byHost.get(host) ?? 0;
    if (count >= (this.#known.get(host) ? sessionsPerKnownAddress : sessionsPerAddress)) {
      const text = "too many sessions from your address, try again later";
      return { reason: "sessions per address", reply: reply(421, "4.7.0", text) };
    }
    this.#byHost.set(host, count + 1);
    this.#all++;
    return undefined;
  }

  leave(address: string): void {
    const host = hostOf(address);
    const count = (this.#byHost.get(host) ?? 0) - 1;
    if (count > 0) this.#byHost.set(host, count);
    else this.#byHost.delete(host);
    this.#all--;
  }

  /** It has logged in, or who has logged in there has sent mail. */
  know(address: string): void {
    this.#known.set(hostOf(address), true);
  }
}

export class DataMemory implements Memory {
  #bytes = 0;

  add(bytes: number): void {
    this.#bytes += bytes;
  }

  take(bytes: number): boolean {
    if (this.#bytes + bytes > MAX_BYTES_IN_DATA) return false;
    this.#bytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#bytes -= bytes;
  }
}

/** What is under one hand: an IPv4 address, an IPv6 address's /64. */
export function hostOf(address: string): string {
  return isIPv6(address) ? `${groupsOf(address).slice(0, 4).join(":")}::/64` : address;
}

/** And what often is: an IPv4 address's /24. */
export function networkOf(address: string): string {
  return isIPv6(address) ? hostOf(address) : `${address.slice(0, address.lastIndexOf("."))}.0/24`;
}

/** All eight groups of an IPv6 address, without leading zeros. */
function groupsOf(address: string): string[] {
  const [head = "", tail] = (address.split("%")[0] ?? "").split("::");
  const groups = (text: string) => (text === "" ? [] : text.split(":"));
  const before = groups(head);
  const after = groups(tail ?? "");
  const missing = Math.max(0, 8 - before.length - after.length);
  return [...before, ...Array<string>(missing).fill("0"), ...after].map((g) => g.replace(/^0+(?=.)/, ""));
}
