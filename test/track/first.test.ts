/** Opens and clicks: the first is stored, all are counted, and what is told again is not counted again if it is the first. */
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type NewClick, recordClicks } from "../../src/track/click.ts";
import { type NewOpen, recordOpens } from "../../src/track/open.ts";
import { readerOf } from "../../src/track/reader.ts";
import { type Databases, NOON, openDatabases } from "../archive/databases.ts";
import { counted, recounted } from "./recount.ts";

let db: Databases;
beforeAll(async () => {
  db = await openDatabases();
});
const clear = () =>
  db.archive.batch(
    ["opens", "clicks", "counters"].map((table) => db.archive.prepare(`DELETE FROM ${table}`)),
  );
beforeEach(clear);
afterAll(() => db.dispose());

const GMAIL = readerOf("opened", { userAgent: "GoogleImageProxy" });
const NOBODY = readerOf("clicked", { userAgent: "" });
const DAY = "2026-02-17";

const open = (of: Partial<NewOpen> = {}): NewOpen => ({
  ...{ serverId: 1, messageId: "m1", email: "a@x.example", stream: "outbound", tag: "", at: NOON },
  reader: GMAIL,
  ...of,
});
const click = (of: Partial<NewClick> = {}): NewClick => ({
  ...{ serverId: 1, messageId: "m1", email: "a@x.example", stream: "outbound", tag: "", at: NOON },
  ...{ link: "https://example.com/", location: "HTML", reader: NOBODY },
  ...of,
});

const all = async (sql: string) => (await db.archive.prepare(sql).all()).results;

describe("opens", () => {
  it("are stored the first time, and counted each time, on their own days", async () => {
    expect(await recordOpens(db.archive, [open()])).toEqual([true]);
    const nextDay = NOON + 86_400_000;
    expect(await recordOpens(db.archive, [open({ at: nextDay, readSeconds: 3.9 })])).toEqual([false]);
    const other = open({ email: "b@x.example", at: NOON + 1, readSeconds: 3.9 });
    expect(await recordOpens(db.archive, [other])).toEqual([true]);
    expect(await all("SELECT email, at, read_seconds, tag FROM opens ORDER BY email")).toEqual([
      { email: "a@x.example", at: NOON, read_seconds: 0, tag: null },
      { email: "b@x.example", at: NOON + 1, read_seconds: 3, tag: null },
    ]);
    expect(await counted(db.archive)).toEqual({
      [`1 - ${DAY} outbound Open/first/WebMail/Gmail/unknown`]: 1,
      [`1 - ${DAY} outbound Open/first/WebMail/Gmail/3s`]: 1,
      "1 - 2026-02-18 outbound Open/again": 1,
    });
  });

  it.each([
    [undefined, "unknown"],
    [0, "0s"],
    [-1, "0s"],
    [19.99, "19s"],
    [20, "20s+"],
    [1e9, "20s+"],
  ])("of %s seconds are counted as %s", async (readSeconds, as) => {
    await recordOpens(db.archive, [open({ readSeconds })]);
    expect(await counted(db.archive)).toEqual({
      [`1 - ${DAY} outbound Open/first/WebMail/Gmail/${as}`]: 1,
    });
  });

  it("that are told again are the same: the first stays the first, for whoever did not hear the answer", async () => {
    const state = async () => [await all("SELECT * FROM opens"), await counted(db.archive)];
    await recordOpens(db.archive, [open({ tag: "t" })]);
    const once = await state();
    expect(await recordOpens(db.archive, [open({ tag: "t" }), open({ tag: "t" })])).toEqual([true, true]);
    expect(await state()).toEqual(once);
  });

  it("that come together are counted together: one first, and a row for each name", async () => {
    const many = [2, 0, 1].map((i) => open({ at: NOON + i, tag: "t" }));
    expect(await recordOpens(db.archive, many)).toEqual([false, true, false]);
    expect(await counted(db.archive)).toEqual({
      [`1 - ${DAY} outbound Open/first/WebMail/Gmail/unknown`]: 1,
      [`1 - ${DAY} outbound Open/again`]: 2,
      [`1 t ${DAY} outbound Open/first/WebMail/Gmail/unknown`]: 1,
      [`1 t ${DAY} outbound Open/again`]: 2,
    });
    expect(await recordOpens(db.archive, [])).toEqual([]);
  });
});

describe("clicks", () => {
  it("are unique by recipient and link, whichever body the link was in", async () => {
    const told = [
      click(),
      click({ at: NOON + 1, location: "Text" }),
      click({ at: NOON + 2, link: "https://example.com/?other", location: "Text" }),
      click({ at: NOON + 3, email: "b@x.example" }),
    ];
    for (const one of told) await recordClicks(db.archive, [one]);
    expect(await recordClicks(db.archive, told)).toEqual([true, false, true, true]);
    expect(await all("SELECT email, link, location FROM clicks ORDER BY at")).toEqual([
      { email: "a@x.example", link: "https://example.com/", location: "HTML" },
      { email: "a@x.example", link: "https://example.com/?other", location: "Text" },
      { email: "b@x.example", link: "https://example.com/", location: "HTML" },
    ]);
    expect(await counted(db.archive)).toEqual({
      [`1 - ${DAY} outbound Click/first/Unknown/unknown/HTML`]: 2,
      [`1 - ${DAY} outbound Click/first/Unknown/unknown/Text`]: 1,
      // Told twice, and nothing remembers it.
      [`1 - ${DAY} outbound Click/again`]: 2,
    });
  });
});

describe("whatever is told, in whichever batches", () => {
  const told = fc.array(
    fc.record({
      serverId: fc.constantFrom(1, 2),
      messageId: fc.constantFrom("m1", "m2"),
      email: fc.constantFrom("a@x.example", "b@x.example"),
      tag: fc.constantFrom("", "t"),
      at: fc.nat(5).map((n) => Date.UTC(2026, 2, 8, 5) - 3 + n),
      link: fc.constantFrom("https://a.example/", "https://b.example/"),
      location: fc.constantFrom("HTML" as const, "Text" as const),
    }),
    { minLength: 1, maxLength: 20 },
  );

  it("the counters of firsts are a recount of what is stored", async () => {
    await fc.assert(
      fc.asyncProperty(told, fc.integer({ min: 1, max: 6 }), async (facts, size) => {
        await clear();
        for (let i = 0; i < facts.length; i += size) {
          // A message has one tag.
          const batch = facts.slice(i, i + size).map((f) => ({ ...f, tag: f.messageId === "m1" ? "t" : "" }));
          await recordOpens(
            db.archive,
            batch.map((f) => open({ ...f, readSeconds: f.at % 20 })),
          );
          await recordClicks(
            db.archive,
            batch.map((f) => click(f)),
          );
        }
        const firsts = Object.entries(await counted(db.archive)).filter(([name]) => !name.endsWith("/again"));
        expect(Object.fromEntries(firsts)).toEqual(await recounted(db.archive));
      }),
      { numRuns: 15 },
    );
  }, 240_000);
});
