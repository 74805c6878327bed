/** What links brought, recorded: for whom, once, and told with the same names when it is told again. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { writeRecords } from "../../src/archive/write.ts";
import type { MailEvent } from "../../src/mail/event.ts";
import type { MessageRecord } from "../../src/mail/record.ts";
import { suppressionChanges } from "../../src/suppress/list.ts";
import { type RecordSeenNeeds, recordSeen } from "../../src/track/record-seen.ts";
import type { SeenFact } from "../../src/track/seen-fact.ts";
import { type Databases, delivered, message, NOON, openDatabases } from "../archive/databases.ts";
import { counted } from "./recount.ts";

const CHROME =
  "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36";
const DAY = "2026-02-17";

let db: Databases;
let told: MailEvent[];
let announced: unknown[];
let held: MessageRecord[];
let needs: RecordSeenNeeds;

beforeAll(async () => {
  db = await openDatabases();
});
beforeEach(async () => {
  await db.clear();
  [told, announced, held] = [[], [], []];
  needs = {
    directory: db.directory,
    archive: () => db.archive,
    now: () => NOON + 60_000,
    log: () => undefined,
    announce: async (_, changes) => {
      announced.push(...changes);
    },
    heldRecords: async (_, ids) => held.filter((record) => ids.includes(record.id)),
    tellEvents: async (_, events) => {
      told.push(...events);
    },
  };
});
afterAll(() => db.dispose());

type Of = Partial<SeenFact> & { number?: number };
const open = (messageId: string, of: Of = {}) =>
  ({
    kind: "open",
    messageId,
    index: 0,
    at: NOON + 5_000,
    visitor: { userAgent: CHROME },
    ...of,
  }) as SeenFact;
const click = (messageId: string, of: Of = {}) =>
  open(messageId, { kind: "click", link: "https://shop.example/", location: "HTML", ...of } as Of);

describe("what links brought", () => {
  it("is recorded under who the place in the message names, with the message's stream, tag and metadata", async () => {
    const sent = message([delivered("a@x.example"), delivered("b@x.example")], {
      stream: "news",
      tag: "hello",
      summary: { metadata: { order: "7" } },
    });
    await writeRecords(db.archive, [sent], []);
    await recordSeen(needs, 1, [open(sent.id, { index: 1 }), click(sent.id)]);
    expect(told).toMatchObject([
      {
        type: "Open",
        email: "b@x.example",
        stream: "news",
        tag: "hello",
        metadata: { order: "7" },
        isFirst: true,
      },
      { type: "Click", email: "a@x.example", link: "https://shop.example/", location: "HTML", isFirst: true },
    ]);
    expect(await counted(db.archive)).toMatchObject({
      [`1 - ${DAY} news Open/first/WebMail/Chrome/unknown`]: 1,
      [`1 hello ${DAY} news Click/first/Desktop/Chrome/HTML`]: 1,
    });
  });

  it("is recorded for a message that only its Outbox has, and dropped for one that nobody has any more", async () => {
    const young = message([delivered("a@x.example")]);
    held = [young];
    await recordSeen(needs, 1, [
      open(young.id),
      open(message([delivered("a@x.example")]).id),
      click("no id"),
    ]);
    expect(told.map((event) => event.messageId)).toEqual([young.id]);
  });

  it("is nobody's for a server whose message it is not", async () => {
    const sent = message([delivered("a@x.example")]);
    await writeRecords(db.archive, [sent], []);
    await recordSeen(needs, 2, [open(sent.id)]);
    expect(told).toEqual([]);
  });

  it("is dropped for a person who was removed, and for a place that nobody has", async () => {
    const sent = message([delivered("a@x.example")], { summary: { recipients: ["", "a@x.example"] } });
    await writeRecords(db.archive, [sent], []);
    await recordSeen(needs, 1, [open(sent.id), open(sent.id, { index: 1 }), open(sent.id, { index: 2 })]);
    expect(told.map((event) => event.email)).toEqual(["a@x.example"]);
  });

  it("counts nothing twice that is told again under the same numbers, alone or with more, and names events the same", async () => {
    const sent = message([delivered("a@x.example")], { tag: "t" });
    await writeRecords(db.archive, [sent], []);
    const facts = [0, 1, 2].flatMap((n) => {
      const of = { at: NOON + n, number: NOON + n };
      return [open(sent.id, of), click(sent.id, of)];
    });
    await recordSeen(needs, 1, facts.slice(0, 4));
    const before = await counted(db.archive);
    const first = [...told];
    // The event log was away, or the object died: all of it comes again.
    await recordSeen(needs, 1, facts.slice(0, 4));
    expect(await counted(db.archive)).toEqual(before);
    expect(told.slice(4)).toEqual(first);
    await recordSeen(needs, 1, facts);
    expect(await counted(db.archive)).toMatchObject({
      [`1 - ${DAY} outbound Open/again`]: 2,
      [`1 - ${DAY} outbound Click/again`]: 2,
      [`1 t ${DAY} outbound Open/again`]: 2,
    });
    expect(told.filter((event) => event.type === "Open" && event.isFirst).map((event) => event.at)).toEqual([
      NOON,
      NOON,
      NOON,
    ]);
  });

  it("is told to nobody when the archive refuses", async () => {
    const sent = message([delivered("a@x.example")]);
    held = [sent];
    const away = {
      prepare: () => ({ bind: () => undefined }),
      batch: () => Promise.reject(new Error("D1: away")),
    };
    needs.archive = () => away as unknown as D1Database;
    await expect(recordSeen(needs, 1, [open(sent.id)])).rejects.toThrow();
    expect(told).toEqual([]);
  });

  it("unsubscribes who could not be unsubscribed at once, as of when they wished it", async () => {
    const sent = message([delivered("a@x.example")], { stream: "news" });
    await writeRecords(db.archive, [sent], []);
    const wish = { kind: "unsubscribe", messageId: sent.id, index: 0, at: NOON } as const;
    for (let i = 0; i < 2; i++) await recordSeen(needs, 1, [wish]);
    expect(
      await suppressionChanges(db.directory, 1, { changedAt: 0, stream: "", email: "" }, 10),
    ).toMatchObject([
      {
        stream: "news",
        email: "a@x.example",
        reason: "ManualSuppression",
        origin: "Recipient",
        removed: false,
      },
    ]);
    expect(announced).toContainEqual({ stream: "news", email: "a@x.example", removed: false });
  });
});
