import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { loadPolicy } from "../../src/accounts/policy.ts";
import { streamEndpoints } from "../../src/api/streams.ts";
import { NOON } from "../archive/databases.ts";
import { openSettings, type Settings } from "./settings.ts";

let settings: Settings;
beforeAll(async () => {
  settings = await openSettings(streamEndpoints, () => ({}));
});
beforeEach(async () => {
  settings.clock.now = NOON;
  settings.changed.servers.length = 0;
  await settings.db.directory.batch(
    [
      "DELETE FROM streams WHERE id NOT IN ('outbound', 'inbound', 'broadcast')",
      "UPDATE streams SET archived_at = NULL, purge_at = NULL, updated_at = NULL, description = NULL",
    ].map((sql) => settings.db.directory.prepare(sql)),
  );
});
afterAll(() => settings.dispose());

const call = (method: string, path = "", body?: unknown, as = settings.ours) =>
  settings.call(method, `/message-streams${path}`, body, as);
const make = (of: Record<string, unknown> = {}) =>
  call("POST", "", { ID: "news", Name: "News", MessageStreamType: "Transactional", ...of });
const ids = async (query = "") =>
  (await call("GET", query)).json.MessageStreams.map((s: { ID: string }) => s.ID);
const policyStreams = async () =>
  (await loadPolicy(settings.db.directory, settings.ours.serverId))?.streams ?? [];
const DAY_MS = 86_400_000;
const NOT_FOUND = {
  status: 422,
  code: "1226",
  json: { ErrorCode: 1226, Message: "The message stream for the provided 'ID' was not found." },
};

describe("making a stream", () => {
  it("answers with every field, and sending knows of it", async () => {
    const { status, json } = await make({ Description: "What is new" });
    expect(status).toBe(200);
    expect(json).toEqual({
      ID: "news",
      ServerID: settings.ours.serverId,
      Name: "News",
      Description: "What is new",
      MessageStreamType: "Transactional",
      CreatedAt: "2026-02-17T07:00:00-05:00",
      UpdatedAt: null,
      ArchivedAt: null,
      ExpectedPurgeDate: null,
      SubscriptionManagementConfiguration: { UnsubscribeHandlingType: "None" },
    });
    expect((await call("GET", "/news")).json).toEqual(json);
    expect(settings.changed.servers).toEqual([settings.ours.serverId]);
    expect((await policyStreams()).find((s) => s.id === "news")).toMatchObject({
      type: "Transactional",
      archived: false,
      giveUpAfterMs: 72 * 3_600_000,
    });
  });

  it("gives broadcasts Postmark's handling unless told otherwise", async () => {
    const handling = async (id: string, MessageStreamType: string, type?: string) =>
      (
        await make({
          ID: id,
          MessageStreamType,
          ...(type && { SubscriptionManagementConfiguration: { UnsubscribeHandlingType: type } }),
        })
      ).json.SubscriptionManagementConfiguration.UnsubscribeHandlingType;
    expect(await handling("a", "Broadcasts")).toBe("Postmark");
    expect(await handling("b", "broadcasts", "custom")).toBe("Custom");
    expect(await handling("c", "Transactional", "None")).toBe("None");
    expect((await call("GET", "/broadcast")).json.SubscriptionManagementConfiguration).toEqual({
      UnsubscribeHandlingType: "Postmark",
    });
  });

  const handling = (type: unknown) => ({
    SubscriptionManagementConfiguration: { UnsubscribeHandlingType: type },
  });
  it.each<[string, Record<string, unknown>, number]>([
    ["no type", { MessageStreamType: null }, 1221],
    ["an unknown type", { MessageStreamType: "Broadcast" }, 1221],
    ["no ID", { ID: "" }, 1222],
    ["no name", { Name: "  " }, 1223],
    ["a long name", { Name: "n".repeat(101) }, 1224],
    ["an ID with a capital letter", { ID: "News" }, 1227],
    ["an ID with a digit first", { ID: "1news" }, 1227],
    ["an ID with a slash", { ID: "a/b" }, 1227],
    ["a long ID", { ID: "n".repeat(31) }, 1227],
    ["an ID that exists", { ID: "outbound" }, 1230],
    ["a second inbound stream", { MessageStreamType: "Inbound" }, 1228],
    ["a long description", { Description: "d".repeat(1001) }, 1231],
    ["an ID of Postmark's", { ID: "pm-news" }, 1233],
    ["HTML in the description", { Description: "a <b>bold</b> stream" }, 1234],
    ["a reserved ID", { ID: "archive" }, 1237],
    ["Postmark's handling on transactional mail", handling("Postmark"), 1239],
    ["no handling of broadcasts", { MessageStreamType: "Broadcasts", ...handling("None") }, 1239],
    ["an unknown handling", handling("Sometimes"), 1240],
    ["a number as name", { Name: 5 }, 403],
    ["a word as configuration", { SubscriptionManagementConfiguration: "None" }, 403],
  ])("is refused for %s", async (_what, body, code) => {
    expect(await make(body)).toMatchObject({ status: 422, code: String(code), json: { ErrorCode: code } });
    expect(await ids("?IncludeArchivedStreams=true")).toEqual(["outbound", "inbound", "broadcast"]);
    expect(settings.changed.servers).toEqual([]);
  });

  it("is refused for a body that says nothing", async () => {
    for (const body of [undefined, "null", {}])
      expect(await call("POST", "", body)).toMatchObject({ status: 422, code: "1222" });
    expect(await call("POST", "", "[]")).toMatchObject({ status: 422, code: "402" });
  });

  it("takes the limits themselves, and '<' that is no HTML", async () => {
    const longest = { ID: "n".repeat(30), Name: "é".repeat(100), Description: `a < b${"d".repeat(995)}` };
    expect((await make(longest)).status).toBe(200);
  });

  it("stops at ten, also when they are asked for at once; archived ones are not counted", async () => {
    const answers = await Promise.all(Array.from({ length: 9 }, (_, i) => make({ ID: `s${i}` })));
    expect(answers.map((a) => a.code).filter(Boolean)).toEqual(["1225", "1225"]);
    expect(await ids()).toHaveLength(10);
    expect((await call("POST", "/broadcast/archive")).status).toBe(200);
    expect((await make()).status).toBe(200);
    expect(await call("POST", "/broadcast/unarchive")).toMatchObject({ status: 422, code: "1225" });
  });
});

describe("listing streams", () => {
  it("begins with a new server's three", async () => {
    settings.clock.now = NOON + 1;
    await make();
    const { json } = await call("GET", "?count=1&offset=3");
    expect(json.TotalCount).toBe(4);
    expect(await ids()).toEqual(["outbound", "inbound", "broadcast", "news"]);
  });

  it.each<[string, string[]]>([
    ["?MessageStreamType=All", ["outbound", "inbound", "broadcast"]],
    ["?messagestreamtype=transactional", ["outbound"]],
    ["?MessageStreamType=Broadcasts", ["broadcast"]],
    ["?MessageStreamType=inbound&IncludeArchivedStreams=false", ["inbound"]],
    ["?IncludeArchivedStreams=True", ["outbound", "inbound", "broadcast", "old"]],
    ["?MessageStreamType=Transactional&IncludeArchivedStreams=1", ["outbound", "old"]],
  ])("filters by %s", async (query, expected) => {
    settings.clock.now = NOON + 1;
    await make({ ID: "old" });
    await call("POST", "/old/archive", {});
    expect(await ids(query)).toEqual(expected);
  });

  it.each(["MessageStreamType=Broadcast", "IncludeArchivedStreams=perhaps"])("refuses %s", async (query) => {
    expect(await call("GET", `?${query}`)).toMatchObject({ status: 422, code: "1221" });
  });
});

describe("changing a stream", () => {
  it("changes what is given and nothing else", async () => {
    await make({ Description: "first" });
    settings.clock.now += 60_000;
    const renamed = await call("PATCH", "/news", { Name: "Newer", Description: null });
    expect(renamed.json).toMatchObject({
      Name: "Newer",
      Description: "first",
      UpdatedAt: "2026-02-17T07:01:00-05:00",
    });
    // The Java client sends the whole stream back.
    const whole = { ...renamed.json, ID: "other", MessageStreamType: "Broadcasts", Description: "" };
    const again = await call("PATCH", "/news", whole);
    expect(again.json).toMatchObject({ ID: "news", MessageStreamType: "Transactional", Description: "" });
    expect((await call("GET", "/news")).json).toEqual(again.json);
  });

  it.each<[Record<string, unknown>, number]>([
    [{ Name: "" }, 1223],
    [{ Name: "n".repeat(101) }, 1224],
    [{ Description: "d".repeat(1001) }, 1231],
    [{ Description: "</p>" }, 1234],
    [{ SubscriptionManagementConfiguration: { UnsubscribeHandlingType: "Postmark" } }, 1239],
    [{ SubscriptionManagementConfiguration: { UnsubscribeHandlingType: "x" } }, 1240],
    [{ Name: {} }, 403],
  ])("refuses %j and changes nothing", async (body, code) => {
    await make();
    const before = await call("GET", "/news");
    expect(await call("PATCH", "/news", body)).toMatchObject({ status: 422, code: String(code) });
    expect(await call("GET", "/news")).toEqual(before);
  });
});

describe("archiving", () => {
  it("hides the stream, stops it, and says when it goes; twice is as once", async () => {
    await make();
    const archived = await call("POST", "/news/archive");
    expect(archived.json).toEqual({
      ID: "news",
      ServerID: settings.ours.serverId,
      ExpectedPurgeDate: "2026-04-03T08:00:00-04:00",
    });
    settings.clock.now += DAY_MS;
    expect((await call("POST", "/news/Archive/")).json).toEqual(archived.json);
    expect(await ids()).not.toContain("news");
    expect((await call("GET", "/news")).json).toMatchObject({
      ArchivedAt: "2026-02-17T07:00:00-05:00",
      ExpectedPurgeDate: "2026-04-03T08:00:00-04:00",
    });
    expect((await policyStreams()).find((s) => s.id === "news")?.archived).toBe(true);
    expect(settings.changed.servers).toHaveLength(3);
    expect(await make()).toMatchObject({ code: "1230" });
  });

  it.each(["outbound", "inbound"])("is refused for %s", async (id) => {
    expect(await call("POST", `/${id}/archive`)).toMatchObject({ status: 422, code: "1229" });
    expect(await ids()).toContain(id);
  });

  it("can be taken back for 45 days, and no longer", async () => {
    await make();
    await call("POST", "/news/archive");
    settings.clock.now += 45 * DAY_MS - 1;
    expect((await call("POST", "/news/unarchive", "null")).json).toMatchObject({
      ID: "news",
      ArchivedAt: null,
      ExpectedPurgeDate: null,
    });
    expect((await call("POST", "/news/unarchive")).status).toBe(200);
    expect((await policyStreams()).find((s) => s.id === "news")?.archived).toBe(false);
    await call("POST", "/news/archive");
    settings.clock.now += 45 * DAY_MS;
    expect(await call("POST", "/news/unarchive")).toMatchObject({ status: 422, code: "1232" });
  });
});

it.each(["GET ", "PATCH ", "POST /archive", "POST /unarchive"])(
  "%s knows no other stream, and not another server's",
  async (route) => {
    await make();
    const before = await call("GET", "/news");
    const [method = "", path = ""] = route.split(" ");
    const body = method === "GET" ? undefined : { Name: "Stolen" };
    for (const id of ["nothing", "NEWS", "news%20", "1"])
      expect(await call(method, `/${id}${path}`, body)).toEqual(NOT_FOUND);
    expect(await call(method, `/news${path}`, body, settings.theirs)).toEqual(NOT_FOUND);
    expect(await call("GET", "/news")).toEqual(before);
    const none = { accountToken: settings.ours.accountToken };
    expect(await settings.call(method, `/message-streams/news${path}`, body, none)).toMatchObject({
      status: 401,
      code: "10",
    });
  },
);
