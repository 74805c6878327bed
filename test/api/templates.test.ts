/** Templates through the API: made, read, listed, changed and deleted, and each code that they are refused with. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { LAYOUT, openTemplating, STANDARD, type Templating } from "./templating.ts";

let t: Templating;
beforeAll(async () => {
  t = await openTemplating();
});
afterAll(() => t.dispose());
beforeEach(() => t.db.directory.prepare("DELETE FROM templates").run());

const BY_ID = "The 'TemplateId' associated with this request is not valid or was not found.";
const BY_ALIAS = "The Template's 'Alias' associated with this request is not valid or was not found.";

/** So many more of ours, a little later than now. */
async function fill(count: number, active: boolean): Promise<void> {
  await t.db.directory
    .prepare(
      `INSERT INTO templates (server_id, name, type, active, created_at, updated_at)
       SELECT ?1, 'more', 'Standard', ?2, ?3, ?3 + 1 + value FROM json_each(?4)`,
    )
    .bind(
      t.ours.serverId,
      active ? 1 : 0,
      t.clock.now,
      JSON.stringify(Array.from({ length: count }, (_, i) => i + 1)),
    )
    .run();
}

describe("a template is made", () => {
  it("and answered in its short form", async () => {
    const { status, json } = await t.call("POST", "/templates", { ...STANDARD, Alias: "welcome" });
    expect([status, json]).toEqual([
      200,
      {
        TemplateId: expect.any(Number),
        Name: "Welcome",
        Active: true,
        Alias: "welcome",
        TemplateType: "Standard",
        LayoutTemplate: null,
      },
    ]);
  });

  it("as a layout, with an alias of ours when it has none", async () => {
    const { json } = await t.call("POST", "/templates/", LAYOUT);
    expect(json).toMatchObject({
      TemplateType: "Layout",
      Alias: expect.stringMatching(/^layout-[0-9a-f]{8}$/),
    });
  });

  it("from keys in any case, with nulls, and with keys that are none of its own", async () => {
    const { json } = await t.call("POST", "/Templates", {
      name: "A",
      subject: "s",
      HTMLBody: "<b>x</b>",
      TextBody: null,
      Alias: null,
      layoutTemplate: null,
      templateType: "standard",
      New: true,
      Status: "Added",
    });
    const { TemplateId } = json as { TemplateId: number };
    expect((await t.call("GET", `/templates/${TemplateId}`)).json).toEqual({
      TemplateId,
      Name: "A",
      Active: true,
      Alias: null,
      TemplateType: "Standard",
      LayoutTemplate: null,
      Subject: "s",
      HtmlBody: "<b>x</b>",
      TextBody: null,
      AssociatedServerId: t.ours.serverId,
    });
  });

  it.each<[string, unknown, number]>([
    ["no body", undefined, 1109],
    ["null", "null", 1109],
    ["no JSON", "{", 402],
    ["a list", [], 402],
    ["a name that is a number", { ...STANDARD, Name: 5 }, 403],
    ["an unknown type", { ...STANDARD, TemplateType: "Other" }, 403],
    ["no name", { ...STANDARD, Name: "" }, 1120],
    ["a blank name", { ...STANDARD, Name: "  " }, 1120],
    ["no subject", { ...STANDARD, Subject: undefined }, 1120],
    ["neither body", { ...STANDARD, TextBody: "" }, 1120],
    ["a long name", { ...STANDARD, Name: "n".repeat(256) }, 1121],
    ["a long subject", { ...STANDARD, Subject: "s".repeat(2001) }, 1121],
    ["a long alias", { ...STANDARD, Alias: "a".repeat(256) }, 1121],
    ["bodies that are too large", { ...STANDARD, HtmlBody: "ü".repeat(950_000) }, 1121],
    ["an alias with a space", { ...STANDARD, Alias: "a b" }, 1122],
    ["an alias that begins with a digit", { ...STANDARD, Alias: "1a" }, 1122],
    ["a layout that does not exist", { ...STANDARD, LayoutTemplate: "nope" }, 1122],
    ["a broken subject", { ...STANDARD, Subject: "{{#a}}" }, 1122],
    ["a broken body", { ...STANDARD, TextBody: "{{a b}}" }, 1122],
    ["a layout's placeholder in a template", { ...STANDARD, TextBody: "{{{ @content }}}" }, 1122],
    ["a subject on a layout", { ...LAYOUT, Subject: "s" }, 1123],
    ["a layout on a layout", { ...LAYOUT, LayoutTemplate: "frame" }, 1123],
    ["a layout without its placeholder", { ...LAYOUT, HtmlBody: "<main></main>" }, 1131],
    ["a layout with two of them", { ...LAYOUT, TextBody: "{{{@content}}}{{{@content}}}" }, 1131],
  ])("but not with %s", async (_name, body, code) => {
    const answer = await t.call("POST", "/templates", body);
    expect([answer.status, answer.code]).toEqual([422, String(code)]);
    expect(answer.json).toEqual({ ErrorCode: code, Message: expect.stringMatching(/\S/) });
    expect((await t.call("GET", "/templates")).json).toEqual({ TotalCount: 0, Templates: [] });
  });

  it("with the place of a mistake in the text", async () => {
    const { json } = await t.call("POST", "/templates", { ...STANDARD, TextBody: "Hi\n  {{a b}}" });
    expect(json).toMatchObject({
      Message: expect.stringMatching(/'TextBody'.*'a b' is not valid.*\(line 2, character 3\)/),
    });
  });

  it("as large as it may be", async () => {
    const id = await t.make({ ...STANDARD, HtmlBody: "ü".repeat(900_000), TextBody: "t".repeat(100_000) });
    const { json } = await t.call("GET", `/templates/${id}`);
    expect((json as { HtmlBody: string }).HtmlBody.length).toBe(900_000);
  });

  it("once for each alias, and not when another server has it", async () => {
    await t.make({ ...STANDARD, Alias: "one" });
    expect((await t.call("POST", "/templates", { ...STANDARD, Alias: "one" })).code).toBe("1122");
    expect((await t.call("POST", "/templates", { ...STANDARD, Alias: "one" }, t.theirs)).status).toBe(200);
  });

  it("a hundred times, and once more when one is deleted", async () => {
    const id = await t.make(STANDARD);
    await fill(99, true);
    expect((await t.call("POST", "/templates", STANDARD)).code).toBe("1105");
    expect((await t.call("POST", "/templates", STANDARD, t.theirs)).status).toBe(200);
    await t.call("DELETE", `/templates/${id}`);
    expect((await t.call("POST", "/templates", STANDARD)).status).toBe(200);
  });

  it("not with the layout of another server", async () => {
    await t.call("POST", "/templates", { ...LAYOUT, Alias: "frame" }, t.theirs);
    expect((await t.call("POST", "/templates", { ...STANDARD, LayoutTemplate: "frame" })).code).toBe("1122");
  });

  it("not with a template as its layout", async () => {
    await t.make({ ...STANDARD, Alias: "plain" });
    expect((await t.call("POST", "/templates", { ...STANDARD, LayoutTemplate: "plain" })).code).toBe("1122");
  });
});

describe("templates are read", () => {
  it("by number and by alias", async () => {
    const id = await t.make({ ...STANDARD, Alias: "Welcome.1" });
    expect((await t.call("GET", `/templates/${id}`)).json).toMatchObject({ Alias: "Welcome.1" });
    expect((await t.call("GET", "/templates/Welcome.1")).json).toMatchObject({ TemplateId: id });
  });

  it("in a list of pages, in the order in which they were made", async () => {
    const ids = [];
    for (const Name of ["a", "b", "c"]) ids.push(await t.make({ ...STANDARD, Name }));
    const { json } = await t.call("GET", "/templates?Count=2&Offset=1");
    expect(json).toMatchObject({
      TotalCount: 3,
      Templates: [{ TemplateId: ids[1] }, { TemplateId: ids[2] }],
    });
    expect((json as { Templates: object[] }).Templates.map((one) => Object.keys(one).length)).toEqual([6, 6]);
  });

  it("in a list by type and by layout", async () => {
    await t.make({ ...LAYOUT, Alias: "frame" });
    await t.make({ ...STANDARD, Name: "framed", LayoutTemplate: "frame" });
    await t.make({ ...STANDARD, Name: "bare" });
    const names = async (query: string) => {
      const { json } = await t.call("GET", `/templates?${query}`);
      return (json as { Templates: { Name: string }[] }).Templates.map((one) => one.Name);
    };
    expect(await names("count=10&offset=0")).toEqual(["Frame", "framed", "bare"]);
    expect(await names("templateType=standard")).toEqual(["framed", "bare"]);
    expect(await names("TemplateType=Layout")).toEqual(["Frame"]);
    expect(await names("TemplateType=All&LayoutTemplate=frame")).toEqual(["framed"]);
    expect(await names("LayoutTemplate=other")).toEqual([]);
  });

  it.each(["count=-1", "count=501", "offset=-1", "count=500&offset=9501", "TemplateType=Other"])(
    "but not with %s",
    async (query) => {
      expect(await t.call("GET", `/templates?${query}`)).toMatchObject({ status: 422, code: "1100" });
    },
  );
});

describe("a template is changed", () => {
  it("in what is given, and nothing else", async () => {
    const id = await t.make({ ...STANDARD, Alias: "welcome", HtmlBody: "<b>1</b>" });
    const { status, json } = await t.call("PUT", "/templates/welcome", {
      Name: "New",
      Subject: null,
      HtmlBody: "<b>2</b>",
      Alias: null,
      LayoutTemplate: null,
    });
    expect([status, json]).toMatchObject([
      200,
      { TemplateId: id, Name: "New", Alias: "welcome", Active: true },
    ]);
    expect((await t.call("GET", `/templates/${id}`)).json).toMatchObject({
      Name: "New",
      Subject: STANDARD.Subject,
      HtmlBody: "<b>2</b>",
      TextBody: STANDARD.TextBody,
    });
  });

  it("by what is empty: a body, or the layout, goes", async () => {
    await t.make({ ...LAYOUT, Alias: "frame" });
    const id = await t.make({ ...STANDARD, HtmlBody: "<b>1</b>", LayoutTemplate: "frame" });
    await t.call("PUT", `/templates/${id}`, { TextBody: "", LayoutTemplate: "" });
    expect((await t.call("GET", `/templates/${id}`)).json).toMatchObject({
      TextBody: null,
      LayoutTemplate: null,
    });
    expect((await t.call("PUT", `/templates/${id}`, { HtmlBody: "" })).code).toBe("1120");
  });

  it.each<[string, unknown, string]>([
    ["no body", undefined, "1109"],
    ["nothing in it", {}, "1109"],
    ["nothing that is known", { Status: "x" }, "1109"],
    ["a list", [], "402"],
    ["a wrong type", { Subject: 5 }, "403"],
    ["an empty name", { Name: "" }, "1120"],
    ["an empty subject", { Subject: "" }, "1120"],
    ["an alias that is taken", { Alias: "taken" }, "1122"],
    ["a malformed alias", { Alias: "-" }, "1122"],
    ["an unknown layout", { LayoutTemplate: "nope" }, "1122"],
    ["a broken body", { HtmlBody: "{{/each}}" }, "1122"],
  ])("but not with %s", async (_name, body, code) => {
    await t.make({ ...STANDARD, Alias: "taken" });
    const id = await t.make({ ...STANDARD, Alias: "mine" });
    const before = await t.call("GET", `/templates/${id}`);
    expect((await t.call("PUT", `/templates/${id}`, body)).code).toBe(code);
    expect((await t.call("GET", `/templates/${id}`)).json).toEqual(before.json);
  });

  it("as a layout: its rules stay", async () => {
    const id = await t.make(LAYOUT);
    const { code, json } = await t.call("PUT", `/templates/${id}`, { HtmlBody: "Html content" });
    expect(code).toBe("1131");
    expect(json).toMatchObject({
      Message: expect.stringContaining("The layout content placeholder must be present"),
    });
    expect((await t.call("PUT", `/templates/${id}`, { Subject: "s" })).code).toBe("1123");
    expect((await t.call("PUT", `/templates/${id}`, { Name: "New", Subject: "" })).status).toBe(200);
  });

  it("as a layout with a new alias: the templates that use it follow", async () => {
    await t.make({ ...LAYOUT, Alias: "frame" });
    const id = await t.make({ ...STANDARD, LayoutTemplate: "frame" });
    await t.call("PUT", "/templates/frame", { Alias: "border" });
    expect((await t.call("GET", `/templates/${id}`)).json).toMatchObject({ LayoutTemplate: "border" });
  });

  it("at the same moment by two: both changes are there", async () => {
    const id = await t.make(STANDARD);
    const answers = await Promise.all([
      t.call("PUT", `/templates/${id}`, { Subject: "A" }),
      t.call("PUT", `/templates/${id}`, { TextBody: "B" }),
    ]);
    expect(answers.map((a) => a.status)).toEqual([200, 200]);
    expect((await t.call("GET", `/templates/${id}`)).json).toMatchObject({ Subject: "A", TextBody: "B" });
  });
});

describe("a template is deleted", () => {
  it("and found by its number alone; its alias is free", async () => {
    const id = await t.make({ ...STANDARD, Alias: "gone" });
    const { status, json } = await t.call("DELETE", "/templates/gone");
    expect([status, json]).toEqual([200, { ErrorCode: 0, Message: `Template ${id} removed.` }]);
    expect((await t.call("GET", `/templates/${id}`)).json).toMatchObject({ Active: false, TemplateId: id });
    expect((await t.call("GET", "/templates/gone")).json).toEqual({ ErrorCode: 1101, Message: BY_ALIAS });
    expect((await t.call("GET", "/templates")).json).toEqual({ TotalCount: 0, Templates: [] });
    for (const method of ["PUT", "DELETE"])
      expect((await t.call(method, `/templates/${id}`, { Name: "x" })).code).toBe("1101");
    expect((await t.call("POST", "/templates", { ...STANDARD, Alias: "gone" })).status).toBe(200);
  });

  it("but not as a layout that is used", async () => {
    const layout = await t.make({ ...LAYOUT, Alias: "frame" });
    const id = await t.make({ ...STANDARD, LayoutTemplate: "frame" });
    expect((await t.call("DELETE", "/templates/frame")).code).toBe("1130");
    expect((await t.call("GET", `/templates/${layout}`)).json).toMatchObject({ Active: true });
    await t.call("DELETE", `/templates/${id}`);
    expect((await t.call("DELETE", "/templates/frame")).status).toBe(200);
  });

  it("and forgotten when 500 others were deleted after it", async () => {
    const first = await t.make(STANDARD);
    await t.call("DELETE", `/templates/${first}`);
    await fill(499, false);
    expect((await t.call("GET", `/templates/${first}`)).status).toBe(200);
    const last = await t.make(STANDARD);
    t.clock.now += 60_000;
    await t.call("DELETE", `/templates/${last}`);
    expect((await t.call("GET", `/templates/${first}`)).code).toBe("1101");
    expect((await t.call("GET", `/templates/${last}`)).status).toBe(200);
  });
});

describe("what is not there, or not ours", () => {
  it.each(["GET", "PUT", "DELETE"])("is not found by %s", async (method) => {
    const { json } = await t.call("POST", "/templates", { ...STANDARD, Alias: "theirs" }, t.theirs);
    const { TemplateId } = json as { TemplateId: number };
    for (const [key, text] of [
      [TemplateId, BY_ID],
      [987_654, BY_ID],
      ["theirs", BY_ALIAS],
      ["1e3", BY_ALIAS],
      ["9".repeat(30), BY_ALIAS],
    ])
      expect(
        await t.call(method, `/templates/${key}`, method === "GET" ? undefined : { Name: "stolen" }),
      ).toMatchObject({
        status: 422,
        json: { ErrorCode: 1101, Message: text },
      });
    expect((await t.call("GET", "/templates/theirs", undefined, t.theirs)).json).toMatchObject({
      Name: "Welcome",
    });
  });

  it("needs a server's token", async () => {
    for (const [method, path] of [
      ["GET", "/templates"],
      ["POST", "/templates"],
      ["POST", "/templates/validate"],
      ["GET", "/templates/1"],
      ["PUT", "/templates/1"],
      ["DELETE", "/templates/1"],
    ] as const)
      expect(
        await t.call(method, path, method === "GET" ? undefined : {}, { accountToken: t.ours.accountToken }),
      ).toMatchObject({
        status: 401,
        code: "10",
      });
  });
});
