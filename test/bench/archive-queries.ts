/** What is asked of the archive and of its peers: each question once for each of them, with parameters made from a number. */
import type { DatabaseSync } from "node:sqlite";
import type pg from "pg";
import type { MessageFilter } from "../../src/archive/filter.ts";
import { COMMON_WORD, type Plan, rareWord, recipientOf, tagOf, wordOfRank } from "./archive-rows.ts";

const COUNT = 50;
const DAY_MS = 86_400_000;
const RANGE_DAYS = 30;
/** Ranks of words that about one subject in a hundred has. */
const MEDIUM = { first: 8, count: 20 };
/** So that the numbers of questions fall anywhere. */
const STRIDE = 7_919;

export interface Question {
  name: string;
  /** Of the API, with the server's token. */
  path: string;
  /** What the store is asked for it; absent where it is no search. */
  search?: { filter: MessageFilter; offset: number };
  postgres(client: pg.Client): Promise<unknown>;
  fts?(db: DatabaseSync): unknown;
}

type Make = (n: number, plan: Plan) => Question;

const COLUMNS = "id, stream, received_at, from_email, recipient, subject, tag, status, metadata";
const SCOPE = "server_id = 1 AND stream = 'outbound'";

/** PostgreSQL keeps 63 characters of a prepared statement's name. */
const MAX_NAME = 50;

/** A page and how many there are, as the API answers both; the two travel together. */
function pageAndCount(client: pg.Client, where: string, values: unknown[]): Promise<unknown> {
  const page = `SELECT ${COLUMNS} FROM messages WHERE ${SCOPE} ${where} ORDER BY received_at DESC LIMIT ${COUNT}`;
  return Promise.all([
    client.query({ name: `page ${where.slice(0, MAX_NAME)}`, text: page, values }),
    client.query({
      name: `count ${where.slice(0, MAX_NAME)}`,
      text: `SELECT count(*) FROM messages WHERE ${SCOPE} ${where}`,
      values,
    }),
  ]);
}

function question(
  name: string,
  { filter, offset = 0 }: { filter: Omit<MessageFilter, "stream">; offset?: number },
  query: string,
  rest: Pick<Question, "postgres" | "fts">,
): Question {
  const path = `/messages/outbound?count=${COUNT}&offset=${offset}${query}`;
  return { name, path, search: { filter: { stream: "outbound", ...filter }, offset }, ...rest };
}

function subject(name: string, words: string[]): Question {
  const search = words.join(" ");
  return question(name, { filter: { subject: search } }, `&subject=${words.join("+")}`, {
    postgres: (client) =>
      pageAndCount(client, "AND to_tsvector('simple', subject) @@ plainto_tsquery('simple', $1)", [search]),
    fts: (db) => [
      db
        .prepare(
          `SELECT messages.* FROM subjects CROSS JOIN messages ON n = subjects.rowid WHERE subjects MATCH ?
           ORDER BY subjects.rowid DESC LIMIT ${COUNT}`,
        )
        .all(search),
      db.prepare("SELECT count(*) FROM subjects WHERE subjects MATCH ?").get(search),
    ],
  });
}

export const QUESTIONS: Make[] = [
  () => question("newest 50", { filter: {} }, "", { postgres: (client) => pageAndCount(client, "", []) }),
  (n) => {
    const offset = (n * STRIDE) % 9_900;
    return question("50 somewhere in the first 10,000", { filter: {}, offset }, "", {
      // The offset is no parameter, so this is not prepared.
      postgres: (client) =>
        Promise.all([
          client.query(
            `SELECT ${COLUMNS} FROM messages WHERE ${SCOPE} ORDER BY received_at DESC LIMIT ${COUNT} OFFSET ${offset}`,
          ),
          client.query(`SELECT count(*) FROM messages WHERE ${SCOPE}`),
        ]),
    });
  },
  (n, { rows }) => {
    const recipient = recipientOf((n * STRIDE) % rows);
    return question("recipient", { filter: { recipient } }, `&recipient=${recipient}`, {
      postgres: (client) => pageAndCount(client, "AND recipient = $1", [recipient]),
    });
  },
  (n, { until }) => {
    const tag = tagOf(n);
    const day = (ms: number) => new Date(ms).toISOString().slice(0, 10);
    const end = Math.floor(until / DAY_MS - (n % 14)) * DAY_MS;
    const [from, to] = [end - RANGE_DAYS * DAY_MS, end - 1];
    const dates = `&fromdate=${day(from)}T00:00:00Z&todate=${day(to)}T23:59:59.999Z`;
    return question(`tag, ${RANGE_DAYS} days`, { filter: { tag, from, to } }, `&tag=${tag}${dates}`, {
      postgres: (client) =>
        pageAndCount(client, "AND tag = $1 AND received_at BETWEEN $2 AND $3", [tag, from, to]),
    });
  },
  () =>
    question("queued", { filter: { queued: true } }, "&status=queued", {
      postgres: (client) => pageAndCount(client, "AND status = 'queued'", []),
    }),
  () =>
    question("sent", { filter: { queued: false } }, "&status=sent", {
      postgres: (client) => pageAndCount(client, "AND status = 'sent'", []),
    }),
  (n) => subject("subject, a rare word", [rareWord(n * STRIDE)]),
  (n) =>
    subject("subject, a common and a medium word", [
      COMMON_WORD,
      wordOfRank(MEDIUM.first + (n % MEDIUM.count)),
    ]),
  (n) => subject("subject, a medium word", [wordOfRank(MEDIUM.first + (n % MEDIUM.count))]),
  () => subject("subject, a common word", [COMMON_WORD]),
];
