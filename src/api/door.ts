/**
 * What is the same for every route of the API, whichever family it is of: how paths are matched, the id and log line of a
 * request, and what is said when there is no such route or something failed. Families are mounted on it.
 */
import { Hono } from "hono";
import { apiError, errorResponse, Unavailable } from "./error.ts";
import { dropBody } from "./json-body.ts";
import { apiPath } from "./path.ts";
import { type RequestIdNeeds, type RequestIdVariables, requestId } from "./request-id.ts";

export function door(needs: RequestIdNeeds): Hono<RequestIdVariables> {
  const app = new Hono<RequestIdVariables>({ getPath: apiPath });
  app.use("*", requestId(needs));
  app.use("*", async (c, next) => {
    await next();
    await dropBody(c.req.raw);
  });
  app.notFound(() => errorResponse(apiError(404, "The requested resource does not exist.")));
  app.onError((error, c) => {
    const id = c.get("requestId");
    // Only names and stacks: what is thrown may hold parts of a message in a property.
    const cause = error.cause instanceof Error ? error.cause.stack : undefined;
    needs.log("request failed", { id, error: error.stack ?? error.message, cause });
    if (error instanceof Unavailable) return errorResponse(apiError(100, error.message));
    return errorResponse(apiError(101, `An unexpected error occurred. Its error id is ${id}.`));
  });
  return app;
}
