/**
 * Bulk requests at the API's door, on real databases: what each field may be, where each problem is told, and that a request is
 * taken as a whole or not at all. What keeps them is recorded at its port; test/accept/bulk.test.ts has the real one.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { BulkPort, BulkStatus } from "../../src/accept/bulk.ts";
import type { BulkMessage, BulkShared } from "../../src/accept/bulk-message.ts";
import { createDomain } from "../../src/accounts/domains.ts";
import { createTemplate } from "../../src/accounts/templates.ts";
import { bulkEndpoints } from "../../src/api/bulk.ts";
import { NOON } from "../archive/databases.ts";
import { openSettings, type Settings } from "./settings.ts";

/** Keeps what it is handed, as the object would; ids are the server's own. */
class Recorder implements BulkPort {
  readonly puts = new Map<string, BulkMessage[][]>();
  readonly shared = new Map<string, BulkShared>();
  readonly statuses: BulkStatus[] = [];
  readonly keys = new Map<string, { bodyHash: string; id: string }>();
  readonly discarded: string[] = [];
  /** So many calls of `commit` lose their answer. */
  lost = 0;
  isAway = false;

  async put(id: string, part: number, bytes: Uint8Array): Promise<void> {
    if (this.isAway) throw new Error("away");
    const parts = this.puts.get(id) ?? [];
    parts[part - 1] = JSON.parse(new TextDecoder().decode(bytes));
    this.puts.set(id, parts);
  }

  async commit(id: string, request: Parameters<BulkPort["commit"]>[1], shared: Uint8Array) {
    const { total, subject, idempotency } = request;
    const before = idempotency && this.keys.get(idempotency.key);
    if (before && before.bodyHash !== idempotency.bodyHash) return { kind: "conflict" } as const;
    const known = this.statuses.find((s) => s.id === (before?.id ?? id));
    if (known) return { kind: "accepted", status: known } as const;
    if (idempotency) this.keys.set(idempotency.key, { bodyHash: idempotency.bodyHash, id });
    const seq = this.statuses.length + 1;
    const status = {
      seq,
      id,
      state: "open",
      at: NOON,
      subject,
      total,
      released: 0,
      failed: 0,
      reason: "",
    } as const;
    this.statuses.push(status);
    this.shared.set(id, JSON.parse(new TextDecoder().decode(shared)));
    if (this.lost-- > 0) throw new Error("connection lost");
    return { kind: "accepted", status } as const;
  }

  async discard(id: string): Promise<void> {
    this.discarded.push(id);
    this.puts.delete(id);
  }

  async status(id: string): Promise<BulkStatus | undefined> {
    return this.statuses.find((s) => s.id === id);
  }

  async list(before: number, limit: number): Promise<BulkStatus[]> {
    return this.statuses
      .filter((s) => s.seq < before)
      .reverse()
      .slice(0, limit);
  }

  async cancel(id: string): Promise<BulkStatus | undefined> {
    const status = await this.status(id);
    if (status?.state === "open") Object.assign(status, { state: "cancelled", reason: "It was cancelled." });
    return status;
  }
}

let settings: Settings;
let ports: Map<number, Recorder>;
let templateId: number;

beforeAll(async () => {
  ports = new Map();
  settings = await openSettings(bulkEndpoints, () => ({
    bulk: (serverId: number) => ports.get(serverId) as Recorder,
    region: () => "local" as const,
  }));
  const { db, ours } = settings;
  await createDomain(db.directory, { accountId: ours.accountId, name: "example.com", verified: true }, NOON);
  const base = { type: "Standard", alias: null, layout: null } as const;
  const layout = { ...base, type: "Layout", alias: "frame", subject: null, textBody: null } as const;
  await createTemplate(
    db.directory,
    ours.serverId,
    { ...layout, name: "Frame", htmlBody: "<b>{{{ @content }}}</b>" },
    NOON,
  );
  const made = await createTemplate(
    db.directory,
    ours.serverId,
    {
      ...base,
      alias: "news",
      layout: "frame",
      name: "News",
      subject: "S {{a}}",
      htmlBody: "<p>{{a}}",
      textBody: null,
    },
    NOON,
  );
  templateId = "ok" in made ? made.ok.id : 0;
});
afterAll(() => settings.dispose());
beforeEach(() => {
  ports.clear();
  for (const { serverId } of [settings.ours, settings.theirs]) ports.set(serverId, new Recorder());
});

const port = () => ports.get(settings.ours.serverId) as Recorder;
const REQUEST = { From: "Ann <ann@example.com>", Subject: "Hello {{name}}", TextBody: "Dear {{name}}" };
const MESSAGES = [
  { To: "a@far.org", TemplateModel: { name: "A" } },
  { To: "Bea <b@far.org>", Cc: "c@far.org", Bcc: "d@far.org" },
];

const post = (body: unknown) => settings.call("POST", "/email/bulk", body);

function stored(): { shared: BulkShared; messages: BulkMessage[] } {
  const [id] = port().puts.keys();
  return {
    shared: port().shared.get(id ?? "") as BulkShared,
    messages: (port().puts.get(id ?? "") ?? []).flat(),
  };
}

describe("a bulk request", () => {
  it("is accepted as a whole, and says how it stands", async () => {
    const { status, json } = await post({ ...REQUEST, Messages: MESSAGES });
    expect(status).toBe(200);
    expect(json).toEqual({
      Id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      ID: json.Id,
      SubmittedAt: expect.stringContaining("2026-"),
      Status: "Accepted",
      TotalMessages: 2,
      PercentageCompleted: 0,
      ReleasedCount: 0,
      FailedCount: 0,
      Subject: "Hello {{name}}",
    });
    expect(stored().messages).toEqual([
      { to: [{ email: "a@far.org", name: "" }], model: { name: "A" } },
      {
        to: [{ email: "b@far.org", name: "Bea" }],
        cc: [{ email: "c@far.org", name: "" }],
        bcc: [{ email: "d@far.org", name: "" }],
      },
    ]);
    expect(stored().shared).toMatchObject({
      source: { subject: "Hello {{name}}", htmlBody: "", textBody: "Dear {{name}}" },
      submission: { from: { email: "ann@example.com", name: "Ann" }, stream: "broadcast" },
      inlineCss: true,
    });
    expect(port().discarded).toEqual([]);
  });

  it("takes what all share after the messages, keys in any case, and what clients write for nothing", async () => {
    const { status } = await post(
      `{"messages":[{"to":"a@far.org","cc":null,"templateModel":"{\\"name\\":1}","headers":[],"metadata":[]}],` +
        `"FROM":"ann@example.com","htmlbody":"<p>x","subject":null,"tag":"","TEMPLATEID":0,"inlinecss":"false","New":1}`,
    );
    expect(status).toBe(200);
    expect(stored()).toMatchObject({
      messages: [{ to: [{ email: "a@far.org" }], model: { name: 1 } }],
      shared: { inlineCss: false, source: { subject: "", htmlBody: "<p>x" } },
    });
  });

  it("keeps the sources of a template and its layout, as they are now", async () => {
    for (const named of [
      { TemplateId: templateId },
      { TemplateAlias: "news" },
      { TemplateId: 0, TemplateAlias: "news" },
    ]) {
      port().puts.clear();
      const { status, json } = await post({ From: "ann@example.com", ...named, Messages: MESSAGES });
      expect({ status, subject: json.Subject }).toEqual({ status: 200, subject: "S {{a}}" });
      expect(stored().shared.source).toEqual({
        subject: "S {{a}}",
        htmlBody: "<p>{{a}}",
        textBody: null,
        layout: { htmlBody: "<b>{{{ @content }}}</b>", textBody: null },
      });
    }
  });

  it("hands messages on in parts, in order", async () => {
    const Messages = Array.from({ length: 1_203 }, (_, n) => ({ To: `r${n}@far.org` }));
    const { json } = await post({ ...REQUEST, Messages });
    expect(json.TotalMessages).toBe(1_203);
    const parts = [...port().puts.values()][0] ?? [];
    expect(parts.map((p) => p.length)).toEqual([500, 500, 203]);
    expect(stored().messages.map((m) => m.to?.[0]?.email)).toEqual(Messages.map((m) => m.To));
  });

  it("is answered the same when the answer was lost on the way from what keeps it", async () => {
    port().lost = 1;
    expect(await post({ ...REQUEST, Messages: MESSAGES })).toMatchObject({
      status: 200,
      json: { Status: "Accepted" },
    });
    expect(port().statuses).toHaveLength(1);
  });

  it("is to be sent again when nothing can be kept", async () => {
    port().isAway = true;
    expect(await post({ ...REQUEST, Messages: MESSAGES })).toMatchObject({ status: 503, code: "100" });
    expect(port().statuses).toEqual([]);
  });

  it("is checked and dropped for the test token", async () => {
    const as = { serverToken: "POSTMARK_API_TEST" };
    const fine = await settings.call("POST", "/email/bulk", { ...REQUEST, Messages: MESSAGES }, as);
    expect(fine).toMatchObject({ status: 200, json: { Status: "Accepted", TotalMessages: 2 } });
    const bad = await settings.call("POST", "/email/bulk", { ...REQUEST, Messages: [{ To: "x" }] }, as);
    expect(bad).toMatchObject({ status: 422, code: "300" });
    expect(await settings.call("GET", `/email/bulk/${fine.json.Id}`, undefined, as)).toMatchObject({
      status: 401,
    });
    expect(port().statuses).toEqual([]);
  });

  it("gets the first answer again with the same idempotency key, and no other request may have it", async () => {
    const as = { ...settings.ours, headers: { "Idempotency-Key": "june" } };
    const send = (body: object) => settings.call("POST", "/email/bulk", body, as);
    const first = await send({ ...REQUEST, Messages: MESSAGES });
    const again = await send({ Messages: MESSAGES, ...REQUEST });
    const other = await send({ ...REQUEST, TextBody: "Other", Messages: MESSAGES });
    expect(again.json.Id).toBe(first.json.Id);
    expect(other).toMatchObject({ status: 409, json: { ErrorCode: 300 } });
    expect(port().statuses).toHaveLength(1);
  });

  it("is the same request with its key after its template was edited", async () => {
    const { directory } = settings.db;
    const as = { ...settings.ours, headers: { "Idempotency-Key": "july" } };
    const body = { From: "ann@example.com", TemplateId: templateId, Messages: MESSAGES };
    const first = await settings.call("POST", "/email/bulk", body, as);
    expect(first.status).toBe(200);
    const edit = (subject: string) =>
      directory.prepare("UPDATE templates SET subject = ? WHERE id = ?").bind(subject, templateId).run();
    await edit("T {{a}}");
    const again = await settings.call("POST", "/email/bulk", body, as);
    await edit("S {{a}}");
    expect(again).toMatchObject({ status: 200, json: { Id: first.json.Id } });
  });
});

describe("one problem has its own code, and nothing is accepted", () => {
  const many = (count: number) => Array.from({ length: count }, (_, n) => `r${n}@far.org`).join(",");
  const metadata = (count: number, prefix = "k") =>
    Object.fromEntries(Array.from({ length: count }, (_, n) => [`${prefix}${n}`, "v"]));

  it.each<[string, number, object | string]>([
    ["no body", 402, ""],
    ["null", 402, "null"],
    ["a list", 402, "[]"],
    ["broken JSON", 402, '{"From":'],
    ["broken JSON in a message", 402, '{"Messages":[{"To":tru}]}'],
    ["JSON that goes on", 402, '{"Messages":[]}}'],
    [
      "a message nested too deeply",
      402,
      `{"Messages":[{"TemplateModel":${"[".repeat(40)}${"]".repeat(40)}}]}`,
    ],
    ["no messages", 300, REQUEST],
    ["an empty list", 300, { ...REQUEST, Messages: [] }],
    ["messages that are no list", 403, { ...REQUEST, Messages: { To: "a@far.org" } }],
    [
      "messages twice",
      403,
      `{"From":"ann@example.com","TextBody":"x","Messages":[{"To":"a@far.org"}],"messages":[{"To":"a@far.org"}]}`,
    ],
    ["a message that is no object", 403, { ...REQUEST, Messages: ["a@far.org"] }],
    [
      "a time to be sent at, which bulk has not",
      403,
      { ...REQUEST, SendAt: "2026-12-01T00:00:00Z", Messages: MESSAGES },
    ],
    ["a From of a wrong type", 403, { ...REQUEST, From: 5, Messages: MESSAGES }],
    ["Headers of a wrong type", 403, { ...REQUEST, Headers: {}, Messages: MESSAGES }],
    ["InlineCss of a wrong type", 403, { ...REQUEST, InlineCss: "maybe", Messages: MESSAGES }],
    ["a To of a wrong type", 403, { ...REQUEST, Messages: [{ To: ["a@far.org"] }] }],
    ["no From", 300, { ...REQUEST, From: "", Messages: MESSAGES }],
    ["a From that is no address", 300, { ...REQUEST, From: "ann", Messages: MESSAGES }],
    ["a From of nobody", 400, { ...REQUEST, From: "ann@elsewhere.org", Messages: MESSAGES }],
    ["a ReplyTo that is no address", 300, { ...REQUEST, ReplyTo: "x", Messages: MESSAGES }],
    ["no body and no template", 300, { From: "ann@example.com", Messages: MESSAGES }],
    ["a Subject that is too long", 300, { ...REQUEST, Subject: "x".repeat(2_001), Messages: MESSAGES }],
    ["a Tag that is too long", 300, { ...REQUEST, Tag: "x".repeat(1_001), Messages: MESSAGES }],
    [
      "an HtmlBody that is too large",
      300,
      { ...REQUEST, HtmlBody: "x".repeat(5_300_000), Messages: MESSAGES },
    ],
    ["metadata of too many", 300, { ...REQUEST, Metadata: metadata(11), Messages: MESSAGES }],
    [
      "a header's name that is none",
      300,
      { ...REQUEST, Headers: [{ Name: "a b", Value: "x" }], Messages: MESSAGES },
    ],
    [
      "an attachment without content",
      300,
      { ...REQUEST, Attachments: [{ Name: "a.txt" }], Messages: MESSAGES },
    ],
    [
      "a forbidden attachment",
      411,
      { ...REQUEST, Attachments: [{ Name: "a.exe", Content: "" }], Messages: MESSAGES },
    ],
    ["an unknown stream", 1226, { ...REQUEST, MessageStream: "nope", Messages: MESSAGES }],
    ["an inbound stream", 1236, { ...REQUEST, MessageStream: "inbound", Messages: MESSAGES }],
    [
      "a template that is not there",
      1101,
      { From: "ann@example.com", TemplateId: 99_999, Messages: MESSAGES },
    ],
    [
      "an alias that is not there",
      1101,
      { From: "ann@example.com", TemplateAlias: "nope", Messages: MESSAGES },
    ],
    [
      "a layout for a template",
      1101,
      { From: "ann@example.com", TemplateAlias: "frame", Messages: MESSAGES },
    ],
    [
      "a template and a body",
      1123,
      { From: "ann@example.com", TemplateAlias: "news", TextBody: "x", Messages: MESSAGES },
    ],
    ["a body that does not compile", 1122, { ...REQUEST, TextBody: "{{#a}}", Messages: MESSAGES }],
    ["a message to nobody", 300, { ...REQUEST, Messages: [{}] }],
    ["a To that is no address", 300, { ...REQUEST, Messages: [{ To: "a@" }] }],
    ["a Cc that is no address", 300, { ...REQUEST, Messages: [{ To: "a@far.org", Cc: "x" }] }],
    ["51 recipients", 300, { ...REQUEST, Messages: [{ To: many(50), Bcc: "x@far.org" }] }],
    ["a model that is no object", 1122, { ...REQUEST, Messages: [{ To: "a@far.org", TemplateModel: 5 }] }],
    [
      "a model with a reserved key",
      1122,
      { ...REQUEST, Messages: [{ To: "a@far.org", TemplateModel: { pm: 1 } }] },
    ],
    [
      "own metadata of too many",
      300,
      { ...REQUEST, Messages: [{ To: "a@far.org", Metadata: metadata(11) }] },
    ],
    [
      "metadata that is too many together",
      300,
      { ...REQUEST, Metadata: metadata(6), Messages: [{ To: "a@far.org", Metadata: metadata(5, "own") }] },
    ],
    [
      "an own header with a line break",
      300,
      { ...REQUEST, Messages: [{ To: "a@far.org", Headers: [{ Name: "X-A", Value: "a\nb" }] }] },
    ],
    [
      "headers that are too many together",
      300,
      {
        ...REQUEST,
        Messages: [{ To: "a@far.org", Headers: [{ Name: "X-Own", Value: "x" }] }],
        Headers: Array.from({ length: 250 }, (_, n) => ({ Name: `X-${n}`, Value: "x" })),
      },
    ],
  ])("%s: %i", async (_, code, body) => {
    const answer = await post(body);
    expect(answer).toMatchObject({ code: String(code), json: { ErrorCode: code } });
    expect(answer.json).not.toHaveProperty("Errors");
    expect(port().statuses).toEqual([]);
    expect(port().puts.size).toBe(0);
  });

  it("takes fifty recipients in one list, own values in the place of shared ones, and both limits to the full", async () => {
    const { status } = await post({
      ...REQUEST,
      Metadata: metadata(10),
      Headers: Array.from({ length: 250 }, (_, n) => ({ Name: `X-${n}`, Value: "x" })),
      Messages: [
        { Bcc: many(50) },
        { To: many(50), Metadata: { K3: "mine" }, Headers: [{ Name: "x-7", Value: "mine" }] },
      ],
    });
    expect(status).toBe(200);
  });

  it("413 for more than 50 MB, of which nothing is kept", async () => {
    const large = {
      ...REQUEST,
      Messages: Array.from({ length: 53 }, () => ({
        To: "a@far.org",
        TemplateModel: { x: "x".repeat(1_000_000) },
      })),
    };
    expect(await post(large)).toMatchObject({ status: 413, code: "300" });
    expect(port().statuses).toEqual([]);
    expect(port().puts.size).toBe(0);
  });

  it("415 for what is not JSON", async () => {
    const as = { ...settings.ours, headers: { "Content-Type": "text/plain" } };
    expect(await settings.call("POST", "/email/bulk", "Hello", as)).toMatchObject({
      status: 415,
      code: "409",
    });
  });
});

describe("several problems are code 11, each at its field's path", () => {
  it("in what is shared and in messages, whatever comes first", async () => {
    const { status, json } = await post({
      Messages: [
        { To: "a@far.org" },
        { To: "x", Cc: "y", Headers: [{ Name: "", Value: "" }] },
        { To: 5, Bcc: 6 },
        "x",
        { To: "a@far.org", TemplateModel: [1] },
        {},
      ],
      From: "ann@elsewhere.org",
      ReplyTo: "x",
      MessageStream: "nope",
      TextBody: "{{#a}}",
      HtmlBody: "{{a-b}}",
      Attachments: [{ Name: "a.exe", Content: "" }],
    });
    expect(status).toBe(422);
    expect(json).toMatchObject({
      ErrorCode: 11,
      Message: "Multiple errors occurred. Inspect the Errors property for more information.",
    });
    const codes = Object.entries(json.Errors as Record<string, { ErrorCode: number; Message: string }[]>).map(
      ([path, list]) => [path, ...list.map((e) => e.ErrorCode)],
    );
    expect(codes.sort()).toEqual(
      [
        ["Messages[1].To", 300],
        ["Messages[1].Cc", 300],
        ["Messages[1].Headers", 300],
        ["Messages[2].To", 403],
        ["Messages[2].Bcc", 403],
        ["Messages[3]", 403],
        ["Messages[4].TemplateModel", 1122],
        ["Messages[5].To", 300],
        ["From", 400],
        ["ReplyTo", 300],
        ["MessageStream", 1226],
        ["TextBody", 1122],
        ["HtmlBody", 1122],
        ["Attachments", 411],
      ].sort(),
    );
    expect(port().statuses).toEqual([]);
    expect(port().puts.size).toBe(0);
  });

  it("lists a hundred at most", async () => {
    const { json } = await post({ ...REQUEST, Messages: Array.from({ length: 5_000 }, () => ({ To: "x" })) });
    expect(Object.keys(json.Errors as object)).toHaveLength(100);
  });
});

describe("how requests stand", () => {
  const submitted = async () => String((await post({ ...REQUEST, Messages: MESSAGES })).json.Id);

  it("is told of each, and of no other server's", async () => {
    const id = await submitted();
    expect(await settings.call("GET", `/email/bulk/${id.toUpperCase()}`)).toMatchObject({
      status: 200,
      json: { Id: id, Status: "Accepted", TotalMessages: 2 },
    });
    const unknown = await settings.call("GET", "/email/bulk/7d8a5b1c-0000-4000-8000-000000000000");
    expect(unknown).toMatchObject({ status: 404, code: "12" });
    for (const method of ["GET", "DELETE"])
      expect(await settings.call(method, `/email/bulk/${id}`, undefined, settings.theirs)).toEqual(unknown);
    expect(port().statuses[0]?.state).toBe("open");
  });

  it.each<[Partial<BulkStatus>, object]>([
    [{ released: 1 }, { Status: "Processing", PercentageCompleted: 50, ReleasedCount: 1 }],
    [
      { state: "completed", released: 1, failed: 1 },
      { Status: "Completed", PercentageCompleted: 100, FailedCount: 1 },
    ],
    [
      { total: 3, released: 2 },
      { Status: "Processing", PercentageCompleted: 66.66 },
    ],
    [{ reason: "It waits." }, { Status: "Accepted", Reason: "It waits." }],
  ])("%j is %j", async (stands, said) => {
    const id = await submitted();
    Object.assign(port().statuses[0] as BulkStatus, stands);
    expect((await settings.call("GET", `/email/bulk/${id}`)).json).toMatchObject(said);
  });

  it("is listed, the newest first, page by page", async () => {
    const ids: string[] = [];
    for (let n = 0; n < 5; n++) ids.unshift(await submitted());
    const seen: string[] = [];
    let key: unknown = "";
    let pages = 0;
    do {
      const page = await settings.call("GET", `/email/bulk?count=2${key ? `&paginationKey=${key}` : ""}`);
      seen.push(...(page.json.Requests as { Id: string }[]).map((r) => r.Id));
      key = page.json.PaginationKey;
      pages++;
    } while (key !== undefined);
    expect({ seen, pages }).toEqual({ seen: ids, pages: 3 });
    expect((await settings.call("GET", "/email/bulk", undefined, settings.theirs)).json).toEqual({
      Requests: [],
    });
  });

  it.each(["paginationKey=x", "paginationKey=WyJhIl0", "count=0", "count=501", "count=x"])(
    "refuses %s: 13",
    async (query) => {
      expect(await settings.call("GET", `/email/bulk?${query}`)).toMatchObject({ status: 422, code: "13" });
    },
  );

  it("is cancelled, which says how it stands then", async () => {
    const id = await submitted();
    const cancelled = { status: 200, json: { Status: "Cancelled", Reason: "It was cancelled." } };
    expect(await settings.call("DELETE", `/email/bulk/${id}`)).toMatchObject(cancelled);
    expect(await settings.call("DELETE", `/email/bulk/${id}`)).toMatchObject(cancelled);
    expect(await settings.call("DELETE", "/email/bulk/x")).toMatchObject({ status: 404, code: "12" });
  });

  it("needs a token", async () => {
    for (const [method, path] of [
      ["POST", ""],
      ["GET", ""],
      ["GET", "/x"],
      ["DELETE", "/x"],
    ] as const)
      expect(await settings.call(method, `/email/bulk${path}`, undefined, { serverToken: "" })).toMatchObject(
        {
          status: 401,
          code: "10",
        },
      );
  });
});
