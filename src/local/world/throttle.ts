/**
 * How busy each recipient domain is at the MX: connections that have named it and are still open, and messages in the last second. It only
 * counts; who is turned away is decided by behaviours.ts and mx.ts.
 */
import { THROTTLE } from "./behaviours.ts";

const SECOND_MS = 1_000;
/** Domains with nothing open and nothing recent are forgotten beyond it. */
const MAX_DOMAINS = 10_000;

interface Traffic {
  sessions: Set<string>;
  /** Newest last; no more than a limit's worth is needed. */
  arrivals: number[];
}

export class Throttle {
  readonly #domains = new Map<string, Traffic>();
  /** The last transaction counted for a session and domain, from 1; 0 for none. One message has many recipients. */
  readonly #counted = new Map<string, Map<string, number>>();

  /** Notes a recipient of the domain. True when the domain has too many connections, or too many messages this second. */
  isTooMuch(domain: string, session: { id: string; transaction: number }, now: number): boolean {
    const traffic = this.#of(domain);
    traffic.sessions.add(session.id);
    const counted = this.#counted.get(session.id) ?? new Map<string, number>();
    this.#counted.set(session.id, counted);
    if (!counted.has(domain)) counted.set(domain, 0);
    if (traffic.sessions.size > THROTTLE.connections) return true;
    if (counted.get(domain) === session.transaction) return false;
    traffic.arrivals = traffic.arrivals.filter((at) => at > now - SECOND_MS);
    if (traffic.arrivals.length >= THROTTLE.messagesPerSecond) return true;
    counted.set(domain, session.transaction);
    traffic.arrivals.push(now);
    return false;
  }

  closed(sessionId: string): void {
    for (const domain of this.#counted.get(sessionId)?.keys() ?? []) this.leaves(domain, sessionId);
    this.#counted.delete(sessionId);
  }

  /** A session that was turned away closes: it no longer counts. */
  leaves(domain: string, sessionId: string): void {
    this.#domains.get(domain)?.sessions.delete(sessionId);
  }

  #of(domain: string): Traffic {
    const known = this.#domains.get(domain);
    if (known) return known;
    if (this.#domains.size >= MAX_DOMAINS)
      for (const [name, { sessions }] of this.#domains) if (sessions.size === 0) this.#domains.delete(name);
    const traffic: Traffic = { sessions: new Set(), arrivals: [] };
    this.#domains.set(domain, traffic);
    return traffic;
  }
}
