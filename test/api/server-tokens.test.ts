import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { loadPolicy } from "../../src/accounts/policy.ts";
import { checkLogin } from "../../src/accounts/smtp-tokens.ts";
import { hashToken } from "../../src/accounts/token.ts";
import { serverTokenEndpoints } from "../../src/api/server-tokens.ts";
import { serverEndpoints } from "../../src/api/servers.ts";
import { openSettings, type Settings, type Tenant } from "./settings.ts";

let settings: Settings;
beforeAll(async () => {
  settings = await openSettings(
    (needs) => [...serverEndpoints(needs), ...serverTokenEndpoints(needs)],
    () => ({}),
  );
});
beforeEach(async () => {
  settings.changed.servers.length = 0;
  settings.logged.length = 0;
  const kept = await Promise.all([settings.ours, settings.theirs].map((t) => hashToken(t.serverToken)));
  await settings.db.directory.batch([
    settings.db.directory
      .prepare("DELETE FROM tokens WHERE kind = 'server' AND hash NOT IN (?, ?)")
      .bind(...kept),
    settings.db.directory.prepare("UPDATE accounts SET show_tokens_once = 0"),
  ]);
});
afterAll(() => settings.dispose());

const call: Settings["call"] = (method, path, body, as) => settings.call(method, path, body, as);
const make = (of: Record<string, unknown> = {}, as?: Tenant) => call("POST", "/server/tokens", of, as);
const list = async (as?: Partial<Tenant>) => (await call("GET", "/server/tokens", undefined, as)).json;
const stored = async () =>
  (await settings.db.directory.prepare("SELECT * FROM tokens ORDER BY id").all()).results;
const refusal = (code: number) => ({
  status: 422,
  code: String(code),
  json: { ErrorCode: code, Message: expect.any(String) },
});
const byAccount = () => `/servers/${settings.ours.serverId}/tokens`;

describe("a new token", () => {
  it("may do everything from anywhere unless told otherwise, works at once, and is shown again", async () => {
    const { status, json } = await make();
    expect(status).toBe(200);
    expect(json).toEqual({
      ID: expect.any(Number),
      Name: "",
      Token: expect.stringMatching(/^[0-9a-f-]{36}$/),
      Scope: "full",
      AllowedIps: [],
      RatePerMinute: null,
      CreatedAt: "2026-02-17T07:00:00-05:00",
    });
    expect(settings.changed.servers).toEqual([settings.ours.serverId]);
    const { TotalCount, Tokens } = await list({ serverToken: json.Token });
    expect([TotalCount, Tokens[1]]).toEqual([2, json]);
    const server = (await call("GET", "/server", undefined, { serverToken: json.Token })).json;
    expect(server.ApiTokens).toEqual([settings.ours.serverToken, json.Token]);
  });

  it.each(["server", "account"])("takes its settings from the %s's token", async (whose) => {
    const given = {
      name: " Shop ",
      scope: "SEND",
      allowedIps: ["192.0.2.1", "2001:DB8::/32", "10.0.0.0/8"],
      ratePerMinute: "600",
    };
    const path = whose === "server" ? "/server/tokens" : byAccount();
    const { json } = await call("POST", path, given);
    expect(json).toMatchObject({
      Name: "Shop",
      Scope: "send",
      AllowedIps: ["192.0.2.1", "2001:db8::/32", "10.0.0.0/8"],
      RatePerMinute: 600,
    });
    expect((await loadPolicy(settings.db.directory, settings.ours.serverId))?.tokens[1]).toEqual({
      hash: await hashToken(json.Token),
      scope: "send",
      allowedIps: ["192.0.2.1", "2001:db8::/32", "10.0.0.0/8"],
      ratePerMinute: 600,
    });
    expect((await call("GET", byAccount())).json).toEqual(await list());
  });

  it.each([
    ["a name that is too long", { Name: "n".repeat(101) }, 1485],
    ["a name with a line break", { Name: "a\nb" }, 1485],
    ["an unknown scope", { Scope: "admin" }, 1486],
    ["an address that is none", { AllowedIps: ["192.0.2.1", "example.com"] }, 1487],
    ["too many addresses", { AllowedIps: Array.from({ length: 51 }, () => "192.0.2.1") }, 1487],
    ["no request a minute", { RatePerMinute: 0 }, 1488],
    ["a negative number of requests", { RatePerMinute: -5 }, 1488],
    ["too many requests", { RatePerMinute: 10_000_001 }, 1488],
    ["fields of the wrong type", { AllowedIps: "192.0.2.1", RatePerMinute: 1.5 }, 403],
    ["a list for a body", [], 402],
  ])("is not made with %s", async (_name, of, code) => {
    const before = await stored();
    expect(await call("POST", "/server/tokens", of)).toEqual(refusal(code));
    expect(await call("POST", byAccount(), of)).toEqual(refusal(code));
    expect(await stored()).toEqual(before);
    expect(settings.changed.servers).toEqual([]);
  });

  it("is one of three at most, also when many are asked for at once", async () => {
    const answers = await Promise.all(Array.from({ length: 5 }, () => make()));
    expect(answers.map((a) => a.status).sort()).toEqual([200, 200, 422, 422, 422]);
    expect(await call("POST", byAccount())).toEqual(refusal(1483));
    expect((await list()).TotalCount).toBe(3);
    expect((await make({}, settings.theirs)).status).toBe(200);
  });
});

describe("tokens at rest", () => {
  it("are sealed: neither the table nor the policy has them", async () => {
    const { json } = await make();
    const policy = await loadPolicy(settings.db.directory, settings.ours.serverId);
    expect(JSON.stringify([await stored(), policy])).not.toContain(json.Token);
  });

  it("are hashes alone where the account shows tokens once, those from before as well", async () => {
    const { json: before } = await make();
    await settings.db.directory.prepare("UPDATE accounts SET show_tokens_once = 1").run();
    const { json } = await make();
    expect(json.Token).toMatch(/^[0-9a-f-]{36}$/);
    expect((await list()).Tokens.map((t: { Token: unknown }) => t.Token)).toEqual([null, null, null]);
    for (const serverToken of [before.Token, json.Token])
      expect((await call("GET", "/server", undefined, { serverToken })).json.ApiTokens).toEqual([]);
    expect(await stored()).toContainEqual(expect.objectContaining({ id: json.ID, sealed: null }));
  });

  it("that cannot be opened any more still work, and are not shown", async () => {
    const { json } = await make();
    await settings.db.directory
      .prepare("UPDATE tokens SET sealed = 'v1.AAAA' WHERE id = ?")
      .bind(json.ID)
      .run();
    expect((await list({ serverToken: json.Token })).Tokens[1].Token).toBeNull();
    expect(settings.logged).toContainEqual(
      expect.objectContaining({ event: "token cannot be opened", token: json.ID }),
    );
  });
});

describe("a scope", () => {
  const may = async (serverToken: string) => {
    const status = async (method: string, path: string, body?: unknown) =>
      (await call(method, path, body, { serverToken })).json.ErrorCode ?? 0;
    return {
      read: await status("GET", "/server"),
      change: await status("PUT", "/server", { Color: "Red" }),
      tokens: await status("GET", "/server/tokens"),
      makeToken: await status("POST", "/server/tokens", {}),
    };
  };

  it("`read` reads, changes nothing, and never sees a token", async () => {
    const { Token } = (await make({ Scope: "read" })).json;
    expect(await may(Token)).toEqual({ read: 0, change: 1481, tokens: 1481, makeToken: 1481 });
    expect((await call("GET", "/server", undefined, { serverToken: Token })).json.ApiTokens).toEqual([]);
    expect(await call("PUT", "/server", {}, { serverToken: Token })).toEqual(refusal(1481));
  });

  it("`send` does none of it", async () => {
    const { Token } = (await make({ Scope: "send" })).json;
    expect(await may(Token)).toEqual({ read: 1481, change: 1481, tokens: 1481, makeToken: 1481 });
  });

  it("other than `full` is not among `ApiTokens`, of which clients take any", async () => {
    await make({ Scope: "read" });
    await make({ Scope: "send" });
    expect((await call("GET", "/server")).json.ApiTokens).toEqual([settings.ours.serverToken]);
  });

  it("to send is enough for SMTP, wherever its caller is; to read is not", async () => {
    const tokens = {
      full: settings.ours.serverToken,
      send: (await make({ Scope: "send", AllowedIps: ["192.0.2.1"] })).json.Token,
      read: (await make({ Scope: "read" })).json.Token,
    };
    const policy = await loadPolicy(settings.db.directory, settings.ours.serverId);
    const login = async (token: string) => (await checkLogin(policy, token, token)).ok;
    expect([await login(tokens.full), await login(tokens.send), await login(tokens.read)]).toEqual([
      true,
      true,
      false,
    ]);
  });
});

describe("revoking", () => {
  it.each(["server", "account"])("by the %s's token ends a token at once", async (whose) => {
    const { json } = await make();
    settings.changed.servers.length = 0;
    const path = whose === "server" ? "/server/tokens" : byAccount();
    expect(await call("DELETE", `${path}/${json.ID}`)).toEqual({
      status: 200,
      code: null,
      json: { ErrorCode: 0, Message: `API token ${json.ID} removed.` },
    });
    expect(settings.changed.servers).toEqual([settings.ours.serverId]);
    expect((await call("GET", "/server", undefined, { serverToken: json.Token })).status).toBe(401);
    expect(await call("DELETE", `${path}/${json.ID}`)).toEqual(refusal(1482));
  });

  it("leaves the last token that may do everything, unless its account asks", async () => {
    const [{ ID }] = (await list()).Tokens;
    const { json: reader } = await make({ Scope: "read" });
    expect(await call("DELETE", `/server/tokens/${ID}`)).toEqual(refusal(1484));
    expect((await call("DELETE", `/server/tokens/${reader.ID}`)).status).toBe(200);
    const { json: other } = await make();
    expect((await call("DELETE", `/server/tokens/${other.ID}`)).status).toBe(200);
    expect(await call("DELETE", `/server/tokens/${ID}`)).toEqual(refusal(1484));
    expect((await list()).TotalCount).toBe(1);
  });

  it("of the last one is the account's to do, and it makes the next", async () => {
    const server = (await call("POST", "/servers", { Name: "Other" })).json;
    const path = `/servers/${server.ID}/tokens`;
    const [{ ID }] = (await call("GET", path)).json.Tokens;
    expect((await call("DELETE", `${path}/${ID}`)).status).toBe(200);
    expect((await call("GET", path)).json).toEqual({ TotalCount: 0, Tokens: [] });
    const { Token } = (await call("POST", path)).json;
    expect((await call("GET", "/server", undefined, { serverToken: Token })).json.ID).toBe(server.ID);
    await call("DELETE", `/servers/${server.ID}`);
  });

  it("knows nothing of another server's, or of an account's tokens", async () => {
    const before = await stored();
    const theirs = (await list(settings.theirs)).Tokens[0].ID;
    const account = before.find((row) => row.kind === "account")?.id;
    for (const id of [theirs, account, 999_999, "x", "-1", "1.5"]) {
      expect(await call("DELETE", `/server/tokens/${id}`)).toEqual(refusal(1482));
      expect(await call("DELETE", `${byAccount()}/${id}`)).toEqual(refusal(1482));
    }
    expect(await stored()).toEqual(before);
  });
});

describe("tokens of a server of another account", () => {
  it.each([
    ["GET", ""],
    ["POST", ""],
    ["DELETE", "/1"],
  ])("are as those of one that does not exist: %s %s", async (method, path) => {
    const before = await stored();
    for (const id of [settings.theirs.serverId, 999_999, "x"])
      expect(await call(method, `/servers/${id}/tokens${path}`)).toEqual(refusal(601));
    expect(await stored()).toEqual(before);
  });

  it("want the right kind of token", async () => {
    const { serverToken, accountToken } = settings.ours;
    for (const [path, as] of [
      ["/server/tokens", { accountToken }],
      [byAccount(), { serverToken }],
    ] as const)
      expect(await call("GET", path, undefined, as)).toMatchObject({ status: 401, json: { ErrorCode: 10 } });
  });
});
