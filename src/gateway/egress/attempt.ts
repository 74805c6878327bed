/**
 * One attempt: a message, its recipients at one domain, and the hosts that may take it, tried in their order until one gives an
 * answer about the message. Never rejects; a fault of ours is an outcome that concerns the transport.
 */
import { isIPv6 } from "node:net";
import type { SecureContext } from "node:tls";
import type { Consignment } from "../../mail/egress.ts";
import type { NextHop, Outcome } from "../../mail/outcome.ts";
import type { Exchange, Reply } from "../../mail/reply.ts";
import { type Meaning, meaning, type Stage } from "../../smtp/meaning.ts";
import { noReply } from "../../smtp/reply-text.ts";
import { exchange, transcriptFor } from "../../smtp/transcript.ts";
import type { Config } from "../config.ts";
import type { Pool } from "./pool.ts";
import type { MxHost, Routes } from "./route.ts";
import { type Ending, SessionFailed, SmtpClient, type TlsWish } from "./smtp-client.ts";
import type { Dot } from "./transaction.ts";
import type { Wire } from "./wire.ts";

/** As Postfix has them: smtp_mx_address_limit and smtp_mx_session_limit. */
const MAX_ADDRESSES = 5;
const MAX_SESSIONS = 2;

export interface AttemptNeeds {
  config: Config;
  routes: Routes;
  pool: Pool;
  context: SecureContext;
  /** Clients that work, so that they can be ended when the process must. */
  working: Set<SmtpClient>;
  dot: Dot;
  /** The process stops: nothing new is begun, and what is cut off is not the destination's fault. */
  isEnding(): boolean;
}

export interface Task {
  consignment: Consignment;
  wire: Wire;
  /** Milliseconds since the epoch: by then the final dot has left, or it is over. */
  deadline: number;
}

interface Candidate {
  host: string;
  address: string;
  preference: number;
}

export async function attempt(task: Task, needs: AttemptNeeds): Promise<Outcome[]> {
  const { consignment } = task;
  const route = await needs.routes.find(consignment.domain);
  if ("end" in route) {
    const told: Told = { meaning: route.end, reply: route.reply, reason: route.reason, uncertain: false };
    return consignment.recipients.map((r) => outcomeOf(r, told, NO_HOP, []));
  }
  const tls: TlsWish = route.mustBeVerified || consignment.tls === "require" ? "verified" : "opportunistic";
  return new Attempt(task, needs, tls).run(candidatesOf(route.hosts, needs.pool));
}

const NO_HOP: NextHop = { host: "", address: "", tls: "" };

/** RFC 5321 §5.1: by preference, and at random among equals; one with an idle connection first among these. */
export function candidatesOf(hosts: MxHost[], pool: Pick<Pool, "has">): Candidate[] {
  return hosts
    .flatMap(({ host, preference, addresses }) =>
      addresses.map((address) => ({
        host,
        address,
        preference,
        rank: Math.random() - (pool.has(host, address) ? 1 : 0),
      })),
    )
    .toSorted((a, b) => a.preference - b.preference || a.rank - b.rank);
}

class Attempt {
  readonly #task: Task;
  readonly #needs: AttemptNeeds;
  readonly #tls: TlsWish;
  readonly #log: Exchange[] = [];
  #sessions = 0;

  constructor(task: Task, needs: AttemptNeeds, tls: TlsWish) {
    this.#task = task;
    this.#needs = needs;
    this.#tls = tls;
  }

  async run(candidates: Candidate[]): Promise<Outcome[]> {
    const { recipients } = this.#task.consignment;
    const ended = new Map<string, Result>();
    let addresses = 0;
    for (const candidate of candidates) {
      const open = recipients.filter((r) => ended.get(r)?.isSettled !== true);
      const isOver = Date.now() >= this.#task.deadline;
      if (
        open.length === 0 ||
        isOver ||
        this.#needs.isEnding() ||
        addresses >= MAX_ADDRESSES ||
        this.#sessions >= MAX_SESSIONS
      )
        break;
      const results = await this.#at(candidate, open);
      // A family of addresses that this machine does not speak says nothing about the destination.
      if (!results.every(({ outcome }) => isOurNetwork(outcome))) addresses++;
      for (const result of results) ended.set(result.outcome.recipient, result);
    }
    const unasked = { reply: noReply("4.4.1"), reason: "no connection was free in time", uncertain: false };
    const end: Meaning = { result: "deferred", concerns: "destination" };
    return recipients
      .map((r) => ended.get(r)?.outcome ?? outcomeOf(r, { ...unasked, meaning: end }, NO_HOP, this.#log))
      .map((outcome) => (this.#needs.isEnding() ? excused(outcome) : outcome));
  }

  /** At one address: over a connection that is open, or else a new one. */
  async #at(candidate: Candidate, recipients: string[]): Promise<Result[]> {
    const kept = this.#needs.pool.take(candidate.host, candidate.address, this.#tls === "verified");
    if (kept) {
      this.#log.push(exchange(Date.now(), `(connection to ${kept.host}[${kept.address}] reused)`, noReply()));
      const { endings, hop } = await this.#send(kept, recipients);
      // It was closed while it waited: that is no answer.
      if (!endings.every(isUnheard)) return this.#results(endings, hop);
    }
    this.#sessions++;
    try {
      const client = await this.#open(candidate);
      const { endings, hop } = await this.#send(client, recipients);
      return this.#results(endings, hop);
    } catch (error) {
      if (!(error instanceof SessionFailed)) throw error;
      if (error.stage === "connect") this.#sessions--;
      const { stage, reply, message, hop } = error;
      const endings = recipients.map((recipient) => ({
        recipient,
        stage,
        reply,
        reason: message,
        uncertain: false,
      }));
      return this.#results(endings, hop);
    }
  }

  async #open(candidate: Candidate): Promise<SmtpClient> {
    const { config, context } = this.#needs;
    const options = {
      host: candidate.host,
      address: candidate.address,
      port: config.mxPort,
      localAddress: sourceFor(candidate.address, config.sourceAddresses),
      name: config.name,
      context,
      timeouts: config.timeouts,
      deadline: this.#task.deadline,
      log: this.#log,
    };
    try {
      return await SmtpClient.open({ ...options, tls: this.#tls });
    } catch (error) {
      const isTls = error instanceof SessionFailed && error.stage === "tls" && error.reply.code === 0;
      if (!isTls || this.#tls !== "opportunistic") throw error;
      // RFC 7435: better in clear than not at all, on a new connection, since nobody knows what the old one carries.
      return await SmtpClient.open({ ...options, tls: "never" });
    }
  }

  async #send(client: SmtpClient, recipients: string[]): Promise<{ endings: Ending[]; hop: NextHop }> {
    const { working, pool, dot } = this.#needs;
    const { reversePath } = this.#task.consignment;
    const hop = client.hop();
    client.log = this.#log;
    client.deadline = this.#task.deadline;
    working.add(client);
    try {
      const endings = await client.send({ reversePath, recipients }, this.#task.wire, dot);
      return { endings, hop };
    } finally {
      working.delete(client);
      pool.give(client);
    }
  }

  #results(endings: Ending[], hop: NextHop): Result[] {
    return endings.map((ending) => {
      const { recipient, stage, reply, reason, uncertain } = ending;
      const told: Told = { meaning: meaningOf(reply, stage), reply, reason, uncertain };
      const outcome = outcomeOf(recipient, told, hop, this.#log);
      return { outcome, isSettled: outcome.result !== "deferred" || isAboutMessage(ending) };
    });
  }
}

interface Result {
  outcome: Outcome;
  /** No other host is to be asked in this attempt. */
  isSettled: boolean;
}

interface Told {
  meaning: Meaning;
  reply: Reply;
  reason: string;
  uncertain: boolean;
}

function outcomeOf(recipient: string, told: Told, hop: NextHop, log: Exchange[]): Outcome {
  const { meaning, reply, reason, uncertain } = told;
  return {
    recipient,
    ...meaning,
    reply,
    hop,
    reason,
    uncertain,
    at: Date.now(),
    transcript: transcriptFor(recipient, log),
  };
}

/** What we found out ourselves and gave a permanent status code is as final as a server's refusal. */
function meaningOf(reply: Reply, stage: Stage): Meaning {
  if (reply.code === 0 && reply.enhanced.startsWith("5."))
    return { result: "bounced", concerns: "recipient" };
  return meaning(reply, stage);
}

/**
 * An answer about the message, or one that may not be asked for twice. After the rest (no connection, no greeting, a lost
 * session, a host that closes) another host may do better (RFC 5321 §5.1).
 */
function isAboutMessage({ stage, reply, uncertain }: Ending): boolean {
  if (uncertain) return true;
  if (reply.code === 0 || reply.code === 421) return false;
  return stage === "mail" || stage === "rcpt" || stage === "data" || stage === "message";
}

/** Lost before any reply, on a connection that had been waiting. */
function isUnheard({ stage, reply, uncertain }: Ending): boolean {
  return (
    stage === "mail" &&
    !uncertain &&
    (reply.code === 0 || reply.code === 421) &&
    !reply.enhanced.startsWith("5.")
  );
}

/** Cut off by our own end before the dot: another process or transport may go on. */
function excused(outcome: Outcome): Outcome {
  const isOurs = outcome.result === "deferred" && outcome.reply.code === 0 && !outcome.uncertain;
  return isOurs ? { ...outcome, concerns: "transport", reason: "the gateway stops" } : outcome;
}

function isOurNetwork({ reason }: Outcome): boolean {
  return /network unreachable|no source address/.test(reason);
}

let turn = 0;

/** Takes turns among our addresses of the same family. */
function sourceFor(address: string, sources: string[]): string | undefined {
  const fitting = sources.filter((source) => isIPv6(source) === isIPv6(address));
  return fitting[turn++ % fitting.length];
}
