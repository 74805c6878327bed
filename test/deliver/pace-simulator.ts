/**
 * A destination, consumers and Outboxes under a fake clock, around the real Pace. The mail server is a model with its own
 * limits and times when it is away; consumers may die; the object may be evicted. It checks what must hold at each step.
 */
import type { Evidence } from "../../src/deliver/evidence.ts";
import type { Answer } from "../../src/deliver/lease.ts";
import { Pace } from "../../src/deliver/pace.ts";
import type { Rule } from "../../src/deliver/providers.ts";
import { RENEW_MS } from "../../src/mail/job.ts";
import { seeded } from "./seeded.ts";

export interface Server {
  latencyMs: number;
  /** More at once, or more in one second, get 421. */
  maxConnections: number;
  maxPerSecond: number;
  /** [from, until) in which no connection can be made. */
  away: [number, number][];
}

export interface Scenario {
  seed: number;
  rule: Rule;
  server: Server;
  messages: number;
  /** Messages in one job, at most. */
  perJob: number;
  untilMs: number;
  /** Chance that a consumer dies at a step; that the object is evicted at a step. */
  deaths?: number;
  evictions?: number;
}

export interface Run {
  delivered: number;
  attempts: number;
  /** Calls of the Destination. */
  calls: number;
  /** When each message was attempted, ms. */
  attemptedAt: number[];
  doneAt: number;
  /** Not delivered when the time was over. */
  waitingAtEnd: number;
  maxUnderWay: number;
  maxLanes: number;
  broken: string[];
  pace: Pace;
}

interface Consumer {
  name: string;
  pending: number;
  underWay: number;
  lanes: number;
  evidence: Evidence[];
  renewAt: number;
  dead: boolean;
}

export function simulate(scenario: Scenario): Run {
  const { server, rule, untilMs } = scenario;
  const random = seeded(scenario.seed);
  const queue: { at: number; order: number; run(): void }[] = [];
  let now = 1_000_000;
  const end = now + untilMs;
  const start = now;
  let order = 0;
  const later = (ms: number, run: () => void) => {
    queue.push({ at: now + Math.max(0, ms), order: order++, run });
  };
  let pace = new Pace(rule, random);
  const run: Run = {
    delivered: 0,
    attempts: 0,
    calls: 0,
    attemptedAt: [],
    doneAt: 0,
    waitingAtEnd: 0,
    maxUnderWay: 0,
    maxLanes: 0,
    broken: [],
    pace,
  };
  let waiting = scenario.messages;
  let held: { until: number; admit: number } | undefined;
  let out = 0;
  let consumers = 0;
  let connected = 0;
  let lately: number[] = [];

  const handOver = () => {
    if (held && held.until > now) return;
    const room = Math.min(waiting, (held?.admit ?? 1_000) - out);
    for (let left = room; left > 0; left -= scenario.perJob) {
      const pending = Math.min(left, scenario.perJob);
      waiting -= pending;
      out += pending;
      const name = `c${consumers++}`;
      const consumer = { name, pending, underWay: 0, lanes: 0, evidence: [], renewAt: 0, dead: false };
      later(random() * 20, () => step(consumer, true));
    }
  };

  const giveBack = (consumer: Consumer, wait: NonNullable<Answer["wait"]>) => {
    if (wait.until < now) run.broken.push(`told to wait until the past (${wait.until - now} ms)`);
    if (wait.admit < 1) run.broken.push("admits nothing");
    waiting += consumer.pending;
    out -= consumer.pending;
    consumer.pending = 0;
    held = { until: wait.until, admit: wait.admit };
    later(wait.until - now, handOver);
  };

  const attemptOne = (consumer: Consumer) => {
    run.attempts++;
    run.attemptedAt.push(now - start);
    const isAway = server.away.some(([from, until]) => now - start >= from && now - start < until);
    lately = lately.filter((at) => at > now - 1_000);
    const tooMuch = connected >= server.maxConnections || lately.length >= server.maxPerSecond;
    const refused = isAway || tooMuch;
    if (!refused) {
      connected++;
      lately.push(now);
    }
    later(refused ? 5 : server.latencyMs * (0.5 + random()), () => {
      if (!refused) connected--;
      if (consumer.dead) return;
      consumer.underWay--;
      out--;
      if (!refused) {
        run.delivered++;
        run.doneAt = now - start;
        if (held) {
          held = undefined;
          handOver();
        }
      } else {
        // The Outbox's schedule, much shortened: what matters here is the Destination.
        later(60_000 * (0.9 + 0.2 * random()), () => {
          waiting++;
          handOver();
        });
      }
      const reply = tooMuch && !isAway ? { code: 421, enhanced: "4.7.0", text: "too many" } : none;
      consumer.evidence.push({
        transport: "gateway",
        result: refused ? "deferred" : "delivered",
        concerns: "destination",
        reply: refused ? reply : { code: 250, enhanced: "", text: "" },
        reason: "",
        at: now,
      });
      later(0, () => step(consumer, false));
    });
  };

  const check = () => {
    const { connections, underWay } = pace.describe(now);
    run.maxLanes = Math.max(run.maxLanes, connections.used);
    run.maxUnderWay = Math.max(run.maxUnderWay, underWay);
  };

  const step = (consumer: Consumer, first: boolean) => {
    if (consumer.dead || (!first && consumer.evidence.length === 0 && consumer.pending === 0)) return;
    if (random() < (scenario.deaths ?? 0)) {
      consumer.dead = true;
      const lost = consumer.pending + consumer.underWay;
      later(15_000, () => {
        out -= lost;
        waiting += lost;
        handOver();
      });
      return;
    }
    if (random() < (scenario.evictions ?? 0)) {
      pace = new Pace(rule, random, JSON.parse(JSON.stringify(pace.kept())));
      run.pace = pace;
    }
    run.calls++;
    const { name, lanes, underWay } = consumer;
    const evidence = consumer.evidence.splice(0);
    const ask = { claimer: name, wanted: consumer.pending };
    const answer =
      evidence.length === 0 && underWay === 0
        ? pace.lease(now, ask)
        : pace.report(now, { ...ask, evidence, underWay, lanes });
    check();
    if (answer.count > consumer.pending) run.broken.push("more than wanted");
    consumer.lanes = answer.lanes;
    consumer.pending -= answer.count;
    consumer.underWay += answer.count;
    consumer.renewAt = now + RENEW_MS;
    // The gateway's connections: messages of one lease go one after another on each.
    for (let i = 0; i < answer.count; i++) attemptOnLane(consumer, i, answer);
    if (answer.wait) giveBack(consumer, answer.wait);
    else if (consumer.pending > 0 && answer.askAgainMs > 0)
      later(answer.askAgainMs, () => step(consumer, false));
    else if (consumer.pending > 0 && consumer.underWay === 0)
      run.broken.push("told neither to begin nor to wait");
    later(RENEW_MS, () => renew(consumer));
  };

  const attemptOnLane = (consumer: Consumer, i: number, answer: Answer) => {
    const turn = Math.floor(i / Math.max(1, answer.lanes)) * server.latencyMs * 1.2;
    later(Math.max(turn, answer.firstMs + i * answer.everyMs), () => {
      if (!consumer.dead) attemptOne(consumer);
    });
  };

  const renew = (consumer: Consumer) => {
    if (consumer.dead || consumer.underWay === 0 || now < consumer.renewAt) return;
    consumer.renewAt = now + RENEW_MS;
    const { name: claimer, underWay, lanes } = consumer;
    pace.report(now, { claimer, wanted: 0, evidence: [], underWay, lanes });
    later(RENEW_MS, () => renew(consumer));
  };

  handOver();
  for (;;) {
    let next = -1;
    for (let i = 0; i < queue.length; i++) {
      const [a, b] = [queue[i], queue[next]];
      if (a && (!b || a.at < b.at || (a.at === b.at && a.order < b.order))) next = i;
    }
    const [event] = next < 0 ? [] : queue.splice(next, 1);
    if (!event || event.at > end || run.delivered >= scenario.messages) {
      run.waitingAtEnd = scenario.messages - run.delivered;
      return run;
    }
    now = event.at;
    event.run();
  }
}

const none = { code: 0, enhanced: "", text: "" };
