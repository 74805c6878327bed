import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { MessageFilter } from "../../src/archive/filter.ts";
import { splitHours } from "../../src/archive/find.ts";
import {
  HOUR_MS,
  indexMessages,
  uncountMessages,
  unindexMessages,
} from "../../src/archive/index-messages.ts";
import { listMessages } from "../../src/archive/read.ts";
import { writeRecords } from "../../src/archive/write.ts";
import { formatMessageId } from "../../src/mail/message-id.ts";
import { type Databases, delivered, message, NOON, openDatabases, waiting } from "./databases.ts";

let db: Databases;
beforeAll(async () => {
  db = await openDatabases();
});
beforeEach(() => db.clear());
afterAll(() => db.dispose());

const all = async <T>(sql: string) => (await db.archive.prepare(sql).all<T>()).results;
const keys = async () =>
  (await all<{ key: string }>("SELECT CAST(key AS TEXT) AS key FROM messages")).map((r) => r.key);

async function find(filter: Partial<MessageFilter>, serverId = 1) {
  const query = { filter: { stream: "outbound", ...filter }, page: { count: 500, offset: 0 } };
  const { total, messages } = await listMessages(db.archive, serverId, query);
  expect(messages).toHaveLength(total);
  return messages.map((m) => m.id);
}

/** Of one millisecond, and alike in the bits that a key takes of an id. */
const twin = (n: number, serverId = 1) => {
  const random = new Uint8Array([7, 0, 0, 0, 0, 0, 0, n]);
  const id = formatMessageId({ acceptedAt: NOON, region: "local", number: 0 }, random);
  return message([delivered("a@x.example")], { id, serverId });
};

describe("keys", () => {
  it("differ for messages that may have the same: in one batch, in several, of several servers", async () => {
    await writeRecords(db.archive, [twin(1), twin(2), twin(3, 2)], []);
    await writeRecords(db.archive, [twin(4), twin(5, 2), twin(2)], []);
    expect(new Set(await keys()).size).toBe(5);
    expect(await find({ subject: "hello" })).toHaveLength(3);
    expect(await find({ subject: "hello" }, 2)).toHaveLength(2);
  });

  it("differ in a batch that is more than one statement", async () => {
    const subject = "ж".repeat(2_000);
    const many = Array.from({ length: 200 }, (_, i) => ({ ...twin(i), subject }));
    await writeRecords(db.archive, many, []);
    expect(new Set(await keys()).size).toBe(200);
  });

  it("sort as ids do", async () => {
    const times = [0, 1, NOON, NOON + 1, 2 ** 42, 2 ** 44];
    const made = times.map((receivedAt) => message([delivered("a@x.example")], { receivedAt }));
    await writeRecords(db.archive, made.toReversed(), []);
    const expected = made.map((m) => m.id).toReversed();
    expect(await find({})).toEqual(expected);
    expect(await find({ from: 1, to: 2 ** 42 })).toEqual(expected.slice(1, -1));
  });
});

describe("the index", () => {
  it("has each message once, however often it is written", async () => {
    const one = message([waiting("a@x.example")]);
    await writeRecords(db.archive, [one, one], []);
    await writeRecords(db.archive, [{ ...one, recipients: [delivered("a@x.example")] }], []);
    expect(await find({ recipient: "a@x.example" })).toEqual([one.id]);
    expect(await find({})).toEqual([one.id]);
  });

  it("has a message no more that was taken out, and finds its neighbours", async () => {
    const made = [1, 2, 3].map((n) => message([delivered(`${n}@x.example`)], { receivedAt: NOON + n }));
    await writeRecords(db.archive, [...made, twin(9, 2)], []);
    const [first, second, third] = made.map((m) => m.id) as [string, string, string];
    await db.archive.batch([
      ...unindexMessages(db.archive, 1, [second]),
      ...uncountMessages(db.archive, 1, [second]),
      db.archive.prepare("DELETE FROM messages WHERE id = ?").bind(second),
    ]);
    expect(await find({})).toEqual([third, first]);
    expect(await find({ recipient: "2@x.example" })).toEqual([]);
    expect(await find({ subject: "hello" })).toEqual([third, first]);
    expect(await find({}, 2)).toHaveLength(1);
  });

  it("takes out only the server's own", async () => {
    const theirs = message([delivered("a@x.example")], { serverId: 2 });
    await writeRecords(db.archive, [theirs], []);
    await db.archive.batch([
      ...unindexMessages(db.archive, 1, [theirs.id]),
      ...uncountMessages(db.archive, 1, [theirs.id]),
    ]);
    expect(await find({}, 2)).toEqual([theirs.id]);
    expect(await find({ subject: "hello" }, 2)).toEqual([theirs.id]);
  });

  it("finds a message by what is left of it when it was indexed anew", async () => {
    const both = message([delivered("a@x.example"), delivered("b@x.example")]);
    await writeRecords(db.archive, [both], []);
    const left = { ...both, recipients: [delivered("b@x.example")] };
    await db.archive.batch([
      ...unindexMessages(db.archive, 1, [both.id]),
      ...indexMessages(db.archive, [left]),
    ]);
    expect(await find({ recipient: "a@x.example" })).toEqual([]);
    expect(await find({ recipient: "b@x.example" })).toEqual([both.id]);
  });

  it("looks into words and not into what other words make of them", async () => {
    const injection = `a" OR "1:tx*`;
    await writeRecords(
      db.archive,
      [
        message([delivered("a@x.example")], { tag: "x", subject: "secret" }),
        message([delivered("a@x.example")], { stream: "news", subject: "secret news" }),
      ],
      [],
    );
    for (const filter of [
      { subject: injection },
      { tag: injection },
      { recipient: injection },
      { stream: `o" OR "` },
    ])
      expect(await find(filter)).toEqual([]);
    expect(await find({ subject: "secret" })).toHaveLength(1);
  });

  it("finds by many words at once, also by more than it looks for", async () => {
    const words = Array.from({ length: 60 }, (_, i) => `w${i}x`);
    const one = message([delivered("a@x.example")], { subject: words.join(" ") });
    await writeRecords(db.archive, [one], []);
    expect(await find({ subject: words.slice(0, 30).join(" ") })).toEqual([one.id]);
    expect(await find({ subject: `${words.slice(0, 5).join(" ")} other` })).toEqual([]);
  });

  it("finds what many messages have together with what others have, and nothing else", async () => {
    // More than it looks into one by one.
    const many = Array.from({ length: 500 }, (_, i) =>
      message([delivered("a@x.example")], {
        receivedAt: NOON + i,
        subject: i % 2 === 0 ? "even news" : "odd news",
        tag: i % 2 === 0 ? "t" : "",
      }),
    );
    await writeRecords(db.archive, many, []);
    expect(await find({ subject: "news even" })).toHaveLength(250);
    expect(await find({ subject: "news", tag: "t" })).toHaveLength(250);
    expect(await find({ subject: "odd", tag: "t" })).toEqual([]);
  });
});

describe("hours of a range", () => {
  const H = HOUR_MS;
  it.each<[number | undefined, number | undefined, [number, number], [number, number][]]>([
    [2 * H, 4 * H - 1, [2, 4], []],
    [2 * H + 1, 4 * H - 1, [3, 4], [[2 * H + 1, 3 * H - 1]]],
    [2 * H, 4 * H, [2, 4], [[4 * H, 4 * H]]],
    [
      2 * H + 1,
      3 * H + 5,
      [3, 3],
      [
        [2 * H + 1, 3 * H - 1],
        [3 * H, 3 * H + 5],
      ],
    ],
    [2 * H + 1, 2 * H + 5, [0, 0], [[2 * H + 1, 2 * H + 5]]],
    [5, 4, [0, 0], []],
    [undefined, 2 * H - 1, [0, 2], []],
    [-5, 2 * H - 1, [0, 2], []],
    [2 * H, undefined, [2, 10_000_000], []],
    [2 * H, 9e15, [2, 10_000_000], []],
  ])("%s to %s", (from, to, [first, end], edges) => {
    expect(splitHours(from, to)).toEqual({
      hours: { first, end },
      edges: edges.map(([a, b]) => ({ from: a, to: b })),
    });
  });
});
