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

/** So old may an answer be before it is asked for again; and so old before a message waits for it. */
const CHECK_MS = 15_000;
const WAIT_MS = 40_000;

const EARLY = reply(503, "5.5.1", "nothing may follow AUTH before its reply");

export class LoginExchange {
  readonly #session: Session;
  #failures = 0;
  /** For as long as the session lasts: a token that is revoked meanwhile must stop working. */
  #credentials: Credentials | undefined;
  #checkedAt = 0;
  #isRevoked = false;

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

  /**
   * Before each message: whether who has logged in may still. A session may last a day, and a revoked token ends within a minute. Most
   * of the time nobody waits for the answer; it counts from the next message on, since one that has begun is somebody's.
   */
  check(): Answer {
    const session = this.#session;
    // A clock that was set back makes it old, too.
    const age = Math.abs(Date.now() - this.#checkedAt);
    if (!this.#credentials || !session.account || session.transaction.isBegun) return undefined;
    if (this.#isRevoked) return this.#revoke();
    if (age < CHECK_MS) return undefined;
    const checked = this.#checkAgain(this.#credentials);
    return age < WAIT_MS ? undefined : checked.then(() => (this.#isRevoked ? this.#revoke() : undefined));
  }

  /** Never rejects. */
  async #checkAgain(credentials: Credentials): Promise<void> {
    const session = this.#session;
    const { remoteAddress, needs } = session;
    const verdict = await needs.logins.check({ ...credentials, remoteAddress });
    this.#checkedAt = Date.now();
    // When nobody can say, it was good, and is.
    this.#isRevoked = verdict !== "unknown" && "refused" in verdict;
    if (!this.#isRevoked) return;
    needs.metrics.logins.inc({ result: "revoked" });
    needs.log("login revoked", { session: session.id, address: remoteAddress });
  }

  #revoke(): Reply {
    this.#session.session.user = false;
    this.#credentials = undefined;
    return reply(535, "5.7.8", "your credentials are no longer valid");
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
    this.#credentials = { user, password };
    this.#isRevoked = false;
    this.#checkedAt = Date.now();
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
