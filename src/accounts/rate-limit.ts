/**
 * How many requests a token may make in a minute. An Outbox counts for all Workers near it, in memory, and lends each Worker's isolate
 * a sixtieth of the limit at a time: a request costs nothing but one in so many, and a token never gets more than its limit there.
 * Cloudflare's own rate limiting knows one limit for all keys, and none that each token could have for itself.
 *
 * Minutes are fixed (RFC 6585 §4 leaves the counting to us): around the turn of one, two limits may be used up in a short time.
 */
const WINDOW_MS = 60_000;
/** So many times a minute, and an isolate, an Outbox is asked about a token at most. */
const PARTS = 60;
/** When the Outbox does not answer, so long goes each request without being counted: limits protect, and must not fail anybody. */
const GRACE_MS = 1_000;
/** Of tokens: some kB. */
const MAX_LEASES = 2_000;

export interface Loan {
  /** 0 when the limit is used up. */
  requests: number;
  /** How much of the minute is left; a time of day would be that of another clock. */
  forMs: number;
}

/** In an Outbox: what is left of this minute, by token. */
export class RateWindows {
  #until = 0;
  readonly #left = new Map<string, number>();

  lend(token: string, perMinute: number, now: number): Loan {
    if (now >= this.#until) {
      this.#left.clear();
      this.#until = (Math.floor(now / WINDOW_MS) + 1) * WINDOW_MS;
    }
    const left = this.#left.get(token) ?? perMinute;
    const requests = Math.min(left, Math.ceil(perMinute / PARTS));
    this.#left.set(token, left - requests);
    return { requests, forMs: this.#until - now };
  }
}

interface Lease {
  left: number;
  until: number;
  /** There is no more to be had until then. */
  isLast: boolean;
}

/** In a Worker's isolate: what it was lent. */
export class RateLeases {
  readonly #now: () => number;
  readonly #leases = new Map<string, Lease>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Counts a request. In how many seconds the token may ask again; 0 when it may now. Never rejects. */
  async retryAfter(token: string, borrow: () => Promise<Loan>): Promise<number> {
    const kept = this.#take(token);
    if (kept !== "none") return kept;
    try {
      this.#add(token, await borrow());
    } catch {
      // Limits protect, and must not fail anybody: what nobody counts may go on. Who lends says so in the log.
      this.#put(token, { left: Number.POSITIVE_INFINITY, until: this.#now() + GRACE_MS, isLast: false });
    }
    const taken = this.#take(token);
    // Requests that asked at the same time may have used it up already, by a limit that is all but reached.
    return taken === "none" ? 1 : taken;
  }

  #take(token: string): number | "none" {
    const lease = this.#leases.get(token);
    const now = this.#now();
    if (!lease || now >= lease.until) return "none";
    if (lease.left >= 1) {
      lease.left--;
      return 0;
    }
    return lease.isLast ? Math.ceil((lease.until - now) / 1000) : "none";
  }

  /** To what others brought that asked at the same time. */
  #add(token: string, { requests, forMs }: Loan): void {
    const now = this.#now();
    const before = this.#leases.get(token);
    const left = before && now < before.until && Number.isFinite(before.left) ? before.left : 0;
    this.#put(token, { left: left + requests, until: now + forMs, isLast: requests === 0 });
  }

  #put(token: string, lease: Lease): void {
    // Leases last a minute: who comes back after this is lent anew.
    if (this.#leases.size >= MAX_LEASES && !this.#leases.has(token)) this.#leases.clear();
    this.#leases.set(token, lease);
  }
}
