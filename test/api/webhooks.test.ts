import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { changeWebhook, findWebhook } from "../../src/accounts/webhooks.ts";
import type { HookStub } from "../../src/api/webhook-found.ts";
import { webhookEndpoints } from "../../src/api/webhooks.ts";
import { NOON } from "../archive/databases.ts";
import { type HookServer, openHookServer } from "../notify/hook-server.ts";
import { openSettings, type Settings } from "./settings.ts";

let settings: Settings;
let server: HookServer;
const away = { private: false };
beforeAll(async () => {
  server = await openHookServer();
  settings = await openSettings(webhookEndpoints, () => ({
    hook,
    hooks: {
      fetch: (url: string, init: RequestInit) => fetch(url, init),
      addressesOf: async () => [],
      get allowPrivate() {
        return !away.private;
      },
    },
  }));
});
beforeEach(async () => {
  settings.clock.now = NOON;
  server.told.length = 0;
  server.answer = (_told, response) => response.end();
  away.private = false;
  await settings.db.directory.batch(
    ["DELETE FROM webhooks", "UPDATE streams SET archived_at = NULL"].map((sql) =>
      settings.db.directory.prepare(sql),
    ),
  );
});
afterAll(async () => {
  await settings.dispose();
  await server.close();
});

/** What stands for the objects that tell hooks; theirs are tested in test/notify. */
const objects: { destroyed: string[] } = { destroyed: [] };
const hook = (name: string): HookStub => ({
  statistics: async () => [
    {
      type: "Bounce",
      taken: 5,
      failed: 2,
      slow: 1,
      verySlow: 0,
      waiting: 2,
      paused: { since: NOON, reason: "No." },
    },
  ],
  calls: async () => ({ calls: [] }),
  call: async () => undefined,
  replayCall: async () => false,
  replay: async () => false,
  resume: async () => undefined,
  destroy: async () => {
    objects.destroyed.push(name);
  },
});

const call = (method: string, path = "", body?: unknown, as = settings.ours) =>
  settings.call(method, `/webhooks${path}`, body, as);
const URL_OF_IT = "https://example.com/hook";
const make = async (of: Record<string, unknown> = {}) =>
  (await call("POST", "", { Url: URL_OF_IT, ...of })).json;
const list = async (query = "") => (await call("GET", query)).json.Webhooks;
const NOT_FOUND = {
  status: 422,
  code: "1352",
  json: { ErrorCode: 1352, Message: "The webhook for the provided 'ID' was not found." },
};
const NO_TRIGGERS = {
  Open: { Enabled: false, PostFirstOpenOnly: false },
  Click: { Enabled: false },
  Delivery: { Enabled: false },
  Bounce: { Enabled: false, IncludeContent: false },
  SpamComplaint: { Enabled: false, IncludeContent: false },
  SubscriptionChange: { Enabled: false },
};

describe("making a webhook", () => {
  it("shows every field of it, then and later, and calls nobody", async () => {
    const made = await make({ Triggers: { Open: { Enabled: true } } });
    expect(made).toEqual({
      ID: expect.any(Number),
      Url: URL_OF_IT,
      MessageStream: "outbound",
      HttpAuth: null,
      HttpHeaders: [],
      Triggers: { ...NO_TRIGGERS, Open: { Enabled: true, PostFirstOpenOnly: false } },
      Status: "verified",
      RetryFor: "Standard",
    });
    expect((await call("GET", `/${made.ID}`)).json).toEqual(made);
    expect(await call("GET", "/?count=100&offset=0")).toMatchObject({
      status: 200,
      json: { Webhooks: [made] },
    });
    expect(server.told).toEqual([]);
  });

  it("keeps passwords and headers, and nothing of them that can be read in the directory", async () => {
    const secret = {
      Url: "https://someone:s3cret-a@example.com/hook",
      HttpAuth: { Username: "user", Password: "s3cret-b" },
      HttpHeaders: [{ Name: "X-Key", Value: "s3cret-c" }],
    };
    const made = await make(secret);
    expect(made).toMatchObject(secret);
    const row = await settings.db.directory.prepare("SELECT * FROM webhooks").first();
    expect(row?.url).toBe(URL_OF_IT);
    expect(JSON.stringify(row)).not.toContain("s3cret");
  });

  it("takes keys and flags as clients write them", async () => {
    const body = `{"url":"${URL_OF_IT}","messagestream":"broadcast","httpAuth":null,"triggers":{"bounce":{"enabled":"True","includeContent":1},"open":null}}`;
    expect((await call("POST", "", body)).json).toMatchObject({
      MessageStream: "broadcast",
      Triggers: { ...NO_TRIGGERS, Bounce: { Enabled: true, IncludeContent: true } },
    });
  });

  it.each<[string, unknown, number]>([
    ["no body", undefined, 1355],
    ["null", "null", 1355],
    ["no URL", {}, 1354],
    ["a URL that is none", { Url: "example.com" }, 1354],
    ["another scheme", { Url: "ftp://example.com/" }, 1354],
    ["a long URL", { Url: `https://example.com/${"x".repeat(2000)}` }, 1354],
    ["a line end in the URL", { Url: "https://example.com/\n" + "x" }, 1354],
    ["a number as URL", { Url: 5 }, 403],
    ["a trigger that is no object", { Url: URL_OF_IT, Triggers: { Open: true } }, 403],
    ["an unreadable flag", { Url: URL_OF_IT, Triggers: { Open: { Enabled: "often" } } }, 403],
    ["headers that are no list", { Url: URL_OF_IT, HttpHeaders: { Name: "a" } }, 403],
    ["an ID", { Url: URL_OF_IT, ID: 5 }, 1356],
    ["a status", { Url: URL_OF_IT, Status: "verified" }, 1363],
    ["a status that is none", { Url: URL_OF_IT, Status: "fine" }, 1362],
    ["an unknown stream", { Url: URL_OF_IT, MessageStream: "nothing" }, 1226],
    ["the inbound stream", { Url: URL_OF_IT, MessageStream: "inbound" }, 1351],
    ["a header without a name", { Url: URL_OF_IT, HttpHeaders: [{ Value: "x" }] }, 1358],
    ["a header's name with a space", { Url: URL_OF_IT, HttpHeaders: [{ Name: "X A", Value: "x" }] }, 1358],
    ["a header of the connection", { Url: URL_OF_IT, HttpHeaders: [{ Name: "Host", Value: "x" }] }, 1358],
    [
      "a header's value with a line end",
      { Url: URL_OF_IT, HttpHeaders: [{ Name: "X", Value: "x\r\ny" }] },
      1361,
    ],
    [
      "a header's value that no header can have",
      { Url: URL_OF_IT, HttpHeaders: [{ Name: "X", Value: "✓" }] },
      1361,
    ],
    ["31 headers", { Url: URL_OF_IT, HttpHeaders: Array(31).fill({ Name: "X", Value: "x" }) }, 1361],
    ["a user with a colon", { Url: URL_OF_IT, HttpAuth: { Username: "a:b", Password: "" } }, 1361],
  ])("is refused for %s", async (_what, body, code) => {
    expect(await call("POST", "", body)).toMatchObject({
      status: 422,
      code: String(code),
      json: { ErrorCode: code },
    });
    expect(await list()).toEqual([]);
  });

  it("is refused on an archived stream", async () => {
    await settings.db.directory.prepare("UPDATE streams SET archived_at = 1 WHERE id = 'broadcast'").run();
    expect(await call("POST", "", { Url: URL_OF_IT, MessageStream: "broadcast" })).toMatchObject({
      code: "1350",
    });
  });

  it("stops at thirty a stream, also when they are asked for at once", async () => {
    const codes = await Promise.all(
      Array.from({ length: 32 }, async () => (await call("POST", "", { Url: URL_OF_IT })).code),
    );
    expect(codes.filter(Boolean)).toEqual(["1359", "1359"]);
    expect((await call("POST", "", { Url: URL_OF_IT, MessageStream: "broadcast" })).status).toBe(200);
  });
});

describe("listing webhooks", () => {
  it("filters by stream", async () => {
    const [a, b] = [await make(), await make({ MessageStream: "broadcast" })];
    expect(await list()).toEqual([a, b]);
    expect(await list("?MessageStream=broadcast")).toEqual([b]);
    expect(await list("?messagestream=inbound")).toEqual([]);
    expect(await call("GET", "?MessageStream=nothing")).toMatchObject({ status: 422, code: "1226" });
  });
});

describe("changing a webhook", () => {
  it("changes what is named and nothing else", async () => {
    const made = await make({
      HttpAuth: { Username: "user", Password: "pass" },
      HttpHeaders: [{ Name: "X-A", Value: "1" }],
      Triggers: { Open: { Enabled: true, PostFirstOpenOnly: true }, Click: { Enabled: true } },
    });
    const edit = async (body: unknown) => (await call("PUT", `/${made.ID}`, body)).json;
    const first = await edit({ Triggers: { Open: { Enabled: false }, SpamComplaint: { Enabled: true } } });
    expect(first).toEqual({
      ...made,
      Triggers: {
        ...made.Triggers,
        Open: { Enabled: false, PostFirstOpenOnly: true },
        SpamComplaint: { Enabled: true, IncludeContent: false },
      },
    });
    expect(await edit({ Url: null, HttpAuth: null, HttpHeaders: null, Triggers: null })).toEqual(first);
    expect(await edit({ HttpHeaders: [{ Name: "X-B", Value: "" }] })).toMatchObject({
      HttpHeaders: [{ Name: "X-B", Value: "" }],
      HttpAuth: first.HttpAuth,
    });
    const last = await edit({
      ID: made.ID,
      MessageStream: "outbound",
      Url: "http://other.example/",
      HttpHeaders: [],
      HttpAuth: { Username: "", Password: "" },
    });
    expect(last).toEqual({ ...first, Url: "http://other.example/", HttpHeaders: [], HttpAuth: null });
    expect((await call("GET", `/${made.ID}`)).json).toEqual(last);
  });

  it.each<[unknown, number]>([
    [undefined, 1355],
    [{ Url: "nowhere" }, 1354],
    [{ MessageStream: "broadcast" }, 1357],
    [{ ID: 999_999 }, 1357],
    [{ HttpHeaders: [{ Name: "", Value: "x" }] }, 1358],
    [{ HttpAuth: { Username: "a\u0000" } }, 1361],
    [{ Status: "broken" }, 1362],
    [{ Status: "unverified" }, 1363],
    [{ Triggers: [] }, 403],
    ["[]", 402],
  ])("refuses %j and changes nothing", async (body, code) => {
    const made = await make();
    expect(await call("PUT", `/${made.ID}`, body)).toMatchObject({ status: 422, code: String(code) });
    expect(await list()).toEqual([made]);
  });

  it("does not write over a change that it did not see", async () => {
    const { ID } = await make();
    const store = { directory: settings.db.directory, deploymentSecret: settings.needs.deploymentSecret };
    const read = await findWebhook(store, settings.ours.serverId, ID);
    if (!read) throw new Error("it was made");
    await call("PUT", `/${ID}`, { Triggers: { Click: { Enabled: true } } });
    expect(
      await changeWebhook(store, read, { ...read, url: "http://late.example/" }, async () => 0, NOON),
    ).toBeUndefined();
    expect(await list()).toMatchObject([{ Url: URL_OF_IT, Triggers: { Click: { Enabled: true } } }]);
  });
});

it("is removed once", async () => {
  const { ID } = await make();
  expect((await call("DELETE", `/${ID}`)).json).toEqual({ ErrorCode: 0, Message: `Webhook ${ID} removed.` });
  expect(await call("DELETE", `/${ID}`)).toEqual(NOT_FOUND);
  expect(await list()).toEqual([]);
});

describe("trying a webhook", () => {
  const TWO = { Bounce: { Enabled: true, IncludeContent: true }, Click: { Enabled: true } };

  it("sends a sample of each event that it is told, and then it is verified", async () => {
    const made = await make({
      Url: `${server.url}/hook?a=b`,
      Verify: false,
      Triggers: TWO,
      HttpAuth: { Username: "user", Password: "pass" },
      HttpHeaders: [{ Name: "X-A", Value: "b" }],
    });
    expect(made.Status).toBe("unverified");
    expect((await call("POST", `/${made.ID}/verify`, {})).json).toEqual({
      Id: made.ID,
      Url: made.Url,
      Success: true,
      Results: [
        { TriggerType: "Click", Success: true, StatusCode: 200, Message: "OK" },
        { TriggerType: "Bounce", Success: true, StatusCode: 200, Message: "OK" },
      ],
      Message: "2/2 triggers verified successfully",
    });
    const told = server.told
      .map((t) => JSON.parse(t.text))
      .sort((a, b) => a.RecordType.localeCompare(b.RecordType));
    expect(told).toMatchObject([
      {
        RecordType: "Bounce",
        ServerID: settings.ours.serverId,
        Content: "",
        BouncedAt: "2026-02-17T12:00:00.0000000Z",
      },
      { RecordType: "Click", MessageStream: "outbound", OriginalLink: "https://example.com/" },
    ]);
    expect(server.told[0]).toMatchObject({
      path: "/hook?a=b",
      headers: { "x-a": "b", authorization: `Basic ${btoa("user:pass")}` },
    });
    expect((await call("GET", `/${made.ID}`)).json).toEqual({ ...made, Status: "verified" });
  });

  it("says of each what was wrong, and leaves it unverified", async () => {
    const made = await make({ Url: server.url, Verify: false, Triggers: TWO });
    server.answer = ({ text }, response) =>
      response.writeHead(text.includes('"RecordType":"Bounce"') ? 201 : 200).end();
    expect(await call("POST", `/${made.ID}/verify`)).toMatchObject({
      status: 200,
      json: {
        Success: false,
        Results: [
          { TriggerType: "Click", Success: true, StatusCode: 200 },
          {
            TriggerType: "Bounce",
            Success: false,
            StatusCode: 201,
            Message: "The answer was 201 and not 200.",
          },
        ],
        Message: "1/2 triggers verified successfully",
      },
    });
    expect(await list()).toEqual([made]);
  });

  it("with Verify comes before anything is kept", async () => {
    server.answer = (_told, response) => response.writeHead(500).end();
    const refused = await call("POST", "", { Url: server.url, Verify: true, Triggers: TWO });
    expect(refused).toEqual({
      status: 422,
      code: "1364",
      json: {
        ErrorCode: 1364,
        Message: "0/2 triggers verified successfully",
        Id: 0,
        Url: server.url,
        Success: false,
        Results: [
          expect.objectContaining({ TriggerType: "Click", Success: false, StatusCode: 500 }),
          expect.objectContaining({ TriggerType: "Bounce", Success: false, StatusCode: 500 }),
        ],
      },
    });
    expect(await list()).toEqual([]);
    const made = await make({ Triggers: TWO });
    expect(await call("PUT", `/${made.ID}`, { Url: server.url, Verify: true })).toMatchObject({
      code: "1364",
      json: { Id: made.ID },
    });
    expect(await list()).toEqual([made]);
    server.answer = (_told, response) => response.end();
    expect((await call("PUT", `/${made.ID}`, { Url: server.url, Verify: true })).json).toMatchObject({
      Url: server.url,
      Status: "verified",
    });
  });

  it("does not reach into the deployment's own network", async () => {
    away.private = true;
    const made = await make({ Url: server.url, Triggers: TWO, Verify: false });
    expect((await call("POST", `/${made.ID}/verify`)).json.Results[0]).toEqual({
      TriggerType: "Click",
      Success: false,
      StatusCode: 0,
      Message: "The address is not a public one.",
    });
    expect(server.told).toEqual([]);
  });
});

it("shows how it went in the last day, and what is paused", async () => {
  const { ID } = await make();
  const Paused = { Since: "2026-02-17T07:00:00.0000000-05:00", Reason: "No.", NextTryAt: null };
  const counts = { SuccessCount: 5, FailureCount: 2, SlowCount: 1, VerySlowCount: 0, WaitingCount: 2 };
  expect((await call("GET", `/${ID}/statistics`)).json).toEqual({
    Id: ID,
    Statistics: [{ TriggerType: "Bounce", ...counts, Paused }],
  });
});

describe("what a webhook is told", () => {
  const starts = async (ID: unknown) => {
    const store = { directory: settings.db.directory, deploymentSecret: settings.needs.deploymentSecret };
    return (await findWebhook(store, settings.ours.serverId, Number(ID)))?.starts;
  };
  const on = (...types: string[]) => Object.fromEntries(types.map((type) => [type, { Enabled: true }]));

  it("begins where the event log is when its trigger is asked for", async () => {
    settings.log.head = 7;
    const { ID } = await make({ Triggers: on("Bounce") });
    expect(await starts(ID)).toEqual({ Bounce: 7 });
    settings.log.head = 9;
    await call("PUT", `/${ID}`, { Triggers: on("Click") });
    expect(await starts(ID)).toEqual({ Bounce: 7, Click: 9 });
    settings.log.head = 11;
    await call("PUT", `/${ID}`, { Triggers: { Bounce: { Enabled: false } } });
    await call("PUT", `/${ID}`, { Triggers: on("Bounce") });
    expect(await starts(ID)).toEqual({ Bounce: 11, Click: 9 });
  });

  it("begins anew with its verification", async () => {
    settings.log.head = 3;
    const { ID } = await make({ Url: server.url, Triggers: on("Open"), Verify: false });
    expect(await starts(ID)).toEqual({});
    await call("POST", `/${ID}/verify`);
    expect(await starts(ID)).toEqual({ Open: 3 });
  });

  it("is told to whom it concerns when it changes, and goes with it", async () => {
    settings.changed.hooks.length = 0;
    objects.destroyed.length = 0;
    const { ID } = await make({ Triggers: on("Open") });
    const name = `${settings.ours.serverId}/webhook/${ID}`;
    await call("PUT", `/${ID}`, { Url: "https://other.example/" });
    expect(settings.changed.hooks).toEqual([name, name]);
    await call("DELETE", `/${ID}`);
    expect(objects.destroyed).toEqual([name]);
  });

  it("may be repeated for three days", async () => {
    const { ID, RetryFor } = await make();
    expect(RetryFor).toBe("Standard");
    expect((await call("PUT", `/${ID}`, { RetryFor: "threedays" })).json.RetryFor).toBe("ThreeDays");
    expect((await call("PUT", `/${ID}`, { Url: URL_OF_IT })).json.RetryFor).toBe("ThreeDays");
    expect(await call("PUT", `/${ID}`, { RetryFor: "ever" })).toMatchObject({ status: 422, code: "1361" });
  });
});

it.each(["GET ", "PUT ", "POST /verify", "GET /statistics", "DELETE "])(
  "%s knows no other id, and not another server's",
  async (route) => {
    const made = await make();
    const [method = "", path = ""] = route.split(" ");
    const body = method === "PUT" ? { Url: "https://evil.example/" } : undefined;
    for (const id of ["0", "999999", "-1", "1.5", "x", "1e3", "99999999999999999999"])
      expect(await call(method, `/${id}${path}`, body)).toEqual(NOT_FOUND);
    expect(await call(method, `/${made.ID}${path}`, body, settings.theirs)).toEqual(NOT_FOUND);
    const none = { accountToken: settings.ours.accountToken };
    expect(await settings.call(method, `/webhooks/${made.ID}${path}`, body, none)).toMatchObject({
      status: 401,
      code: "10",
    });
    expect(await list()).toEqual([made]);
    expect((await call("GET", "", undefined, settings.theirs)).json).toEqual({ Webhooks: [] });
  },
);
