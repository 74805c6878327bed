/**
 * The SQLite of a server's bulk requests: how each stands, and its content until that is released. A request that comes in is
 * written part by part, and begins to exist with `commit`; what nobody commits is dropped. All of it is synchronous.
 */
import type { Region } from "../mail/message-id.ts";
import type { BulkMessage, BulkShared } from "./bulk-message.ts";
import { bulkMessageWithout, isTo } from "./without-person.ts";

const SCHEMA = `
CREATE TABLE IF NOT EXISTS requests (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, state TEXT NOT NULL, at INTEGER NOT NULL,
  subject TEXT NOT NULL DEFAULT '', key TEXT, body_hash TEXT NOT NULL DEFAULT '',
  server_id INTEGER NOT NULL DEFAULT 0, region TEXT NOT NULL DEFAULT '', outbox INTEGER NOT NULL DEFAULT 0,
  total INTEGER NOT NULL DEFAULT 0, released INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,
  -- the next message to release, by part and place in it, and how many parts there are
  parts INTEGER NOT NULL DEFAULT 0, part INTEGER NOT NULL DEFAULT 1, place INTEGER NOT NULL DEFAULT 0,
  -- what is being released: it stays until its outcome is known
  intent TEXT, reason TEXT NOT NULL DEFAULT '',
  -- whose turn it is: the smallest; null when there is nothing to do
  turn INTEGER);
CREATE UNIQUE INDEX IF NOT EXISTS requests_key ON requests (key) WHERE key IS NOT NULL;
CREATE INDEX IF NOT EXISTS requests_turn ON requests (turn) WHERE turn IS NOT NULL;
CREATE INDEX IF NOT EXISTS requests_incoming ON requests (at) WHERE state = 'incoming';
-- part 0 is what the messages share; a row holds 2 MB, so a part may need several
CREATE TABLE IF NOT EXISTS pieces (
  request INTEGER NOT NULL, part INTEGER NOT NULL, piece INTEGER NOT NULL, bytes BLOB NOT NULL,
  PRIMARY KEY (request, part, piece)) WITHOUT ROWID;
`;
const NEXT_TURN = "(SELECT coalesce(max(turn), 0) + 1 FROM requests WHERE turn IS NOT NULL)";
const PIECE_BYTES = 1_900_000;
/** An object's storage ends at 10 GB, and releasing what is there writes as well. */
const MAX_BYTES = 8_000_000_000;
/** Nobody is still sending the rest of a request after this. */
const INCOMING_MS = 3_600_000;
/** How long it can be asked how a request went, as messages can. */
const KEEP_MS = 45 * 86_400_000;

/** Written before the Outbox is asked, so that after a crash it is asked the same again. */
export interface Intent {
  count: number;
  at: number;
}

export interface StoredRequest {
  seq: number;
  id: string;
  state: "incoming" | "open" | "completed" | "cancelled";
  at: number;
  subject: string;
  bodyHash: string;
  serverId: number;
  region: Region;
  /** The number of the Outbox that takes it. */
  outbox: number;
  total: number;
  released: number;
  failed: number;
  parts: number;
  part: number;
  place: number;
  intent: Intent | undefined;
  /** Why it waits, or was cancelled; for people. */
  reason: string;
}

/** Whether a person was in a part, and is. */
export type PersonIn = "not there" | "taken out" | "on their way";

export interface NewRequest {
  subject: string;
  total: number;
  parts: number;
  serverId: number;
  region: Region;
  outbox: number;
  idempotency?: { key: string; bodyHash: string };
}

export class BulkStore {
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

  /** May be called again with the same part. Throws when it holds as much as it will. */
  put(id: string, part: number, bytes: Uint8Array, now: number): void {
    if (this.#sql.databaseSize > MAX_BYTES) throw new Error("too many messages wait to be released");
    this.#storage.transactionSync(() => {
      this.#sql.exec("INSERT OR IGNORE INTO requests (id, state, at) VALUES (?, 'incoming', ?)", id, now);
      const request = this.find(id);
      if (request?.state !== "incoming") throw new Error(`bulk request ${id} is not one that comes in`);
      this.#write(request.seq, part, bytes);
    });
  }

  /** From now on it exists. False when a part of it is missing. */
  commit(id: string, request: NewRequest, shared: Uint8Array, now: number): boolean {
    return this.#storage.transactionSync(() => {
      const { seq } = this.find(id) ?? {};
      if (seq === undefined) return false;
      const found = this.#sql.exec(
        "SELECT count(DISTINCT part) AS parts FROM pieces WHERE request = ? AND part > 0",
        seq,
      );
      if (Number(found.one().parts) !== request.parts) return false;
      this.#write(seq, 0, shared);
      this.#sql.exec(
        `UPDATE requests SET state = 'open', at = ?, subject = ?, key = ?, body_hash = ?, server_id = ?, region = ?, outbox = ?,
         total = ?, parts = ?, turn = ${NEXT_TURN} WHERE seq = ?`,
        now,
        request.subject,
        request.idempotency?.key ?? null,
        request.idempotency?.bodyHash ?? "",
        request.serverId,
        request.region,
        request.outbox,
        request.total,
        request.parts,
        seq,
      );
      return true;
    });
  }

  /** Forgets a request that was not committed. */
  discard(id: string): void {
    const request = this.find(id);
    if (request?.state === "incoming") this.#forget(request.seq);
  }

  find(id: string): StoredRequest | undefined {
    return this.#read("id = ?", id)[0];
  }

  withKey(key: string): StoredRequest | undefined {
    return this.#read("key = ?", key)[0];
  }

  /** Newest first, before that number. */
  list(before: number, limit: number): StoredRequest[] {
    return this.#read("state <> 'incoming' AND seq < ? ORDER BY seq DESC LIMIT ?", before, limit);
  }

  /** The request whose turn it is, but for these. */
  next(except: number[] = []): StoredRequest | undefined {
    const others = "seq NOT IN (SELECT value FROM json_each(?))";
    return this.#read(`turn IS NOT NULL AND ${others} ORDER BY turn LIMIT 1`, JSON.stringify(except))[0];
  }

  shared({ seq }: StoredRequest): BulkShared {
    return this.#part(seq, 0) as BulkShared;
  }

  messages({ seq, part }: StoredRequest): BulkMessage[] {
    return this.#part(seq, part) as BulkMessage[];
  }

  /** What is not released yet, by request: parts up to `parts`. */
  waiting(): Pick<StoredRequest, "seq" | "part" | "parts">[] {
    return this.#read("turn IS NOT NULL");
  }

  /** Takes a person out of a part that is not released; it stays as it is when some of it is being released. */
  removePerson(email: string, { seq }: Pick<StoredRequest, "seq">, part: number): PersonIn {
    const request = this.#read("seq = ? AND turn IS NOT NULL", seq)[0];
    if (!request || part < request.part) return "not there";
    const messages = this.#part(seq, part) as BulkMessage[];
    if (!messages.some((message) => isTo(email, message))) return "not there";
    // What was intended is asked for again in the same words.
    if (request.intent && part === request.part) return "on their way";
    const left = messages.map((message) => bulkMessageWithout(email, message));
    const bytes = new TextEncoder().encode(JSON.stringify(left));
    this.#storage.transactionSync(() => this.#write(seq, part, bytes));
    return "taken out";
  }

  /** One row. */
  intend({ seq }: StoredRequest, intent: Intent): void {
    this.#sql.exec("UPDATE requests SET intent = ? WHERE seq = ?", JSON.stringify(intent), seq);
  }

  /** The outcome of what was intended; `isLast` of its part. One row, and those of a part that is done. */
  advance(id: string, { count, failed, isLast }: { count: number; failed: number; isLast: boolean }): void {
    this.#storage.transactionSync(() => {
      const request = this.find(id);
      if (!request) return;
      const { seq, state, part, parts, place } = request;
      const isDone = state === "open" && isLast && part >= parts;
      this.#sql.exec(
        `UPDATE requests SET released = released + ?, failed = failed + ?, part = ?, place = ?, state = ?,
         reason = ?, intent = NULL, turn = ${isLast ? NEXT_TURN : "turn"} WHERE seq = ?`,
        count - failed,
        failed,
        isLast ? part + 1 : part,
        isLast ? 0 : place + count,
        isDone ? "completed" : state,
        state === "open" ? "" : request.reason,
        seq,
      );
      if (isDone || state === "cancelled") this.#close(request);
      else if (isLast) this.#sql.exec("DELETE FROM pieces WHERE request = ? AND part = ?", seq, part);
    });
  }

  /** Nothing of what was intended was taken, and another Outbox is to be asked. */
  giveBack({ id, seq }: StoredRequest, outbox: number): void {
    this.#storage.transactionSync(() => {
      this.#sql.exec("UPDATE requests SET intent = NULL, outbox = ? WHERE seq = ?", outbox, seq);
      const request = this.find(id);
      if (request?.state === "cancelled") this.#close(request);
    });
  }

  /** It waits, and others have their turn first. A row only when that changes anything. */
  wait({ id }: StoredRequest, why: string): void {
    const request = this.find(id);
    if (!request) return;
    // Why it was cancelled says more than what its last messages wait for.
    const reason = request.state === "open" ? why : request.reason;
    if (request.reason === reason && !this.#isShared()) return;
    const next = `CASE WHEN turn IS NULL THEN NULL ELSE ${NEXT_TURN} END`;
    this.#sql.exec(`UPDATE requests SET reason = ?, turn = ${next} WHERE seq = ?`, reason, request.seq);
  }

  /** What is not released will not be; what is being released still counts when its outcome is known. */
  cancel(id: string, reason: string): void {
    this.#storage.transactionSync(() => {
      const request = this.find(id);
      if (request?.state !== "open") return;
      this.#sql.exec(
        "UPDATE requests SET state = 'cancelled', reason = ? WHERE seq = ?",
        reason,
        request.seq,
      );
      if (!request.intent) this.#close(request);
    });
  }

  /** Cancelled without knowing what became of what was being released. */
  abandon(request: StoredRequest, reason: string): void {
    this.#storage.transactionSync(() => {
      const { seq } = request;
      this.#sql.exec("UPDATE requests SET state = 'cancelled', reason = ? WHERE seq = ?", reason, seq);
      this.#close(request);
    });
  }

  /** Drops what was never committed, and what nobody can ask for any more; says when to look again. */
  tidy(now: number): number | undefined {
    for (const { seq } of this.#read("state = 'incoming' AND at < ?", now - INCOMING_MS)) this.#forget(seq);
    const oldest = () => this.#read("state <> 'incoming' ORDER BY seq LIMIT 1")[0];
    let kept = oldest();
    while (kept && kept.state !== "open" && !kept.intent && kept.at < now - KEEP_MS) {
      this.#forget(kept.seq);
      kept = oldest();
    }
    const incoming = this.#sql.exec("SELECT min(at) AS at FROM requests WHERE state = 'incoming'").one().at;
    const due = [
      ...(incoming === null ? [] : [Number(incoming) + INCOMING_MS]),
      ...(kept ? [Math.max(kept.at + KEEP_MS, now + INCOMING_MS)] : []),
    ];
    return due.length === 0 ? undefined : Math.min(...due) + 1;
  }

  /** Nothing is left to be done, nor of its content. */
  #close({ seq }: StoredRequest): void {
    this.#sql.exec("UPDATE requests SET intent = NULL, turn = NULL WHERE seq = ?", seq);
    this.#sql.exec("DELETE FROM pieces WHERE request = ?", seq);
  }

  #isShared(): boolean {
    const working = this.#sql.exec("SELECT count(*) AS n FROM requests WHERE turn IS NOT NULL").one();
    return Number(working.n) > 1;
  }

  #forget(seq: number): void {
    this.#sql.exec("DELETE FROM pieces WHERE request = ?", seq);
    this.#sql.exec("DELETE FROM requests WHERE seq = ?", seq);
  }

  #write(seq: number, part: number, bytes: Uint8Array): void {
    this.#sql.exec("DELETE FROM pieces WHERE request = ? AND part = ?", seq, part);
    for (let piece = 0; piece * PIECE_BYTES < bytes.length; piece++) {
      const from = piece * PIECE_BYTES;
      const slice = bytes.slice(from, from + PIECE_BYTES);
      this.#sql.exec("INSERT INTO pieces VALUES (?, ?, ?, ?)", seq, part, piece, slice);
    }
  }

  #part(seq: number, part: number): unknown {
    const decoder = new TextDecoder();
    let text = "";
    const rows = this.#sql.exec(
      "SELECT bytes FROM pieces WHERE request = ? AND part = ? ORDER BY piece",
      seq,
      part,
    );
    for (const { bytes } of rows) text += decoder.decode(bytes as ArrayBuffer, { stream: true });
    if (text === "") throw new Error(`part ${part} of bulk request ${seq} is not there`);
    return JSON.parse(text + decoder.decode());
  }

  #read(where: string, ...values: SqlStorageValue[]): StoredRequest[] {
    return this.#sql
      .exec(`SELECT * FROM requests WHERE ${where}`, ...values)
      .toArray()
      .map((row) => ({
        ...(row as unknown as StoredRequest),
        serverId: Number(row.server_id),
        bodyHash: String(row.body_hash),
        intent: row.intent === null ? undefined : (JSON.parse(String(row.intent)) as Intent),
      }));
  }
}
