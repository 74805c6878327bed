/**
 * How fast mail goes to one destination: connections, rate, and how much may be under way. Pure: it is told the time and what
 * came of attempts, and answers what may begin. It never says that a recipient is final. When mail stops is in stops.ts, how far
 * below its rule a destination is treated in limits.ts, which way mail goes in route.ts.
 */
import { CLAIM_MS } from "../mail/job.ts";
import { replyText } from "../mail/reply.ts";
import { type Evidence, hintOf } from "./evidence.ts";
import { type Answer, type Ask, NOTHING, type Report, type Wait } from "./lease.ts";
import { type Limited, Limits } from "./limits.ts";
import type { Rule } from "./providers.ts";
import { type Detour, Detours } from "./route.ts";
import { type Stop, Stops } from "./stops.ts";
import { STAY_MS, Turns } from "./turns.ts";

/** What must outlive the object's memory; written when it changes. */
export interface Kept {
  stop?: Stop;
  limits?: Limited;
  detours: Detour[];
}

interface Lease {
  lanes: number;
  underWay: number;
  until: number;
}

/** Postfix's start (SCHEDULER_README): what an unknown destination gets before it has shown that it takes mail. */
const START_CONNECTIONS = 5;
const START_WINDOW = 20;
/** Under way at a time over all consumers, however well it goes: what a lapse would ask for again. */
const MAX_WINDOW = 2_000;
/** Speed that was learned is forgotten after so long without mail. */
const IDLE_MS = 600_000;
/** Where many are known, one without mail for so long starts anew. */
const FORGET_MS = 60_000;
const MAX_BUSY_MS = 5_000;
const RECENT = 20;
/** Who asks again and again that it be tried now is heard this often: each time is a message that it may refuse. */
const RESUME_EVERY_MS = 10_000;

export class Pace {
  #rule: Rule;
  readonly #random: () => number;
  readonly #leases = new Map<string, Lease>();
  readonly #detours: Detours;
  readonly #recent: Evidence[] = [];
  readonly #limits: Limits;
  readonly #stops: Stops;
  readonly #turns = new Turns();
  #window = START_WINDOW;
  #connections = START_CONNECTIONS;
  #lastAt = 0;
  #resumedAt = 0;
  /** Messages that it took a second, lately. */
  #speed = 0;
  #taken = 0;
  #speedAt = 0;

  constructor(rule: Rule, random: () => number, kept: Kept = { detours: [] }) {
    this.#rule = rule;
    this.#random = random;
    this.#stops = new Stops(kept.stop);
    this.#limits = new Limits(rule, kept.limits);
    this.#detours = new Detours(kept.detours);
  }

  kept(): Kept {
    return { stop: this.#stops.current, limits: this.#limits.current, detours: this.#detours.list() };
  }

  /** For people. */
  describe(now: number) {
    this.#tick(now);
    const { lanes, underWay } = this.#used();
    return {
      state: this.#stops.state(now),
      stop: this.#stops.current,
      limits: this.#limits.current,
      detours: this.#detours.list(),
      connections: { used: lanes, allowed: this.#allowed() },
      perSecond: Math.min(this.#limits.rate(), 1_000_000),
      underWay,
      window: this.#window,
      recent: [...this.#recent],
    };
  }

  /** Nothing is under way, and nothing that was learned is worth its memory. */
  isIdle(now: number): boolean {
    return this.#leases.size === 0 && now - this.#lastAt > FORGET_MS;
  }

  /** The rule that holds from now on: a domain's MX hosts tell it only once one has answered. */
  follow(rule: Rule): void {
    this.#rule = rule;
    this.#limits.follow(rule);
  }

  /** Somebody says that it is worth trying now. Waits are over; what was learned is not. */
  resume(now: number): void {
    this.#tick(now);
    if (Math.abs(now - this.#resumedAt) < RESUME_EVERY_MS) return;
    this.#resumedAt = now;
    this.#stops.resume(now);
    this.#limits.resume(now);
    this.#detours.resume(now);
  }

  lease(now: number, { claimer, wanted }: Ask): Answer {
    this.#tick(now);
    if (!this.#leases.has(claimer))
      this.#leases.set(claimer, { lanes: 0, underWay: 0, until: now + CLAIM_MS });
    return this.#answer(now, claimer, wanted);
  }

  /** Learns what came of attempts, renews the lease, and says what more may begin. With nothing left it ends the lease. */
  report(now: number, { claimer, wanted, evidence, underWay, lanes }: Report): Answer {
    this.#tick(now);
    // One message uses one connection: what others of the lease had is free.
    this.#leases.set(claimer, { lanes: Math.min(lanes, underWay), underWay, until: now + CLAIM_MS });
    for (const one of evidence) this.#learn(one, claimer, now);
    if (wanted === 0 && underWay === 0) {
      this.#end(claimer);
      return { ...NOTHING, avoid: this.#detours.avoided() };
    }
    return this.#answer(now, claimer, wanted);
  }

  #answer(now: number, claimer: string, wanted: number): Answer {
    const lease = this.#leases.get(claimer);
    if (!lease) throw new Error(`no lease of ${claimer}`);
    const answer: Answer = {
      ...NOTHING,
      lanes: lease.lanes,
      connections: this.#allowed(),
      avoid: this.#detours.avoided(),
    };
    if (wanted === 0) return answer;
    const wait =
      this.#stopped(now, claimer) ?? this.#paused(now, answer) ?? this.#begin(now, wanted, lease, answer);
    if (wait) {
      answer.wait = wait;
      if (lease.underWay === 0) this.#end(claimer);
      return answer;
    }
    if (answer.count > 0 && answer.avoid.length > 0) answer.trial = this.#detours.takeTrial(now);
    return answer;
  }

  /** While it is stopped nothing begins, but for one probe when the time has come. */
  #stopped(now: number, claimer: string): Wait | undefined {
    const stop = this.#stops.current;
    if (!stop) return undefined;
    const reason = sinceWhen(stop.reason, "stopped", stop.since);
    // Those that wait come back a little apart, or they would all ask for the one probe.
    if (now < stop.until) return { until: Math.round(stop.until + this.#random() * 2_000), reason, admit: 1 };
    // Whoever has something under way tries it already, or began before it stopped, and its failures would be taken for the try's.
    const isAtIt = (this.#leases.get(claimer)?.underWay ?? 0) > 0;
    if (isAtIt) return { until: now + MAX_BUSY_MS, reason, admit: 1 };
    if (this.#stops.takeProbe(claimer)) return undefined;
    return { until: now + MAX_BUSY_MS, reason: `${reason}; one message is trying it`, admit: 1 };
  }

  #paused(now: number, answer: Answer): Wait | undefined {
    const paused = this.#limits.paused(now);
    if (!paused) return undefined;
    const { pausedUntil: until, connections } = paused;
    const reason = sinceWhen(paused.reason, "slowed down", paused.since ?? paused.at);
    if (until - now > STAY_MS) return { until, reason, admit: connections };
    answer.askAgainMs = until - now;
    return undefined;
  }

  /** Grants half of what is free, so that a flood leaves room for one password reset. */
  #begin(now: number, wanted: number, lease: Lease, answer: Answer): Wait | undefined {
    if (answer.askAgainMs > 0) return undefined;
    // The one message that tries it waits for none that was begun before: that may hang until long after the destination is back.
    const isStopped = this.#stops.current !== undefined;
    const used = isStopped ? { lanes: 0, underWay: 0 } : this.#used();
    if (isStopped) answer.connections = Math.max(answer.connections, this.#used().lanes + 1);
    const allowed = isStopped ? 1 : this.#allowed();
    const free = Math.max(0, allowed - used.lanes);
    const share = Math.max(1, Math.floor(allowed / 2), Math.ceil(free / 2));
    lease.lanes += Math.max(
      0,
      Math.min(Math.ceil(free / 2), wanted + lease.underWay - lease.lanes, share - lease.lanes),
    );
    answer.lanes = lease.lanes;
    const window = isStopped ? 1 : this.#window;
    const room = lease.lanes === 0 ? 0 : Math.ceil(Math.max(0, window - used.underWay) / 2);
    const rate = this.#limits.rate();
    answer.count = Math.min(wanted, room, this.#turns.free(now, rate));
    lease.underWay += answer.count;
    Object.assign(answer, this.#turns.take(now, rate, answer.count));
    if (answer.count === wanted || lease.underWay > 0) return undefined;
    if (room > 0)
      return {
        until: now + STAY_MS / 2,
        reason: `${rate} messages a second at most`,
        admit: this.#admit(),
      };
    const reason = `${used.lanes} of ${allowed} connections busy`;
    return { until: now + this.#drainMs(used.underWay), reason, admit: this.#admit() };
  }

  #learn(evidence: Evidence, claimer: string, now: number): void {
    const hint = hintOf(evidence);
    // Without a reply, its status is what we found out ourselves, and the reason says it in words.
    const said = [replyText(evidence.reply), evidence.reply.code > 0 ? "" : evidence.reason]
      .filter(Boolean)
      .join(" ");
    if (evidence.result === "delivered") this.#taken++;
    if (hint === "nothing") {
      this.#stops.leaveProbe(claimer);
      // The sandbox says nothing of a mail server, but it bears as much as one gives it.
      if (evidence.transport === "sandbox") this.#window = Math.min(MAX_WINDOW, this.#window + 1);
      return;
    }
    if (this.#recent.push(evidence) > RECENT) this.#recent.shift();
    if (hint === "ok") this.#succeed(evidence, claimer, now);
    else if (hint === "transport") {
      this.#detours.fails(evidence.transport, "away", said, now);
      this.#stops.leaveProbe(claimer);
    } else if (hint === "blocked") {
      const begins = this.#detours.fails(evidence.transport, "blocked", said, now);
      // By another transport it may go at once: what this one met says nothing about that. And who refuses what tried it is not down.
      if (begins || this.#stops.isProber(claimer)) this.#open();
      if (!begins && evidence.result === "deferred") this.#slowDown(said, now);
    } else if (hint === "slow") this.#slowDown(said, now);
    else this.#fail(said, claimer, now);
  }

  #succeed(evidence: Evidence, claimer: string, now: number): void {
    if (this.#stops.answers(claimer)) this.#open();
    if (evidence.result !== "delivered") return;
    this.#detours.works(evidence.transport);
    this.#window = Math.min(MAX_WINDOW, this.#window + 1);
    this.#connections = Math.min(this.#rule.connections, this.#connections + 0.25);
    this.#limits.taken(now);
  }

  #fail(reason: string, claimer: string, now: number): void {
    this.#window = Math.max(START_WINDOW, Math.floor(this.#window / 2));
    this.#stops.fails(reason, claimer, now);
  }

  #slowDown(reason: string, now: number): void {
    if (this.#limits.paused(now)) return;
    this.#limits.slowDown(reason, now, { allowed: this.#allowed(), speed: this.#speed });
    this.#window = START_WINDOW;
    // It answered, so it is not down.
    if (this.#stops.isProbing) this.#open();
  }

  /** It takes mail again: from a small start. */
  #open(): void {
    this.#stops.open();
    this.#window = START_WINDOW;
    this.#connections = START_CONNECTIONS;
  }

  #end(claimer: string): void {
    this.#leases.delete(claimer);
    this.#stops.leaveProbe(claimer);
  }

  #allowed(): number {
    const learned = Math.floor(Math.min(this.#connections, this.#rule.connections));
    return Math.max(1, this.#limits.connections(learned));
  }

  #used(): { lanes: number; underWay: number } {
    let lanes = 0;
    let underWay = 0;
    for (const lease of this.#leases.values()) {
      lanes += lease.lanes;
      underWay += lease.underWay;
    }
    return { lanes, underWay };
  }

  /** How long until about half of what is under way has ended, give or take: not everybody comes back at once. */
  #drainMs(underWay: number): number {
    const ms = this.#speed > 0 ? (underWay / 2 / this.#speed) * 1_000 : 1_000;
    return Math.round(Math.min(Math.max(ms, 300), MAX_BUSY_MS) * (0.75 + this.#random() / 2));
  }

  /** What may come back at once: about what it can take meanwhile, for the rest would only be sent home again. */
  #admit(): number {
    const seconds = STAY_MS / 1_000;
    const lately = Math.max(this.#allowed() * 2, Math.floor(this.#speed * 1.5 * seconds));
    return Math.max(1, Math.min(this.#window, lately, Math.floor(this.#limits.rate() * seconds)));
  }

  /** Time passes: leases lapse, what was learned grows old. */
  #tick(now: number): void {
    // A clock that was wrong for a while must not hold mail: nothing is due later than we could have said.
    for (const [claimer, { until }] of this.#leases)
      if (until <= now || until > now + CLAIM_MS) this.#end(claimer);
    this.#stops.tick(now);
    this.#limits.tick(now);
    this.#turns.tick(now);
    if (now - this.#lastAt > IDLE_MS) {
      this.#window = START_WINDOW;
      this.#connections = START_CONNECTIONS;
    }
    this.#lastAt = now;
    if (now - this.#speedAt < 1_000) return;
    const lately = (this.#taken * 1_000) / Math.max(1_000, now - this.#speedAt);
    this.#speed = this.#speedAt === 0 ? lately : (this.#speed + lately) / 2;
    this.#taken = 0;
    this.#speedAt = now;
  }
}

/** For people: "connection refused; stopped since 2026-11-25 12:00 UTC". */
function sinceWhen(reason: string, state: string, since: number): string {
  return `${reason}; ${state} since ${new Date(since).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}
