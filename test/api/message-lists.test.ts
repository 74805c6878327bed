/** The archive and the Outboxes are asked at the same time: whatever moves from one to the other meanwhile is listed, once. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { messageLists } from "../../src/api/message-lists.ts";
import { placeOfPending } from "../../src/archive/page.ts";
import { NOTHING_PENDING, type PendingNow, pendingOf, QUIET_MS } from "../../src/archive/pending.ts";
import { writeRecords } from "../../src/archive/write.ts";
import type { MessageRecord } from "../../src/mail/record.ts";
import { type Databases, delivered, message, NOON, openDatabases, waiting } from "../archive/databases.ts";

const query = { filter: { stream: "outbound" }, page: { count: 10, offset: 0 } };
const QUIET: PendingNow = { ...NOTHING_PENDING, isQuiet: true };
const RECENT: PendingNow = { ...NOTHING_PENDING, isQuiet: false };
const held = (...records: MessageRecord[]): PendingNow => ({
  ...pendingOf(records, query.filter, query.page),
  isQuiet: false,
});

let db: Databases;
let now: number;
/** What came of each question, in order. */
let asked: string[];
beforeAll(async () => {
  db = await openDatabases();
});
beforeEach(async () => {
  await db.clear();
  now = NOON;
  asked = [];
});
afterAll(() => db.dispose());

/** Lists as the API does. `outboxes` answers after the archive's first answer, unless it is told not to wait for that. */
function lister(outboxes: (archiveRead: Promise<void>) => Promise<PendingNow>) {
  let read = () => {};
  const archiveRead = new Promise<void>((done) => {
    read = done;
  });
  const bind = (sql: string, values: unknown[]) => ({
    async all() {
      const answer = await db.archive
        .prepare(sql)
        .bind(...values)
        .all();
      asked.push("archive");
      read();
      return answer;
    },
  });
  const archive = { prepare: (sql: string) => ({ bind: (...values: unknown[]) => bind(sql, values) }) };
  const list = messageLists({
    archive: () => archive as unknown as D1Database,
    async pending() {
      const answer = await outboxes(archiveRead);
      asked.push("outboxes");
      return answer;
    },
    now: () => now,
  });
  return async () => {
    const { total, messages } = await list(1, query, new Request("http://edgepost.test/"));
    return { total, ids: messages.map((m) => m.id), queued: messages.map((m) => m.queued) };
  };
}

describe("a list", () => {
  it("is the archive's when nothing is on its way, and costs one question each", async () => {
    const one = message([delivered("a@x.example")]);
    await writeRecords(db.archive, [one], []);
    const list = lister(async () => QUIET);
    expect(await list()).toEqual({ total: 1, ids: [one.id], queued: [false] });
    expect(asked.toSorted()).toEqual(["archive", "outboxes"]);
  });

  it("has a message that left its Outbox for the archive after that was read", async () => {
    const one = message([delivered("a@x.example")]);
    const list = lister(async (archiveRead) => {
      await archiveRead;
      await writeRecords(db.archive, [one], []);
      return RECENT;
    });
    expect(await list()).toMatchObject({ total: 1, ids: [one.id] });
  });

  it("shows a message as it is in the archive by then, not as it was when that was read", async () => {
    const before = message([waiting("a@x.example")]);
    await writeRecords(db.archive, [before], []);
    const list = lister(async (archiveRead) => {
      await archiveRead;
      await writeRecords(db.archive, [{ ...before, recipients: [delivered("a@x.example")] }], []);
      return RECENT;
    });
    expect(await list()).toEqual({ total: 1, ids: [before.id], queued: [false] });
  });

  it("does not rely on an Outbox that is quiet when the answers were long in coming", async () => {
    const one = message([delivered("a@x.example")]);
    const list = lister(async (archiveRead) => {
      await archiveRead;
      await writeRecords(db.archive, [one], []);
      now += QUIET_MS;
      return QUIET;
    });
    expect(await list()).toMatchObject({ total: 1, ids: [one.id] });
  });

  it("has what Outboxes hold, once, and asks the archive after them while the server is sending", async () => {
    const both = message([waiting("a@x.example")]);
    const only = message([waiting("b@x.example")], { receivedAt: NOON + 1 });
    await writeRecords(db.archive, [both], []);
    const newer = { ...both, recipients: [delivered("a@x.example")] };
    const list = lister(async () => held(only, newer));
    const expected = { total: 2, ids: [only.id, both.id], queued: [true, false] };
    expect(await list()).toEqual(expected);
    expect(asked.filter((who) => who === "archive")).toHaveLength(2);
    asked.length = 0;
    expect(await list()).toEqual(expected);
    expect(asked).toEqual(["outboxes", "archive"]);
    now += 60_000;
    asked.length = 0;
    expect(await list()).toEqual(expected);
    expect(asked.filter((who) => who === "archive")).toHaveLength(2);
  });

  it("fails when either is away", async () => {
    const list = lister(() => Promise.reject(new Error("Outbox: away")));
    await expect(list()).rejects.toThrow("away");
  });
});

describe("what an Outbox gives to a list", () => {
  const records = Array.from({ length: 20 }, (_, i) =>
    message([i % 2 === 0 ? waiting("a@x.example") : delivered("b@x.example")], { receivedAt: NOON + i }),
  );

  it("is each id, and of what is asked for the newest that the page may show", () => {
    const page = { count: 3, offset: 2 };
    const { ids, matching, records: shown } = pendingOf(records, { stream: "outbound", queued: true }, page);
    expect(ids).toHaveLength(20);
    expect(matching).toBe(10);
    expect(shown.map((r) => r.receivedAt - NOON)).toEqual([18, 16, 14, 12, 10, 8]);
    expect(pendingOf(records, { stream: "news" }, page)).toMatchObject({ matching: 0, records: [] });
  });

  it("goes on after a place", () => {
    const first = pendingOf(records, query.filter, { count: 19, offset: 0 }).records.at(4);
    const after = { key: String(2n ** 62n), id: "" };
    expect(pendingOf(records, query.filter, { count: 50, offset: 0, after }).records).toHaveLength(20);
    const place = placeOfPending(first?.id ?? "");
    const { matching, records: rest } = pendingOf(records, query.filter, {
      count: 50,
      offset: 0,
      after: place,
    });
    expect(matching).toBe(20);
    expect(rest.map((r) => r.receivedAt - NOON)).toEqual(Array.from({ length: 15 }, (_, i) => 14 - i));
  });
});
