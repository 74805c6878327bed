/**
 * The egress: takes consignments, sends each once however often it is asked for, and bounds the connections to a domain. Where
 * a message may be sent twice: a process that dies between the final dot and the journal's line (counted as cut off; at most one for each connection), and a
 * reply that is lost after the dot (its outcome says `uncertain`, and the Worker tries again later).
 */
import type { Consignment, EgressResult } from "../../mail/egress.ts";
import type { Outcome } from "../../mail/outcome.ts";
import { noReply } from "../../smtp/reply-text.ts";
import type { Config } from "../config.ts";
import type { Metrics } from "../metrics.ts";
import { attempt } from "./attempt.ts";
import type { Journal } from "./journal.ts";
import { Pool } from "./pool.ts";
import { Routes } from "./route.ts";
import type { SmtpClient } from "./smtp-client.ts";
import { Trust } from "./trust.ts";
import { Turns } from "./turns.ts";
import { toWire } from "./wire.ts";

export interface EgressNeeds {
  config: Config;
  journal: Journal;
  metrics: Metrics;
  log(event: string, fields: Record<string, unknown>): void;
}

interface Lane {
  active: number;
  waiting: { connections: number; go(): void }[];
}

export class Egress {
  readonly #needs: EgressNeeds;
  readonly #routes: Routes;
  readonly #pool: Pool;
  readonly #trust: Trust;
  readonly #inHand = new Map<string, Promise<EgressResult>>();
  readonly #lanes = new Map<string, Lane>();
  readonly #working = new Set<SmtpClient>();
  readonly #turns = new Turns();
  #isEnding = false;

  constructor(needs: EgressNeeds) {
    this.#needs = needs;
    this.#trust = new Trust(needs.config.caFile);
    this.#routes = new Routes(needs.config);
    this.#pool = new Pool(needs.config.timeouts.idle);
  }

  get inHand(): number {
    return this.#inHand.size;
  }

  /** Never rejects. Goes on to its end whoever waits for it. */
  send(consignment: Consignment, message: Uint8Array): Promise<EgressResult> {
    const { key } = consignment;
    const joined = this.#inHand.get(key);
    if (joined) {
      this.#needs.metrics.repeats.inc({ kind: "joined" });
      return joined;
    }
    const work = this.#once(consignment, message).finally(() => this.#inHand.delete(key));
    this.#inHand.set(key, work);
    return work;
  }

  /** Waits for the work in hand; what is left after `ms` is cut off, and told so. */
  async end(ms: number): Promise<void> {
    const all = () => Promise.all(this.#inHand.values());
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms);
    });
    await Promise.race([all(), late]);
    clearTimeout(timer);
    this.#isEnding = true;
    for (const lane of this.#lanes.values()) for (const { go } of lane.waiting.splice(0)) go();
    for (const client of this.#working) client.channel.end("the gateway stops");
    // What connects just now has no client yet, and the time that is left is the supervisor's.
    await Promise.race([all(), new Promise((resolve) => setTimeout(resolve, 1_000))]);
    this.#pool.close();
  }

  async #once(consignment: Consignment, message: Uint8Array): Promise<EgressResult> {
    const { journal, metrics, log } = this.#needs;
    const { key, domain } = consignment;
    const known = journal.has(key) ? await journal.find(key) : undefined;
    if (known) {
      metrics.repeats.inc({ kind: "journal" });
      return known;
    }
    const wasCutOff = journal.wasCutOff(key);
    if (wasCutOff) log("sent again after being cut off behind the dot", { key });
    const begun = Date.now();
    const ended = await this.#attempt(consignment, message, begun);
    // This one is known, and the one before was not: there may be two copies, and who reads of one is to know it.
    const outcomes = wasCutOff ? ended.map((outcome) => ({ ...outcome, uncertain: true })) : ended;
    const result = { key, outcomes };
    // A result of our own ending says nothing of the mail, and the next process is to try.
    if (!outcomes.every((o) => o.concerns === "transport")) journal.result(result);
    for (const outcome of outcomes) {
      metrics.outcomes.inc({ result: outcome.result });
      if (outcome.uncertain) metrics.uncertain.inc();
      if (outcome.result === "delivered") continue;
      const { reply, reason, result, hop } = outcome;
      log("not delivered", {
        key,
        domain,
        result,
        code: reply.code,
        enhanced: reply.enhanced,
        reason,
        host: hop.host,
      });
    }
    metrics.seconds.observe((Date.now() - begun) / 1_000);
    return result;
  }

  async #attempt(consignment: Consignment, message: Uint8Array, begun: number): Promise<Outcome[]> {
    const { config, journal, log } = this.#needs;
    const { key, domain } = consignment;
    await this.#enter(consignment);
    try {
      await this.#turns.next();
      if (this.#isEnding) return ours(consignment, "the gateway stops");
      const deadline = begun + config.timeouts.reachDot;
      return await attempt(
        { consignment, wire: toWire(message), deadline },
        {
          config,
          routes: this.#routes,
          pool: this.#pool,
          context: this.#trust.context(),
          working: this.#working,
          dot: { turn: () => this.#turns.next(), leaves: () => journal.dot(key) },
          isEnding: () => this.#isEnding,
        },
      );
    } catch (error) {
      // A fault in our code: the mail waits, and people read of it.
      log("attempt failed", { key, error: error instanceof Error ? error.stack : String(error) });
      return ours(consignment, "a fault in the gateway");
    } finally {
      this.#leave(domain);
    }
  }

  /** Waits until the domain has a connection to spare. */
  #enter({ domain, connections }: Consignment): Promise<void> | undefined {
    const lane = this.#lanes.get(domain) ?? { active: 0, waiting: [] };
    this.#lanes.set(domain, lane);
    if (lane.active < connections && lane.waiting.length === 0) {
      lane.active++;
      return undefined;
    }
    return new Promise((go) => lane.waiting.push({ connections, go }));
  }

  #leave(domain: string): void {
    const lane = this.#lanes.get(domain);
    if (!lane) return;
    lane.active--;
    while (lane.waiting[0] && lane.active < lane.waiting[0].connections) {
      lane.active++;
      lane.waiting.shift()?.go();
    }
    if (lane.active <= 0 && lane.waiting.length === 0) this.#lanes.delete(domain);
  }
}

function ours({ recipients }: Consignment, reason: string): Outcome[] {
  return recipients.map((recipient) => ({
    recipient,
    result: "deferred",
    reply: noReply(),
    hop: { host: "", address: "", tls: "" },
    reason,
    concerns: "transport",
    uncertain: false,
    at: Date.now(),
    transcript: [],
  }));
}
