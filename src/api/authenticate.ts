/** Whose request it is: the token in Postmark's header, and the server that it belongs to. */
import type { ServerPolicy } from "../accounts/policy.ts";
import { type Result, refused, Unavailable } from "./error.ts";

const SERVER_HEADER = "X-Postmark-Server-Token";
const ACCOUNT_HEADER = "X-Postmark-Account-Token";
/** Tokens are UUIDs; what is longer is not looked up. */
const MAX_TOKEN = 64;

export interface AuthenticateNeeds {
  /** The policy of the server whose token this is; undefined when there is none. Case-insensitive. */
  authenticate(token: string, request: Request): Promise<ServerPolicy | undefined>;
  /** The number of the account whose token this is; undefined when there is none. Case-insensitive. */
  authenticateAccount(token: string): Promise<number | undefined>;
}

export function serverToken(request: Request): string {
  return request.headers.get(SERVER_HEADER)?.trim() ?? "";
}

/** Throws `Unavailable` when nobody can say whose token it is: that is no reason to tell a client that its token is wrong. */
export async function authenticateServer(
  request: Request,
  needs: Pick<AuthenticateNeeds, "authenticate">,
  _scope: "send" | "read" | "full" = "full",
): Promise<Result<ServerPolicy>> {
  const token = serverToken(request);
  const policy = await lookUp(token, (known) => needs.authenticate(known, request));
  return policy ? { ok: policy } : refused(10, "Request does not contain a valid Server token.");
}

export async function authenticateAccount(
  request: Request,
  needs: Pick<AuthenticateNeeds, "authenticateAccount">,
): Promise<Result<number>> {
  const token = request.headers.get(ACCOUNT_HEADER)?.trim() ?? "";
  const accountId = await lookUp(token, (known) => needs.authenticateAccount(known));
  return accountId === undefined
    ? refused(10, "Request does not contain a valid Account token.")
    : { ok: accountId };
}

async function lookUp<T>(token: string, ask: (token: string) => Promise<T | undefined>) {
  if (token === "" || token.length > MAX_TOKEN) return undefined;
  try {
    return await ask(token);
  } catch (cause) {
    throw new Unavailable("Tokens cannot be checked at the moment. Please try again.", { cause });
  }
}
