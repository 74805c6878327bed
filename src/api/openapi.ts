/**
 * The API as an OpenAPI 3.1 document, made of the declarations that check the requests: what it says of a field is what
 * is done with it. Served at `/openapi.json`; `/docs` is the same for people.
 */
import * as z from "zod";
import type { Endpoint } from "./endpoint.ts";

export type JsonSchema = Record<string, unknown>;

export interface Parameter {
  name: string;
  in: "path" | "query";
  required: boolean;
  schema: JsonSchema;
}

export interface Operation {
  operationId: string;
  tags: string[];
  summary: string;
  description?: string;
  security: Record<string, string[]>[];
  parameters: Parameter[];
  requestBody?: { required: boolean; content: Record<string, { schema: JsonSchema }> };
  responses: Record<string, { description: string; content: Record<string, { schema: JsonSchema }> }>;
  /** Postmark's ErrorCodes: when the operation refuses with each. */
  "x-error-codes": Record<string, string>;
  "x-token-scope"?: string;
}

export interface OpenApi {
  openapi: "3.1.0";
  info: { title: string; version: string; description: string };
  servers: { url: string }[];
  tags: { name: string }[];
  paths: Record<string, Record<string, Operation>>;
  components: { securitySchemes: Record<string, JsonSchema>; schemas: Record<string, JsonSchema> };
}

const JSON_TYPE = "application/json";
const ERROR = { $ref: "#/components/schemas/Error" };
const TOKEN_NAMES = { server: "serverToken", account: "accountToken" };

const DESCRIPTION = `Edgepost speaks Postmark's API: paths, fields and codes are Postmark's, so its clients work by changing the host. What is ours beyond it is
said at the operation. Every refusal is \`{"ErrorCode": n, "Message": "…"}\`.`;

/** Codes that any operation may refuse with. */
const ANYWHERE: Record<number, string> = {
  10: "The token is missing or wrong",
  100: "What is needed to answer is away: try again",
  101: "An unexpected error",
  429: "More requests than the token may make; `Retry-After` says when to go on",
};
const WITH_SERVER_TOKEN: Record<number, string> = {
  1480: "The token does not allow the caller's address",
  1481: "The token's scope does not allow this",
};
const WITH_BODY: Record<number, string> = {
  402: "The body is no JSON",
  403: "A field has the wrong type",
  409: "The body is not sent as JSON",
};

export function openApiDocument(endpoints: Endpoint[], server: string): OpenApi {
  const paths: OpenApi["paths"] = {};
  for (const endpoint of endpoints) {
    const { path, method } = endpoint.declaration;
    const shown = path.replace(/:(\w+)/g, "{$1}");
    paths[shown] = { ...paths[shown], [method.toLowerCase()]: operation(endpoint) };
  }
  const families = [...new Set(endpoints.map((e) => e.declaration.family))];
  return {
    openapi: "3.1.0",
    info: { title: "Edgepost", version: "1", description: DESCRIPTION },
    servers: [{ url: server }],
    tags: families.map((name) => ({ name })),
    paths,
    components: {
      securitySchemes: {
        serverToken: { type: "apiKey", in: "header", name: "X-Postmark-Server-Token" },
        accountToken: { type: "apiKey", in: "header", name: "X-Postmark-Account-Token" },
      },
      schemas: {
        Error: {
          type: "object",
          properties: { ErrorCode: { type: "integer" }, Message: { type: "string" } },
          required: ["ErrorCode", "Message"],
        },
      },
    },
  };
}

function operation({ declaration, token }: Endpoint): Operation {
  const { method, path, family, summary, description, scope, query, body, response, errors } = declaration;
  const names = [...path.matchAll(/:(\w+)/g)].map((match) => match[1] ?? "");
  const codes = {
    ...ANYWHERE,
    ...(token === "server" ? WITH_SERVER_TOKEN : {}),
    ...(body ? WITH_BODY : {}),
    ...errors,
  };
  return {
    operationId: `${method.toLowerCase()}${path.replace(/\W+(\w)/g, (_, letter: string) => letter.toUpperCase())}`,
    tags: [family],
    summary,
    ...(description === undefined ? {} : { description }),
    security: [{ [TOKEN_NAMES[token]]: [] }],
    parameters: [
      ...names.map((name): Parameter => ({ name, in: "path", required: true, schema: { type: "string" } })),
      ...(query ? queryParameters(query.schema) : []),
    ],
    ...(body
      ? { requestBody: { required: body.empty !== undefined, content: json(schemaOf(body.schema, "input")) } }
      : {}),
    responses: {
      "200": { description: "Done", content: json(schemaOf(response, "output")) },
      default: { description: "Refused", content: json(ERROR) },
    },
    "x-error-codes": codes,
    ...(token === "server" ? { "x-token-scope": scope } : {}),
  };
}

function json(schema: JsonSchema) {
  return { [JSON_TYPE]: { schema } };
}

function queryParameters(schema: z.ZodObject): Parameter[] {
  const { properties = {}, required = [] } = schemaOf(schema, "input") as {
    properties?: Record<string, JsonSchema>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, of]) => {
    return { name, in: "query", required: required.includes(name), schema: of };
  });
}

/** What a schema reads may be looser than what it says (numbers as strings): `openapi` in its meta is what callers should send. */
function schemaOf(schema: z.ZodType, io: "input" | "output"): JsonSchema {
  const { $schema: _, ...of } = z.toJSONSchema(schema, {
    io,
    unrepresentable: "any",
    override({ jsonSchema }) {
      const { openapi } = jsonSchema as { openapi?: JsonSchema };
      if (!openapi) return;
      for (const key of Object.keys(jsonSchema)) delete jsonSchema[key as keyof typeof jsonSchema];
      Object.assign(jsonSchema, openapi);
    },
  });
  return of;
}
