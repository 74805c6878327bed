/** `PUT /templates/push`: templates go from one server of an account to another, and to nobody else's. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createServer } from "../../src/accounts/create.ts";
import { LAYOUT, openTemplating, STANDARD, type Templating } from "./templating.ts";

let t: Templating;
let destination: number;
beforeAll(async () => {
  t = await openTemplating();
  const { accountId } = t.ours;
  destination = (await createServer(t.db.directory, { accountId, name: "Production" }, t.clock.now)).id;
});
afterAll(() => t.dispose());
beforeEach(() => t.db.directory.prepare("DELETE FROM templates").run());

function push(change: Record<string, unknown> = {}) {
  const body = {
    SourceServerID: t.ours.serverId,
    DestinationServerID: destination,
    PerformChanges: true,
    ...change,
  };
  return t.call("PUT", "/templates/push", body, { accountToken: t.ours.accountToken });
}

async function there(): Promise<Record<string, unknown>[]> {
  const { results } = await t.db.directory
    .prepare(
      "SELECT id, alias, name, type, subject, html_body AS html, layout, active FROM templates WHERE server_id = ? ORDER BY id",
    )
    .bind(destination)
    .all();
  return results;
}

describe("a push", () => {
  beforeEach(async () => {
    await t.make({ ...STANDARD, Alias: "first", Name: "First" });
    await t.make({ ...LAYOUT, Alias: "frame" });
    await t.call("PUT", "/templates/first", { LayoutTemplate: "frame" });
    await t.make({ ...STANDARD, Name: "without an alias" });
    const gone = await t.make({ ...STANDARD, Alias: "gone" });
    await t.call("DELETE", `/templates/${gone}`);
  });

  it("makes what is not there, layouts first, and nothing the second time", async () => {
    const { status, json } = await push();
    const made = await there();
    expect(made).toMatchObject([
      { alias: "frame", type: "Layout", html: LAYOUT.HtmlBody, active: 1 },
      { alias: "first", type: "Standard", subject: STANDARD.Subject, layout: "frame" },
    ]);
    expect([status, json]).toEqual([
      200,
      {
        TotalCount: 2,
        Templates: [
          {
            Action: "Create",
            TemplateId: made[0]?.id,
            Alias: "frame",
            Name: "Frame",
            TemplateType: "Layout",
          },
          {
            Action: "Create",
            TemplateId: made[1]?.id,
            Alias: "first",
            Name: "First",
            TemplateType: "Standard",
          },
        ],
      },
    ]);
    expect((await push()).json).toEqual({ TotalCount: 0, Templates: [] });
  });

  it("changes what differs, and keeps its number", async () => {
    await push();
    const before = await there();
    await t.call("PUT", "/templates/first", { Name: "Renamed", HtmlBody: "<b>new</b>" });
    const { json } = await push();
    expect(json).toEqual({
      TotalCount: 1,
      Templates: [
        {
          Action: "Edit",
          TemplateId: before[1]?.id,
          Alias: "first",
          Name: "Renamed",
          TemplateType: "Standard",
        },
      ],
    });
    expect(await there()).toEqual([before[0], { ...before[1], name: "Renamed", html: "<b>new</b>" }]);
  });

  it("only says what it would do, unless it is to do it", async () => {
    for (const PerformChanges of [false, "false", null]) {
      const { json } = await push({ PerformChanges });
      expect(json).toMatchObject({
        TotalCount: 2,
        Templates: [
          { Action: "Create", TemplateId: null, Alias: "frame" },
          { Action: "Create", TemplateId: null, Alias: "first" },
        ],
      });
    }
    expect(await there()).toEqual([]);
  });

  it("takes ids as strings", async () => {
    const ids = { SourceServerID: String(t.ours.serverId), DestinationServerID: String(destination) };
    expect((await push({ ...ids, PerformChanges: "true" })).json).toMatchObject({ TotalCount: 2 });
  });

  it("is refused when an alias is of another type there, and changes nothing", async () => {
    await push();
    await t.db.directory
      .prepare("UPDATE templates SET type = 'Standard' WHERE server_id = ? AND alias = 'frame'")
      .bind(destination)
      .run();
    await t.call("PUT", "/templates/first", { Name: "Renamed" });
    const before = await there();
    expect(await push()).toMatchObject({ status: 422, code: "1125" });
    expect(await there()).toEqual(before);
  });

  it("is refused when the destination would have more than a hundred", async () => {
    await t.db.directory
      .prepare(
        "INSERT INTO templates (server_id, name, type, created_at, updated_at) SELECT ?, 'x', 'Standard', 1, 1 FROM json_each(?)",
      )
      .bind(destination, JSON.stringify(Array(99).fill(0)))
      .run();
    expect(await push()).toMatchObject({ status: 422, code: "1105" });
    expect((await there()).length).toBe(99);
  });
});

describe("is refused", () => {
  it("when no template has an alias", async () => {
    await t.make(STANDARD);
    expect(await push()).toMatchObject({ status: 422, code: "1124" });
  });

  it.each<[string, () => Record<string, unknown>, string]>([
    [
      "no servers",
      () => ({ SourceServerID: 0, DestinationServerID: 1_000_000 }),
      "The source and destination servers were not found.",
    ],
    [
      "no ids",
      () => ({ SourceServerID: null, DestinationServerID: null }),
      "The source and destination servers were not found.",
    ],
    ["no destination", () => ({ DestinationServerID: 1_000_000 }), "The destination server was not found."],
    ["no source", () => ({ SourceServerID: 1_000_000 }), "The source server was not found."],
    [
      "another account's destination",
      () => ({ DestinationServerID: t.theirs.serverId }),
      "The destination server was not found.",
    ],
    [
      "another account's source",
      () => ({ SourceServerID: t.theirs.serverId }),
      "The source server was not found.",
    ],
  ])("with %s", async (_name, change, Message) => {
    await t.make({ ...STANDARD, Alias: "a" });
    expect(await push(change())).toMatchObject({ status: 422, json: { ErrorCode: 601, Message } });
    expect(await there()).toEqual([]);
  });

  it("with an id that is no number, or no body", async () => {
    expect((await push({ SourceServerID: "x" })).code).toBe("403");
    const answer = await t.call("PUT", "/templates/push", undefined, { accountToken: t.ours.accountToken });
    expect(answer).toMatchObject({ code: "601" });
  });

  it("with a server's token", async () => {
    const answer = await t.call("PUT", "/templates/push", {}, { serverToken: t.ours.serverToken });
    expect(answer).toMatchObject({ status: 401, code: "10" });
  });
});
