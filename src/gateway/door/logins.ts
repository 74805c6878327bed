/**
 * Who has logged in, as the Worker says it. Its answers are believed for seconds, so that a client with a session for each message does
 * not cost a request for each; a revoked token is refused after that. While the Worker can't be asked, a login that was good within
 * the last day is good, and any other can't be judged.
 */
import { createHash } from "node:crypto";
import * as z from "zod";
import type { AuthAnswer, Login, SmtpAccount } from "../../mail/ingress.ts";
import type { Worker } from "../worker.ts";
import { ExpiringMap } from "./expiring-map.ts";
import { AccountShape, type KeptLogins } from "./kept-logins.ts";

const TRUST_MS = 15_000;
const MAX_TRUSTED = 10_000;
const ASK_MS = 5_000;
/** After a request that failed, nobody who can be judged without the Worker waits for it. */
const AWAY_MS = 10_000;
/** No token is so long, and the Worker would refuse it. */
const MAX_BYTES = 255;

const AnswerShape = z.union([
  z.object({ account: AccountShape }),
  z.object({ refused: z.string() }),
]) satisfies z.ZodType<AuthAnswer>;

/** "unknown": nobody can say now. */
export type Verdict = { account: SmtpAccount; isKept?: true } | { refused: string } | "unknown";

export interface LoginNeeds {
  worker: Pick<Worker, "json">;
  kept: KeptLogins;
  log(event: string, fields: Record<string, unknown>): void;
}

export class Logins {
  readonly #needs: LoginNeeds;
  readonly #good = new ExpiringMap<SmtpAccount>(TRUST_MS, MAX_TRUSTED);
  readonly #bad = new ExpiringMap<string>(TRUST_MS, MAX_TRUSTED);
  /** Logins that are being asked about: many sessions of one client begin together. */
  readonly #asked = new Map<string, Promise<Verdict>>();
  #awayUntil = 0;

  constructor(needs: LoginNeeds) {
    this.#needs = needs;
  }

  async check(login: Login): Promise<Verdict> {
    if (Buffer.byteLength(login.user) > MAX_BYTES || Buffer.byteLength(login.password) > MAX_BYTES)
      return { refused: "too long" };
    const hash = hashOf(login);
    const account = this.#good.get(hash);
    if (account) return { account };
    const refused = this.#bad.get(hash);
    if (refused !== undefined) return { refused };
    const asked = this.#ask(hash, login);
    const kept = this.#needs.kept.get(hash);
    // The question goes on, and its answer counts for the next session.
    if (kept && Date.now() < this.#awayUntil) return { account: kept, isKept: true };
    return asked;
  }

  #ask(hash: string, login: Login): Promise<Verdict> {
    const before = this.#asked.get(hash);
    if (before) return before;
    const asked = this.#request(hash, login).finally(() => this.#asked.delete(hash));
    this.#asked.set(hash, asked);
    return asked;
  }

  /** Never rejects. */
  async #request(hash: string, login: Login): Promise<Verdict> {
    const { worker, kept, log } = this.#needs;
    let answer: AuthAnswer;
    try {
      answer = AnswerShape.parse(await worker.json("/gateway/authenticate", login, ASK_MS));
    } catch (error) {
      // No answer is not a no: the client comes again, or was known before.
      this.#awayUntil = Date.now() + AWAY_MS;
      log("login not judged", { error: String(error).slice(0, 300) });
      const account = kept.get(hash);
      return account ? { account, isKept: true } : "unknown";
    }
    this.#awayUntil = 0;
    if ("account" in answer) {
      this.#good.set(hash, answer.account);
      kept.keep(hash, answer.account);
    } else {
      this.#good.delete(hash);
      this.#bad.set(hash, answer.refused);
      kept.remove(hash);
    }
    return answer;
  }
}

/** Passwords themselves are in no map and no file. */
function hashOf({ user, password }: Login): string {
  return createHash("sha256").update(`${user}\0${password}`).digest("base64");
}
