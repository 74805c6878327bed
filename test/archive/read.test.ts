import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { MessageFilter } from "../../src/archive/filter.ts";
import { pendingOf } from "../../src/archive/pending.ts";
import { findMessage, listMessages } from "../../src/archive/read.ts";
import { writeRecords } from "../../src/archive/write.ts";
import type { MessageRecord } from "../../src/mail/record.ts";
import {
  attempt,
  type Databases,
  delivered,
  hardBounced,
  message,
  NOON,
  openDatabases,
  waiting,
} from "./databases.ts";

let db: Databases;
beforeAll(async () => {
  db = await openDatabases();
});
afterAll(() => db.dispose());

const tried = { ...waiting("a@x.example"), attempts: [attempt(1, { result: "deferred" })] };
const from = (email: string) => ({ from: { email, name: "" } });

/** Oldest first; the names are those that the expectations use. */
const MESSAGES: Record<string, MessageRecord> = {
  plain: message([delivered("a@x.example")], { receivedAt: NOON }),
  waits: message([waiting("a@x.example"), delivered("b@x.example")], {
    receivedAt: NOON + 1,
    subject: "Привет, World",
  }),
  tried: message([tried], { receivedAt: NOON + 2, tag: "welcome", subject: "Hello, it's me" }),
  bounced: message([hardBounced("b@x.example")], {
    receivedAt: NOON + 3,
    tag: "Welcome",
    subject: "100% _sure_",
  }),
  joe: message([delivered("c@x.example")], {
    receivedAt: NOON + 4,
    subject: "Hello 0f5a7c56af5a1f27d9e8",
    summary: from("Joe@Example.com"),
  }),
  meta: message([delivered("c@x.example")], {
    receivedAt: NOON + 5,
    summary: { metadata: { color: "blue", 'q"k.$': "1" } },
  }),
  news: message([delivered("a@x.example")], { receivedAt: NOON + 6, stream: "news" }),
  other: message([delivered("a@x.example")], { receivedAt: NOON + 7, serverId: 2 }),
};
const nameOf = (id: string) => Object.keys(MESSAGES).find((name) => MESSAGES[name]?.id === id);
const ours = Object.values(MESSAGES).filter((m) => m.serverId === 1);
const ALL = ["meta", "joe", "bounced", "tried", "waits", "plain"];

const CASES: [string, Partial<MessageFilter>, string[]][] = [
  ["nothing but the stream", {}, ALL],
  ["another stream", { stream: "news" }, ["news"]],
  ["a stream of no message", { stream: "none" }, []],
  ["a recipient", { recipient: "a@x.example" }, ["tried", "waits", "plain"]],
  ["the second recipient", { recipient: "b@x.example" }, ["bounced", "waits"]],
  ["part of a recipient", { recipient: "x.example" }, []],
  ["a recipient in a range", { recipient: "a@x.example", from: NOON + 1, to: NOON + 1 }, ["waits"]],
  ["an author, whose letters were of another case", { fromEmail: "joe@example.com" }, ["joe"]],
  ["a tag", { tag: "welcome" }, ["tried"]],
  ["queued", { queued: true }, ["waits"]],
  ["not queued", { queued: false }, ["meta", "joe", "bounced", "tried", "plain"]],
  ["from a time on", { from: NOON + 4 }, ["meta", "joe"]],
  ["up to a time", { to: NOON + 1 }, ["waits", "plain"]],
  ["one millisecond", { from: NOON + 2, to: NOON + 2 }, ["tried"]],
  ["a range that is the wrong way round", { from: NOON + 4, to: NOON }, []],
  ["times before all and after all", { from: -5, to: 9e15 }, ALL],
  ["part of the subject, any case", { subject: "HELL" }, ["meta", "joe", "tried", "plain"]],
  ["part of the subject in another script", { subject: "Привет, wor" }, ["waits"]],
  ["another script in another case", { subject: "привет" }, ["waits"]],
  ["a short part in another script", { subject: "ив" }, ["waits"]],
  ["its words in another order, whatever stands between", { subject: "world, (при" }, ["waits"]],
  ["words of which one is not there", { subject: "привет word2" }, []],
  ["a whole word with signs around it", { subject: "sure!" }, ["bounced"]],
  ["a part of two letters, which must be a word", { subject: "su" }, []],
  ["a short word", { subject: "me" }, ["tried"]],
  ["a long word, and its end", { subject: "c56af5a1f27" }, ["joe"]],
  ["a long word, and another of the same beginning", { subject: "0f5a7c56af5a1f28" }, []],
  ["more than a word has", { subject: "0f5a7c56af5a1f27d9e8a" }, []],
  ["signs alone", { subject: "% _" }, []],
  ["more than LIKE would take", { subject: "x".repeat(60) }, []],
  ["metadata", { metadata: { key: "color", value: "blue" } }, ["meta"]],
  ["metadata of another value", { metadata: { key: "color", value: "blu" } }, []],
  ["metadata of another case", { metadata: { key: "Color", value: "blue" } }, []],
  ["metadata whose key is a path's syntax", { metadata: { key: 'q"k.$', value: "1" } }, ["meta"]],
  ["what every object has", { metadata: { key: "constructor", value: "x" } }, []],
  [
    "all at once",
    { recipient: "a@x.example", tag: "welcome", queued: false, subject: "ello", from: NOON },
    ["tried"],
  ],
];

const MODES: [string, (m: MessageRecord, i: number) => boolean][] = [
  ["in the archive", () => true],
  ["held by Outboxes", () => false],
  ["partly here, partly there", (_m, i) => i % 2 === 0],
];

describe.each(MODES)("listing messages that are %s", (_name, isArchived) => {
  const pending = ours.filter((m, i) => !isArchived(m, i));
  beforeAll(async () => {
    await db.clear();
    await writeRecords(db.archive, [...ours.filter(isArchived), MESSAGES.other as MessageRecord], []);
  });

  const list = async (filter: Partial<MessageFilter>, page = { count: 100, offset: 0 }) => {
    const query = { filter: { stream: "outbound", ...filter }, page };
    const held = pendingOf(pending, query.filter, page);
    const { total, messages } = await listMessages(db.archive, 1, { ...query, pending: held });
    return { total, names: messages.map((m) => nameOf(m.id)), messages };
  };

  it.each(CASES)("by %s", async (_what, filter, names) => {
    expect(await list(filter)).toMatchObject({ names, total: names.length });
  });

  it("page by page, each with the whole count", async () => {
    for (let offset = 0; offset < 8; offset++) {
      const names = ALL.slice(offset, offset + 2);
      expect(await list({}, { count: 2, offset })).toMatchObject({ names, total: ALL.length });
    }
  });

  it("with all that a list shows", async () => {
    const { messages } = await list({ metadata: { key: "color", value: "blue" } });
    const { recipients: _, ...shown } = MESSAGES.meta as MessageRecord;
    expect(messages).toMatchObject([{ ...shown, queued: false }]);
  });

  it("and another server's never", async () => {
    const query = { filter: { stream: "outbound" }, page: { count: 100, offset: 0 } };
    const { total, messages } = await listMessages(db.archive, 2, query);
    expect({ total, names: messages.map((m) => nameOf(m.id)) }).toEqual({ total: 1, names: ["other"] });
  });
});

describe("listing a message of which an Outbox knows more than the archive", () => {
  const record = message([waiting("a@x.example")]);
  const newer = { ...record, recipients: [delivered("a@x.example")] };
  beforeEach(async () => {
    await db.clear();
    await writeRecords(db.archive, [record], []);
  });
  const list = async (filter: Partial<MessageFilter>, pending: MessageRecord[]) => {
    const query = { filter: { stream: "outbound", ...filter }, page: { count: 9, offset: 0 } };
    const held = pendingOf(pending, query.filter, query.page);
    const { total, messages } = await listMessages(db.archive, 1, { ...query, pending: held });
    return { total, queued: messages.map((m) => m.queued) };
  };

  it("shows the Outbox's, once", async () => {
    expect(await list({}, [])).toEqual({ total: 1, queued: [true] });
    expect(await list({}, [newer])).toEqual({ total: 1, queued: [false] });
  });

  it("goes by what the Outbox knows", async () => {
    expect(await list({ queued: true }, [newer])).toEqual({ total: 0, queued: [] });
    expect(await list({ queued: false }, [newer])).toEqual({ total: 1, queued: [false] });
  });
});

describe("finding a message", () => {
  const segment = { key: "1/local/0/a", offset: 7, length: 9 };
  const record = message([delivered("z@x.example"), waiting("a@x.example")], { tag: "t", segment });
  beforeAll(async () => {
    await db.clear();
    // The other message to the same people must not mix in.
    await writeRecords(db.archive, [record, message([hardBounced("z@x.example")])], []);
  });

  it("gives it as it was written, recipients in their order", async () => {
    expect(await findMessage(db.archive, 1, record.id)).toEqual(record);
  });

  it.each([
    ["another server", 2, record.id],
    ["another id", 1, `${record.id.slice(0, -1)}f`],
    ["no id at all", 1, "%"],
  ])("finds nothing for %s", async (_what, serverId, id) => {
    expect(await findMessage(db.archive, serverId, id)).toBeUndefined();
  });
});
