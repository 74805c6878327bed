/**
 * Hands what is ready to the queue. A job that the queue loses is handed over again by the lines' patience, so a failure
 * here costs time only: it backs off, and the alarm comes back.
 */
import type { DeliveryJob, JobRef } from "../mail/job.ts";
import { within } from "../mail/within.ts";
import type { KnownServer } from "./known-server.ts";
import type { OutboxNeeds } from "./needs.ts";
import type { Shelf } from "./shelf.ts";

/** A queue message is billed per 64 KB, and a reference takes about 100 bytes. */
const REFS_PER_JOB = 100;
const REFS_PER_RUN = 2_000;
const MAX_BACK_OFF_MS = 30_000;
/** A queue takes a run in milliseconds; one that takes none of it in this time is asked about at every such wake. */
const RUN_MS = 1_000;
/** What it has not taken by then it is offered again. */
const SEND_MS = 30_000;

export class HandOver {
  readonly #shelf: Shelf;
  readonly #server: KnownServer;
  readonly #needs: OutboxNeeds;
  #running: Promise<number | undefined> | undefined;
  #again = false;
  #failures = 0;
  #notBefore = 0;

  constructor(shelf: Shelf, server: KnownServer, needs: OutboxNeeds) {
    this.#shelf = shelf;
    this.#server = server;
    this.#needs = needs;
  }

  /** One run at a time: what becomes ready meanwhile goes together in the next. Says when to come again, if the queue took nothing. */
  run(): Promise<number | undefined> {
    if (this.#running) {
      this.#again = true;
      return this.#running;
    }
    this.#running = this.#loop().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  wakeAt(now: number): number | undefined {
    const at = this.#shelf.lines.wakeAt(now);
    if (at === undefined) return undefined;
    // What is ready while a run is under way is that one's affair.
    return Math.max(at, this.#notBefore, this.#running ? now + RUN_MS : 0);
  }

  async #loop(): Promise<number | undefined> {
    do {
      this.#again = false;
      const now = this.#needs.now();
      if (now < this.#notBefore) return this.#notBefore;
      const refs = this.#shelf.lines.handOver(now, REFS_PER_RUN);
      if (refs.length === 0) continue;
      try {
        await within(SEND_MS, this.#needs.send(this.#jobs(refs)));
        this.#failures = 0;
        this.#again ||= refs.length === REFS_PER_RUN;
      } catch (error) {
        // Perhaps the queue has some of them: claims make a second hand-over harmless.
        this.#shelf.lines.handBack(refs);
        this.#failures++;
        this.#notBefore = now + Math.min(500 * 2 ** this.#failures, MAX_BACK_OFF_MS);
        this.#needs.log("hand-over failed", {
          shard: this.#server.shard,
          refs: refs.length,
          error: String(error),
        });
        return this.#notBefore;
      }
    } while (this.#again);
    return undefined;
  }

  #jobs(refs: JobRef[]): DeliveryJob[] {
    const jobs: DeliveryJob[] = [];
    for (let i = 0; i < refs.length; i += REFS_PER_JOB)
      jobs.push({ v: 1, shard: this.#server.shard, refs: refs.slice(i, i + REFS_PER_JOB) });
    return jobs;
  }
}
