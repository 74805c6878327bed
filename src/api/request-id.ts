/**
 * Every response names its request, and every request leaves one line in the log under the same name: what was asked, how it
 * ended and how long it took. Never a body, a query (it holds addresses) or a token.
 */
import type { MiddlewareHandler } from "hono";

const HEADER = "X-Request-Id";
/** The caller's own id, when it is one that can stand in a header and a log. */
const SANE = /^[\x21-\x7e]{1,128}$/;

export interface RequestIdNeeds {
  now(): number;
  newId(): string;
  log(event: string, fields: Record<string, unknown>): void;
}

export interface RequestIdVariables {
  Variables: { requestId: string };
}

export function requestId(needs: RequestIdNeeds): MiddlewareHandler<RequestIdVariables> {
  return async (c, next) => {
    const started = needs.now();
    const given = c.req.header(HEADER);
    const id = given !== undefined && SANE.test(given) ? given : needs.newId();
    c.set("requestId", id);
    await next();
    c.res.headers.set(HEADER, id);
    // A gateway asks many times a second, and has a line of its own for each message and login.
    if (c.res.ok && c.req.path.startsWith("/gateway/")) return;
    const code = c.res.headers.get("X-PM-ApiErrorCode") ?? undefined;
    const ms = needs.now() - started;
    needs.log("request", { id, method: c.req.method, path: c.req.path, status: c.res.status, code, ms });
  };
}
