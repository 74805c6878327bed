/** Whose request it is: the token in Postmark's header, and the server that it belongs to. */
import type { ServerPolicy } from "../accounts/policy.ts";
import { type Result, refused, Unavailable } from "./error.ts";

const SERVER_HEADER = "X-Postmark-Server-Token";
/** Tokens are UUIDs; what is longer is not looked up. */
const MAX_TOKEN = 64;

export interface AuthenticateNeeds {
  /** The policy of the server whose token this is; undefined when there is none. Case-insensitive. */
  authenticate(token: string, request: Request): Promise<ServerPolicy | undefined>;
}

export function serverToken(request: Request): string {
  return request.headers.get(SERVER_HEADER)?.trim() ?? "";
}

/** Throws `Unavailable` when nobody can say whose token it is: that is no reason to tell a client that its token is wrong. */
export async function authenticateServer(
  request: Request,
  needs: AuthenticateNeeds,
): Promise<Result<ServerPolicy>> {
  const token = serverToken(request);
  const policy = token === "" || token.length > MAX_TOKEN ? undefined : await lookUp(token, request, needs);
  return policy ? { ok: policy } : refused(10, "Request does not contain a valid Server token.");
}

async function lookUp(token: string, request: Request, needs: AuthenticateNeeds) {
  try {
    return await needs.authenticate(token, request);
  } catch (cause) {
    throw new Unavailable("Tokens cannot be checked at the moment. Please try again.", { cause });
  }
}
