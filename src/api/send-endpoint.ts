/**
 * An endpoint that takes mail, declared as any other (endpoint.ts). What differs: the test token is nobody's and is let in, a body
 * may be a list, each message of a batch is refused for itself, and a request may carry an idempotency key, which covers its text.
 */
import type * as z from "zod";
import type { ServerPolicy } from "../accounts/policy.ts";
import { authenticateServer, serverToken } from "./authenticate.ts";
import { type Answer, type AnyDeclaration, type Endpoint, respond } from "./endpoint.ts";
import { errorResponse, type Result } from "./error.ts";
import { type Idempotency, idempotencyKey, requestHash } from "./idempotency.ts";
import { parseJson, readBody } from "./json-body.ts";
import { apiPath } from "./path.ts";

export const TEST_TOKEN = "POSTMARK_API_TEST";

/** Who sends: a server, or nobody (the test token), whose messages are checked and dropped. */
export type Sender = ServerPolicy | undefined;

export interface SendCall<T> {
  request: Request;
  sender: Sender;
  body: T;
  idempotency?: Idempotency;
}

export interface SendDeclaration<T>
  extends Pick<AnyDeclaration, "path" | "summary" | "description" | "response" | "errors"> {
  body: {
    /** The whole of the body, for the document. */
    schema: z.ZodType;
    /** What refuses a request as a whole. */
    read(value: unknown): Result<T>;
    maxBytes: number;
  };
}

export function sendEndpoint<T>(
  { body, ...declaration }: SendDeclaration<T>,
  answer: (call: SendCall<T>) => Promise<Answer>,
): Endpoint {
  const { schema, maxBytes } = body;
  return {
    declaration: {
      ...declaration,
      method: "POST",
      family: "Sending",
      scope: "send",
      body: { schema, maxBytes },
    },
    token: "server",
    async handle(request, _params, needs) {
      let sender: Sender;
      if (serverToken(request).toUpperCase() !== TEST_TOKEN) {
        const caller = await authenticateServer(request, needs, "send");
        if ("error" in caller) return errorResponse(caller.error);
        sender = caller.ok.policy;
      }
      const call = await readCall(request, sender, body);
      return "error" in call ? errorResponse(call.error) : respond(await answer(call.ok));
    },
  };
}

async function readCall<T>(
  request: Request,
  sender: Sender,
  { read, maxBytes }: SendDeclaration<T>["body"],
): Promise<Result<SendCall<T>>> {
  const text = await readBody(request, maxBytes);
  if ("error" in text) return text;
  const key = idempotencyKey(request);
  if ("error" in key) return key;
  const value = parseJson(text.ok);
  if ("error" in value) return value;
  const body = read(value.ok);
  if ("error" in body) return body;
  if (key.ok === undefined || !sender) return { ok: { request, sender, body: body.ok } };
  const bodyHash = await requestHash(apiPath(request), text.ok);
  return { ok: { request, sender, body: body.ok, idempotency: { key: key.ok, bodyHash } } };
}
