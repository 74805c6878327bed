import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type NewBounce, writeRecords } from "../../src/archive/write.ts";
import type { MessageRecord } from "../../src/mail/record.ts";
import { attempt, type Databases, delivered, message, NOON, openDatabases, waiting } from "./databases.ts";

let db: Databases;
beforeAll(async () => {
  db = await openDatabases();
});
beforeEach(() => db.clear());
afterAll(() => db.dispose());

/** Writes, and says how many rows D1 would bill and in how many statements. */
async function write(records: MessageRecord[], bounces: NewBounce[] = []) {
  let rows = 0;
  let statements = 0;
  const counting = {
    prepare: (sql: string) => db.archive.prepare(sql),
    async batch(all: D1PreparedStatement[]) {
      const results = await db.archive.batch(all);
      statements += all.length;
      rows += results.reduce((sum, r) => sum + r.meta.rows_written, 0);
      return results;
    },
  };
  await writeRecords(counting as D1Database, records, bounces);
  return { rows, statements };
}

const all = async (sql: string) => (await db.archive.prepare(sql).all()).results;

const bounce = (of: Partial<NewBounce> = {}): NewBounce => ({
  serverId: 1,
  messageId: "m",
  email: "a@x.example",
  type: "HardBounce",
  stream: "outbound",
  tag: "",
  fromEmail: "sender@example.com",
  subject: "Hello",
  details: "smtp;550 5.1.1 no such user",
  bouncedAt: NOON,
  inactive: true,
  ...of,
});

describe("writing to the archive", () => {
  it("costs a row for a message, its recipient and its place in the index, and two that count, and none when it is written again", async () => {
    const record = message([delivered("a@x.example")]);
    expect((await write([record])).rows).toBe(5);
    expect((await write([record])).rows).toBe(0);
  });

  it("costs a row more when the segment becomes known, and never changes it after that", async () => {
    const record = message([waiting("a@x.example")]);
    await write([record]);
    const segment = { key: "1/a", offset: 10, length: 20 };
    expect((await write([{ ...record, segment }])).rows).toBe(1);
    expect((await write([{ ...record, segment: { key: "1/b", offset: 0, length: 1 } }])).rows).toBe(0);
    expect((await write([record])).rows).toBe(0);
    expect(await all("SELECT segment, segment_offset, segment_length FROM messages")).toEqual([
      { segment: "1/a", segment_offset: 10, segment_length: 20 },
    ]);
  });

  it("replaces a recipient only by one that knows more", async () => {
    const record = message([waiting("a@x.example")]);
    const deferred = { ...waiting("a@x.example"), attempts: [attempt(1, { result: "deferred" })] };
    const states = async (recipient: typeof deferred) => {
      await write([{ ...record, recipients: [recipient] }]);
      return all("SELECT state, version FROM recipients");
    };
    expect(await states(waiting("a@x.example"))).toEqual([{ state: "waiting", version: 0 }]);
    expect(await states(deferred)).toEqual([{ state: "waiting", version: 2 }]);
    expect(await states(delivered("a@x.example"))).toEqual([{ state: "delivered", version: 3 }]);
    expect(await states(deferred)).toEqual([{ state: "delivered", version: 3 }]);
    expect(await states(waiting("a@x.example"))).toEqual([{ state: "delivered", version: 3 }]);
  });

  it("keeps a bounce once, as it was first written", async () => {
    await write([], [bounce()]);
    await db.archive.prepare("UPDATE bounces SET inactive = 0").run();
    // Not the bounce: SQLite's counter for AUTOINCREMENT, once a statement.
    expect((await write([], [bounce()])).rows).toBe(1);
    await write([], [bounce({ type: "SpamComplaint" }), bounce({ email: "b@x.example" })]);
    expect(await all("SELECT email, type, inactive, tag FROM bounces ORDER BY id")).toEqual([
      { email: "a@x.example", type: "HardBounce", inactive: 0, tag: null },
      { email: "a@x.example", type: "SpamComplaint", inactive: 1, tag: null },
      { email: "b@x.example", type: "HardBounce", inactive: 1, tag: null },
    ]);
  });

  it("keeps values as they were: other scripts, quotes, what looks like a number or JSON, lone surrogates", async () => {
    const subjects = ["Привет 👋", `"quoted" 'and' \\ back`, "12", "null", '{"a":1}', "a\u0001b"];
    const records = subjects.map((subject) => message([delivered("a@x.example")], { subject, tag: subject }));
    await write(records);
    expect(
      (await all("SELECT subject, tag FROM messages ORDER BY id")).map((r) => [r.subject, r.tag]),
    ).toEqual(subjects.map((s) => [s, s]));
    await expect(write([message([delivered("a@x.example")], { subject: "\ud83d" })])).resolves.toBeDefined();
  });

  it("splits what is more than a parameter takes, and writes it all", async () => {
    const text = "ж".repeat(2_000);
    const records = Array.from({ length: 500 }, () => message([delivered("a@x.example")], { subject: text }));
    const { rows, statements } = await write(records);
    expect(rows).toBe(1_502);
    expect(statements).toBeGreaterThan(2);
  });

  it("writes nothing of a batch when one row cannot be written", async () => {
    const broken = { ...message([delivered("a@x.example")]), stream: null as unknown as string };
    await expect(write([message([delivered("a@x.example")])], [bounce(), broken as never])).rejects.toThrow();
    await expect(write([message([delivered("a@x.example")]), broken])).rejects.toThrow();
    expect(await all("SELECT id FROM messages")).toEqual([]);
    expect(await all("SELECT email FROM recipients")).toEqual([]);
  });

  it("does nothing for nothing", async () => {
    expect(await write([])).toEqual({ rows: 0, statements: 0 });
  });
});
