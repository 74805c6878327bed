/** What is found of a message must not depend on whether the archive has it: index, rows and predicate are held against each other. */
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type MessageFilter, matches } from "../../src/archive/filter.ts";
import type { MessagePage } from "../../src/archive/page.ts";
import { pendingOf, together } from "../../src/archive/pending.ts";
import { listMessages } from "../../src/archive/read.ts";
import { writeRecords } from "../../src/archive/write.ts";
import type { MessageRecord } from "../../src/mail/record.ts";
import { type Databases, delivered, message, NOON, openDatabases, waiting } from "./databases.ts";

let db: Databases;
beforeAll(async () => {
  db = await openDatabases();
});
afterAll(() => db.dispose());

/** Few and alike, so that searches find something and nearly find more. */
const WORDS = [
  "order",
  "reorder",
  "orders",
  "Ord",
  "or",
  "1001",
  "100",
  "ǅ",
  "Straße",
  "注文確認",
  "🎉",
  "e\u0301té",
  "été",
];
const LONG = "0123456789abcdefghij-0123456789abcdefghiZ".split("-");
const SIGNS = [" ", ", ", "-", "_", "'", '" OR "', "%", "* ", "\u0001", "\u{1d400}"];
const TAGS = ["", "a", "A", "a b", 'q"', "%61;", "é", "\u0001"];
const HOUR = 3_600_000;
const addresses = ["a@x.example", "b@x.example", "o'r\"d@x.example"];
const values = ["", "blue", "BLUE", "blue ", "a=b"];

const subject = fc
  .array(fc.tuple(fc.constantFrom(...WORDS, ...LONG), fc.constantFrom(...SIGNS)), { maxLength: 5 })
  .map((parts) => parts.flat().join(""));
const metadata = fc.dictionary(fc.constantFrom("color", "a", "a=b"), fc.constantFrom(...values), {
  maxKeys: 2,
});
const record: fc.Arbitrary<MessageRecord> = fc
  .record({
    email: fc.constantFrom(...addresses),
    second: fc.constantFrom(...addresses),
    from: fc.constantFrom("Joe@Example.com", "ann@example.com"),
    waits: fc.boolean(),
    at: fc.integer({ min: -2 * HOUR, max: 2 * HOUR }),
    stream: fc.constantFrom("outbound", "news-1"),
    tag: fc.constantFrom(...TAGS),
    subject,
    metadata,
  })
  .map(({ email, second, from, waits, at, stream, tag, subject, metadata }) =>
    message(
      [...new Set([email, second])].map((to) => (waits ? waiting(to) : delivered(to))),
      {
        ...{ stream, tag, subject, receivedAt: NOON + at },
        summary: { metadata, from: { email: from, name: "" } },
      },
    ),
  );

const perhaps = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined, freq: 1 });
const part = fc
  .tuple(fc.oneof(subject, fc.constantFrom(...WORDS, ...LONG)), fc.nat(20), fc.integer({ min: 1, max: 20 }))
  .map(([text, start, length]) =>
    text.slice(start % (text.length + 1), (start % (text.length + 1)) + length),
  );
const filter: fc.Arbitrary<MessageFilter> = fc.record({
  stream: fc.constantFrom("outbound", "news-1"),
  recipient: perhaps(fc.constantFrom(...addresses)),
  fromEmail: perhaps(fc.constantFrom("joe@example.com", "Joe@Example.com")),
  tag: perhaps(fc.constantFrom(...TAGS.slice(1))),
  queued: perhaps(fc.boolean()),
  from: perhaps(fc.integer({ min: -2 * HOUR, max: 2 * HOUR }).map((at) => NOON + at)),
  to: perhaps(fc.integer({ min: -2 * HOUR, max: 2 * HOUR }).map((at) => NOON + at)),
  subject: perhaps(part),
  metadata: perhaps(
    fc.record({ key: fc.constantFrom("color", "a", "a=b"), value: fc.constantFrom(...values) }),
  ),
});

/** As if two Outboxes held what is pending. */
function list(filter: MessageFilter, page: MessagePage, pending: MessageRecord[]) {
  const held = [0, 1].map((n) =>
    pendingOf(
      pending.filter((_, i) => i % 2 === n),
      filter,
      page,
    ),
  );
  const parts = held.map((part) => ({ ...part, isQuiet: false }));
  return listMessages(db.archive, 1, { filter, page, pending: together(parts, page) });
}

/** Once round, page by page. */
async function pages(filter: MessageFilter, pending: MessageRecord[], count: number) {
  const seen: string[] = [];
  for (let after: { key: string; id: string } | undefined; ; ) {
    const { total, messages, next } = await list(filter, { count, offset: 0, after }, pending);
    seen.push(...messages.map((m) => m.id));
    if (!next || seen.length > total) return seen;
    after = next;
  }
}

it("a search finds the same messages in the archive, in Outboxes, and half and half", async () => {
  await fc.assert(
    fc.asyncProperty(
      // Within a millisecond, who waits comes first: the order of those is another.
      fc.uniqueArray(record, { minLength: 30, maxLength: 30, selector: (r) => r.receivedAt }),
      fc.array(filter, { minLength: 25, maxLength: 25 }),
      async (records, filters) => {
        await db.clear();
        const theirs = records.map((r) => ({ ...r, serverId: 2, id: `${r.id.slice(0, -4)}ffff` }));
        await writeRecords(db.archive, [...records.filter((_, i) => i % 3 !== 0), ...theirs], []);
        // Of what lies in both, the Outbox knows more: it was tried meanwhile.
        const pending = records.flatMap((r, i) => {
          if (i % 3 === 0) return [r];
          return i % 4 === 0 ? [{ ...r, recipients: r.recipients.map(({ email }) => delivered(email)) }] : [];
        });
        const known = new Map([...records, ...pending].map((r) => [r.id, r]));
        for (const [i, one] of filters.entries()) {
          const expected = [...known.values()].filter((r) => matches(r, one)).map((r) => r.id);
          expected.sort().reverse();
          const { total, messages } = await list(one, { count: 4, offset: i % 3 }, pending);
          expect(total).toBe(expected.length);
          expect(messages.map((m) => m.id)).toEqual(expected.slice(i % 3, (i % 3) + 4));
          if (i % 5 === 0) expect(await pages(one, pending, 7)).toEqual(expected);
        }
      },
    ),
    { numRuns: 8 },
  );
}, 120_000);
