/** The requests that all that is kept of a person be removed: asked for, looked at, refused. */
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { dataRemovalEndpoints } from "../../src/api/data-removals.ts";
import { finish, MAX_OPEN, openErasures } from "../../src/erase/requests.ts";
import { openSettings, type Settings } from "./settings.ts";

let settings: Settings;
let begun = 0;
beforeAll(async () => {
  settings = await openSettings(dataRemovalEndpoints, () => ({
    eraseSoon() {
      begun++;
    },
  }));
});
beforeEach(async () => {
  begun = 0;
  await settings.db.directory.prepare("DELETE FROM erasures").run();
});
afterAll(() => settings.dispose());

const ask = (body: unknown, as = settings.ours) => settings.call("POST", "/data-removals", body, as);
const look = (id: unknown, as = settings.ours) => settings.call("GET", `/Data-Removals/${id}`, undefined, as);
const rows = async () =>
  (await settings.db.directory.prepare("SELECT * FROM erasures").all<Record<string, unknown>>()).results;
const GOOD = { RequestedBy: "anybody at all", RequestedFor: "Ann <Ann@Person.example>" };

it("is pending when it is asked for, and done when it is done; then its row has no address", async () => {
  const { status, json } = await ask({ ...GOOD, NotifyWhenCompleted: true });
  expect([status, json]).toEqual([200, { ID: expect.any(Number), Status: "Pending" }]);
  expect(json.ID).toBeGreaterThan(0);
  expect(begun).toBe(1);
  expect(await rows()).toMatchObject([
    {
      kind: "person",
      account_id: settings.ours.accountId,
      email: "ann@person.example",
      notify: 1,
      progress: "{}",
    },
  ]);
  expect((await look(json.ID)).json).toEqual(json);
  const [erasure] = await openErasures(settings.db.directory, 0);
  if (erasure) await finish(settings.db.directory, erasure, 5);
  expect((await look(json.ID)).json).toEqual({ ID: json.ID, Status: "Done" });
  expect(await rows()).toMatchObject([{ email: null, requested_by: "anybody at all", done_at: 5 }]);
});

it("forgets who asked when it was the person", async () => {
  await ask({ RequestedBy: "Ann@person.example", RequestedFor: "ann@person.example" });
  const [erasure] = await openErasures(settings.db.directory, 0);
  if (erasure) await finish(settings.db.directory, erasure, 5);
  expect(await rows()).toMatchObject([{ email: null, requested_by: null }]);
});

it.each<[string, unknown, number]>([
  ["no body", undefined, 1300],
  ["null", "null", 1300],
  ["nothing in it", {}, 1300],
  ["no one who asks", { ...GOOD, RequestedBy: " " }, 1300],
  ["one who asks at length", { ...GOOD, RequestedBy: "x".repeat(256) }, 1300],
  ["no person", { RequestedBy: "me" }, 1300],
  ["what is no address", { ...GOOD, RequestedFor: "ann" }, 1300],
  ["two people", { ...GOOD, RequestedFor: "a@b.example, c@d.example" }, 1300],
  ["a number", { ...GOOD, RequestedFor: 5 }, 403],
  ["a list", [], 402],
])("is refused for %s", async (_what, body, code) => {
  const answer = await ask(body);
  expect(answer).toMatchObject({ status: 422, code: String(code), json: { ErrorCode: code } });
  expect(await rows()).toEqual([]);
  expect(begun).toBe(0);
});

it("is refused when an account has too many that are not done, and another's are not counted", async () => {
  await settings.db.directory
    .prepare(
      `INSERT INTO erasures (kind, account_id, email, created_at)
       WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${MAX_OPEN})
       SELECT 'person', ?, i || '@many.example', 1 FROM n`,
    )
    .bind(settings.theirs.accountId)
    .run();
  expect((await ask(GOOD, settings.theirs)).json.ErrorCode).toBe(1301);
  expect((await ask(GOOD)).json.Status).toBe("Pending");
});

it("is found by its own account alone, as are no erasures of servers", async () => {
  const { json } = await ask(GOOD);
  await settings.db.directory
    .prepare(
      "INSERT INTO erasures (id, kind, account_id, server_id, created_at) VALUES (77, 'server', ?, 5, 1)",
    )
    .bind(settings.ours.accountId)
    .run();
  for (const id of [77, 99, "abc", "-1", "1.5", "9999999999999999", `${json.ID}x`])
    expect(await look(id)).toMatchObject({ status: 422, code: "1302" });
  expect(await look(json.ID, settings.theirs)).toMatchObject({ status: 422, code: "1302" });
  expect((await look(json.ID, { ...settings.ours, accountToken: "" })).status).toBe(401);
});
