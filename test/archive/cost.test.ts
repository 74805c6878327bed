/** Rows read are billed, and a plan that goes the wrong way round is slow long before it is wrong. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { MessageFilter } from "../../src/archive/filter.ts";
import { findMessage, listMessages } from "../../src/archive/read.ts";
import { writeRecords } from "../../src/archive/write.ts";
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
    return { real, all: async () => count(await real.all()) };
  };
  return {
    prepare: (sql: string) => ({ bind: (...values: unknown[]) => bind(sql, values) }),
    batch: async (all: { real: D1PreparedStatement }[]) =>
      (await db.archive.batch(all.map((s) => s.real))).map(count),
  } as unknown as D1Database;
}

async function list(filter: Partial<MessageFilter>) {
  const query = { filter: { stream: "outbound", ...filter }, page: { count: 20, offset: 0 }, pending: [] };
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
});
