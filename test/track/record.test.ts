import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { MessageRecord } from "../../src/mail/record.ts";
import { reactivate } from "../../src/suppress/list.ts";
import { record } from "../../src/track/record.ts";
import {
  attempt,
  type Databases,
  delivered,
  hardBounced,
  message,
  NOON,
  openDatabases,
  waiting,
} from "../archive/databases.ts";

let db: Databases;
beforeAll(async () => {
  db = await openDatabases();
});
beforeEach(() => db.clear());
afterAll(() => db.dispose());

const note = (records: MessageRecord[], now = NOON + 60_000) => record({ ...db, now: () => now }, records);
const bounces = async () =>
  (
    await db.archive
      .prepare("SELECT email, type, details, inactive, bounced_at FROM bounces ORDER BY id")
      .all()
  ).results;
const suppressions = async () =>
  (await db.directory.prepare("SELECT stream, email, reason, origin, removed_at FROM suppressions").all())
    .results;

describe("the gate for facts", () => {
  it("makes a hard bounce a bounce and a suppression on the message's stream", async () => {
    const made = await note([
      message([hardBounced("a@x.example"), delivered("b@x.example")], { stream: "news" }),
    ]);
    expect(made).toEqual([{ serverId: 1, stream: "news", email: "a@x.example" }]);
    expect(await bounces()).toEqual([
      {
        email: "a@x.example",
        type: "HardBounce",
        details: "smtp;550 5.1.1 no such user",
        inactive: 1,
        bounced_at: NOON + 1_000,
      },
    ]);
    expect(await suppressions()).toEqual([
      { stream: "news", email: "a@x.example", reason: "HardBounce", origin: "Recipient", removed_at: null },
    ]);
  });

  const soft = { code: 552, enhanced: "5.2.2", text: "full" };
  const nothing = { code: 0, enhanced: "", text: "" };
  it.each([
    ["a soft bounce", "bounced", "SoftBounce", soft, "", "SoftBounce", "smtp;552 5.2.2 full"],
    ["a bounce of no type", "bounced", undefined, soft, "", "Unknown", "smtp;552 5.2.2 full"],
    ["what expired", "expired", "DnsError", nothing, "SERVFAIL", "DnsError", "SERVFAIL"],
    ["what expired, of no type", "expired", undefined, nothing, "SERVFAIL", "Transient", "SERVFAIL"],
  ] as const)("does not suppress for %s", async (_name, state, bounceType, reply, reason, type, details) => {
    const attempts = [attempt(1, { result: "bounced", reply, reason })];
    const made = await note([message([{ email: "a@x.example", state, at: NOON, attempts, bounceType }])]);
    expect(made).toEqual([]);
    expect(await bounces()).toMatchObject([{ type, details, inactive: 0 }]);
    expect(await suppressions()).toEqual([]);
  });

  it("says why a recipient expired that was never tried", async () => {
    const reason = "x.example: held";
    await note([message([{ email: "a@x.example", state: "expired", at: NOON, attempts: [], reason }])]);
    expect(await bounces()).toMatchObject([{ type: "Transient", details: reason }]);
  });

  it("makes no bounce of who waits, was delivered, suppressed or cancelled", async () => {
    const others = (["suppressed", "cancelled"] as const).map((state) => ({
      ...waiting(`${state}@x.example`),
      state,
    }));
    expect(await note([message([waiting("w@x.example"), delivered("d@x.example"), ...others])])).toEqual([]);
    expect(await bounces()).toEqual([]);
  });

  it("names whom it suppressed again when it runs again, and changes nothing", async () => {
    const facts = [message([hardBounced("a@x.example")])];
    const first = await note(facts);
    const before = [await bounces(), await suppressions()];
    expect(await note(facts, NOON + 120_000)).toEqual(first);
    expect([await bounces(), await suppressions()]).toEqual(before);
  });

  it("does not suppress again whom a person has reactivated, when the same bounce is told once more", async () => {
    const facts = [message([hardBounced("a@x.example"), waiting("b@x.example")])];
    await note(facts);
    await reactivate(db.directory, 1, "outbound", "a@x.example", NOON + 120_000);
    expect(await note(facts, NOON + 180_000)).toEqual([]);
    expect(await suppressions()).toMatchObject([{ removed_at: NOON + 120_000 }]);
    const later = [message([hardBounced("a@x.example", NOON + 200_000)])];
    expect(await note(later, NOON + 240_000)).toHaveLength(1);
    expect(await suppressions()).toMatchObject([{ removed_at: null }]);
  });

  const noteHalf = async (facts: MessageRecord[]) => {
    const away = {
      prepare: () => db.archive.prepare("SELECT * FROM nowhere"),
      batch: () => Promise.reject(new Error("away")),
    };
    const broken = { ...db, archive: away as unknown as D1Database, now: () => NOON + 60_000 };
    await expect(record(broken, facts)).rejects.toThrow("away");
  };

  it("completes what a run left half done when the archive was away", async () => {
    const facts = [message([hardBounced("a@x.example")])];
    await noteHalf(facts);
    expect(await suppressions()).toHaveLength(1);
    expect(await note(facts)).toHaveLength(1);
    expect(await bounces()).toHaveLength(1);
  });

  it("has a bounce keep nobody inactive who was reactivated while the archive was away", async () => {
    const facts = [message([hardBounced("a@x.example"), hardBounced("b@x.example")])];
    await noteHalf(facts);
    await reactivate(db.directory, 1, "outbound", "a@x.example", NOON + 120_000);
    expect(await note(facts, NOON + 180_000)).toMatchObject([{ email: "b@x.example" }]);
    expect(await bounces()).toMatchObject([
      { email: "a@x.example", inactive: 0 },
      { email: "b@x.example", inactive: 1 },
    ]);
  });
});
