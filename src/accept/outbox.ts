/**
 * The Outbox, a Durable Object: where an accepted message lives until R2, D1 and its recipients' mail servers have it. One transaction
 * here is the `200`. It alone says whether a recipient is final, grants claims, and keeps the schedule of
 * retries, so that queues and consumers may lose or repeat what they like. This file is its calls; the work is in commit.ts,
 * hand-over.ts, flush.ts and the pure files beside them.
 */
import { DurableObject } from "cloudflare:workers";
import type { ServerPolicy } from "../accounts/policy.ts";
import { type Loan, type LoanRequest, RateWindows } from "../accounts/rate-limit.ts";
import type { MessageFilter } from "../archive/filter.ts";
import type { MessagePage } from "../archive/page.ts";
import { type PendingNow, pendingOf, QUIET_MS } from "../archive/pending.ts";
import type { ToErase } from "../mail/erasure.ts";
import type { Claim, Hold, JobRef, OutboxPort, Settlement } from "../mail/job.ts";
import { CLAIM_MS } from "../mail/job.ts";
import type { MessageRecord } from "../mail/record.ts";
import type { WaitingDomain } from "../mail/waiting.ts";
import { endsWithin } from "../mail/within.ts";
import { claimGroups } from "./claim.ts";
import { Commits, FLUSH_EVERY_MS } from "./commit.ts";
import { cancelMeant, forgetMeant, largeObjects } from "./erase.ts";
import { Flush } from "./flush.ts";
import { HandOver } from "./hand-over.ts";
import { KnownServer } from "./known-server.ts";
import { Ledger, type LedgerReport } from "./ledger.ts";
import type { AcceptReply, AcceptRequest, OutboxNeeds, SuppressionChange } from "./needs.ts";
import { messageVersion, toRecord } from "./pack.ts";
import { Resumed } from "./resumed.ts";
import { expireGroups, settleAll } from "./settle.ts";
import { Shelf } from "./shelf.ts";
import { Store } from "./store.ts";

/** Finding old answers reads them all. */
const FORGET_EVERY_MS = 3_600_000;
/** An alarm comes within moments of its time. */
const LATE_MS = 5_000;
/** So long an alarm stays with a flush. */
const STAY_MS = 2_000;
/** What lists merge with the archive at most: more is only unflushed when the archive is away. */
const MAX_PENDING = 5_000;
/** Domains that are told of at once, those with the most mail first: as far as a list can be paged. */
const MAX_DOMAINS = 10_000;

export class OutboxObject extends DurableObject implements OutboxPort {
  readonly #needs: OutboxNeeds;
  readonly #store: Store;
  readonly #shelf: Shelf;
  readonly #ledger: Ledger;
  readonly #commits: Commits;
  readonly #handOver: HandOver;
  readonly #flush: Flush;
  readonly #server: KnownServer;
  readonly #rates = new RateWindows();
  readonly #resumed = new Resumed();
  #alarmAt: number | undefined;
  #flushing: Promise<void> | undefined;
  #forgotAt = 0;

  constructor(ctx: DurableObjectState, env: object, needs: OutboxNeeds) {
    super(ctx, env);
    this.#needs = needs;
    this.#store = new Store(ctx.storage);
    this.#shelf = new Shelf(this.#store, needs.now());
    this.#ledger = new Ledger(this.#store, this.#shelf);
    this.#server = new KnownServer(this.#store, needs, ctx.id.name);
    this.#handOver = new HandOver(this.#shelf, this.#server, needs);
    this.#flush = new Flush(this.#store, this.#shelf, this.#server, needs);
    const committed = (due: number) => this.#afterCommit(due);
    this.#commits = new Commits(this.#store, this.#shelf, committed, needs.now);
    // A restart may have lost the hand-overs that were under way; the sweep and the alarm bring them back.
    if (this.#shelf.lines.size > 0 || this.#flush.due() !== undefined)
      ctx.blockConcurrencyWhile(async () => {
        this.#alarmAt = (await ctx.storage.getAlarm()) ?? undefined;
        this.#wakeBy(Math.max(this.#nextWake() ?? 0, needs.now()));
      });
  }

  /** Takes messages: durable when this returns. The same idempotency key gives the first answer again for 24 hours. */
  async accept(request: AcceptRequest): Promise<AcceptReply> {
    this.#server.shard = request.shard;
    if (this.#store.isClosed) throw new Error("the server of this Outbox was deleted");
    return this.#commits.accept(request);
  }

  /** The server's policy: fresh to half a minute, or as it was last known when the directory is away. */
  async policy(shard: string): Promise<ServerPolicy | undefined> {
    this.#server.shard = shard;
    return this.#server.policy();
  }

  /** The server, its tokens or its streams were changed. */
  async policyChanged(): Promise<void> {
    this.#server.expire();
  }

  /** Lends a token's requests to the API, whose minute is counted here. */
  async lend(request: LoanRequest): Promise<Loan> {
    return this.#rates.lend(request, this.#needs.now());
  }

  async claim(refs: JobRef[], claimer: string): Promise<{ claims: Claim[]; gone: JobRef[] }> {
    if (this.#store.isClosed) return { claims: [], gone: refs };
    const policy = await this.#server.policy();
    if (!policy) throw new Error("the server of this Outbox is not known yet");
    const context = { policy, store: this.#store, shelf: this.#shelf, needs: this.#needs };
    const granted = await claimGroups(refs, claimer, context);
    // Whoever dies with it is missed when it lapses, and not when the job would have been.
    if (granted.claims.length > 0) this.#wakeBy(this.#needs.now() + CLAIM_MS);
    return granted;
  }

  async renew(refs: JobRef[], claimer: string): Promise<void> {
    if (this.#shelf.lines.renew(refs, claimer, this.#needs.now())) this.#store.claimsBegin();
  }

  async settle(settlements: Settlement[]): Promise<void> {
    const now = this.#needs.now();
    const due = settleAll(settlements, {
      store: this.#store,
      shelf: this.#shelf,
      now,
      random: this.#needs.random,
    });
    this.#wakeBy(now + FLUSH_EVERY_MS);
    if (due !== undefined) this.#wakeBy(due);
    this.#handOn();
  }

  async hold(holds: Hold[]): Promise<void> {
    for (const hold of holds) {
      this.#shelf.lines.hold(hold);
      this.#wakeBy(hold.until);
    }
  }

  async changeSuppressions(changes: SuppressionChange[]): Promise<void> {
    this.#store.changeSuppressions(changes);
  }

  /**
   * Cancels and forgets; returns the ids of the messages that are left, since an attempt at them is under way, others wait for them, or
   * the archive does not have them yet: to be called again. A server that is deleted accepts nothing from now on.
   */
  async erase(erase: ToErase): Promise<string[]> {
    const { now, deleteObjects } = this.#needs;
    const { what } = erase;
    if (what.kind === "server") this.#store.close();
    if (what.kind === "person") this.#store.forgetInAnswers(what.email);
    cancelMeant(this.#shelf, erase, now());
    this.#wakeBy(now() + FLUSH_EVERY_MS);
    await this.#runFlush();
    const large = what.kind === "server" ? largeObjects(this.#shelf, erase) : [];
    if (large.length > 0) await deleteObjects(large);
    // Another may have begun meanwhile.
    while (this.#flushing) await this.#flushing;
    return forgetMeant(this.#shelf, erase, { now: now(), deleted: new Set(large) });
  }

  /** The last step when its server is deleted, once nothing of it is left and nobody can know its tokens any more. */
  async destroy(): Promise<void> {
    if (!this.#store.isClosed || this.#shelf.size > 0) throw new Error("this Outbox still holds messages");
    await this.ctx.storage.deleteAll();
    this.#alarmAt = undefined;
    this.#store.beginAgain();
  }

  /** A message that is still here, with its bytes as sent when they are. */
  async find(messageId: string): Promise<{ record: MessageRecord; raw?: Uint8Array } | undefined> {
    const found = this.#shelf.find(messageId);
    if (!found) return undefined;
    const record = this.#record(found);
    const { body } = found.message;
    // A large message is not in the row: until its segment is written, R2 has it unsigned.
    const isLoose = "large" in body && !found.progress.segment;
    const raw = isLoose ? await this.#needs.getObject(body.large) : this.#shelf.bytes(found);
    return raw ? { record, raw } : { record };
  }

  /** Those of the messages that are still here. */
  async records(messageIds: string[]): Promise<MessageRecord[]> {
    return messageIds.flatMap((id) => {
      const found = this.#shelf.find(id);
      return found ? [this.#record(found)] : [];
    });
  }

  /** What the archive does not have yet, or has an older version of, as a page of a list needs it. */
  async pending(filter: MessageFilter, page: MessagePage): Promise<PendingNow> {
    const pending = pendingOf(this.#behind(), filter, page);
    const isQuiet = pending.ids.length === 0 && this.#needs.now() - this.#flush.archivedAt > QUIET_MS;
    return { ...pending, isQuiet };
  }

  *#behind(): Generator<MessageRecord> {
    let count = 0;
    for (const found of this.#shelf.dirtyNewestFirst()) {
      if (found.progress.archived >= messageVersion(found.progress)) continue;
      if (++count > MAX_PENDING) return;
      yield this.#record(found);
    }
  }

  /**
   * Domains that mail here waits for. Of these only, when they are given, and then with the reason of a message's own where there is
   * no other: it is read from the message's pack, which is too much work for all domains.
   */
  async waiting(only?: string[]): Promise<WaitingDomain[]> {
    const found = this.#shelf.lines.waiting(this.#needs.now(), only && new Set(only));
    const most = found.sort((a, b) => b.waiting - a.waiting).slice(0, MAX_DOMAINS);
    return most.map(({ next, ...domain }) => {
      const reason = only && domain.reason === undefined ? this.#reasonOf(next) : undefined;
      return reason === undefined ? domain : { ...domain, reason };
    });
  }

  #reasonOf({ messageId, domain }: JobRef): string | undefined {
    const found = this.#shelf.find(messageId);
    const group = found?.message.groups.findIndex((g) => g.domain === domain) ?? -1;
    return found?.progress.groups[group]?.recipients.find((r) => r.state === "waiting")?.reason;
  }

  /** Somebody says that these domains are worth trying now. */
  async resume(domains: string[]): Promise<void> {
    const now = this.#needs.now();
    this.#shelf.lines.resume(this.#resumed.news(domains, now), now);
    this.#handOn();
  }

  async ledger(): Promise<LedgerReport> {
    return this.#ledger.report(this.#needs.now());
  }

  /** Cron's call, each minute: wakes an Outbox whose alarm was lost. Harmless at any time. */
  async sweep(): Promise<void> {
    const wake = this.#nextWake();
    if (wake !== undefined) this.#wakeBy(Math.max(wake, this.#needs.now()));
  }

  /** Runs at least once, perhaps twice: each step looks at what is still to be done. */
  override async alarm(): Promise<void> {
    this.#alarmAt = undefined;
    const now = this.#needs.now();
    try {
      if (now - this.#forgotAt > FORGET_EVERY_MS) {
        this.#forgotAt = now;
        this.#store.forgetAnswers(now);
      }
      expireGroups(this.#shelf.lines.lapse(now), this.#shelf, now);
      // Neither waits for the other: a queue that does not answer keeps no mail from the archive, nor a slow archive any mail that is due.
      this.#handOn();
      await this.#flushAWhile();
    } catch (error) {
      // A thrown alarm is retried six times and then dropped; ours arms itself again below, for ever.
      this.#needs.log("outbox alarm failed", { shard: this.#server.shard, error: String(error) });
    }
    const wake = this.#nextWake();
    if (wake !== undefined) this.#wakeBy(wake);
  }

  #handOn(): void {
    const run = this.#handOver.run().then((again) => {
      if (again !== undefined) this.#wakeBy(again);
    });
    this.ctx.waitUntil(run);
  }

  /** One at a time: whoever comes meanwhile waits for the same. */
  #runFlush(): Promise<void> {
    this.#flushing ??= this.#flush.run().finally(() => {
      this.#flushing = undefined;
    });
    return this.#flushing;
  }

  /** The alarm stays with the flush until it ends, as it mostly does at once, or goes on beside it: no other alarm comes before this one's end. */
  async #flushAWhile(): Promise<void> {
    const flushing = this.#runFlush();
    if (!(await endsWithin(STAY_MS, flushing))) this.ctx.waitUntil(flushing);
  }

  #record(found: Parameters<Shelf["bytes"]>[0]): MessageRecord {
    const why = (ref: JobRef) => this.#shelf.lines.why(ref, this.#needs.now());
    return toRecord(this.#server.serverId, found.message, found.progress, why);
  }

  #afterCommit(flushAt: number): void {
    this.#wakeBy(flushAt);
    this.#handOn();
  }

  #nextWake(): number | undefined {
    const now = this.#needs.now();
    const line = this.#handOver.wakeAt(now);
    // The flush that is under way takes what is due; should it end with the object, this alarm begins another.
    const flush = this.#flushing ? now + STAY_MS : this.#flush.due();
    if (line === undefined || flush === undefined) return line ?? flush;
    return Math.min(line, flush);
  }

  /** Setting an alarm costs a row, so only an earlier one is set; one that should have come is taken for lost. */
  #wakeBy(at: number): void {
    const isAhead = this.#alarmAt !== undefined && this.#alarmAt > this.#needs.now() - LATE_MS;
    if (isAhead && (this.#alarmAt as number) <= at) return;
    this.#alarmAt = at;
    this.ctx.storage.setAlarm(at);
  }
}
