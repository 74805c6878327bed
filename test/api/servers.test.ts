import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { loadPolicy } from "../../src/accounts/policy.ts";
import { serverJson } from "../../src/api/server-json.ts";
import { serverTokenEndpoints } from "../../src/api/server-tokens.ts";
import { serverEndpoints } from "../../src/api/servers.ts";
import { openSettings, type Settings } from "./settings.ts";

let settings: Settings;
/** What the DNS says: the MX records of each name. */
const mx = new Map<string, string[] | "fails">();

beforeAll(async () => {
  settings = await openSettings(
    (needs) => [...serverEndpoints(needs), ...serverTokenEndpoints(needs)],
    () => ({
      async fetchDns(url: string) {
        const name = new URL(url).searchParams.get("name") ?? "";
        const answer = mx.get(name) ?? [];
        if (answer === "fails") return Response.json({ Status: 2 });
        return Response.json({ Status: 0, Answer: answer.map((data) => ({ type: 15, data })) });
      },
    }),
  );
});
beforeEach(async () => {
  const { ours, theirs, db } = settings;
  settings.changed.servers.length = 0;
  mx.clear();
  mx.set("inbound.mail.example.com", ["10 mx1.edge.example.", "20 mx2.edge.example."]);
  const others = `NOT IN (${ours.serverId}, ${theirs.serverId})`;
  await db.directory.batch(
    [
      `DELETE FROM servers WHERE id ${others}`,
      `DELETE FROM tokens WHERE server_id ${others}`,
      "DELETE FROM erasures",
      "UPDATE servers SET inbound_domain = '', color = 'Blue', track_opens = 0, name = (SELECT name FROM accounts WHERE id = account_id)",
      "UPDATE accounts SET server_deletion = 1, show_tokens_once = 0",
    ].map((sql) => db.directory.prepare(sql)),
  );
});
afterAll(() => settings.dispose());

const call: Settings["call"] = (method, path, body, as) => settings.call(method, path, body, as);
const make = (of: Record<string, unknown> = {}) => call("POST", "/servers", { Name: "New", ...of });
const stored = async () =>
  (await settings.db.directory.prepare("SELECT * FROM servers ORDER BY id").all()).results;
const refusal = (code: number) => ({
  status: 422,
  code: String(code),
  json: { ErrorCode: code, Message: expect.any(String) },
});

describe("a new server", () => {
  it("has a number and a token of its own, also when others are made at the same moment", async () => {
    const made = await Promise.all([0, 1, 2].map((n) => make({ Name: `At once ${n}` })));
    expect(made.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(new Set(made.map(({ json }) => json.ID)).size).toBe(3);
    for (const { json } of made) {
      const [serverToken] = json.ApiTokens as string[];
      const own = await call("GET", "/server", undefined, { serverToken });
      expect(own.json).toMatchObject({ ID: json.ID, Name: json.Name });
    }
  });

  it("is not there when its token cannot be", async () => {
    const before = await stored();
    await settings.db.directory
      .prepare("CREATE TRIGGER no_tokens BEFORE INSERT ON tokens BEGIN SELECT raise(ABORT, 'no'); END")
      .run();
    const { status } = await make();
    await settings.db.directory.prepare("DROP TRIGGER no_tokens").run();
    expect(status).toBe(503);
    expect(await stored()).toEqual(before);
    // And its number goes to the next.
    expect((await make()).status).toBe(200);
  });

  it("has every field, its streams, and a token that works at once", async () => {
    const { status, json } = await make();
    expect(status).toBe(200);
    expect(json).toEqual({
      ID: expect.any(Number),
      Name: "New",
      ApiTokens: [expect.stringMatching(/^[0-9a-f-]{36}$/)],
      ServerLink: `https://edgepost.example.com/servers/${json.ID}/streams`,
      Color: "Blue",
      SmtpApiActivated: true,
      RawEmailEnabled: false,
      DeliveryType: "Live",
      InboundAddress: `${json.InboundHash}@inbound.mail.example.com`,
      InboundHash: expect.stringMatching(/^[0-9a-f]{32}$/),
      InboundHookUrl: "",
      BounceHookUrl: "",
      OpenHookUrl: "",
      DeliveryHookUrl: "",
      ClickHookUrl: "",
      PostFirstOpenOnly: false,
      InboundDomain: "",
      InboundSpamThreshold: 0,
      TrackOpens: false,
      TrackLinks: "None",
      IncludeBounceContentInHook: false,
      EnableSmtpApiErrorHooks: false,
    });
    expect(settings.changed.servers).toEqual([json.ID]);
    expect((await call("GET", "/server", undefined, { serverToken: json.ApiTokens[0] })).json).toEqual(json);
    expect((await loadPolicy(settings.db.directory, json.ID))?.streams).toHaveLength(3);
  });

  it("takes every field, in any case of their names, and gives them back as they were written", async () => {
    const given = {
      Name: "All of it",
      Color: "turqoise",
      SmtpApiActivated: false,
      RawEmailEnabled: true,
      DeliveryType: "Sandbox",
      InboundHookUrl: "https://user:secret@hooks.example/inbound",
      BounceHookUrl: "http://hooks.example/bounce",
      OpenHookUrl: "https://hooks.example/open",
      DeliveryHookUrl: "https://hooks.example/delivery",
      ClickHookUrl: "https://hooks.example/click",
      PostFirstOpenOnly: true,
      InboundSpamThreshold: 9,
      TrackOpens: true,
      TrackLinks: "HtmlOnly",
      IncludeBounceContentInHook: true,
      EnableSmtpApiErrorHooks: true,
    };
    const lower = Object.fromEntries(
      Object.entries(given).map(([key, value]) => [key[0]?.toLowerCase() + key.slice(1), value]),
    );
    const { json } = await call("POST", "/servers", {
      ...lower,
      enableSmtpApiErrorHooks: "true",
      unknown: 1,
    });
    expect(json).toMatchObject(given);
    expect((await call("GET", `/servers/${json.ID}`)).json).toEqual(json);
    expect(await loadPolicy(settings.db.directory, json.ID)).toMatchObject({
      smtpActivated: false,
      sandbox: true,
      trackOpens: true,
      trackLinks: "HtmlOnly",
    });
  });

  it("of an account that shows tokens once shows its token now and never again", async () => {
    await settings.db.directory.prepare("UPDATE accounts SET show_tokens_once = 1").run();
    const { json } = await make();
    const [token] = json.ApiTokens;
    const again = await call("GET", "/server", undefined, { serverToken: token });
    expect(again.json).toEqual({ ...json, ApiTokens: [] });
    const row = await settings.db.directory
      .prepare("SELECT sealed FROM tokens WHERE server_id = ?")
      .bind(json.ID)
      .first();
    expect(row).toEqual({ sealed: null });
  });
});

describe("a server is refused, and nothing changes,", () => {
  const wrong: [string, Record<string, unknown>, number][] = [
    ["with an empty name", { Name: "" }, 608],
    ["with a name of spaces", { Name: "  " }, 608],
    ["with a name that is too long", { Name: "n".repeat(256) }, 608],
    ["with a line break in its name", { Name: "a\nb" }, 608],
    ["in no known colour", { Color: "mauve" }, 607],
    ["with a hook that is no URL", { BounceHookUrl: "hooks.example" }, 606],
    ["with a hook of another scheme", { InboundHookUrl: "ftp://hooks.example/" }, 606],
    ["with a hook that is too long", { OpenHookUrl: `https://hooks.example/${"x".repeat(2_000)}` }, 606],
    ["with a threshold below 0", { InboundSpamThreshold: -1 }, 611],
    ["with a threshold over 30", { InboundSpamThreshold: "31" }, 611],
    ["with unknown link tracking", { TrackLinks: "Some" }, 612],
    ["with an inbound domain that is none", { InboundDomain: "no domain" }, 610],
    ["with an inbound domain whose mail goes elsewhere", { InboundDomain: "elsewhere.example" }, 610],
    ["with an inbound domain that is ours", { InboundDomain: "inbound.mail.example.com" }, 602],
    ["with fields of the wrong type", { Name: 5, TrackOpens: "perhaps" }, 403],
    ["with a half threshold", { InboundSpamThreshold: 1.5 }, 403],
  ];

  it.each([
    ...wrong,
    ["with no name", { Name: undefined }, 608],
    ["of no delivery type", { DeliveryType: "Dead" }, 613],
  ] as typeof wrong)("when it is made %s", async (_name, of, code) => {
    mx.set("elsewhere.example", ["10 mx.elsewhere.example."]);
    const before = await stored();
    expect(await make(of)).toEqual(refusal(code));
    expect(await stored()).toEqual(before);
  });

  it.each(wrong)("when it is changed %s", async (_name, of, code) => {
    mx.set("elsewhere.example", ["10 mx.elsewhere.example."]);
    const before = await stored();
    const change = { TrackOpens: true, Color: "Red", ...of };
    expect(await call("PUT", `/servers/${settings.ours.serverId}`, change)).toEqual(refusal(code));
    expect(await call("PUT", "/server", change)).toEqual(refusal(code));
    expect(await stored()).toEqual(before);
    expect(settings.changed.servers).toEqual([]);
  });

  it.each([undefined, "null"])("when the body is %j", async (body) => {
    for (const [method, path] of [
      ["POST", "/servers"],
      ["PUT", "/server"],
      ["PUT", `/servers/${settings.ours.serverId}`],
    ] as const)
      expect(await call(method, path, body)).toEqual(refusal(609));
  });

  it.each([
    ["[]", 402],
    ['"text"', 402],
    ["{", 402],
  ])("when the body is %s", async (body, code) => {
    expect(await call("POST", "/servers", body)).toEqual(refusal(code));
    expect(await call("PUT", "/server", body)).toEqual(refusal(code));
  });

  it("when the account has its name, but not when another account has it", async () => {
    expect(await make({ Name: "Ours" })).toEqual(refusal(603));
    const { status, json } = await make({ Name: "Theirs" });
    expect(status).toBe(200);
    expect(await call("PUT", `/servers/${json.ID}`, { Name: "Ours" })).toEqual(refusal(603));
    expect((await call("PUT", `/servers/${json.ID}`, { Name: "Theirs" })).status).toBe(200);
  });

  it("once of two that are made with one name at once", async () => {
    const both = await Promise.all([make(), make()]);
    expect(both.map((answer) => answer.json.ErrorCode).sort()).toEqual([603, undefined]);
  });
});

describe("a change", () => {
  it("merges: what is absent or null stays, and so does how it delivers", async () => {
    const { json: before } = await make({
      Color: "red",
      TrackLinks: "TextOnly",
      BounceHookUrl: "https://a.example/",
    });
    const change = {
      Name: "Renamed",
      Color: null,
      TrackLinks: "",
      TrackOpens: true,
      DeliveryType: "Sandbox",
    };
    const { status, json } = await call("PUT", `/servers/${before.ID}`, change);
    expect(status).toBe(200);
    expect(json).toEqual({ ...before, Name: "Renamed", TrackOpens: true });
    expect((await call("GET", `/servers/${before.ID}`)).json).toEqual(json);
    expect(settings.changed.servers).toEqual([before.ID, before.ID]);
  });

  it("takes a hook away with an empty text", async () => {
    const { json } = await make({ BounceHookUrl: "https://a.example/" });
    expect((await call("PUT", `/servers/${json.ID}`, { BounceHookUrl: "" })).json.BounceHookUrl).toBe("");
  });

  it("of nothing changes nothing", async () => {
    const before = await call("GET", "/server");
    expect(await call("PUT", "/server", {})).toEqual(before);
  });

  it("by the server's own token is the same as by its account's", async () => {
    const { status, json } = await call("PUT", "/server", { Color: "purple" });
    expect([status, json.Color]).toEqual([200, "purple"]);
    expect((await call("GET", `/servers/${settings.ours.serverId}`)).json).toEqual(json);
    expect(settings.changed.servers).toEqual([settings.ours.serverId]);
  });
});

describe("an inbound domain", () => {
  const put = (InboundDomain: string, as?: Parameters<typeof call>[3]) =>
    call("PUT", "/server", { InboundDomain }, as);

  it.each([
    ["names our inbound host", "10 inbound.mail.example.com."],
    ["names a host of ours", "5 MX2.edge.example."],
  ])("is taken when its MX %s", async (_name, record) => {
    mx.set("in.customer.example", ["1 mx.other.example.", record]);
    const { status, json } = await put("In.Customer.example.");
    expect([status, json.InboundDomain]).toEqual([200, "in.customer.example"]);
  });

  it("is not asked about again when it stays, and goes with an empty text", async () => {
    mx.set("in.customer.example", ["10 inbound.mail.example.com."]);
    await put("in.customer.example");
    mx.set("in.customer.example", []);
    expect((await put("IN.customer.example")).status).toBe(200);
    expect((await put("")).json.InboundDomain).toBe("");
    expect(await put("in.customer.example")).toEqual(refusal(610));
  });

  it("that takes no mail (RFC 7505) is refused, also while our own host has no records", async () => {
    mx.set("in.customer.example", ["0 ."]);
    mx.set("inbound.mail.example.com", ["0 ."]);
    expect(await put("in.customer.example")).toEqual(refusal(610));
  });

  it("belongs to one server, until that is deleted", async () => {
    mx.set("in.customer.example", ["10 inbound.mail.example.com."]);
    const { json } = await make({ InboundDomain: "in.customer.example" });
    expect(json.InboundDomain).toBe("in.customer.example");
    expect(await put("in.customer.example", settings.theirs)).toEqual(refusal(602));
    await call("DELETE", `/servers/${json.ID}`);
    expect((await put("in.customer.example", settings.theirs)).status).toBe(200);
  });

  it("is neither taken nor refused while the DNS cannot say", async () => {
    mx.set("in.customer.example", "fails");
    const answer = await put("in.customer.example");
    expect([answer.status, answer.json.ErrorCode]).toEqual([503, 100]);
    expect((await call("GET", "/server")).json.InboundDomain).toBe("");
  });
});

describe("the list of servers", () => {
  const list = (query = "") => call("GET", `/servers${query}`);
  const names = async (query = "") => (await list(query)).json.Servers.map((s: { Name: string }) => s.Name);

  it("has the account's own, whole, in the order in which they were made", async () => {
    const { json: made } = await make({ Name: "Second" });
    const { json } = await list();
    expect(json).toEqual({ TotalCount: 2, Servers: [(await call("GET", "/server")).json, made] });
    expect(json.Servers[0].ApiTokens).toEqual([settings.ours.serverToken]);
    for (const server of json.Servers) expect(serverJson.safeParse(server).success).toBe(true);
    expect((await call("GET", "/servers", undefined, settings.theirs)).json.Servers[0].Name).toBe("Theirs");
  });

  it("finds a part of a name, in any case, and takes no pattern for one", async () => {
    for (const Name of ["Shop mail", "shop alerts", "100%", "x".repeat(200)]) await make({ Name });
    expect(await names("?name=SHOP")).toEqual(["Shop mail", "shop alerts"]);
    expect(await names("?name=%25")).toEqual(["100%"]);
    expect(await names("?name=_")).toEqual([]);
    expect(await names(`?name=${"x".repeat(100)}`)).toEqual(["x".repeat(200)]);
    expect((await list("?name=shop&count=1")).json.TotalCount).toBe(2);
  });

  it("is paged by offset, and by cursor", async () => {
    for (const Name of ["b", "c", "d"]) await make({ Name });
    expect(await names("?count=2&offset=1")).toEqual(["b", "c"]);
    expect(await names("?count=2&offset=4")).toEqual([]);
    const first = (await list("?count=2")).json;
    expect(first.Servers).toHaveLength(2);
    const second = (await list(`?count=2&cursor=${first.NextCursor}`)).json;
    expect(second.Servers.map((s: { Name: string }) => s.Name)).toEqual(["c", "d"]);
    expect([second.TotalCount, second.NextCursor]).toEqual([4, undefined]);
  });

  it.each([
    "?count=0",
    "?count=501",
    "?count=x",
    "?offset=-1",
    "?count=500&offset=9501",
    "?cursor=nonsense",
    "?cursor=WyJhIl0",
  ])("refuses %s", async (query) => {
    expect(await list(query)).toEqual(refusal(600));
  });
});

describe("a server of another account", () => {
  it.each(["GET", "PUT", "DELETE"])("is as one that does not exist: %s", async (method) => {
    const before = await stored();
    const body = method === "PUT" ? { Color: "Red" } : undefined;
    const unknown = await call(method, "/servers/999999", body);
    expect(unknown).toEqual(refusal(601));
    expect(await call(method, `/servers/${settings.theirs.serverId}`, body)).toEqual(unknown);
    for (const id of ["0", "-1", "1.0", "0x1", "x", "1e0", "9".repeat(16)])
      expect(await call(method, `/servers/${id}`, body)).toEqual(unknown);
    expect(await stored()).toEqual(before);
  });

  it("is not opened by the other kind of token", async () => {
    const { serverToken, accountToken } = settings.ours;
    for (const [path, as] of [
      ["/servers", { serverToken }],
      [`/servers/${settings.ours.serverId}`, { serverToken }],
      ["/servers", { accountToken: serverToken }],
      ["/server", { accountToken }],
      ["/server", { serverToken: accountToken }],
      ["/server", {}],
    ] as const)
      expect(await call("GET", path, undefined, as)).toMatchObject({ status: 401, json: { ErrorCode: 10 } });
  });
});

describe("a deleted server", () => {
  it("is found nowhere, its token stops, its data is to be erased, and its name is free", async () => {
    const { json: made } = await make();
    expect(await call("DELETE", `/servers/${made.ID}`)).toEqual({
      status: 200,
      code: null,
      json: { ErrorCode: 0, Message: "Server New removed." },
    });
    expect(settings.changed.servers.at(-1)).toBe(made.ID);
    const token = { serverToken: made.ApiTokens[0] };
    expect((await call("GET", "/server", undefined, token)).status).toBe(401);
    for (const [method, path, body] of [
      ["GET", ""],
      ["PUT", "", {}],
      ["DELETE", ""],
      ["GET", "/tokens"],
      ["POST", "/tokens", {}],
    ] as const)
      expect(await call(method, `/servers/${made.ID}${path}`, body)).toEqual(refusal(601));
    expect((await call("GET", "/servers")).json.TotalCount).toBe(1);
    expect(await loadPolicy(settings.db.directory, made.ID)).toBeUndefined();
    const { results } = await settings.db.directory
      .prepare("SELECT kind, account_id, server_id, done_at FROM erasures")
      .all();
    expect(results).toEqual([
      { kind: "server", account_id: settings.ours.accountId, server_id: made.ID, done_at: null },
    ]);
    expect((await make()).status).toBe(200);
  });

  it("is deleted once by two requests at the same time", async () => {
    const { json } = await make();
    const both = await Promise.all([
      call("DELETE", `/servers/${json.ID}`),
      call("DELETE", `/servers/${json.ID}`),
    ]);
    expect(both.map((answer) => answer.json.ErrorCode).sort()).toEqual([0, 601]);
    expect((await settings.db.directory.prepare("SELECT id FROM erasures").all()).results).toHaveLength(1);
  });

  it("stays when its account may not delete through the API", async () => {
    await settings.db.directory.prepare("UPDATE accounts SET server_deletion = 0").run();
    expect(await call("DELETE", `/servers/${settings.ours.serverId}`)).toEqual(refusal(604));
    expect(await call("DELETE", `/servers/${settings.theirs.serverId}`)).toEqual(refusal(601));
    expect((await call("GET", "/server")).status).toBe(200);
    expect((await settings.db.directory.prepare("SELECT id FROM erasures").all()).results).toEqual([]);
  });
});
