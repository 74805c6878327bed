/**
 * Every endpoint that is declared, in a running system: what each does without a token, with a body or an id that is wrong, with what
 * belongs to others, that it changes nothing then, that what it answers is what the published document says, and each code it refuses
 * with. What must be known of each is in table/; an endpoint without a row fails, and so does a code that nothing here brings about.
 */
import { Ajv2020 } from "ajv/dist/2020.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { newToken } from "../../src/accounts/token.ts";
import { type ApiNeeds, endpoints } from "../../src/api/app.ts";
import type { Endpoint } from "../../src/api/endpoint.ts";
import type { OpenApi, Operation } from "../../src/api/openapi.ts";
import { domains } from "./table/domains.ts";
import { reading } from "./table/reading.ts";
import { removals } from "./table/removals.ts";
import { given, type Row, type Shot, type Table } from "./table/row.ts";
import { sending } from "./table/sending.ts";
import { servers } from "./table/servers.ts";
import { streams } from "./table/streams.ts";
import { templates } from "./table/templates.ts";
import { type Answer, type Tenant, tokensOf, World } from "./table/world.ts";

const TABLE: Table = {
  ...sending,
  ...templates,
  ...servers,
  ...streams,
  ...reading,
  ...domains,
  ...removals,
};
// Declaring needs nothing; only handlers would, and none is called here.
const DECLARED = endpoints({} as ApiNeeds);

/** §29 of the wire contract: what Postmark has. */
const CONTRACT = {
  server: `
    POST /email  POST /email/batch  POST /email/withTemplate  POST /email/batchWithTemplates
    POST /email/bulk  GET /email/bulk  GET /email/bulk/:id
    GET /deliverystats  GET /bounces  GET /bounces/:id  GET /bounces/:id/dump  GET /bounces/tags  PUT /bounces/:id/activate
    GET /templates  POST /templates  GET /templates/:id  PUT /templates/:id  DELETE /templates/:id  POST /templates/validate
    GET /server  PUT /server
    GET /messages/outbound  GET /messages/outbound/:id/details  GET /messages/outbound/:id/dump
    GET /messages/outbound/opens  GET /messages/outbound/opens/:id
    GET /messages/outbound/clicks  GET /messages/outbound/clicks/:id
    GET /messages/inbound  GET /messages/inbound/:id/details
    PUT /messages/inbound/:id/bypass  PUT /messages/inbound/:id/retry
    GET /stats/outbound  GET /stats/outbound/sends  GET /stats/outbound/bounces  GET /stats/outbound/spam
    GET /stats/outbound/tracked  GET /stats/outbound/opens  GET /stats/outbound/opens/platforms
    GET /stats/outbound/opens/emailclients  GET /stats/outbound/opens/readtimes  GET /stats/outbound/clicks
    GET /stats/outbound/clicks/browserfamilies  GET /stats/outbound/clicks/platforms  GET /stats/outbound/clicks/location
    GET /triggers/inboundrules  POST /triggers/inboundrules  DELETE /triggers/inboundrules/:id
    GET /message-streams  POST /message-streams  GET /message-streams/:id  PATCH /message-streams/:id
    POST /message-streams/:id/archive  POST /message-streams/:id/unarchive
    GET /message-streams/:id/suppressions/dump  POST /message-streams/:id/suppressions
    POST /message-streams/:id/suppressions/delete
    GET /webhooks  POST /webhooks  GET /webhooks/:id  PUT /webhooks/:id  DELETE /webhooks/:id
    POST /webhooks/:id/verify  GET /webhooks/:id/statistics`,
  account: `
    GET /servers  POST /servers  GET /servers/:id  PUT /servers/:id  DELETE /servers/:id
    GET /domains  POST /domains  GET /domains/:id  PUT /domains/:id  DELETE /domains/:id
    PUT /domains/:id/verifyDkim  PUT /domains/:id/verifyReturnPath  PUT /domains/:id/verifyCustomTracking
    POST /domains/:id/verifyspf  POST /domains/:id/rotatedkim
    GET /senders  POST /senders  GET /senders/:id  PUT /senders/:id  DELETE /senders/:id
    POST /senders/:id/resend  POST /senders/:id/verifyspf  POST /senders/:id/requestnewdkim
    PUT /templates/push`,
};
/** What may be answered by any endpoint; each is tried here wherever it applies, or in tests of its own. */
const ANYWHERE = [10, 100, 101, 402, 403, 409, 429, 1480, 1481];
const NO_JSON = ["{", "[]", '"text"', `${"[".repeat(100)}${"]".repeat(100)}`];
/** Neither a number, a flag, a text nor an object. */
const WRONG_VALUE = [[1]];
const NOBODYS = "999999999";
const MALFORMED = ["-1", "1e3", "%00", "1%20OR%201=1", "x".repeat(300)];

let world: World;
let document: OpenApi;
const ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: false });
/** The codes that each endpoint was seen to refuse with. */
const seen = new Map<string, Set<number>>();

beforeAll(async () => {
  world = await World.start();
  document = (await (await fetch(`${world.url}/openapi.json`)).json()) as OpenApi;
}, 120_000);
afterAll(() => world?.stop());

describe("the list", () => {
  it("has everything of the wire contract", () => {
    const plain = (text: string) => text.replace(/:\w+/g, ":").toLowerCase();
    for (const token of ["server", "account"] as const) {
      const there = DECLARED.filter((e) => e.token === token).map((e) => plain(nameOf(e)));
      const wanted = CONTRACT[token].trim().split(/\s{2,}/);
      expect(wanted.filter((name) => !there.includes(plain(name)))).toEqual([]);
    }
  });

  it("has a row for each endpoint, and no other", () => {
    expect(Object.keys(TABLE).sort()).toEqual(DECLARED.map(nameOf).sort());
  });
});

/** A case that an endpoint cannot have is none, and not one that was left out. */
const itIf = (applies: unknown) => (title: string, test: () => Promise<void>) => {
  if (applies) it(title, test);
};

describe.each(DECLARED.map((endpoint) => [nameOf(endpoint), endpoint] as const))("%s", (name, endpoint) => {
  const { declaration, token } = endpoint;
  const row = TABLE[name] ?? {};
  const names = [...declaration.path.matchAll(/:(\w+)/g)].map(([, param]) => param ?? "");
  const hasBody = declaration.body !== undefined;
  const right = async () => rightShot(row);

  it("wants a token of its own kind", async () => {
    const shot = await right();
    const { as = world.ours } = shot;
    const other = token === "server" ? "X-Postmark-Account-Token" : "X-Postmark-Server-Token";
    const own = token === "server" ? "X-Postmark-Server-Token" : "X-Postmark-Account-Token";
    await unchanged(async () => {
      for (const headers of [
        {},
        { [own]: "" },
        { [own]: crypto.randomUUID() },
        { [own]: newToken(as.serverId) },
        { [own]: tokensOf(as)[other] },
        { [other]: tokensOf(as)[other] },
      ]) {
        const answer = await ask(endpoint, shot, headers);
        expect([answer.status, answer.code], JSON.stringify(headers)).toEqual([401, 10]);
      }
    });
  });

  itIf(token === "server")("wants a token that may do this, from here", async () => {
    const shot = await right();
    const { send, read, elsewhere } = await narrowTokens();
    const scopes = { send: [read], read: [send], full: [send, read] }[declaration.scope];
    for (const narrow of scopes)
      expect((await ask(endpoint, shot, { "X-Postmark-Server-Token": narrow })).code).toBe(1481);
    expect((await ask(endpoint, shot, { "X-Postmark-Server-Token": elsewhere })).code).toBe(1480);
  });

  it("answers as its page says", async () => {
    for (const shout of [false, true]) {
      const shot = await right();
      // What is sent where nothing is asked for is dropped.
      const body = hasBody ? shot.body : "{";
      const answer = await ask(endpoint, { ...shot, body }, undefined, shout);
      expect(answer.status, JSON.stringify(answer.json)).toBe(200);
      expect(faults(responseOf(name), answer.json)).toEqual([]);
      if (hasBody) expect(faults(requestOf(name), shot.body)).toEqual([]);
    }
  });

  itIf(hasBody)("refuses a body that is none", async () => {
    const shot = await right();
    await unchanged(async () => {
      const isList = Array.isArray(shot.body);
      for (const body of NO_JSON.filter((text) => !isList || text !== "[]"))
        await refuses(402, endpoint, { ...shot, body });
      if (isList) await refuses(402, endpoint, { ...shot, body: "{}" });
      const text = { "Content-Type": "text/plain" };
      expect((await ask(endpoint, shot, { ...tokensOf(shot.as ?? world.ours), ...text })).code).toBe(409);
    });
  });

  itIf(hasBody)("says what it wants when a body has nothing", async () => {
    const { body: _, ...shot } = await right();
    const wanted = row.empty ?? 0;
    const ofNothing = declaration.body?.empty?.code ?? row.nothing ?? wanted;
    if (wanted === 0) return expect((await ask(endpoint, { ...shot, body: {} })).code).toBe(0);
    await unchanged(async () => {
      for (const body of ["", "null", "  "]) await refuses(ofNothing, endpoint, { ...shot, body });
      await refuses(wanted, endpoint, { ...shot, body: {} });
    });
  });

  itIf(hasBody && "shape" in (declaration.body?.schema ?? {}))("refuses fields of a wrong type", async () => {
    const shot = await right();
    await unchanged(async () => {
      for (const field of Object.keys(declaration.body?.schema.shape)) {
        const code = row.wrongField?.[field] ?? 403;
        if (code === 0) continue;
        const body = { ...(shot.body as object), [field]: WRONG_VALUE };
        await refuses(code, endpoint, { ...shot, body }, field);
      }
    });
  });

  itIf(declaration.query)("refuses parameters that cannot be", async () => {
    const { schema, code } = declaration.query ?? { schema: { shape: {} }, code: 0 };
    const shot = await right();
    const wrong: [string, string][] = [];
    for (const [key, type] of Object.entries(
      schema.shape as Record<string, { safeParse(of: unknown): { success: boolean } }>,
    ))
      if (!type.safeParse("no value").success) wrong.push([key, "no value"]);
    if ("count" in schema.shape)
      wrong.push(["count", "0"], ["count", "501"], ["count", "-1"], ["count", "1.5"]);
    if ("offset" in schema.shape) wrong.push(["offset", "-1"], ["offset", "10000"]);
    if ("cursor" in schema.shape) wrong.push(["cursor", "bm90IG91cnM"]);
    await unchanged(async () => {
      for (const [key, value] of wrong)
        await refuses(
          row.wrongParameter?.[key] ?? code,
          endpoint,
          { ...shot, query: { [key]: value } },
          `${key}=${value}`,
        );
    });
  });

  itIf(names.length > 0)("knows nothing of what is not there, or is another's", async () => {
    const shot = await right();
    const theirs = (await given(row.ids, world, world.theirs)) ?? {};
    const codeOf = (param: string) => (typeof row.absent === "object" ? row.absent[param] : row.absent) ?? -1;
    await unchanged(async () => {
      for (const param of names) {
        const code = codeOf(param);
        const but = (id: string) => ({ ...shot, ids: { ...shot.ids, [param]: id } });
        const unknown = await refuses(code, endpoint, but(row.nobodys?.[param] ?? NOBODYS), "unknown");
        const foreign = await refuses(code, endpoint, but(theirs[param] ?? ""), "another's");
        expect(foreign.json).toEqual(unknown.json);
        for (const id of MALFORMED) await refuses(code, endpoint, but(id), id);
      }
      // All of it theirs, with our token.
      await refuses(codeOf(names[0] ?? ""), endpoint, { ...shot, ids: theirs });
    });
  });

  it.each(Object.entries(row.codes ?? {}).filter(([, of]) => typeof of === "function"))(
    "refuses with %s",
    async (code, of) => {
      const shot = await right();
      const base = shot.as ?? world.ours;
      const more = typeof of === "function" ? await of(world, base) : {};
      await unchanged(() => refuses(Number(code), endpoint, { ...shot, ...more }));
    },
  );

  it("refuses with each code that it names, and no other", () => {
    const named = Object.keys(declaration.errors ?? {}).map(Number);
    const reasons = Object.entries(row.codes ?? {}).filter(([, of]) => typeof of === "string");
    const tried = [...(seen.get(name) ?? []), ...reasons.map(([code]) => Number(code))];
    expect(
      named.filter((code) => !tried.includes(code)),
      "named, and never seen",
    ).toEqual([]);
    expect(
      tried.filter((code) => !named.includes(code) && !ANYWHERE.includes(code)),
      "seen, and not named",
    ).toEqual([]);
  });

  it("stands in the document with each of its codes", () => {
    const { "x-error-codes": codes } = operationOf(name);
    for (const code of seen.get(name) ?? []) expect(Object.keys(codes)).toContain(String(code));
  });

  /** As asked, and with nothing but the refusal. */
  async function refuses(code: number, of: Endpoint, shot: Shot, what = ""): Promise<Answer> {
    const answer = await ask(of, shot);
    const why = `${what} ${JSON.stringify(answer.json).slice(0, 500)}`;
    expect(answer.code, why).toBe(code);
    expect(answer.status, why).toBeGreaterThanOrEqual(400);
    expect(String(answer.json.Message), why).not.toBe("");
    return answer;
  }
});

async function rightShot(row: Row): Promise<Shot> {
  const as = (await given(row.as, world, world.ours)) ?? world.ours;
  return {
    as,
    ids: await given(row.ids, world, as),
    body: await given(row.body, world, as),
    query: row.query,
  };
}

function nameOf({ declaration: { method, path } }: Endpoint): string {
  return `${method} ${path}`;
}

function operationOf(name: string): Operation {
  const [method = "", path = ""] = name.split(" ");
  const operation = document.paths[path.replace(/:(\w+)/g, "{$1}")]?.[method.toLowerCase()];
  if (!operation) throw new Error(`the document has no ${name}`);
  return operation;
}

function responseOf(name: string): object {
  return operationOf(name).responses["200"]?.content["application/json"]?.schema ?? {};
}

function requestOf(name: string): object {
  return operationOf(name).requestBody?.content["application/json"]?.schema ?? {};
}

/** What is not as the schema says: also a key that it does not name, or one that it does and is not there. */
function faults(schema: object, value: unknown): string[] {
  if (ajv.validate({ ...schema, components: document.components }, JSON.parse(JSON.stringify(value))))
    return [];
  return (ajv.errors ?? []).map((e) => `${e.instancePath} ${e.message} ${JSON.stringify(e.params)}`);
}

async function ask(
  endpoint: Endpoint,
  { ids = {}, query, body, as = world.ours }: Shot,
  tokens: Record<string, string | undefined> = tokensOf(as),
  shout = false,
): Promise<Answer> {
  const { method, path } = endpoint.declaration;
  const words = shout ? `${path.replace(/(?<=\/)[^/:]+/g, (word) => word.toUpperCase())}/` : path;
  const where = words.replace(/:(\w+)/g, (_, param: string) => ids[param] ?? "");
  const answer = await world.send({
    method,
    path: where,
    query,
    body,
    headers: tokens as Record<string, string>,
  });
  if (answer.code !== 0) {
    const name = nameOf(endpoint);
    seen.set(name, (seen.get(name) ?? new Set()).add(answer.code));
  }
  return answer;
}

async function unchanged(what: () => Promise<unknown>): Promise<void> {
  const before = await world.state();
  await what();
  expect(await world.state()).toEqual(before);
}

let narrow: Promise<Record<"send" | "read" | "elsewhere", string>> | undefined;

/** Tokens that may do one thing only, or from one place only: on a server of theirs, for one has three. */
function narrowTokens() {
  narrow ??= (async () => {
    const server = await world.server(world.ours);
    const make = async (of: Tenant, fields: object) =>
      String((await world.make(of, "POST", "/server/tokens", fields)).Token);
    return {
      send: await make(server, { Scope: "send" }),
      read: await make(server, { Scope: "read" }),
      elsewhere: await make(await world.server(world.ours), { AllowedIps: ["192.0.2.1"] }),
    };
  })();
  return narrow;
}
