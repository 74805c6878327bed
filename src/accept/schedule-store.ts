/**
 * The SQLite of a server's scheduled messages: each with what is shown of it and its content, in the order of their times within each
 * stream. A server has few streams, so the soonest of all is the soonest of a few. What is being released is written down as a
 * step before, and nobody can cancel or change that. All of it is synchronous.
 */
import type { Accepted } from "../mail/accepted.ts";
import type { Submission } from "../mail/message.ts";
import type { Shard } from "../mail/message-id.ts";
import type { PackedMessage } from "./pack.ts";
import { scheduledWithout } from "./without-person.ts";

const SCHEMA = `
CREATE TABLE IF NOT EXISTS messages (
  id TEXT PRIMARY KEY, stream TEXT NOT NULL, send_at INTEGER NOT NULL, recipients INTEGER NOT NULL, bytes INTEGER NOT NULL,
  head TEXT NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS messages_time ON messages (stream, send_at, id);
-- the rest of a body: a row holds 2 MB
CREATE TABLE IF NOT EXISTS pieces (id TEXT NOT NULL, piece INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (id, piece)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS totals (stream TEXT PRIMARY KEY, messages INTEGER NOT NULL, recipients INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS step (
  one INTEGER PRIMARY KEY CHECK (one = 1), key TEXT NOT NULL, region TEXT NOT NULL, number INTEGER NOT NULL, ids TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS server (id INTEGER PRIMARY KEY);
-- at: when it may be forgotten
CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, body_hash TEXT NOT NULL, at INTEGER NOT NULL, results TEXT NOT NULL) WITHOUT ROWID;
`;
const PIECE_BYTES = 1_900_000;
/** Looked through for a person in one turn: some milliseconds. */
const HEADS_A_TURN = 5_000;

/** A message as it is handed in: `head` is what is known of it, `body` its submission as JSON. */
export interface Planned {
  head: Head;
  sendAt: number;
  body: Uint8Array;
}

export type Head = Omit<PackedMessage, "body">;

export interface ScheduledMessage {
  head: Head;
  sendAt: number;
}

/** Where a list goes on: behind this one. */
export interface SchedulePlace {
  sendAt: number;
  id: string;
}

/** What is being released, until its outcome is known. */
export interface Step {
  key: string;
  place: Shard;
  ids: string[];
}

interface MessageRow extends Record<string, SqlStorageValue> {
  id: string;
  stream: string;
  send_at: number;
  recipients: number;
  head: string;
}

export class ScheduleStore {
  readonly #storage: DurableObjectStorage;
  readonly #sql: SqlStorage;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    this.#sql = storage.sql;
    this.create();
  }

  create(): void {
    this.#sql.exec(SCHEMA);
  }

  get bytes(): number {
    return this.#sql.databaseSize;
  }

  /** Whose messages these are: an alarm does not know the object's name. */
  get serverId(): number {
    return Number(this.#sql.exec("SELECT id FROM server").toArray()[0]?.id ?? 0);
  }

  set serverId(id: number) {
    this.#sql.exec("INSERT OR IGNORE INTO server VALUES (?)", id);
  }

  /** Two rows a message, and one for each stream; with what was answered, one transaction. */
  insert(
    planned: Planned[],
    answer?: { key: string; bodyHash: string; until: number; results: Accepted[] },
  ): void {
    this.#storage.transactionSync(() => {
      for (const { head, sendAt, body } of planned) {
        const { id, stream, summary } = head;
        const recipients = summary.recipients.length;
        this.#sql.exec(
          "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?)",
          id,
          stream,
          sendAt,
          recipients,
          body.length,
          JSON.stringify(head),
          body.slice(0, PIECE_BYTES),
        );
        for (let piece = 1; piece * PIECE_BYTES < body.length; piece++) {
          const slice = body.slice(piece * PIECE_BYTES, (piece + 1) * PIECE_BYTES);
          this.#sql.exec("INSERT INTO pieces VALUES (?, ?, ?)", id, piece, slice);
        }
      }
      const counted = planned.map(({ head }) => ({
        stream: head.stream,
        recipients: head.summary.recipients.length,
      }));
      this.#count(counted, 1);
      if (!answer) return;
      const results = JSON.stringify(answer.results);
      this.#sql.exec(
        "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)",
        answer.key,
        answer.bodyHash,
        answer.until,
        results,
      );
    });
  }

  find(id: string): ScheduledMessage | undefined {
    const row = this.#sql
      .exec<MessageRow>("SELECT head, send_at FROM messages WHERE id = ?", id)
      .toArray()[0];
    return row && toMessage(row);
  }

  submission(id: string): Submission | undefined {
    const first = this.#sql.exec("SELECT body AS bytes FROM messages WHERE id = ?", id).toArray()[0];
    if (!first) return undefined;
    const decoder = new TextDecoder();
    let text = decoder.decode(first.bytes as ArrayBuffer, { stream: true });
    for (const { bytes } of this.#sql.exec("SELECT bytes FROM pieces WHERE id = ? ORDER BY piece", id))
      text += decoder.decode(bytes as ArrayBuffer, { stream: true });
    return JSON.parse(text + decoder.decode()) as Submission;
  }

  /** Soonest first; of all streams when none is named. */
  list(limit: number, after?: SchedulePlace, stream?: string): ScheduledMessage[] {
    const { sendAt = 0, id = "" } = after ?? {};
    const found = this.#inOrder("send_at, id, head", limit, stream, "(send_at, id) > (?, ?)", sendAt, id);
    return (found as MessageRow[]).map(toMessage);
  }

  soonest(): number | undefined {
    return this.#inOrder("send_at, id", 1, undefined, "send_at >= 0")[0]?.send_at;
  }

  /** Whose time has come, in the order of their times. */
  due(now: number, limit: number): { id: string; bytes: number }[] {
    const found = this.#inOrder("send_at, id, bytes", limit, undefined, "send_at <= ?", now);
    return found.map(({ id, bytes }) => ({ id, bytes: Number(bytes) }));
  }

  /** One row; false when it is not there, or being released. Two more for the index. */
  change(id: string, sendAt: number): boolean {
    const found = this.find(id);
    if (!found || this.#isBeingReleased(id)) return false;
    const { summary } = found.head;
    const scheduled = { at: summary.scheduled?.at ?? sendAt, sendAt };
    const head: Head = { ...found.head, summary: { ...summary, scheduled } };
    this.#sql.exec(
      "UPDATE messages SET send_at = ?, head = ? WHERE id = ?",
      sendAt,
      JSON.stringify(head),
      id,
    );
    return true;
  }

  /** Those that are there and not being released are gone then; returns these. */
  cancel(ids: string[]): string[] {
    const open = ids.filter((id) => this.find(id) && !this.#isBeingReleased(id));
    this.#storage.transactionSync(() => this.#remove(open));
    return open;
  }

  /** Messages to a person among the next behind `after`, and the last of those, if there are any. */
  naming(email: string, after: string): { ids: string[]; last: string | undefined } {
    const next = `SELECT id, head FROM messages WHERE id > ?1 ORDER BY id LIMIT ${HEADS_A_TURN}`;
    const { last } = this.#sql.exec(`SELECT max(id) AS last FROM (${next})`, after).one();
    const found = this.#sql.exec(
      `SELECT id FROM (${next}) WHERE EXISTS (SELECT 1 FROM json_each(head, '$.summary.recipients') WHERE value = ?2)`,
      after,
      email,
    );
    return {
      ids: found.toArray().map((row) => String(row.id)),
      last: last === null ? undefined : String(last),
    };
  }

  /** The message goes to the others only, or goes; false when it is being released. */
  removePerson(id: string, email: string): boolean {
    const [found, submission] = [this.find(id), this.submission(id)];
    if (!found || !submission) return true;
    if (this.#isBeingReleased(id)) return false;
    const left = scheduledWithout(email, { head: found.head, submission });
    this.#storage.transactionSync(() => {
      this.#remove([id]);
      if (!left) return;
      const body = new TextEncoder().encode(JSON.stringify(left.submission));
      this.insert([{ head: left.head, sendAt: found.sendAt, body }]);
    });
    return true;
  }

  step(): Step | undefined {
    const row = this.#sql.exec("SELECT key, region, number, ids FROM step").toArray()[0];
    if (!row) return undefined;
    const place = { region: row.region as Shard["region"], number: Number(row.number) };
    return { key: String(row.key), place, ids: JSON.parse(String(row.ids)) as string[] };
  }

  /** One row. */
  begin({ key, place, ids }: Step): void {
    this.#sql.exec(
      "INSERT INTO step VALUES (1, ?, ?, ?, ?)",
      key,
      place.region,
      place.number,
      JSON.stringify(ids),
    );
  }

  /** Nothing of it was taken. */
  giveBack(): void {
    this.#sql.exec("DELETE FROM step");
  }

  /** All of it was taken. */
  end({ ids }: Step): void {
    this.#storage.transactionSync(() => {
      this.#remove(ids);
      this.#sql.exec("DELETE FROM step");
    });
  }

  totals(stream?: string): { messages: number; recipients: number } {
    const of = "SELECT coalesce(sum(messages), 0) m, coalesce(sum(recipients), 0) r FROM totals";
    const row =
      stream === undefined
        ? this.#sql.exec(of).one()
        : this.#sql.exec(`${of} WHERE stream = ?`, stream).one();
    return { messages: Number(row.m), recipients: Number(row.r) };
  }

  /** Not once it may be forgotten, although it may be there until the next alarm. */
  answer(key: string, now: number): { bodyHash: string; results: Accepted[] } | undefined {
    const found = "SELECT body_hash, results FROM answers WHERE key = ? AND at >= ?";
    const row = this.#sql.exec(found, key, now).toArray()[0];
    return row && { bodyHash: String(row.body_hash), results: JSON.parse(String(row.results)) as Accepted[] };
  }

  forgetAnswer(key: string): void {
    this.#sql.exec("DELETE FROM answers WHERE key = ?", key);
  }

  forgetAnswers(now: number): void {
    this.#sql.exec("DELETE FROM answers WHERE at < ?", now);
  }

  #isBeingReleased(id: string): boolean {
    return this.step()?.ids.includes(id) ?? false;
  }

  #remove(ids: string[]): void {
    const list = JSON.stringify(ids);
    const those = "WHERE id IN (SELECT value FROM json_each(?))";
    const rows = this.#sql
      .exec<MessageRow>(`SELECT stream, recipients FROM messages ${those}`, list)
      .toArray();
    this.#count(rows, -1);
    this.#sql.exec(`DELETE FROM messages ${those}`, list);
    this.#sql.exec(`DELETE FROM pieces ${those}`, list);
  }

  /** One row for each stream. */
  #count(messages: { stream: string; recipients: number }[], sign: 1 | -1): void {
    for (const [stream, of] of Map.groupBy(messages, (m) => m.stream)) {
      const recipients = of.reduce((sum, m) => sum + m.recipients, 0);
      this.#sql.exec(
        `INSERT INTO totals VALUES (?, ?, ?) ON CONFLICT (stream) DO UPDATE SET messages = messages + excluded.messages,
         recipients = recipients + excluded.recipients`,
        stream,
        sign * of.length,
        sign * recipients,
      );
    }
  }

  /** Each stream by its index, and the first of all of them. */
  #inOrder(
    columns: string,
    limit: number,
    stream: string | undefined,
    where: string,
    ...values: SqlStorageValue[]
  ): MessageRow[] {
    const streams =
      stream === undefined
        ? this.#sql.exec("SELECT stream FROM totals WHERE messages > 0").toArray()
        : [{ stream }];
    const found = streams.flatMap((of) =>
      this.#sql
        .exec<MessageRow>(
          `SELECT ${columns} FROM messages WHERE stream = ? AND ${where} ORDER BY send_at, id LIMIT ?`,
          of.stream as string,
          ...values,
          limit,
        )
        .toArray(),
    );
    return found.sort((a, b) => a.send_at - b.send_at || (a.id < b.id ? -1 : 1)).slice(0, limit);
  }
}

function toMessage(row: MessageRow): ScheduledMessage {
  return { head: JSON.parse(row.head) as Head, sendAt: row.send_at };
}
