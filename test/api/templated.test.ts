/** Mail made from templates: what is sent, in which order it is checked, and what each mistake is answered with. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { LAYOUT, openTemplating, STANDARD, type Templating } from "./templating.ts";

let t: Templating;
let welcome: number;
beforeAll(async () => {
  t = await openTemplating();
  welcome = await t.make({ ...STANDARD, Alias: "welcome", HtmlBody: "<b>{{name}}</b>" });
});
afterAll(() => t.dispose());
beforeEach(() => {
  t.sent.length = 0;
  t.away.now = false;
});

const BY_ID = "The 'TemplateId' associated with this request is not valid or was not found.";
const BY_ALIAS = "The Template's 'Alias' associated with this request is not valid or was not found.";
const MESSAGE = { From: "ann@example.com", To: "bob@far.org", TemplateModel: { name: "Bob & Co" } };
const TEST = { serverToken: "POSTMARK_API_TEST" };

const send = (change: Record<string, unknown>, as = t.ours as Partial<typeof t.ours>) =>
  t.call("POST", "/email/withTemplate", { ...MESSAGE, TemplateId: welcome, ...change }, as);
const batch = (messages: unknown, as = t.ours as Partial<typeof t.ours>) =>
  t.call("POST", "/email/batchWithTemplates/", { Messages: messages }, as);

describe("a message is made from a template", () => {
  it("and answered as any other", async () => {
    const { status, json } = await send({ Tag: "t", Metadata: { Key: "Value" } });
    expect([status, json]).toEqual([
      200,
      {
        To: "bob@far.org",
        SubmittedAt: expect.any(String),
        MessageID: expect.stringMatching(/^[0-9a-f-]{36}$/),
        ErrorCode: 0,
        Message: "OK",
      },
    ]);
    expect(t.sent).toMatchObject([
      {
        subject: "Hello Bob & Co",
        htmlBody: "<b>Bob &amp; Co</b>",
        textBody: "Hi Bob & Co.",
        tag: "t",
        metadata: { Key: "Value" },
        stream: "outbound",
      },
    ]);
  });

  it.each<[string, Record<string, unknown>]>([
    ["its alias", { TemplateId: undefined, TemplateAlias: "welcome" }],
    ["its alias and the number 0", { TemplateId: 0, TemplateAlias: "welcome" }],
    ["its number, whatever the alias", { TemplateAlias: "other" }],
    ["its number as a string, in another key", { TemplateId: undefined, templateID: "x" }],
  ])("by %s", async (_name, change) => {
    if (change.templateID) change.templateID = String(welcome);
    expect((await send(change)).json).toMatchObject({ Message: "OK" });
    expect(t.sent).toMatchObject([{ subject: "Hello Bob & Co" }]);
  });

  it.each<[string, unknown, string]>([
    ["an object", { name: 5 }, "Hello 5"],
    ["PHP's empty map", [], "Hello "],
    ["a string of JSON", '{"name":"Kim"}', "Hello Kim"],
    ["one of PHP's empty map", "[]", "Hello "],
  ])("with a model that is %s", async (_name, TemplateModel, subject) => {
    expect((await send({ TemplateModel })).status).toBe(200);
    expect(t.sent[0]?.subject).toBe(subject);
  });

  it("with empty fields of its own", async () => {
    expect((await send({ Subject: "", HtmlBody: null, TextBody: "" })).status).toBe(200);
  });

  it("with a line break in its subject made a space", async () => {
    await send({ TemplateModel: { name: "a\r\n b" } });
    expect(t.sent[0]?.subject).toBe("Hello a b");
  });

  it("within its layout", async () => {
    await t.make({ ...LAYOUT, Alias: "frame", HtmlBody: "<p>{{name}}</p>{{{ @content }}}" });
    const id = await t.make({ ...STANDARD, HtmlBody: "<b>{{name}}</b>", LayoutTemplate: "frame" });
    await send({ TemplateId: id });
    expect(t.sent).toMatchObject([
      { htmlBody: "<p>Bob &amp; Co</p><b>Bob &amp; Co</b>", textBody: "-- Hi Bob & Co. --" },
    ]);
  });

  it("with its styles inlined unless that is turned off", async () => {
    const id = await t.make({ ...STANDARD, HtmlBody: "<style>b { color: red }</style><b>x</b>" });
    await send({ TemplateId: id });
    await send({ TemplateId: id, InlineCss: false });
    expect(t.sent.map((s) => s.htmlBody)).toEqual([
      expect.stringMatching(/<b style="color: red;?">x<\/b>/),
      "<style>b { color: red }</style><b>x</b>",
    ]);
  });
});

describe("a message is refused", () => {
  it.each<[string, Record<string, unknown>, number, string?]>([
    ["without a template", { TemplateId: undefined }, 1101, BY_ID],
    ["with an unknown number", { TemplateId: 999_999 }, 1101, BY_ID],
    ["with a negative one", { TemplateId: -5 }, 1101, BY_ID],
    ["with an unknown alias", { TemplateId: undefined, TemplateAlias: "nope" }, 1101, BY_ALIAS],
    [
      "with an unknown number and an alias that is known",
      { TemplateId: 999_999, TemplateAlias: "welcome" },
      1101,
      BY_ID,
    ],
    ["without a model", { TemplateModel: undefined }, 1120],
    ["with a model that is null", { TemplateModel: null }, 1120],
    ["with a model that is empty", { TemplateModel: "" }, 1120],
    ["with a model that is a number", { TemplateModel: 5 }, 1122],
    ["with a model that is a list", { TemplateModel: [1] }, 1122],
    ["with a model that is no JSON", { TemplateModel: "{" }, 1122],
    ["with a model that is a string of a number", { TemplateModel: "5" }, 1122],
    ["with a reserved key", { TemplateModel: { pm: 1 } }, 1122],
    ["with a key that begins with @", { TemplateModel: { "@content": 1 } }, 1122],
    ["with a subject", { Subject: "s" }, 1123],
    ["with a body", { HtmlBody: "s" }, 1123],
    ["with a number that is none", { TemplateId: "abc" }, 403],
    ["with a wrong type", { To: 5 }, 403],
    [
      "with an unknown stream, before its template is looked at",
      { MessageStream: "x", TemplateId: 999_999 },
      1235,
    ],
    ["with a bad address, before its template is looked at", { To: "x", TemplateModel: undefined }, 300],
    [
      "with bad metadata, before its template is looked at",
      { Metadata: { a: "x".repeat(81) }, TemplateModel: undefined },
      300,
    ],
    [
      "with a forbidden attachment, before its template is looked at",
      { Attachments: [{ Name: "a.exe", Content: "YQ==" }], TemplateId: 999_999 },
      411,
    ],
    [
      "without its template, before its sender is looked at",
      { From: "a@elsewhere.org", TemplateId: 999_999 },
      1101,
    ],
    ["with an unknown sender", { From: "a@elsewhere.org" }, 400],
  ])("%s", async (_name, change, code, Message) => {
    expect(await send(change)).toMatchObject({
      status: 422,
      json: { ErrorCode: code, Message: Message ?? expect.stringMatching(/\S/) },
    });
    expect(t.sent).toEqual([]);
  });

  it("with a layout, a deleted template, or another server's", async () => {
    const layout = await t.make(LAYOUT);
    const gone = await t.make({ ...STANDARD, Alias: "gone" });
    await send({ TemplateId: gone });
    await t.call("DELETE", `/templates/${gone}`);
    const theirs = await t.call("POST", "/templates", { ...STANDARD, Alias: "theirs" }, t.theirs);
    const { TemplateId } = theirs.json as { TemplateId: number };
    for (const id of [layout, gone, TemplateId])
      expect((await send({ TemplateId: id })).json).toEqual({ ErrorCode: 1101, Message: BY_ID });
    for (const TemplateAlias of ["gone", "theirs"])
      expect((await send({ TemplateId: 0, TemplateAlias })).json).toEqual({
        ErrorCode: 1101,
        Message: BY_ALIAS,
      });
  });

  it("when the model does not fit the template", async () => {
    const id = await t.make({ ...STANDARD, TextBody: "{{#each items}}x{{/each}}" });
    expect((await send({ TemplateId: id, TemplateModel: { items: { a: 1 } } })).json).toMatchObject({
      ErrorCode: 1122,
      Message: expect.stringContaining("'items'"),
    });
  });

  it("when it is rendered to nothing, or to too much", async () => {
    const id = await t.make({ ...STANDARD, TextBody: "{{body}}" });
    expect((await send({ TemplateId: id, TemplateModel: {} })).code).toBe("300");
    expect((await send({ TemplateModel: { name: "n".repeat(2000) } })).code).toBe("300");
    const body = "ü".repeat(3_000_000);
    expect((await send({ TemplateId: id, TemplateModel: { body } })).code).toBe("300");
  });

  it.each([
    ["an empty body", ""],
    ["null", "null"],
    ["a list", "[]"],
    ["no JSON", "{"],
  ])("as a request with %s", async (_name, text) => {
    for (const path of ["/email/withTemplate", "/email/batchWithTemplates"])
      expect(await t.call("POST", path, text)).toMatchObject({ status: 422, code: "402" });
  });

  it("without a server's token", async () => {
    for (const path of ["/email/withTemplate", "/email/batchWithTemplates"])
      expect(await t.call("POST", path, {}, { accountToken: t.ours.accountToken })).toMatchObject({
        status: 401,
      });
  });
});

describe("a batch", () => {
  it("answers each message in order", async () => {
    const { status, json } = await batch([
      { ...MESSAGE, TemplateAlias: "welcome" },
      { ...MESSAGE, TemplateAlias: "nope" },
      null,
      { ...MESSAGE, TemplateId: welcome, To: "x" },
      { ...MESSAGE, TemplateId: welcome, TemplateModel: { name: "Last" } },
      { ...MESSAGE, TemplateId: welcome, From: "a@elsewhere.org" },
    ]);
    expect(status).toBe(200);
    expect(json).toEqual([
      expect.objectContaining({ ErrorCode: 0, Message: "OK" }),
      { ErrorCode: 1101, Message: BY_ALIAS },
      { ErrorCode: 402, Message: expect.any(String) },
      { ErrorCode: 300, Message: "Invalid 'To' address: 'x'." },
      expect.objectContaining({ ErrorCode: 0, Message: "OK" }),
      { ErrorCode: 400, Message: expect.any(String) },
    ]);
    expect(t.sent.map((s) => s.subject)).toEqual(["Hello Bob & Co", "Hello Last"]);
  });

  it("reads each of its templates once", async () => {
    const ids: number[] = [];
    for (let i = 0; i < 8; i++) ids.push(await t.make({ ...STANDARD, Subject: `n ${i}` }));
    t.reads.count = 0;
    const messages = Array.from({ length: 40 }, (_, i) => ({ ...MESSAGE, TemplateId: ids[i % 8] }));
    const { json } = await batch(messages);
    expect(json).toHaveLength(40);
    expect(t.sent.map((s) => s.subject)).toEqual(messages.map((_, i) => `n ${i % 8}`));
    expect(t.reads.count).toBe(8);
  });

  it("may name as many templates as a server can have, by number and by alias, and no more", async () => {
    const messages = Array.from({ length: 202 }, (_, i) => ({ ...MESSAGE, TemplateId: 500_000 + i }));
    const codes = ((await batch(messages)).json as { ErrorCode: number }[]).map((one) => one.ErrorCode);
    expect(codes).toEqual([...Array(200).fill(1101), 300, 300]);
  });

  it("may be empty", async () => {
    expect((await batch([])).json).toEqual([]);
  });

  it.each<[string, unknown, string]>([
    ["501 messages", { Messages: Array(501).fill({}) }, "410"],
    ["no messages", {}, "403"],
    ["messages that are null", { Messages: null }, "403"],
    ["messages that are an object", { Messages: {} }, "403"],
  ])("is refused as a whole with %s", async (_name, body, code) => {
    expect(await t.call("POST", "/email/batchWithTemplates", body)).toMatchObject({ status: 422, code });
  });

  it("that is too much to render at once is refused from there on, message by message", async () => {
    const id = await t.make({ ...STANDARD, TextBody: "{{#each a}}{{#each ../../b}}{{.}}{{/each}}{{/each}}" });
    const TemplateModel = { a: Array(500).fill(1), b: Array(500).fill(1) };
    const { status, json } = await batch(Array(60).fill({ ...MESSAGE, TemplateId: id, TemplateModel }));
    expect(status).toBe(200);
    const codes = (json as { ErrorCode: number }[]).map((one) => one.ErrorCode);
    expect(codes[0]).toBe(0);
    expect(codes.at(-1)).toBe(300);
    expect(codes.filter((code) => code === 0).length).toBe(t.sent.length);
  });
});

describe("the test token", () => {
  it("is told of what is wrong with a message, and knows no templates", async () => {
    expect((await send({ From: "a@anywhere.org" }, TEST)).json).toMatchObject({
      Message: "Test job accepted",
    });
    expect((await send({ To: "x" }, TEST)).code).toBe("300");
    expect((await send({ TemplateModel: undefined }, TEST)).code).toBe("1120");
    expect((await send({ TemplateId: undefined }, TEST)).code).toBe("1101");
    expect((await batch([{ ...MESSAGE, TemplateAlias: "a" }, {}], TEST)).json).toMatchObject([
      { Message: "Test job accepted" },
      { ErrorCode: 300 },
    ]);
    expect(t.sent).toEqual([]);
  });
});

describe("templates are kept", () => {
  it("for ten seconds, whoever else changes them", async () => {
    const id = await t.make(STANDARD);
    await send({ TemplateId: id });
    await t.db.directory
      .prepare("UPDATE templates SET subject = 'New', updated_at = updated_at + 1 WHERE id = ?")
      .bind(id)
      .run();
    t.clock.now += 9_999;
    await send({ TemplateId: id });
    t.clock.now += 1;
    await send({ TemplateId: id });
    expect(t.sent.map((s) => s.subject)).toEqual(["Hello Bob & Co", "Hello Bob & Co", "New"]);
  });

  it("and read anew at once when they, or their layouts, are changed here", async () => {
    await t.make({ ...LAYOUT, Alias: "outer" });
    const id = await t.make({ ...STANDARD, LayoutTemplate: "outer" });
    await send({ TemplateId: id });
    await t.call("PUT", `/templates/${id}`, { TextBody: "B" });
    await send({ TemplateId: id });
    await t.call("PUT", "/templates/outer", { TextBody: "({{{@content}}})" });
    await send({ TemplateId: id });
    expect(t.sent.map((s) => s.textBody)).toEqual(["-- Hi Bob & Co. --", "-- B --", "(B)"]);
  });

  it("and used while the directory is away; what is not kept is 503", async () => {
    await send({});
    t.away.now = true;
    t.clock.now += 60_000;
    expect((await send({})).status).toBe(200);
    expect(t.logged.map(({ event }) => event)).toContain("template not read anew");
    const away = await send({ TemplateId: 0, TemplateAlias: "never seen" });
    expect([away.status, away.code]).toEqual([503, "100"]);
    expect(
      await batch([
        { ...MESSAGE, TemplateId: welcome },
        { ...MESSAGE, TemplateId: 999_998 },
      ]),
    ).toMatchObject({ status: 503 });
    expect(t.sent.length).toBe(2);
  });
});
