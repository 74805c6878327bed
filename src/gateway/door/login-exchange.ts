/**
 * AUTH in a session (RFC 4954): when it may begin, its lines, and what its end means. Nothing that was sent before its reply counts behind
 * it: the client can't have known who it would be (RFC 4954 §4 has AUTH as the last command of a pipeline).
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Reply } from "../../mail/reply.ts";
import type { Answer } from "./commands.ts";
import { mayLogIn, STARTTLS_FIRST } from "./policy.ts";
import { reply } from "./reply.ts";
import { beginSasl, type Credentials, type SaslExchange, type SaslStep } from "./sasl.ts";
import type { Session } from "./session.ts";

const EARLY = reply(503, "5.5.1", "nothing may follow AUTH before its reply");

export class LoginExchange {
  readonly #session: Session;
  #failures = 0;

  constructor(session: Session) {
    this.#session = session;
  }

  begin(text: string): Answer {
    const session = this.#session;
    const [, mechanism = "", initial, ...more] = text.trim().split(/\s+/);
    if (!mayLogIn(session.standing)) return reply(538, "5.7.11", STARTTLS_FIRST);
    if (!session.hostNameAppearsAs) return reply(503, "5.5.1", "EHLO comes first");
    if (session.account) return reply(503, "5.5.1", "you have logged in already");
    if (session.transaction.isBegun) return reply(503, "5.5.1", "not within a transaction");
    if (mechanism === "" || more.length > 0) return reply(501, "5.5.4", "syntax: AUTH mechanism [response]");
    const exchange = beginSasl(mechanism.toUpperCase());
    if (!exchange) return reply(504, "5.5.4", "this mechanism is not known here");
    return this.#step(exchange, exchange.next(initial));
  }

  #step(exchange: SaslExchange, step: SaslStep): Answer {
    const session = this.#session;
    if ("fault" in step) return step.fault;
    if ("credentials" in step) return this.#logIn(step.credentials);
    session.continuation = (line) => this.#step(exchange, exchange.next(line.trim()));
    session.challenge(step.challenge);
    return undefined;
  }

  async #logIn({ user, password }: Credentials): Promise<Reply | undefined> {
    const session = this.#session;
    const { logins, counts, metrics } = session.needs;
    const { remoteAddress } = session;
    if (session.input?.hasMore) return this.#early();
    const verdict = await logins.check({ user, password, remoteAddress });
    if (session.isOver) return undefined;
    if (session.input?.hasMore) return this.#early();
    if (verdict === "unknown") {
      metrics.logins.inc({ result: "unknown" });
      return reply(454, "4.7.0", "nobody can say now who you are, try again later");
    }
    if ("refused" in verdict) return this.#refuse(verdict.refused);
    metrics.logins.inc({ result: verdict.isKept ? "kept" : "good" });
    session.session.user = verdict.account;
    counts.know(session.countedBy);
    return reply(235, "2.7.0", "welcome");
  }

  async #refuse(reason: string): Promise<undefined> {
    const session = this.#session;
    const { tarpit, metrics, limits, log } = session.needs;
    metrics.logins.inc({ result: "refused" });
    log("login refused", {
      session: session.id,
      address: session.remoteAddress,
      reason: reason.slice(0, 100),
    });
    await sleep(tarpit.fail(session.remoteAddress), undefined, { ref: false });
    session.answer(reply(535, "5.7.8", "authentication credentials invalid"));
    if (++this.#failures >= limits.loginFailures) session.cut("logins", "4.7.0", "too many failed logins");
  }

  #early(): undefined {
    this.#session.answer(EARLY);
    this.#session.endWith("commands before the reply to AUTH");
  }
}
