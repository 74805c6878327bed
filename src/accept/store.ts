/**
 * The Outbox's SQLite: every statement it runs, and what each costs in rows written. All of it is synchronous, so what
 * one turn of the object writes is one transaction and one flush of the disk.
 */
import type { ServerPolicy } from "../accounts/policy.ts";
import type { Accepted } from "../mail/accepted.ts";
import { CLAIM_MS } from "../mail/job.ts";
import { fitted } from "./fit.ts";
import {
  type Counts,
  countPack,
  type MessageProgress,
  noCounts,
  type Pack,
  type PackedMessage,
} from "./pack.ts";

const SCHEMA = `
CREATE TABLE IF NOT EXISTS packs (
  id INTEGER PRIMARY KEY, at INTEGER NOT NULL,
  -- recipients accepted by this Outbox up to and with this pack
  accepted INTEGER NOT NULL,
  messages TEXT NOT NULL, progress TEXT NOT NULL, body BLOB,
  waiting INTEGER NOT NULL, delivered INTEGER NOT NULL, bounced INTEGER NOT NULL,
  expired INTEGER NOT NULL, suppressed INTEGER NOT NULL, cancelled INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS ledger (
  id INTEGER PRIMARY KEY CHECK (id = 1), accepted INTEGER NOT NULL, last_pack INTEGER NOT NULL,
  delivered INTEGER NOT NULL, bounced INTEGER NOT NULL, expired INTEGER NOT NULL,
  suppressed INTEGER NOT NULL, cancelled INTEGER NOT NULL);
-- at: when it may be forgotten
CREATE TABLE IF NOT EXISTS answers (
  key TEXT PRIMARY KEY, body_hash TEXT NOT NULL, at INTEGER NOT NULL, results TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS suppressed (
  stream TEXT NOT NULL, email TEXT NOT NULL, PRIMARY KEY (stream, email)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS known (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
`;

/** The server's policy as this Outbox last read it, and how far it has read the changes of suppressions. */
export interface Known {
  /** This Outbox's own name. */
  shard: string;
  policy: ServerPolicy;
  fetchedAt: number;
  suppressionsUntil: number;
  registered: boolean;
}

interface PackRow extends Record<string, SqlStorageValue> {
  id: number;
  messages: string;
  progress: string;
  has_body: number;
}

export class Store {
  readonly #storage: DurableObjectStorage;
  readonly #sql: SqlStorage;
  #accepted: number;
  #lastPack: number;
  #anySuppressed: boolean;
  #closed: boolean;
  #awaitsOldClaims: boolean;

  constructor(storage: DurableObjectStorage) {
    const { sql } = storage;
    this.#storage = storage;
    this.#sql = sql;
    sql.exec(SCHEMA);
    const packs = sql
      .exec("SELECT coalesce(max(accepted), 0) accepted, coalesce(max(id), 0) id FROM packs")
      .one();
    const ledger = sql.exec("SELECT accepted, last_pack FROM ledger").toArray()[0];
    this.#accepted = Math.max(Number(packs.accepted), Number(ledger?.accepted ?? 0));
    this.#lastPack = Math.max(Number(packs.id), Number(ledger?.last_pack ?? 0));
    this.#anySuppressed = sql.exec("SELECT 1 FROM suppressed LIMIT 1").toArray().length > 0;
    this.#closed = sql.exec("SELECT 1 FROM known WHERE name = 'closed'").toArray().length > 0;
    this.#awaitsOldClaims = sql.exec("SELECT 1 FROM known WHERE name = 'old claims'").toArray().length > 0;
  }

  /** All of it or, when a statement throws (the disk is full, a row too big), nothing: then what is counted in memory is as before too. */
  transaction<T>(write: () => T): T {
    const [accepted, lastPack] = [this.#accepted, this.#lastPack];
    try {
      return this.#storage.transactionSync(write);
    } catch (error) {
      this.#accepted = accepted;
      this.#lastPack = lastPack;
      throw error;
    }
  }

  /** One row. */
  insertPack(messages: PackedMessage[], progress: MessageProgress[], body: Uint8Array): Pack {
    const c = countPack(progress);
    this.#accepted += c.waiting + c.suppressed + c.bounced;
    const id = ++this.#lastPack;
    this.#sql.exec(
      "INSERT INTO packs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      id,
      messages[0]?.acceptedAt ?? 0,
      this.#accepted,
      JSON.stringify(messages),
      JSON.stringify(progress),
      body,
      c.waiting,
      c.delivered,
      c.bounced,
      c.expired,
      c.suppressed,
      c.cancelled,
    );
    return { id, messages, progress, hasBody: true };
  }

  /** One row. Also drops the bytes when `pack.hasBody` has become false; and of the state, what is too much for the row. */
  updatePack(pack: Pack): void {
    const c = countPack(pack.progress);
    this.#sql.exec(
      `UPDATE packs SET progress = ?, waiting = ?, delivered = ?, bounced = ?, expired = ?, suppressed = ?, cancelled = ?
       ${pack.hasBody ? "" : ", body = NULL"} WHERE id = ?`,
      fitted(pack.progress),
      c.waiting,
      c.delivered,
      c.bounced,
      c.expired,
      c.suppressed,
      c.cancelled,
      pack.id,
    );
  }

  /** One row a pack, and one for the ledger, which takes over what the packs counted. */
  deletePacks(ids: number[]): void {
    if (ids.length === 0) return;
    this.transaction(() => this.#moveToLedger(JSON.stringify(ids)));
  }

  #moveToLedger(list: string): void {
    this.#sql.exec(
      `INSERT INTO ledger SELECT 1, ?2, ?3, sum(delivered), sum(bounced), sum(expired), sum(suppressed), sum(cancelled)
         FROM packs WHERE id IN (SELECT value FROM json_each(?1))
       ON CONFLICT (id) DO UPDATE SET accepted = excluded.accepted, last_pack = excluded.last_pack,
         delivered = delivered + excluded.delivered, bounced = bounced + excluded.bounced,
         expired = expired + excluded.expired, suppressed = suppressed + excluded.suppressed,
         cancelled = cancelled + excluded.cancelled`,
      list,
      this.#accepted,
      this.#lastPack,
    );
    this.#sql.exec("DELETE FROM packs WHERE id IN (SELECT value FROM json_each(?))", list);
  }

  /** What is gone of it moves to the ledger. Two rows. */
  shrinkPack(pack: Pack, gone: MessageProgress[]): void {
    this.transaction(() => this.#shrink(pack, countPack(gone)));
  }

  #shrink(pack: Pack, c: Counts): void {
    this.#sql.exec(
      `INSERT INTO ledger VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7)
       ON CONFLICT (id) DO UPDATE SET accepted = excluded.accepted, last_pack = excluded.last_pack,
         delivered = delivered + excluded.delivered, bounced = bounced + excluded.bounced,
         expired = expired + excluded.expired, suppressed = suppressed + excluded.suppressed,
         cancelled = cancelled + excluded.cancelled`,
      ...[this.#accepted, this.#lastPack, c.delivered, c.bounced, c.expired, c.suppressed, c.cancelled],
    );
    this.#sql.exec("UPDATE packs SET messages = ? WHERE id = ?", JSON.stringify(pack.messages), pack.id);
    this.updatePack(pack);
  }

  pack(id: number): Pack | undefined {
    const columns = "id, messages, progress, body IS NOT NULL AS has_body";
    const row = this.#sql.exec<PackRow>(`SELECT ${columns} FROM packs WHERE id = ?`, id).toArray()[0];
    return row && toPack(row);
  }

  *packs(): Generator<Pack> {
    const columns = "id, messages, progress, body IS NOT NULL AS has_body";
    for (const row of this.#sql.exec<PackRow>(`SELECT ${columns} FROM packs ORDER BY id`)) yield toPack(row);
  }

  bytes(pack: number, offset: number, length: number): Uint8Array | undefined {
    const row = this.#sql
      .exec(
        "SELECT substr(body, ?, ?) AS bytes FROM packs WHERE id = ? AND body IS NOT NULL",
        offset + 1,
        length,
        pack,
      )
      .toArray()[0];
    return row?.bytes instanceof ArrayBuffer ? new Uint8Array(row.bytes) : undefined;
  }

  /** Recipients by state, and what was counted when they were accepted: two counts that must agree. */
  ledger(): { accepted: number; counts: Counts; oldestWaitingAt: number | undefined } {
    const sums = "sum(delivered) d, sum(bounced) b, sum(expired) e, sum(suppressed) s, sum(cancelled) c";
    const open = this.#sql.exec(`SELECT sum(waiting) w, ${sums} FROM packs`).one();
    const ended = this.#sql.exec(`SELECT ${sums} FROM ledger`).one();
    const oldest = this.#sql.exec("SELECT min(at) at FROM packs WHERE waiting > 0").one().at;
    const counts = noCounts();
    counts.waiting = Number(open.w);
    counts.delivered = Number(open.d) + Number(ended.d);
    counts.bounced = Number(open.b) + Number(ended.b);
    counts.expired = Number(open.e) + Number(ended.e);
    counts.suppressed = Number(open.s) + Number(ended.s);
    counts.cancelled = Number(open.c) + Number(ended.c);
    return {
      accepted: this.#accepted,
      counts,
      oldestWaitingAt: oldest === null ? undefined : Number(oldest),
    };
  }

  /** Not once it may be forgotten, although it may be there for as long as nothing wakes this object. */
  answer(key: string, now: number): { bodyHash: string; results: Accepted[] | number } | undefined {
    const found = "SELECT body_hash, results FROM answers WHERE key = ? AND at >= ?";
    const row = this.#sql.exec(found, key, now).toArray()[0];
    if (!row) return undefined;
    const results = JSON.parse(String(row.results)) as Accepted[] | number;
    return { bodyHash: String(row.body_hash), results };
  }

  /** A number for a caller that only counts: how many failed. */
  keepAnswer(key: string, bodyHash: string, until: number, results: Accepted[] | number): void {
    const kept = JSON.stringify(results);
    this.#sql.exec("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", key, bodyHash, until, kept);
  }

  forgetAnswers(now: number): void {
    this.#sql.exec("DELETE FROM answers WHERE at < ?", now);
  }

  /** Takes an address out of what was answered before. */
  forgetInAnswers(email: string): void {
    const found = this.#sql.exec(
      "SELECT key, results FROM answers WHERE instr(lower(results), ?) > 0",
      email,
    );
    for (const { key, results } of found.toArray()) {
      const answers = JSON.parse(String(results)) as Accepted[];
      const kept = answers.map((of) => ({ ...of, inactive: of.inactive.filter((e) => e !== email) }));
      this.#sql.exec("UPDATE answers SET results = ? WHERE key = ?", JSON.stringify(kept), key as string);
    }
  }

  /** It never held a message. */
  get isUnused(): boolean {
    return this.#lastPack === 0;
  }

  /** The server was deleted: nothing is accepted any more, nor told to the archive. */
  get isClosed(): boolean {
    return this.#closed;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#sql.exec("INSERT OR REPLACE INTO known VALUES ('closed', '1')");
  }

  /** After all storage was deleted; this object stays closed while it is in memory. */
  beginAgain(): void {
    this.#sql.exec(SCHEMA);
    this.#accepted = 0;
    this.#lastPack = 0;
    this.#anySuppressed = false;
  }

  isSuppressed(stream: string, email: string): boolean {
    if (!this.#anySuppressed) return false;
    return (
      this.#sql.exec("SELECT 1 FROM suppressed WHERE stream = ? AND email = ?", stream, email).toArray()
        .length > 0
    );
  }

  changeSuppressions(changes: { stream: string; email: string; removed: boolean }[]): void {
    for (const { stream, email, removed } of changes) {
      if (removed) this.#sql.exec("DELETE FROM suppressed WHERE stream = ? AND email = ?", stream, email);
      else this.#sql.exec("INSERT OR IGNORE INTO suppressed VALUES (?, ?)", stream, email);
      if (!removed) this.#anySuppressed = true;
    }
  }

  /**
   * Until when claims may hold that an earlier life of this object granted. It is told again until this life grants one itself: an object
   * that wakes now and then would else wait for them anew each time, and never hand over what it found. A row, where it was not known.
   */
  oldClaimsUntil(now: number): number {
    const row = this.#sql.exec("SELECT value FROM known WHERE name = 'old claims'").toArray()[0];
    this.#awaitsOldClaims = true;
    // A clock that was ahead must not hold mail.
    if (row) return Math.min(Number(row.value), now + CLAIM_MS);
    this.#sql.exec("INSERT INTO known VALUES ('old claims', ?)", String(now + CLAIM_MS));
    return now + CLAIM_MS;
  }

  /** A claim is granted, or an old one was renewed: the next life has to wait for it. */
  claimsBegin(): void {
    if (!this.#awaitsOldClaims) return;
    this.#sql.exec("DELETE FROM known WHERE name = 'old claims'");
    this.#awaitsOldClaims = false;
  }

  known(): Known | undefined {
    const row = this.#sql.exec("SELECT value FROM known WHERE name = 'server'").toArray()[0];
    return row && (JSON.parse(String(row.value)) as Known);
  }

  learn(known: Known): void {
    this.#sql.exec("INSERT OR REPLACE INTO known VALUES ('server', ?)", JSON.stringify(known));
  }
}

function toPack(row: PackRow): Pack {
  return {
    id: row.id,
    messages: JSON.parse(row.messages) as PackedMessage[],
    progress: JSON.parse(row.progress) as MessageProgress[],
    hasBody: row.has_body === 1,
  };
}
