/**
 * One attempt: a message, its recipients at one domain, and the hosts that may take it, tried in their order until one gives an
 * answer about the message. Never rejects; a fault of ours is an outcome that concerns the transport.
 */
import { isIPv6 } from "node:net";
import type { SecureContext } from "node:tls";
import type { Consignment } from "../mail/egress.ts";
import type { NextHop, Outcome } from "../mail/outcome.ts";
import type { Exchange, Reply } from "../mail/reply.ts";
import { type Meaning, meaning, type Stage } from "../smtp/meaning.ts";
import { noReply } from "../smtp/reply-text.ts";
import { exchange, transcriptFor } from "../smtp/transcript.ts";
import type { Config } from "./config.ts";
import type { Pool } from "./pool.ts";
import type { MxHost, Routes } from "./route.ts";
import { type Ending, SessionFailed, SmtpClient, type TlsWish } from "./smtp-client.ts";
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
  /** Before the final dot leaves. */
  onDot(): void;
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
    const ended = new Map<string, Outcome>();
    let addresses = 0;
    for (const candidate of candidates) {
      const open = recipients.filter((r) => !isSettled(ended.get(r)));
      const isOver = Date.now() >= this.#task.deadline;
      if (open.length === 0 || isOver || addresses >= MAX_ADDRESSES || this.#sessions >= MAX_SESSIONS) break;
      const outcomes = await this.#at(candidate, open);
      // A family of addresses that this machine does not speak says nothing about the destination.
      if (!outcomes.every((o) => isOurNetwork(o))) addresses++;
      for (const outcome of outcomes) ended.set(outcome.recipient, outcome);
    }
    return recipients.map(
      (r) =>
        ended.get(r) ??
        outcomeOf(
          r,
          {
            meaning: { result: "deferred", concerns: "destination" },
            reply: noReply("4.4.1"),
            reason: "no connection was free in time",
            uncertain: false,
          },
          NO_HOP,
          this.#log,
        ),
    );
  }

  /** At one address: over a connection that is open, or else a new one. */
  async #at(candidate: Candidate, recipients: string[]): Promise<Outcome[]> {
    const kept = this.#needs.pool.take(candidate.host, candidate.address, this.#tls === "verified");
    if (kept) {
      this.#log.push(exchange(Date.now(), `(connection to ${kept.host}[${kept.address}] reused)`, noReply()));
      const { endings, hop } = await this.#send(kept, recipients);
      // It was closed while it waited: that is no answer.
      if (!endings.every(isUnheard)) return this.#outcomes(endings, hop);
    }
    this.#sessions++;
    try {
      const client = await this.#open(candidate);
      const { endings, hop } = await this.#send(client, recipients);
      return this.#outcomes(endings, hop);
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
      return this.#outcomes(endings, hop);
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
    const { working, pool, onDot } = this.#needs;
    const { reversePath } = this.#task.consignment;
    const hop = client.hop();
    client.log = this.#log;
    client.deadline = this.#task.deadline;
    working.add(client);
    try {
      const endings = await client.send({ reversePath, recipients }, this.#task.wire, onDot);
      return { endings, hop };
    } finally {
      working.delete(client);
      pool.give(client);
    }
  }

  #outcomes(endings: Ending[], hop: NextHop): Outcome[] {
    return endings.map(({ recipient, stage, reply, reason, uncertain }) =>
      outcomeOf(recipient, { meaning: meaningOf(reply, stage), reply, reason, uncertain }, hop, this.#log),
    );
  }
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

/** An answer about the message, or one that may not be asked for twice. The rest may go to another host (RFC 5321 §5.1). */
function isSettled(outcome: Outcome | undefined): boolean {
  if (!outcome) return false;
  if (outcome.result !== "deferred" || outcome.uncertain) return true;
  const { code, enhanced } = outcome.reply;
  // No connection, no greeting, a lost session, or a host that closes: another host may do better.
  const isHost = code === 0 || code === 421 || outcome.transcript.every((e) => !e.command.startsWith("MAIL"));
  return !isHost || enhanced.startsWith("5.");
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

function isOurNetwork({ reason }: Outcome): boolean {
  return /network unreachable|no source address/.test(reason);
}

let turn = 0;

/** Takes turns among our addresses of the same family. */
function sourceFor(address: string, sources: string[]): string | undefined {
  const fitting = sources.filter((source) => isIPv6(source) === isIPv6(address));
  return fitting[turn++ % fitting.length];
}
