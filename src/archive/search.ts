/**
 * The index of the archive's messages: an FTS5 table with a row for each, whose words we make here: what a message is found by, each in
 * the scope of its server and stream, so that a search sees no other server's and pays for none. It keeps no text, only which words
 * stand in which messages. `words` of a subject, and what of them is looked for, are in this file only: rows, index and the predicate
 * on what is not archived yet (filter.ts) all come from it.
 */
import type { MessageRecord } from "../mail/record.ts";
import type { MessageFilter } from "./filter.ts";

/** What follows is not searched; three times the longest subject that a mail program shows. */
const MAX_SUBJECT = 250;
/** Characters of a word that are looked at together: a longer one is looked for in pieces. */
const PIECE = 16;
/** What a search has besides is not looked for: it would find the same. */
const MAX_PIECES = 32;
/** Shorter pieces of ASCII would be in nearly every subject, so they must be whole words. */
const MIN_PART = 3;

/** Letters, digits and pictures in any script. What else is between them does not count. */
const WORD = /[\p{L}\p{N}\p{M}\p{So}]+/gu;
const PAIR = /[\ud800-\udfff]/;
const NON_ASCII = /[^\0-\x7f]/;

/** A list of characters where one may be two units of UTF-16, which must stay together. */
type Word = string | string[];

/** Lower case, and one way to write each character. */
function wordsOf(subject: string): Word[] {
  const text = subject.slice(0, MAX_SUBJECT).normalize("NFKC").toLowerCase();
  const words = text.match(WORD) ?? [];
  return PAIR.test(text) ? words.map((word) => Array.from(word)) : words;
}

function pieceOf(word: Word, from: number, to: number): string {
  return typeof word === "string" ? word.slice(from, to) : word.slice(from, to).join("");
}

const wholeOf = (word: Word) => pieceOf(word, 0, word.length);

/** " your order 1234 ", as it is kept beside the subject. */
export function subjectWords(subject: string): string {
  return ` ${wordsOf(subject).map(wholeOf).join(" ")} `;
}

const isShort = (piece: string) => piece.length < MIN_PART && !NON_ASCII.test(piece);

/** What a search for a subject looks for: all of these, in any order. Empty when it has no letter or digit. */
export function piecesOf(search: string): string[] {
  const pieces = wordsOf(search).flatMap((word) => {
    if (word.length <= PIECE) return [wholeOf(word)];
    const starts = Array.from({ length: Math.ceil(word.length / PIECE) }, (_, i) =>
      Math.min(i * PIECE, word.length - PIECE),
    );
    return starts.map((start) => pieceOf(word, start, start + PIECE));
  });
  return [...new Set(pieces)].slice(0, MAX_PIECES);
}

/** What must be in the words of a subject for a piece to be found. */
export function partOfWords(piece: string): string {
  return isShort(piece) ? ` ${piece} ` : piece;
}

type Kind = "recipient" | "from" | "tag" | "metadata" | "word" | "start" | "end";
/** Letters in words, each in the place of its kind; short, since every word begins with one. */
const KINDS: Record<Kind, string> = {
  recipient: "r",
  from: "f",
  tag: "t",
  metadata: "m",
  word: "w",
  start: "s",
  end: "e",
};

const PLAIN = /^[a-z0-9@._-]*$/;

/** The tokenizer folds ASCII letters and splits at what is no letter: so upper case and all signs but a few are escaped. */
function escaped(value: string): string {
  if (PLAIN.test(value)) return value;
  return value.replace(
    /[^a-z0-9@._\-\u{80}-\u{d7ff}\u{e000}-\u{10ffff}]/gu,
    (char) => `%${char.codePointAt(0)?.toString(16)};`,
  );
}

/** Of a stream of a server; the usual stream's is short. */
function scopeOf(serverId: number, stream: string): string {
  return stream === "outbound" ? `${serverId}:` : `${serverId}/${escaped(stream)}:`;
}

const metadataWord = (key: string, value: string) => `${escaped(key)}=${escaped(value)}`;

/** All words of a message, as the index takes them. The first stands for the message alone. */
export function indexText(record: MessageRecord): string {
  const { summary } = record;
  const scope = scopeOf(record.serverId, record.stream);
  const found = new Set([scope]);
  const add = (kind: Kind, value: string) => found.add(`${scope}${KINDS[kind]}${value}`);
  for (const { email } of record.recipients) add("recipient", escaped(email));
  add("from", escaped(summary.from.email.toLowerCase()));
  if (record.tag) add("tag", escaped(record.tag));
  for (const [key, value] of Object.entries(summary.metadata)) add("metadata", metadataWord(key, value));
  for (const word of wordsOf(record.subject)) addParts(word, add);
  return [...found].join(" ");
}

/**
 * A word whole, without its last letter, and each of its ends: whatever is part of it is one of these, or what one begins with. Whole
 * words are apart because they are what is mostly looked for, and one look-up finds them; for a beginning FTS5 first collects all.
 */
function addParts(word: Word, add: (kind: Kind, value: string) => void): void {
  const most = Math.min(word.length, PIECE);
  add("word", pieceOf(word, 0, most));
  const start = pieceOf(word, 0, most - 1);
  if (!isShort(start)) add("start", start);
  for (let at = 1; at < word.length; at++) {
    const end = pieceOf(word, at, at + PIECE);
    if (!isShort(end)) add("end", end);
  }
}

const quoted = (word: string) => `"${word}"`;

/** What FTS5 must match for a filter, all of them: each a whole expression. Dates and states are not in the index. */
export function expressions(serverId: number, filter: MessageFilter): string[] {
  const { recipient, fromEmail, tag, subject, metadata } = filter;
  const scope = scopeOf(serverId, filter.stream);
  const word = (kind: Kind, value: string) => quoted(`${scope}${KINDS[kind]}${value}`);
  const all: string[] = [];
  if (recipient !== undefined) all.push(word("recipient", escaped(recipient)));
  if (fromEmail !== undefined) all.push(word("from", escaped(fromEmail)));
  if (tag !== undefined) all.push(word("tag", escaped(tag)));
  if (metadata !== undefined) all.push(word("metadata", metadataWord(metadata.key, metadata.value)));
  if (subject !== undefined) {
    const pieces = piecesOf(subject);
    // Of no kind: no message has this word.
    if (pieces.length === 0) all.push(quoted(`${scope}-`));
    for (const piece of pieces) {
      const whole = word("word", piece);
      const parts = `${word("start", piece)}* OR ${word("end", piece)}*`;
      all.push(isShort(piece) ? whole : `(${whole} OR ${parts})`);
    }
  }
  return all.length > 0 ? all : [quoted(scope)];
}

/** Of a time in a key; below it are 8 bits of the message's id, and 8 that tell apart what shares them. */
const TIME_SHIFT = 16n;
const PLACE_BITS = 8n;
export const LAST_PLACE = (1n << PLACE_BITS) - 1n;
/** So that a key is positive; an id has a bit more, from the year 6429 on. */
const MAX_TIME = 2 ** 47 - 1;

/**
 * Keys are the index's rowids, and sort as ids do: the time, then the first bits that follow it in an id. They have 57 bits, which a
 * JavaScript number has not, so they travel as text. This is the lowest key of those that a message may get.
 */
export function lowestKey(id: string): bigint {
  const time = BigInt(`0x${id.slice(0, 8)}${id.slice(9, 13)}`);
  return (time << TIME_SHIFT) | (BigInt(`0x${id.slice(15, 17)}`) << PLACE_BITS);
}

/** The keys of a range of time; both ends inclusive, in milliseconds. */
export function keyRange({ from = 0, to = MAX_TIME }: { from?: number; to?: number }): {
  low: bigint;
  high: bigint;
} {
  const time = (ms: number) => BigInt(Math.max(0, Math.min(Math.floor(ms), MAX_TIME)));
  return { low: time(Math.ceil(from)) << TIME_SHIFT, high: ((time(to) + 1n) << TIME_SHIFT) - 1n };
}

/** The beginning of the ids that have a key: SQL, of a column or a parameter that holds the key. */
export function idPrefixOf(key: string): string {
  return `printf('%08x-%04x-8%02x', ${key} >> 32, (${key} >> 16) & 65535, (${key} >> 8) & 255)`;
}
