/**
 * Where opens and clicks of a server's messages are kept until the archive has them, a Durable Object: readers wait for one flush of a disk
 * near them and for no database, and what came in is recorded once, in the order in which it came, however long the archive was away.
 */
import { DurableObject } from "cloudflare:workers";
import { countedUpTo } from "../archive/count.ts";
import { jsonPacks } from "../mail/json-packs.ts";
import { within } from "../mail/within.ts";
import { type RecordSeenNeeds, recordSeen } from "./record-seen.ts";
import type { SeenFact } from "./seen-fact.ts";

export type SeenNeeds = RecordSeenNeeds;

const SCHEMA = "CREATE TABLE IF NOT EXISTS packs (number INTEGER PRIMARY KEY, facts TEXT NOT NULL)";

/** What comes within this is recorded together. */
const GATHER_MS = 1_000;
/** After a failure, doubled each time. */
const RETRY_MS = 2_000;
const MAX_RETRY_MS = 120_000;
/** Of one recording: what D1 does in a moment, and what fits into memory many times. */
const FACTS_AT_ONCE = 500;
const CHARACTERS_AT_ONCE = 2_000_000;
/** Who does not answer for so long is away: an alarm that waits for ever keeps all others of the object from coming. */
const RECORD_MS = 30_000;
/** An alarm may take 15 minutes; another goes on. */
const RUN_MS = 60_000;
/** What waits at most while the archive is away: a day of ten a second, about a gigabyte, of which an object holds ten. */
const MAX_PACKS = 1_000_000;
/** An alarm comes within moments of its time. */
const LATE_MS = 5_000;

type Numbered = SeenFact & { number: number };

export class SeenObject extends DurableObject {
  readonly #needs: SeenNeeds;
  readonly #recordMs: number;
  readonly #sql: SqlStorage;
  #waiting: SeenFact[] = [];
  #committing: Promise<void> | undefined;
  #recording: Promise<void> | undefined;
  #packs: number;
  #last: number;
  /** Nothing was left of what an earlier life of the object had numbered, and none of this one's is recorded yet. */
  #isAnew: boolean;
  #notBefore = 0;
  #retryMs = RETRY_MS;
  #alarmAt: number | undefined;

  constructor(ctx: DurableObjectState, env: object, needs: SeenNeeds, { recordMs = RECORD_MS } = {}) {
    super(ctx, env);
    this.#needs = needs;
    this.#recordMs = recordMs;
    this.#sql = ctx.storage.sql;
    this.#sql.exec(SCHEMA);
    const here = this.#sql
      .exec("SELECT count(*) AS packs, coalesce(max(number), 0) AS last FROM packs")
      .one();
    this.#packs = Number(here.packs);
    this.#last = Number(here.last);
    this.#isAnew = this.#packs === 0;
    if (this.#packs > 0)
      ctx.blockConcurrencyWhile(async () => {
        this.#alarmAt = (await ctx.storage.getAlarm()) ?? undefined;
        this.#wakeBy(needs.now() + GATHER_MS);
      });
  }

  get #serverId(): number {
    return Number(this.ctx.id.name);
  }

  /** Durable when this returns. Calls that come in one turn share a row and a flush of the disk. */
  add(facts: SeenFact[]): Promise<void> {
    if (this.#packs >= MAX_PACKS) throw new Error("too much waits for the archive");
    this.#waiting.push(...facts);
    this.#committing ??= this.#commitSoon();
    return this.#committing;
  }

  async #commitSoon(): Promise<void> {
    await scheduler.wait(0);
    this.#committing = undefined;
    const facts = this.#waiting;
    this.#waiting = [];
    const now = this.#needs.now();
    this.#packs += this.ctx.storage.transactionSync(() => this.#write(facts, now));
    this.#wakeBy(now + GATHER_MS);
  }

  /** Returns how many rows. In a transaction, for all or nothing: whoever is refused tells it to somebody else. */
  #write(facts: SeenFact[], now: number): number {
    let packs = 0;
    for (const { text } of jsonPacks(facts)) {
      // The clock's, so that a number is given once though nothing is left of what had it.
      this.#last = Math.max(now, this.#last + 1);
      this.#sql.exec("INSERT INTO packs VALUES (?, ?)", this.#last, text);
      packs++;
    }
    return packs;
  }

  /** Cron's call, each minute: wakes one whose alarm was lost. Harmless at any time. */
  async sweep(): Promise<void> {
    if (this.#packs === 0) return;
    this.#wakeBy(this.#needs.now() + GATHER_MS);
  }

  /** Runs at least once, perhaps twice. */
  override async alarm(): Promise<void> {
    this.#alarmAt = undefined;
    const { now, log } = this.#needs;
    try {
      await this.#record();
      this.#retryMs = RETRY_MS;
      this.#notBefore = 0;
    } catch (error) {
      // A thrown alarm is retried six times and then dropped; ours arms itself again, for ever.
      log("seen not recorded", { serverId: this.#serverId, error: String(error) });
      this.#notBefore = now() + this.#retryMs;
      // One that was set meanwhile, by what came in, is too soon.
      this.#alarmAt = undefined;
      this.#wakeBy(this.#notBefore);
      this.#retryMs = Math.min(this.#retryMs * 2, MAX_RETRY_MS);
      return;
    }
    if (this.#packs > 0) this.#wakeBy(now() + GATHER_MS);
  }

  /** One at a time: a second run of the same would only meet the first. */
  #record(): Promise<void> {
    this.#recording ??= this.#recordAll().finally(() => {
      this.#recording = undefined;
    });
    return this.#recording;
  }

  async #recordAll(): Promise<void> {
    const end = this.#needs.now() + RUN_MS;
    if (this.#isAnew) await this.#passCounted();
    while (this.#needs.now() < end) {
      const facts = this.#oldest();
      const upto = facts.at(-1)?.number;
      if (upto === undefined) return;
      // One that ends late, beside the next, tells the same numbers and names.
      await within(this.#recordMs, recordSeen(this.#needs, this.#serverId, facts));
      this.#packs -= this.#sql.exec("DELETE FROM packs WHERE number <= ? RETURNING 1", upto).toArray().length;
    }
  }

  /** A clock that was set back gives numbers once more, and under those that are counted nothing counts: ours begin behind them. */
  async #passCounted(): Promise<void> {
    const counted = countedUpTo(this.#needs.archive(this.#serverId), this.#serverId);
    const upto = await within(this.#recordMs, counted);
    this.#isAnew = false;
    const { first } = this.#sql.exec("SELECT coalesce(min(number), 0) AS first FROM packs").one();
    if (Number(first) > upto) return;
    // By so much that none meets another on the way.
    const by = Math.max(upto, this.#last) + 1 - Number(first);
    this.#sql.exec("UPDATE packs SET number = number + ?", by);
    this.#last += by;
  }

  /** Whole packs. */
  #oldest(): Numbered[] {
    const facts: Numbered[] = [];
    let characters = 0;
    for (const row of this.#sql.exec<{ number: number; facts: string }>(
      "SELECT number, facts FROM packs ORDER BY number LIMIT ?",
      FACTS_AT_ONCE,
    )) {
      characters += row.facts.length;
      for (const fact of JSON.parse(row.facts) as SeenFact[]) facts.push({ ...fact, number: row.number });
      if (facts.length >= FACTS_AT_ONCE || characters >= CHARACTERS_AT_ONCE) break;
    }
    return facts;
  }

  /** Setting an alarm costs a row, so only an earlier one is set; one that should have come is taken for lost. */
  #wakeBy(time: number): void {
    const at = Math.max(time, this.#notBefore);
    const isAhead = this.#alarmAt !== undefined && this.#alarmAt > this.#needs.now() - LATE_MS;
    if (isAhead && (this.#alarmAt as number) <= at) return;
    this.#alarmAt = at;
    this.ctx.storage.setAlarm(at);
  }

  /** The server is gone, and all of this with it. */
  async destroy(): Promise<void> {
    await this.ctx.storage.deleteAll();
    // Links are followed still, and a recording may be under way: both find their table, and leave nothing in it.
    this.#sql.exec(SCHEMA);
    this.#packs = 0;
    this.#alarmAt = undefined;
  }
}
