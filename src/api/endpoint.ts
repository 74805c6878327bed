/**
 * An endpoint of the API, declared once: its route, whose token it takes, the schemas of its query, body and answer, and the codes
 * it refuses with. The declaration checks each request before the handler sees it, and is the endpoint's page in the OpenAPI document.
 */
import { Hono } from "hono";
import type * as z from "zod";
import type { ServerPolicy, TokenPolicy } from "../accounts/policy.ts";
import { type AuthenticateNeeds, authenticateAccount, authenticateServer } from "./authenticate.ts";
import { type ApiError, errorResponse, okResponse, type Result } from "./error.ts";
import { fieldsReader, parseJson, readBody } from "./json-body.ts";
import { apiPath, canonicalPath } from "./path.ts";
import { queryReader, type RawQuery, readQuery } from "./query.ts";

const MB = 1024 * 1024;

export interface Declaration<Q extends z.ZodObject, B extends z.ZodObject> {
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Hono's pattern, its words as Postmark writes them: "/email/withTemplate". */
  path: string;
  /** The part of the document that it stands in: "Templates". */
  family: string;
  /** One line: "Lists the server's templates". */
  summary: string;
  /** What a caller should know besides; Markdown. */
  description?: string;
  /** What a server's token must be allowed to: a token for sending cannot read, and only a full one changes settings. */
  scope: "send" | "read" | "full";
  /** Each parameter by Postmark's name; absent when it takes none. `code` is this family's for a wrong one. */
  query?: { schema: Q; code: number };
  /** Absent when it takes none: then what is sent is dropped, since clients send "{}" and "null" anywhere. */
  body?: {
    schema: B;
    /** What a body that is empty, `null` or no JSON object is refused with; without it an empty body is read as `{}`. */
    empty?: ApiError;
    /** 1 MB unless said otherwise. */
    maxBytes?: number;
  };
  /** Of the 200: for the document, and the tests hold answers against it. */
  response: z.ZodType;
  /** The codes that it refuses with, beside 10, 100, 101 and those of any body (402, 403, 409): when. */
  errors?: Record<number, string>;
}

interface Call<Q, B> {
  params: Record<string, string>;
  query: Q;
  /** All parameters as they were sent: for `metadata_<key>`. */
  rawQuery: RawQuery;
  body: B;
  request: Request;
}

export interface ServerCall<Q, B> extends Call<Q, B> {
  policy: ServerPolicy;
  /** The one that the request has. */
  token: TokenPolicy;
}

export interface AccountCall<Q, B> extends Call<Q, B> {
  accountId: number;
}

/** A value is answered with 200; a Response goes out as it is. */
export type Answer = Result<unknown> | Response;

// biome-ignore lint/suspicious/noExplicitAny: a list holds endpoints of all shapes; each was checked where it was declared.
export type AnyDeclaration = Declaration<any, any>;

export interface Endpoint {
  declaration: AnyDeclaration;
  token: "server" | "account";
  handle(request: Request, params: Record<string, string>, needs: AuthenticateNeeds): Promise<Response>;
}

type Out<S extends z.ZodObject> = z.ZodObject extends S ? Record<string, never> : z.infer<S>;

/** An endpoint for the server whose token the request has. */
export function serverEndpoint<Q extends z.ZodObject, B extends z.ZodObject>(
  declaration: Declaration<Q, B>,
  answer: (call: ServerCall<Out<Q>, Out<B>>) => Promise<Answer> | Answer,
): Endpoint {
  const read = callReader(declaration);
  return {
    declaration,
    token: "server",
    async handle(request, params, needs) {
      const caller = await authenticateServer(request, needs, declaration.scope);
      if ("error" in caller) return errorResponse(caller.error);
      const call = await read(request, params);
      if ("error" in call) return errorResponse(call.error);
      return respond(await answer({ ...call.ok, ...caller.ok }));
    },
  };
}

/** An endpoint for the account whose token the request has. */
export function accountEndpoint<Q extends z.ZodObject, B extends z.ZodObject>(
  declaration: Omit<Declaration<Q, B>, "scope">,
  answer: (call: AccountCall<Out<Q>, Out<B>>) => Promise<Answer> | Answer,
): Endpoint {
  const read = callReader(declaration);
  return {
    declaration: { ...declaration, scope: "full" },
    token: "account",
    async handle(request, params, needs) {
      const accountId = await authenticateAccount(request, needs);
      if ("error" in accountId) return errorResponse(accountId.error);
      const call = await read(request, params);
      if ("error" in call) return errorResponse(call.error);
      return respond(await answer({ ...call.ok, accountId: accountId.ok }));
    },
  };
}

/** Endpoints in the order in which they are to match. */
export function mount(endpoints: Endpoint[], needs: AuthenticateNeeds): Hono {
  const app = new Hono({ getPath: apiPath });
  for (const { declaration, handle } of endpoints)
    app.on(declaration.method, canonicalPath(declaration.path), (c) =>
      handle(c.req.raw, c.req.param(), needs),
    );
  return app;
}

export function respond(answer: Answer): Response {
  if (answer instanceof Response) return answer;
  return "error" in answer ? errorResponse(answer.error) : okResponse(answer.ok);
}

/** Reads the query and the body by their schemas, compiled once. */
function callReader<Q extends z.ZodObject, B extends z.ZodObject>({
  query,
  body,
}: Pick<Declaration<Q, B>, "query" | "body">) {
  const readParameters = query && queryReader(query.schema, query.code);
  const readFields = body && fieldsReader(body.schema);
  return async (request: Request, params: Record<string, string>): Promise<Result<Call<Out<Q>, Out<B>>>> => {
    const rawQuery = readQuery(request.url);
    const parameters = readParameters ? readParameters(rawQuery) : { ok: {} };
    if ("error" in parameters) return parameters;
    const fields = readFields && body ? await readObject(request, readFields, body) : { ok: {} };
    if ("error" in fields) return fields;
    const call = { params, rawQuery, request, query: parameters.ok as Out<Q>, body: fields.ok as Out<B> };
    return { ok: call };
  };
}

async function readObject<B extends z.ZodObject>(
  request: Request,
  readFields: (value: unknown) => Result<z.infer<B>>,
  { empty, maxBytes = MB }: NonNullable<Declaration<z.ZodObject, B>["body"]>,
): Promise<Result<z.infer<B>>> {
  const text = await readBody(request, maxBytes);
  if ("error" in text) return text;
  const value = parseJson(text.ok);
  if ("error" in value) return value;
  if (value.ok === undefined && empty) return { error: empty };
  return readFields(value.ok ?? {});
}
