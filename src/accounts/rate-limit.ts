/**
 * How many requests to the API a token may make in a minute. An Outbox counts for all Workers near it, in memory, and lends requests
 * to each Worker's isolate, more to those that come back for more: what is lent and not used is lost for that minute. A thousandth of
 * the limit an isolate has unasked, so that a token without a limit of its own costs nothing until it is used a lot.
 *
 * Cloudflare's rate limiting has one limit for all keys; weights (`delta`) could make others of it, but they are not known locally,
 * where each request would also be one of a Durable Object. Minutes are fixed: around the turn of one, two limits may be used up.
 */
const WINDOW_MS = 60_000;
/** Of the limit, how much is lent at once at most: nobody asks much more often than once a second. */
const LARGEST_PART = 1 / 60;
const UNASKED_PART = 1 / 1_000;
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

export interface LoanRequest {
  /** The token's hash. */
  token: string;
  perMinute: number;
  /** How many requests are asked for. */
  want: number;
}

/** In an Outbox: what is left of this minute, by token. */
export class RateWindows {
  #until = 0;
  readonly #left = new Map<string, number>();

  lend({ token, perMinute, want }: LoanRequest, now: number): Loan {
    if (isOver(this.#until, now)) {
      this.#left.clear();
      this.#until = endOfMinute(now);
    }
    const left = this.#left.get(token) ?? perMinute;
    const requests = Math.min(left, want);
    this.#left.set(token, left - requests);
    return { requests, forMs: this.#until - now };
  }
}

interface Lease {
  left: number;
  until: number;
  /** How many to ask for next. */
  want: number;
  /** Requests that ask just now. */
  asking: number;
  /** There is no more to be had until then. */
  isLast: boolean;
}

/** In a Worker's isolate: what it has. */
export class RateLeases {
  readonly #now: () => number;
  readonly #leases = new Map<string, Lease>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Counts a request. In how many seconds the token may ask again; 0 when it may now. Never rejects. */
  async retryAfter(
    { token, perMinute }: { token: string; perMinute: number },
    borrow: (request: LoanRequest) => Promise<Loan>,
  ): Promise<number> {
    const lease = this.#lease(token, perMinute);
    const kept = take(lease, this.#now());
    if (kept !== "none") return kept;
    // One asks for those that come after; who asks at the same time asks for itself, or together they would have it all.
    const want = lease.asking++ === 0 ? lease.want : 1;
    try {
      const { requests, forMs } = await borrow({ token, perMinute, want });
      // After a grace that another request began, counting begins anew.
      lease.left = (Number.isFinite(lease.left) ? lease.left : 0) + requests;
      lease.until = this.#now() + forMs;
      if (want === lease.want) lease.want = Math.min(2 * want, Math.ceil(perMinute * LARGEST_PART));
      lease.isLast = requests === 0;
    } catch {
      // Who lends says so in the log. Asked again only after the grace.
      lease.left = Number.POSITIVE_INFINITY;
      lease.until = this.#now() + GRACE_MS;
    } finally {
      lease.asking--;
    }
    const taken = take(lease, this.#now());
    // Others that asked at the same time used it up: there is next to nothing left.
    return taken === "none" ? 1 : taken;
  }

  /** This minute's; requests that ask at the same time share it. */
  #lease(token: string, perMinute: number): Lease {
    const now = this.#now();
    const kept = this.#leases.get(token);
    if (kept && !isOver(kept.until, now)) return kept;
    const unasked = Math.floor(perMinute * UNASKED_PART);
    const want = Math.max(1, unasked);
    const made = { left: unasked, until: endOfMinute(now), want, asking: 0, isLast: false };
    // Leases are worth a minute: who comes back after this is lent anew.
    if (this.#leases.size >= MAX_LEASES && !kept) this.#leases.clear();
    this.#leases.set(token, made);
    return made;
  }
}

function take(lease: Lease, now: number): number | "none" {
  if (lease.left >= 1) {
    lease.left--;
    return 0;
  }
  return lease.isLast ? Math.max(1, Math.ceil((lease.until - now) / 1_000)) : "none";
}

/** Also when the clock was set back: a minute that ends far ahead would be a limit that is used up for so long. */
function isOver(until: number, now: number): boolean {
  return now >= until || now < until - WINDOW_MS;
}

function endOfMinute(now: number): number {
  return (Math.floor(now / WINDOW_MS) + 1) * WINDOW_MS;
}
