import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  findSuppression,
  type NewSuppression,
  reactivate,
  resubscribe,
  suppress,
  suppressionChanges,
  toldSuppressions,
} from "../../src/suppress/list.ts";
import { type Databases, NOON, openDatabases } from "../archive/databases.ts";

let db: Databases;
beforeAll(async () => {
  db = await openDatabases();
});
beforeEach(() => db.clear());
afterAll(() => db.dispose());

const EMAIL = "a@x.example";
const KINDS = {
  bounce: { reason: "HardBounce", origin: "Recipient" },
  customer: { reason: "ManualSuppression", origin: "Customer" },
  unsubscribe: { reason: "ManualSuppression", origin: "Recipient" },
  admin: { reason: "ManualSuppression", origin: "Admin" },
  complaint: { reason: "SpamComplaint", origin: "Recipient" },
} as const;
type Kind = keyof typeof KINDS;

const row = (kind: Kind, of: Partial<NewSuppression> = {}): NewSuppression => ({
  serverId: 1,
  stream: "outbound",
  email: EMAIL,
  since: NOON,
  ...KINDS[kind],
  ...of,
});
/** The place in the feed before all of a moment. */
const from = (changedAt: number) => ({ changedAt, stream: "", email: "" });
const stored = async () =>
  (
    await db.directory
      .prepare("SELECT reason, origin, created_at, changed_at, removed_at FROM suppressions")
      .all()
  ).results;

describe("suppressing", () => {
  it.each<[Kind, Kind, Kind]>([
    ["bounce", "bounce", "bounce"],
    ["bounce", "customer", "bounce"],
    ["customer", "bounce", "customer"],
    ["bounce", "unsubscribe", "unsubscribe"],
    ["bounce", "admin", "admin"],
    ["bounce", "complaint", "complaint"],
    ["unsubscribe", "complaint", "complaint"],
    ["complaint", "bounce", "complaint"],
    ["complaint", "customer", "complaint"],
    ["complaint", "unsubscribe", "complaint"],
    ["unsubscribe", "bounce", "unsubscribe"],
  ])("keeps the stronger: %s, then %s, is %s", async (first, then, left) => {
    await suppress(db.directory, [row(first)], NOON);
    await suppress(db.directory, [row(then)], NOON + 1);
    expect(await stored()).toMatchObject([KINDS[left]]);
  });

  it("changes nothing the second time, so that the feed stays quiet", async () => {
    await suppress(db.directory, [row("bounce")], NOON);
    expect(await suppress(db.directory, [row("bounce")], NOON + 5)).toHaveLength(1);
    expect(await stored()).toMatchObject([{ changed_at: NOON }]);
  });

  it("takes addresses in any case, and the same one twice", async () => {
    const made = await suppress(
      db.directory,
      [row("bounce", { email: "A@X.example" }), row("complaint")],
      NOON,
    );
    expect(made).toEqual([{ serverId: 1, stream: "outbound", email: EMAIL }]);
    expect(await stored()).toMatchObject([KINDS.complaint]);
  });

  it("does nothing for nothing", async () => {
    expect(await suppress(db.directory, [], NOON)).toEqual([]);
  });
});

describe("reactivating", () => {
  it.each<[Kind, "removed" | "kept"]>([
    ["bounce", "removed"],
    ["customer", "removed"],
    ["unsubscribe", "kept"],
    ["admin", "kept"],
    ["complaint", "kept"],
  ])("a suppression by %s: %s", async (kind, answer) => {
    await suppress(db.directory, [row(kind)], NOON);
    expect(await reactivate(db.directory, 1, "outbound", "A@x.example", NOON + 9)).toBe(answer);
    const again = answer === "removed" ? "absent" : "kept";
    expect(await reactivate(db.directory, 1, "outbound", EMAIL, NOON + 10)).toBe(again);
    expect(await stored()).toMatchObject([{ removed_at: answer === "removed" ? NOON + 9 : null }]);
  });

  it.each([
    [2, "outbound", EMAIL],
    [1, "broadcast", EMAIL],
    [1, "outbound", "b@x.example"],
  ])("leaves others alone: server %i, %s, %s", async (serverId, stream, email) => {
    await suppress(db.directory, [row("bounce")], NOON);
    expect(await reactivate(db.directory, serverId, stream, email, NOON + 1)).toBe("absent");
    expect(await stored()).toMatchObject([{ removed_at: null }]);
  });

  it("leaves a tombstone that an older cause cannot undo, and a newer one can", async () => {
    await suppress(db.directory, [row("bounce")], NOON);
    await reactivate(db.directory, 1, "outbound", EMAIL, NOON + 10);
    expect(await suppress(db.directory, [row("complaint", { since: NOON + 9 })], NOON + 20)).toEqual([]);
    expect(await suppress(db.directory, [row("bounce", { since: NOON + 10 })], NOON + 30)).toHaveLength(1);
    expect(await stored()).toMatchObject([
      { removed_at: null, created_at: NOON + 10, changed_at: NOON + 30 },
    ]);
  });
});

describe("a recipient who subscribes again", () => {
  const who = { serverId: 1, stream: "outbound", email: EMAIL };

  it.each<[Kind, boolean]>([
    ["unsubscribe", true],
    ["bounce", false],
    ["customer", false],
    ["admin", false],
    ["complaint", false],
  ])("takes back a suppression by %s: %s", async (kind, isTaken) => {
    await suppress(db.directory, [row(kind)], NOON);
    expect(await findSuppression(db.directory, who)).toEqual(KINDS[kind]);
    expect(await resubscribe(db.directory, { ...who, email: "A@x.example" }, NOON + 9)).toBe(isTaken);
    expect(await resubscribe(db.directory, who, NOON + 10)).toBe(false);
    expect(await stored()).toMatchObject([{ removed_at: isTaken ? NOON + 9 : null }]);
    expect(await findSuppression(db.directory, who)).toEqual(isTaken ? undefined : KINDS[kind]);
  });

  it.each([{ serverId: 2 }, { stream: "news" }, { email: "b@x.example" }])(
    "leaves others alone: %o",
    async (other) => {
      await suppress(db.directory, [row("unsubscribe")], NOON);
      expect(await resubscribe(db.directory, { ...who, ...other }, NOON + 1)).toBe(false);
      expect(await findSuppression(db.directory, { ...who, ...other })).toBeUndefined();
      expect(await stored()).toMatchObject([{ removed_at: null }]);
    },
  );

  it("stays one, though the wish before it is told late", async () => {
    await suppress(db.directory, [row("unsubscribe")], NOON);
    await resubscribe(db.directory, who, NOON + 5);
    expect(await suppress(db.directory, [row("unsubscribe")], NOON + 9)).toEqual([]);
    expect(await stored()).toMatchObject([{ removed_at: NOON + 5 }]);
  });
});

describe("the feed of changes", () => {
  it("says to who tells people which message brought one about, and goes by the cause that holds", async () => {
    const cause = { messageId: "m1", tag: "t", metadata: { order: "7" } };
    const other = { messageId: "m2", tag: "", metadata: {} };
    const causes = async () =>
      (await toldSuppressions(db.directory, 1, from(0), 10)).map((entry) => entry.cause);
    await suppress(db.directory, [row("bounce", { cause })], NOON);
    await suppress(db.directory, [row("bounce", { cause: other })], NOON + 1);
    expect(await causes()).toEqual([cause]);
    await suppress(db.directory, [row("complaint", { cause: other })], NOON + 2);
    expect(await causes()).toEqual([other]);
    await suppress(db.directory, [row("customer", { email: "b@x.example" })], NOON + 3);
    expect(await causes()).toEqual([other, undefined]);
    expect(await suppressionChanges(db.directory, 1, from(NOON), 1)).not.toMatchObject([{ cause: other }]);
  });

  it("gives one server's changes in order of time, removals too, from a time on and up to a limit", async () => {
    await suppress(db.directory, [row("bounce", { email: "b@x.example" })], NOON + 2);
    await suppress(db.directory, [row("bounce")], NOON + 1);
    await suppress(db.directory, [row("bounce", { serverId: 2 })], NOON + 3);
    await reactivate(db.directory, 1, "outbound", "b@x.example", NOON + 4);
    const why = { reason: "HardBounce", origin: "Recipient" };
    const a = { ...why, stream: "outbound", email: EMAIL, removed: false, changedAt: NOON + 1 };
    const b = { ...why, stream: "outbound", email: "b@x.example", removed: true, changedAt: NOON + 4 };
    expect(await suppressionChanges(db.directory, 1, from(0), 10)).toEqual([a, b]);
    expect(await suppressionChanges(db.directory, 1, from(NOON + 2), 10)).toEqual([b]);
    expect(await suppressionChanges(db.directory, 1, from(NOON + 4), 10)).toEqual([b]);
    expect(await suppressionChanges(db.directory, 1, from(NOON + 5), 10)).toEqual([]);
    expect(await suppressionChanges(db.directory, 1, from(0), 1)).toEqual([a]);
    expect(await suppressionChanges(db.directory, 3, from(0), 10)).toEqual([]);
  });

  it("goes on within a moment, behind the last that was read", async () => {
    const many = ["c", "a", "b", "d"].map((name) => row("customer", { email: `${name}@x.example` }));
    await suppress(db.directory, [...many, row("customer", { stream: "news" })], NOON);
    const read: string[] = [];
    let after = from(NOON);
    for (;;) {
      const page = await suppressionChanges(db.directory, 1, after, 2);
      read.push(...page.map(({ stream, email }) => `${stream} ${email}`));
      const last = page.at(-1);
      if (!last) break;
      after = last;
    }
    const outbound = ["a", "b", "c", "d"].map((name) => `outbound ${name}@x.example`);
    expect(read).toEqual(["news a@x.example", ...outbound]);
  });

  it("is read by the index, in its order", async () => {
    const statements: string[] = [];
    const watched = {
      prepare(sql: string) {
        statements.push(sql);
        return db.directory.prepare(sql);
      },
    } as D1Database;
    await suppressionChanges(watched, 1, from(NOON), 10);
    const plan = await db.directory
      .prepare(`EXPLAIN QUERY PLAN ${statements[0]}`)
      .bind(1, NOON, "outbound", "a@x.example", 10)
      .all<{ detail: string }>();
    const steps = plan.results.map(({ detail }) => detail);
    expect(steps).toEqual([expect.stringContaining("USING INDEX suppressions_changed")]);
    expect(steps[0]).toMatch(/\(server_id=\? AND \(changed_at,stream,email\)>\(\?,\?,\?\)\)/);
  });
});
