import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { inboundRuleEndpoints } from "../../src/api/inbound-rules.ts";
import { openSettings, type Settings } from "./settings.ts";

let settings: Settings;
beforeAll(async () => {
  settings = await openSettings(inboundRuleEndpoints, () => ({}));
});
beforeEach(async () => {
  await settings.db.directory.prepare("DELETE FROM inbound_rules").run();
});
afterAll(() => settings.dispose());

const call = (method: string, path = "", body?: unknown, as = settings.ours) =>
  settings.call(method, `/triggers/inboundRules${path}`, body, as);
const add = async (Rule: string, as = settings.ours) => (await call("POST", "/", { Rule }, as)).json;
const list = async (query = "") => (await call("GET", query)).json;

it("is made, listed and removed", async () => {
  const [one, two] = [await add("Someone@Example.com"), await add("b.com")];
  expect([one, two]).toEqual([
    { ID: expect.any(Number), Rule: "someone@example.com" },
    { ID: expect.any(Number), Rule: "b.com" },
  ]);
  expect(await list("/?count=100&offset=0")).toEqual({ TotalCount: 2, InboundRules: [one, two] });
  expect(await call("DELETE", `/${one.ID}`)).toEqual({
    status: 200,
    code: null,
    json: { ErrorCode: 0, Message: "Rule someone@example.com removed." },
  });
  expect(await list()).toEqual({ TotalCount: 1, InboundRules: [two] });
});

it.each<[string, unknown, number]>([
  ["no body", undefined, 809],
  ["null", "null", 809],
  ["no rule", {}, 809],
  ["an empty rule", { Rule: " " }, 809],
  ["what is no address and no domain", { Rule: "nonsense" }, 813],
  ["one that is there, in other letters", { Rule: "B.COM" }, 810],
  ["a number", { Rule: 5 }, 403],
  ["a list", [], 402],
])("is refused for %s", async (_what, body, code) => {
  const rule = await add("b.com");
  expect(await call("POST", "", body)).toMatchObject({
    status: 422,
    code: String(code),
    json: { ErrorCode: code },
  });
  expect(await list()).toEqual({ TotalCount: 1, InboundRules: [rule] });
});

describe("the list", () => {
  it("has pages, by number and by cursor", async () => {
    for (const name of ["a", "b", "c", "d", "e"]) await add(`${name}.example`);
    const names = (page: { InboundRules: { Rule: string }[] }) =>
      page.InboundRules.map((r) => r.Rule[0]).join("");
    const first = await list("?count=2");
    expect([names(first), first.TotalCount]).toEqual(["ab", 5]);
    expect(names(await list("?count=2&offset=3"))).toBe("de");
    const second = await list(`?count=2&cursor=${first.NextCursor}`);
    expect([names(second), second.TotalCount]).toEqual(["cd", 5]);
    const last = await list(`?count=2&cursor=${second.NextCursor}&offset=9999`);
    expect(names(last)).toBe("e");
    expect(last).not.toHaveProperty("NextCursor");
    expect(await list("?count=5")).not.toHaveProperty("NextCursor");
  });

  it.each([
    "count=-1",
    "count=0",
    "count=501",
    "offset=-1",
    "count=500&offset=9501",
    "cursor=x",
    "cursor=WyJhIl0",
  ])("refuses %s with 800", async (query) => {
    expect(await call("GET", `?${query}`)).toMatchObject({ status: 422, code: "800" });
  });
});

it("keeps servers apart", async () => {
  const rule = await add("b.com");
  expect(await add("b.com", settings.theirs)).toMatchObject({ Rule: "b.com" });
  const missing = { status: 422, code: "812" };
  for (const id of ["0", "999999", "-1", "1.5", "x", "99999999999999999999"])
    expect(await call("DELETE", `/${id}`)).toMatchObject(missing);
  expect(await call("DELETE", `/${rule.ID}`, undefined, settings.theirs)).toMatchObject(missing);
  expect(await list()).toEqual({ TotalCount: 1, InboundRules: [rule] });
  const none = { accountToken: settings.ours.accountToken };
  for (const method of ["GET", "POST"])
    expect(await settings.call(method, "/triggers/inboundrules", undefined, none)).toMatchObject({
      code: "10",
    });
});
