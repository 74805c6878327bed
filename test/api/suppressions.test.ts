import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { suppress } from "../../src/suppress/list.ts";
import { record } from "../../src/track/record.ts";
import { hardBounced, message, NOON } from "../archive/databases.ts";
import { openReading, type Reading } from "./reading.ts";

let reading: Reading;
beforeAll(async () => {
  reading = await openReading();
});
beforeEach(() => reading.clear());
afterAll(() => reading.db.dispose());

const PATH = "/message-streams/outbound/suppressions";
const entries = (...emails: unknown[]) => ({
  Suppressions: emails.map((EmailAddress) => ({ EmailAddress })),
});
const add = (...emails: unknown[]) => reading.call("POST", PATH, entries(...emails));
const remove = (...emails: unknown[]) => reading.call("POST", `${PATH}/delete`, entries(...emails));
const dump = async (query = "") => (await reading.call("GET", `${PATH}/dump${query}`)).json.Suppressions;
const listed = async (query = "") =>
  (await dump(query)).map((s: { EmailAddress: string }) => s.EmailAddress.split("@")[0]);

/** Straight into the directory, as other causes make them. */
const seed = (email: string, reason: "HardBounce" | "SpamComplaint" | "ManualSuppression", since = NOON) =>
  suppress(
    reading.db.directory,
    [{ serverId: 1, stream: "outbound", email, reason, origin: "Recipient", since }],
    since,
  );
const AUTHORITY = "You do not have the required authority to change this suppression.";

describe("creating suppressions", () => {
  it("gives one status an entry, in order, and tells the Outboxes", async () => {
    expect(await add("a@X.example", "invalid", "a@x.example", "b@x.example")).toEqual({
      status: 200,
      code: null,
      json: {
        Suppressions: [
          { EmailAddress: "a@X.example", Status: "Suppressed", Message: null },
          { EmailAddress: "invalid", Status: "Failed", Message: "An invalid email address was provided." },
          { EmailAddress: "a@x.example", Status: "Suppressed", Message: null },
          { EmailAddress: "b@x.example", Status: "Suppressed", Message: null },
        ],
      },
    });
    expect(await dump()).toEqual(
      ["a@x.example", "b@x.example"].map((EmailAddress) => ({
        EmailAddress,
        SuppressionReason: "ManualSuppression",
        Origin: "Customer",
        CreatedAt: "2026-02-17T08:00:00-05:00",
      })),
    );
    expect(reading.announced.map((a) => [a.email, a.stream, a.removed])).toEqual([
      ["a@x.example", "outbound", false],
      ["b@x.example", "outbound", false],
    ]);
  });

  it("succeeds over one that is there, but not over a complaint", async () => {
    await seed("a@x.example", "HardBounce");
    await seed("c@x.example", "SpamComplaint");
    const { json } = await add("a@x.example", "C@x.example");
    expect(json.Suppressions).toEqual([
      { EmailAddress: "a@x.example", Status: "Suppressed", Message: null },
      { EmailAddress: "C@x.example", Status: "Failed", Message: AUTHORITY },
    ]);
    expect(await listed("?SuppressionReason=HardBounce")).toEqual(["a"]);
  });

  it("suppresses again after a removal", async () => {
    await add("a@x.example");
    await remove("a@x.example");
    await add("a@x.example");
    expect(await listed()).toEqual(["a"]);
  });

  it.each([
    "",
    "a",
    "a@",
    "a@x.example, b@x.example",
    "a@x.example,",
    "Joe <a@x.example>",
    "<a@x.example>",
    null,
    5,
  ])("calls %j no address", async (text) => {
    const { json } = await add(text);
    expect(json.Suppressions).toMatchObject([
      { Status: "Failed", Message: "An invalid email address was provided." },
    ]);
    expect(await dump()).toEqual([]);
  });
});

describe("deleting suppressions", () => {
  it("deletes what the customer or a bounce made, and says so of what is not there", async () => {
    await seed("bounced@x.example", "HardBounce");
    await add("manual@x.example");
    const { json } = await remove("Bounced@x.example", "manual@x.example", "none@x.example", "bad");
    expect(json.Suppressions).toEqual([
      { EmailAddress: "Bounced@x.example", Status: "Deleted", Message: null },
      { EmailAddress: "manual@x.example", Status: "Deleted", Message: null },
      { EmailAddress: "none@x.example", Status: "Deleted", Message: null },
      { EmailAddress: "bad", Status: "Failed", Message: "An invalid email address was provided." },
    ]);
    expect(await dump()).toEqual([]);
    expect(reading.announced.filter((a) => a.removed).map((a) => a.email)).toContain("bounced@x.example");
  });

  it("does not delete a complaint, nor the recipient's own unsubscribe", async () => {
    await seed("angry@x.example", "SpamComplaint");
    await seed("left@x.example", "ManualSuppression");
    const { json } = await remove("angry@x.example", "left@x.example");
    expect(json.Suppressions).toMatchObject([
      { Status: "Failed", Message: AUTHORITY },
      { Status: "Failed", Message: AUTHORITY },
    ]);
    expect(await dump()).toHaveLength(2);
    expect(reading.announced).toEqual([]);
  });

  it("makes the bounce active that had caused it", async () => {
    await record({ ...reading.db, now: () => NOON }, [message([hardBounced("a@x.example")])]);
    await remove("a@x.example");
    const { json } = await reading.call("GET", "/bounces");
    expect(json.Bounces).toMatchObject([{ Email: "a@x.example", Inactive: false }]);
  });

  it("completes with the second call what the first left half done when the archive was away", async () => {
    await record({ ...reading.db, now: () => NOON }, [message([hardBounced("a@x.example")])]);
    reading.away.archive = true;
    expect(await remove("a@x.example")).toMatchObject({ status: 503, code: "100" });
    reading.away.archive = false;
    expect((await remove("a@x.example")).json.Suppressions).toMatchObject([{ Status: "Deleted" }]);
    expect((await reading.call("GET", "/bounces?inactive=true")).json.TotalCount).toBe(0);
  });
});

describe("the dump", () => {
  it.each<[string, string[]]>([
    ["", ["angry", "bounced", "left"]],
    ["?SuppressionReason=SpamComplaint", ["angry"]],
    ["?suppressionreason=hardbounce", ["bounced"]],
    ["?Origin=Recipient", ["angry", "bounced", "left"]],
    ["?Origin=Customer", []],
    ["?EmailAddress=Left@X.example", ["left"]],
    ["?emailaddress=invalid", []],
    ["?EmailAddress=left@x.example&Origin=Recipient&SuppressionReason=ManualSuppression", ["left"]],
    ["?EmailAddress=left@x.example&SuppressionReason=HardBounce", []],
    ["?fromdate=2026-02-18", ["angry", "left"]],
    ["?todate=2026-02-18&fromdate=2026-02-18", ["left"]],
    ["?count=1&offset=5", ["angry", "bounced", "left"]],
  ])("filters by %s", async (query, names) => {
    const day = 86_400_000;
    await seed("bounced@x.example", "HardBounce");
    await seed("left@x.example", "ManualSuppression", NOON + day);
    await seed("angry@x.example", "SpamComplaint", NOON + 2 * day);
    expect(await listed(query)).toEqual(names);
  });

  it.each([
    ["SuppressionReason=Nonsense", 1404],
    ["Origin=Nobody", 1405],
    ["fromdate=yesterday", 1400],
  ])("refuses %s with %i", async (query, code) => {
    expect(await reading.call("GET", `${PATH}/dump?${query}`)).toMatchObject({
      status: 422,
      code: String(code),
    });
  });

  it("shows a server and a stream their own", async () => {
    await add("a@x.example");
    const other = await reading.call("GET", `${PATH}/dump`, undefined, reading.otherToken);
    expect(other.json).toEqual({ Suppressions: [] });
    const broadcast = await reading.call("GET", "/message-streams/broadcast/suppressions/dump");
    expect(broadcast.json).toEqual({ Suppressions: [] });
  });
});

describe("what is refused as a whole", () => {
  const many = entries(...Array.from({ length: 51 }, (_, i) => `a${i}@x.example`));
  it.each<[string, unknown, number]>([
    ["no body", undefined, 1409],
    ["null", "null", 1409],
    ["an empty object", {}, 1409],
    ["an empty list", { Suppressions: [] }, 1409],
    ["more than 50", many, 1410],
    ["no JSON", "{", 402],
    ["a list", [], 402],
    ["entries that are no objects", { Suppressions: ["a@x.example"] }, 403],
  ])("%s", async (_what, body, code) => {
    for (const path of [PATH, `${PATH}/delete`])
      expect(await reading.call("POST", path, body)).toMatchObject({ status: 422, code: String(code) });
    expect(await dump()).toEqual([]);
  });

  it.each(["GET /dump", "POST ", "POST /delete"])("a stream that does not exist: %s", async (route) => {
    const [method = "", path = ""] = route.split(" ");
    const call = (stream: string) =>
      reading.call(
        method,
        `/message-streams/${stream}/suppressions${path}`,
        method === "GET" ? undefined : entries("a@x.example"),
      );
    for (const stream of ["nothing", "OUTBOUND"])
      expect(await call(stream)).toEqual({
        status: 422,
        code: "1226",
        json: { ErrorCode: 1226, Message: "The message stream for the provided 'ID' was not found." },
      });
    expect((await call("outbound")).status).toBe(200);
  });

  it("anything while the directory is away: 503", async () => {
    reading.away.directory = true;
    const answers = [
      await add("a@x.example"),
      await remove("a@x.example"),
      await reading.call("GET", `${PATH}/dump`),
    ];
    for (const answer of answers) expect(answer).toMatchObject({ status: 503, code: "100" });
  });

  it("takes keys in any case and exactly 50 entries", async () => {
    const body = { suppressions: many.Suppressions.slice(1).map((e) => ({ emailaddress: e.EmailAddress })) };
    expect(
      (await reading.call("POST", `/Message-Streams/outbound/Suppressions/`, body)).json.Suppressions,
    ).toHaveLength(50);
    expect(await dump()).toHaveLength(50);
  });
});
