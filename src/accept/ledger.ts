/** An Outbox's account of its recipients: counts as stored, checked against each other and against who stands in line. */
import type { Shelf } from "./shelf.ts";
import type { Store } from "./store.ts";

/** Anybody may ask, and each message is looked at: that is to take a small part of the time, however often and of however many. */
const REST_MS_PER_MESSAGE = 0.4;
/** To look at so few takes no longer than any request. */
const FEW = 1_000;

export interface LedgerReport {
  accepted: number;
  waiting: number;
  delivered: number;
  bounced: number;
  expired: number;
  suppressed: number;
  cancelled: number;
  /** Recipients that were accepted and are in no state, or wait and stand in no line: 0, or something is lost. */
  drift: number;
  oldestWaitingAt?: number;
}

export class Ledger {
  readonly #store: Store;
  readonly #shelf: Shelf;
  #last: { at: number; report: LedgerReport } | undefined;

  constructor(store: Store, shelf: Shelf) {
    this.#store = store;
    this.#shelf = shelf;
  }

  /** Of an Outbox that holds many messages, it may be as old as a minute. */
  report(now: number): LedgerReport {
    const { size } = this.#shelf;
    const rest = size <= FEW ? 0 : size * REST_MS_PER_MESSAGE;
    if (this.#last && Math.abs(now - this.#last.at) < rest) return this.#last.report;
    const report = this.#look();
    this.#last = { at: now, report };
    return report;
  }

  #look(): LedgerReport {
    const { accepted, counts, oldestWaitingAt } = this.#store.ledger();
    const { waiting, delivered, bounced, expired, suppressed, cancelled } = counts;
    const unaccounted = accepted - waiting - delivered - bounced - expired - suppressed - cancelled;
    const drift = Math.abs(unaccounted) + this.#shelf.waitingWithoutLine();
    return { accepted, waiting, delivered, bounced, expired, suppressed, cancelled, drift, oldestWaitingAt };
  }
}
