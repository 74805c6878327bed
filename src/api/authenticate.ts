/**
 * Whose request it is, by the token in Postmark's header, and whether that token may do this: from this address, so often, and at
 * all. Every request of the API passes here, so what a token without limits costs is a few look-ups in memory.
 */
import { isAllowed } from "../accounts/allow-list.ts";
import type { Caller, Scope } from "../accounts/policy.ts";
import { apiError, type Result, refused, Unavailable } from "./error.ts";

const SERVER_HEADER = "X-Postmark-Server-Token";
const ACCOUNT_HEADER = "X-Postmark-Account-Token";
/** Set by Cloudflare, which lets no caller's own through. Locally there is nobody in between: the caller is on this machine. */
const ADDRESS_HEADER = "CF-Connecting-IP";
const LOOPBACK = ["127.0.0.1", "::1"];
/** Tokens are UUIDs; what is longer is not looked up. */
const MAX_TOKEN = 64;
/** Of ours, beside Postmark's 1480: the status is 422 as there, which all clients know as an error of their caller. */
const OUT_OF_SCOPE = 1481;
const MAY: Record<Scope, string> = { full: "do everything", send: "only send", read: "only read" };

export const NO_SERVER_TOKEN = apiError(10, "Request does not contain a valid Server token.");

export interface AuthenticateNeeds {
  /** The server whose token this is; undefined when there is none. Case-insensitive. */
  authenticate(token: string, request: Request): Promise<Caller | undefined>;
  /** Counts a request, and says in how many seconds its token may ask again; 0 when it may now. Never rejects. */
  retryAfter(caller: Caller, request: Request): Promise<number>;
  /** The number of the account whose token this is; undefined when there is none. Case-insensitive. */
  authenticateAccount(token: string): Promise<number | undefined>;
  /** Counts a request with any of the account's tokens, and says the same. Never rejects. */
  accountRetryAfter(accountId: number, request: Request): Promise<number>;
}

export function serverToken(request: Request): string {
  return request.headers.get(SERVER_HEADER)?.trim() ?? "";
}

/** Throws `Unavailable` when nobody can say whose token it is: that is no reason to tell a client that its token is wrong. */
export async function authenticateServer(
  request: Request,
  needs: Pick<AuthenticateNeeds, "authenticate" | "retryAfter">,
  scope: Scope = "full",
): Promise<Result<Caller>> {
  const caller = await lookUp(serverToken(request), (known) => needs.authenticate(known, request));
  if (!caller) return { error: NO_SERVER_TOKEN };
  const { token } = caller;
  // Before it is counted: who stole a token must not use up what its owner may do.
  if (token.allowedIps.length > 0 && !isFromAllowed(request, token.allowedIps))
    return refused(1480, "Your IP address is not on the allow list of this Server token.");
  if (token.scope !== "full" && token.scope !== scope)
    return refused(OUT_OF_SCOPE, `This Server token may ${MAY[token.scope]}.`);
  const retryAfterSeconds = await needs.retryAfter(caller, request);
  if (retryAfterSeconds === 0) return { ok: caller };
  return tooMany("this Server token", retryAfterSeconds);
}

function tooMany(whose: string, retryAfterSeconds: number): Result<never> {
  const error = apiError(429, `Rate limit of ${whose} exceeded. Please try again later.`);
  return { error: { ...error, retryAfterSeconds } };
}

export async function authenticateAccount(
  request: Request,
  needs: Pick<AuthenticateNeeds, "authenticateAccount" | "accountRetryAfter">,
): Promise<Result<number>> {
  const token = request.headers.get(ACCOUNT_HEADER)?.trim() ?? "";
  const accountId = await lookUp(token, (known) => needs.authenticateAccount(known));
  if (accountId === undefined) return refused(10, "Request does not contain a valid Account token.");
  const retryAfterSeconds = await needs.accountRetryAfter(accountId, request);
  return retryAfterSeconds === 0 ? { ok: accountId } : tooMany("this Account", retryAfterSeconds);
}

function isFromAllowed(request: Request, ranges: string[]): boolean {
  const address = request.headers.get(ADDRESS_HEADER);
  return (address === null ? LOOPBACK : [address.trim()]).some((from) => isAllowed(from, ranges));
}

async function lookUp<T>(token: string, ask: (token: string) => Promise<T | undefined>) {
  if (token === "" || token.length > MAX_TOKEN) return undefined;
  try {
    return await ask(token);
  } catch (cause) {
    throw new Unavailable("Tokens cannot be checked at the moment. Please try again.", { cause });
  }
}
