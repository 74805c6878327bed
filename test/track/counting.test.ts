/** Facts come at least once, late, out of order and mixed; the counters are to say what a recount of the tables says. */
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { NewBounce } from "../../src/archive/write.ts";
import type { MessageRecord, RecipientRecord } from "../../src/mail/record.ts";
import { record, recordBounces } from "../../src/track/record.ts";
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
import { counted, recounted } from "./recount.ts";

let db: Databases;
beforeAll(async () => {
  db = await openDatabases();
});
beforeEach(() => db.clear());
afterAll(() => db.dispose());

const note = (records: MessageRecord[]) => record({ ...db, now: () => NOON + 60_000 }, records);
const DAY = "2026-02-17";

const refused = (email: string): RecipientRecord => ({
  ...waiting(email),
  state: "bounced",
  reason: "blocked",
  bounceType: "SMTPApiError",
});

describe("counting", () => {
  it("counts each recipient that is mailed once, under the day of acceptance and what is tracked", async () => {
    const late = Date.UTC(2026, 1, 18, 4, 59, 59);
    await note([
      message([waiting("a@x.example"), delivered("b@x.example")], { receivedAt: late }),
      message([waiting("a@x.example")], { receivedAt: late + 1_000, summary: { trackOpens: true } }),
      message([waiting("a@x.example")], { summary: { trackLinks: "HtmlOnly", trackedLinks: 3 } }),
      message([waiting("a@x.example")], { summary: { trackOpens: true, trackLinks: "TextOnly" } }),
      message([waiting("a@x.example")], { stream: "news", serverId: 2 }),
    ]);
    expect(await counted(db.archive)).toEqual({
      [`1 - ${DAY} outbound Sent/none`]: 2,
      "1 - 2026-02-18 outbound Sent/opens": 1,
      [`1 - ${DAY} outbound Sent/links`]: 1,
      [`1 - ${DAY} outbound TrackedLinks`]: 3,
      [`1 - ${DAY} outbound Sent/both`]: 1,
      [`2 - ${DAY} news Sent/none`]: 1,
    });
  });

  it("counts a message with a tag once more, under its tag", async () => {
    await note([message([waiting("a@x.example")], { tag: "welcome" }), message([waiting("a@x.example")])]);
    expect(await counted(db.archive)).toEqual({
      [`1 - ${DAY} outbound Sent/none`]: 2,
      [`1 welcome ${DAY} outbound Sent/none`]: 1,
    });
  });

  it("counts nobody as sent who is suppressed, cancelled or refused, and the refusal as a bounce", async () => {
    await note([
      message([
        { ...waiting("s@x.example"), state: "suppressed" },
        { ...waiting("c@x.example"), state: "cancelled" },
        refused("r@x.example"),
      ]),
    ]);
    expect(await counted(db.archive)).toEqual({ [`1 - ${DAY} outbound Bounce/SMTPApiError`]: 1 });
  });

  it("takes back who waited and is cancelled", async () => {
    const first = message([waiting("a@x.example"), waiting("b@x.example")]);
    await note([first]);
    const cancelled: RecipientRecord = { ...waiting("a@x.example"), state: "cancelled" };
    for (let i = 0; i < 2; i++) await note([{ ...first, recipients: [cancelled, waiting("b@x.example")] }]);
    expect(await counted(db.archive)).toEqual({ [`1 - ${DAY} outbound Sent/none`]: 1 });
  });

  it("counts a bounce on its own day, and one that comes later by mail through the same gate, once", async () => {
    const bouncedAt = Date.UTC(2026, 2, 8, 7);
    const sent = message([hardBounced("a@x.example", bouncedAt), delivered("b@x.example")], { tag: "t" });
    await note([sent]);
    const complaint: NewBounce = {
      ...{ serverId: 1, messageId: sent.id, email: "b@x.example", type: "SpamComplaint" },
      ...{ stream: "outbound", tag: "t", fromEmail: "sender@example.com", subject: "Hello", details: "" },
      ...{ bouncedAt: bouncedAt + 86_400_000, inactive: true },
    };
    const needs = { ...db, now: () => NOON };
    const named = [{ serverId: 1, stream: "outbound", email: "b@x.example" }];
    expect(await recordBounces(needs, [complaint])).toEqual(named);
    expect(await recordBounces(needs, [complaint, complaint])).toEqual(named);
    expect(await counted(db.archive)).toMatchObject({
      "1 - 2026-03-08 outbound Bounce/HardBounce": 1,
      "1 t 2026-03-08 outbound Bounce/HardBounce": 1,
      "1 - 2026-03-09 outbound Bounce/SpamComplaint": 1,
      "1 t 2026-03-09 outbound Bounce/SpamComplaint": 1,
    });
    const { results } = await db.directory.prepare("SELECT email, reason FROM suppressions").all();
    expect(results).toContainEqual({ email: "b@x.example", reason: "SpamComplaint" });
  });

  it("counts a message once that is twice among the records, in whichever order", async () => {
    const old = message([waiting("a@x.example")]);
    const refusedNow = { ...old, recipients: [{ ...refused("a@x.example"), attempts: [attempt(1)] }] };
    await note([old, refusedNow, old]);
    expect(await counted(db.archive)).toEqual({ [`1 - ${DAY} outbound Bounce/SMTPApiError`]: 1 });
    expect(await counted(db.archive)).toEqual(await recounted(db.archive));
  });

  it("costs a row for hundreds of messages, a second one with a tag, and none when they are told again", async () => {
    const rows = async (records: MessageRecord[]) => {
      const counting = new Set<D1PreparedStatement>();
      let written = 0;
      const archive = {
        prepare: (sql: string) => ({
          bind(...values: unknown[]) {
            const statement = db.archive.prepare(sql).bind(...values);
            if (sql.includes("INTO counters")) counting.add(statement);
            return statement;
          },
        }),
        async batch(all: D1PreparedStatement[]) {
          const results = await db.archive.batch(all);
          results.forEach((result, i) => {
            if (counting.has(all[i] as D1PreparedStatement)) written += result.meta.rows_written;
          });
          return results;
        },
      };
      await record({ ...db, archive: archive as unknown as D1Database, now: () => NOON }, records);
      return written;
    };
    const many = (tag: string) =>
      Array.from({ length: 500 }, () =>
        message([delivered("a@x.example"), delivered("b@x.example")], { tag, summary: { trackOpens: true } }),
      );
    const told = many("");
    expect(await rows(told)).toBe(1);
    expect(await rows(told)).toBe(0);
    expect(await rows(many("welcome"))).toBe(2);
    expect(await rows([message([hardBounced("a@x.example"), hardBounced("b@x.example")])])).toBe(2);
  });
});

/** The stories a recipient can have, each as the records that tell it. */
const stories = (email: string): RecipientRecord[][] => {
  const deferred = (n: number): RecipientRecord => ({
    ...waiting(email),
    attempts: [attempt(n, { result: "deferred" })],
  });
  const at = Date.UTC(2026, 10, 1, 5, 30);
  return [
    [waiting(email), delivered(email)],
    [waiting(email), deferred(1), deferred(2), { ...hardBounced(email, at), attempts: [attempt(3, { at })] }],
    [waiting(email), deferred(1), { ...waiting(email), state: "expired", at, attempts: [attempt(1)] }],
    [waiting(email), { ...waiting(email), state: "cancelled" }],
    [{ ...waiting(email), state: "suppressed" }],
    [refused(email)],
    [waiting(email), { ...refused(email), bounceType: "TemplateRenderingFailed" }],
    [waiting(email)],
    // Nothing does this today; the rule holds all the same.
    [{ ...waiting(email), state: "suppressed" }, delivered(email)],
    [{ ...refused(email) }, delivered(email)],
  ];
};

const plan = fc.array(
  fc.record({
    serverId: fc.constantFrom(1, 2),
    tag: fc.constantFrom("", "a", 'b "c"'),
    stream: fc.constantFrom("outbound", "news"),
    receivedAt: fc.constantFrom(NOON, Date.UTC(2026, 2, 8, 4, 59), Date.UTC(2026, 2, 8, 5, 1)),
    trackOpens: fc.boolean(),
    trackLinks: fc.constantFrom("None" as const, "HtmlAndText" as const),
    trackedLinks: fc.constantFrom(undefined, 2),
    recipients: fc.array(fc.nat(9), { minLength: 1, maxLength: 3 }),
  }),
  { minLength: 1, maxLength: 5 },
);
/** Which message, at which moment of each recipient's story, and whether in one batch with the one before. */
const telling = fc.array(fc.tuple(fc.nat(), fc.nat(4), fc.boolean()), { minLength: 1, maxLength: 25 });

describe("counting, whatever comes when", () => {
  it("agrees with a recount of what is stored", async () => {
    await fc.assert(
      fc.asyncProperty(plan, telling, async (planned, told) => {
        const tables = ["messages", "recipients", "bounces", "counters"];
        await db.archive.batch(tables.map((table) => db.archive.prepare(`DELETE FROM ${table}`)));
        const all = planned.map(({ recipients, trackOpens, trackLinks, trackedLinks, ...of }) => {
          const told = recipients.map((story, i) => stories(`r${i}@x.example`)[story] ?? []);
          const summary = { trackOpens, trackLinks, trackedLinks };
          return { told, message: message([], { ...of, summary }) };
        });
        const batches: MessageRecord[][] = [];
        for (const [which, moment, together] of told) {
          const of = all[which % all.length];
          if (!of) continue;
          const recipients = of.told.flatMap((story) => story[Math.min(moment, story.length - 1)] ?? []);
          if (!together || batches.length === 0) batches.push([]);
          batches.at(-1)?.push({ ...of.message, recipients });
        }
        for (const batch of batches) await note(batch);
        expect(await counted(db.archive)).toEqual(await recounted(db.archive));
      }),
      { numRuns: 20 },
    );
  }, 240_000);
});
