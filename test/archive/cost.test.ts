/** Rows read are billed, and a plan that goes the wrong way round is slow long before it is wrong. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { countsByDay, totalCounts } from "../../src/archive/counters.ts";
import type { MessageFilter } from "../../src/archive/filter.ts";
import { listOpens } from "../../src/archive/opens.ts";
import { findMessage, listMessages } from "../../src/archive/read.ts";
import { writeRecords } from "../../src/archive/write.ts";
import { recordOpens } from "../../src/track/open.ts";
import { readerOf } from "../../src/track/reader.ts";
import { type Databases, delivered, message, NOON, openDatabases, waiting } from "./databases.ts";

const MESSAGES = 400;
const records = Array.from({ length: MESSAGES }, (_, i) =>
  message([i % 100 === 0 ? waiting("w@x.example") : delivered(`r${i % 40}@x.example`)], {
    receivedAt: NOON + i,
  }),
);
let db: Databases;
let rowsRead = 0;
beforeAll(async () => {
  db = await openDatabases();
  await writeRecords(db.archive, records, []);
});
afterAll(() => db.dispose());

/** The archive, with its rows counted as D1 counts them. */
function counted(): D1Database {
  rowsRead = 0;
  const count = <T extends D1Result>(result: T) => {
    rowsRead += result.meta.rows_read;
    return result;
  };
  const bind = (sql: string, values: unknown[]) => {
    const real = db.archive.prepare(sql).bind(...values);
    const all = async () => count(await real.all<Record<string, unknown>>());
    return { real, all, raw: async () => (await all()).results.map((row) => Object.values(row)) };
  };
  return {
    prepare: (sql: string) => ({ bind: (...values: unknown[]) => bind(sql, values) }),
    batch: async (all: { real: D1PreparedStatement }[]) =>
      (await db.archive.batch(all.map((s) => s.real))).map(count),
  } as unknown as D1Database;
}

async function list(filter: Partial<MessageFilter>) {
  const query = { filter: { stream: "outbound", ...filter }, page: { count: 20, offset: 0 } };
  const { total } = await listMessages(counted(), 1, query);
  return total;
}

describe("reading costs in rows", () => {
  it.each<[string, Partial<MessageFilter>, number, number]>([
    // Counting goes through the whole range; the page itself only through what it shows.
    ["a page", {}, MESSAGES, MESSAGES + 20 * 8],
    ["a page of a short range", { from: NOON + 390 }, 10, 10 * 10],
    ["a recipient's messages", { recipient: "r7@x.example" }, 10, 10 * 12],
    ["what is queued", { queued: true }, 4, 10 * MESSAGES],
  ])("%s", async (_what, filter, total, most) => {
    expect(await list(filter)).toBe(total);
    expect(rowsRead).toBeGreaterThan(0);
    expect(rowsRead).toBeLessThanOrEqual(most);
  });

  it("one message", async () => {
    expect(await findMessage(counted(), 1, records[7]?.id ?? "")).toBeDefined();
    expect(rowsRead).toBeGreaterThan(0);
    expect(rowsRead).toBeLessThanOrEqual(6);
  });

  it("statistics read the rows of their days and of nothing else", async () => {
    const DAYS = 60;
    const other = [...Array(DAYS).keys()].map((i) => {
      const receivedAt = NOON + i * 86_400_000;
      return message([delivered("a@x.example")], { receivedAt, tag: `t${i}`, serverId: 1 + (i % 2) });
    });
    await writeRecords(db.archive, other, []);
    const week = { serverId: 1, fromDay: "2026-03-01", toDay: "2026-03-07" };
    const days = await countsByDay(counted(), week, "Sent", 0);
    expect(days.map(({ count }) => count)).toEqual([1, 1, 1, 1]);
    expect(rowsRead).toBeGreaterThan(0);
    // Grouping and sorting look at each once more.
    expect(rowsRead).toBeLessThanOrEqual(3 * 4);
    expect(await totalCounts(counted(), week)).toEqual([{ name: "Sent/none", count: 4 }]);
    expect(rowsRead).toBeLessThanOrEqual(3 * 4);
  });

  it("opens", async () => {
    const reader = readerOf("opened", { userAgent: "GoogleImageProxy" });
    await recordOpens(
      db.archive,
      records.map((r, i) => ({
        ...{ serverId: 1, messageId: r.id, stream: "outbound", tag: "", at: NOON + i, reader },
        email: r.summary.recipients[0] ?? "",
      })),
    );
    const open = { stream: "outbound", client: {}, os: {} };
    const ask = async (of: Parameters<typeof listOpens>[2]["of"], after?: [number, string, string]) => {
      const page = { count: 20, offset: 0, after };
      const { total } = await listOpens(counted(), 1, { of, page });
      expect(rowsRead).toBeGreaterThan(0);
      return [total, rowsRead];
    };
    // The page, and what is counted.
    expect((await ask(open))[1]).toBeLessThanOrEqual(MESSAGES + 3 * 21);
    expect((await ask(open, [NOON + 100, "", ""]))[1]).toBeLessThanOrEqual(MESSAGES + 3 * 21);
    const [total, read] = await ask({ ...open, recipient: "r7@x.example" });
    expect(total).toBe(10);
    expect(read).toBeLessThanOrEqual(10 * 12);
    expect((await ask({ messageId: records[7]?.id ?? "" }))[1]).toBeLessThanOrEqual(8);
  });
});
