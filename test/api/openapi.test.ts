import { Validator } from "@seriousme/openapi-schema-validator";
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { type ApiNeeds, endpoints as declared } from "../../src/api/app.ts";
import { serverEndpoint } from "../../src/api/endpoint.ts";
import { flag, whole } from "../../src/api/json-body.ts";
import { openApiDocument } from "../../src/api/openapi.ts";
import { pageParameters, wordParameter } from "../../src/api/query.ts";
import { referencePage } from "../../src/api/reference-page.ts";

const thing = z.object({ ID: z.int(), Name: z.string(), Parts: z.array(z.object({ Size: z.number() })) });

const endpoints = [
  serverEndpoint(
    {
      method: "GET",
      path: "/things",
      family: "Things",
      summary: "Lists <things>",
      scope: "read",
      query: {
        schema: z.object({ ...pageParameters, kind: wordParameter(["Big", "Small"]).optional() }),
        code: 700,
      },
      response: z.object({ TotalCount: z.int(), Things: z.array(thing) }),
    },
    () => ({ ok: {} }),
  ),
  serverEndpoint(
    {
      method: "PUT",
      path: "/things/:id",
      family: "Things",
      summary: "Changes a thing",
      scope: "full",
      body: { schema: z.object({ Name: z.string(), Active: flag.optional(), Order: whole.default(3) }) },
      response: thing,
      errors: { 701: "There is no such thing" },
    },
    () => ({ ok: {} }),
  ),
];
const document = openApiDocument(endpoints, "https://mail.example.com");

describe("the OpenAPI document", () => {
  it("has each path and method once, with its token", () => {
    expect(Object.keys(document.paths)).toEqual(["/things", "/things/{id}"]);
    expect(document.paths["/things/{id}"]?.put?.security).toEqual([{ serverToken: [] }]);
    expect(document.paths["/things/{id}"]?.put?.["x-token-scope"]).toBe("full");
  });

  it("says of parameters what they mean, not that they come as strings", () => {
    const parameters = document.paths["/things"]?.get?.parameters;
    expect(parameters).toEqual([
      {
        name: "count",
        in: "query",
        required: false,
        schema: { type: "integer", minimum: 1, maximum: 500, default: 100 },
      },
      { name: "offset", in: "query", required: false, schema: { type: "integer", minimum: 0, default: 0 } },
      { name: "kind", in: "query", required: false, schema: { type: "string", enum: ["Big", "Small"] } },
    ]);
  });

  it("says of a body which fields must be there and what each is", () => {
    const body = document.paths["/things/{id}"]?.put?.requestBody?.content["application/json"]?.schema;
    expect(body).toMatchObject({
      type: "object",
      required: ["Name"],
      properties: { Name: { type: "string" }, Active: { type: "boolean" }, Order: { type: "integer" } },
    });
  });

  it("names the codes of the operation beside those of any", () => {
    const codes = document.paths["/things/{id}"]?.put?.["x-error-codes"];
    expect(codes).toMatchObject({
      701: "There is no such thing",
      10: expect.any(String),
      402: expect.any(String),
    });
    expect(document.paths["/things"]?.get?.["x-error-codes"]).not.toHaveProperty("402");
  });
});

describe("the document of the whole API", () => {
  // Declaring needs nothing; only handlers would.
  const whole = openApiDocument(declared({} as ApiNeeds), "https://mail.example.com");
  const operations = Object.values(whole.paths).flatMap((path) => Object.values(path));

  it("is a valid one", async () => {
    const { valid, errors } = await new Validator().validate(JSON.parse(JSON.stringify(whole)));
    expect(errors).toBeUndefined();
    expect(valid).toBe(true);
  });

  it("has an operation for each endpoint, each with an id of its own", () => {
    expect(operations).toHaveLength(declared({} as ApiNeeds).length);
    expect(new Set(operations.map((o) => o.operationId)).size).toBe(operations.length);
  });

  it("says something of each code", () => {
    for (const { "x-error-codes": codes, operationId } of operations)
      for (const [code, when] of Object.entries(codes)) expect(when, `${operationId} ${code}`).not.toBe("");
  });
});

describe("the page", () => {
  const page = String(referencePage(document));

  it("has an entry in the list and an article for each operation", () => {
    for (const id of ["getThings", "putThingsId"]) {
      expect(page).toContain(`href="#${id}"`);
      expect(page).toContain(`<article id="${id}">`);
    }
  });

  it("shows the fields of lists below their own", () => {
    expect(page).toContain("<code>Things[].Parts[].Size</code>");
  });

  it("escapes what it shows", () => {
    expect(page).toContain("Lists &lt;things&gt;");
    expect(page).not.toContain("<things>");
  });
});
