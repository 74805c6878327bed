/**
 * A hook's SQLite: of each trigger how far its log was told and how that went, what is to be told again, replays, and the log of its
 * calls. A batch of calls is one row of each, whatever its size, since rows written are what is billed. All of it is synchronous.
 */
import type { EventType } from "../mail/event.ts";
import { jsonPacks } from "../mail/json-packs.ts";
import type { Health } from "./pause.ts";

const SCHEMA = `
CREATE TABLE IF NOT EXISTS triggers (type TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS retries (
  due INTEGER NOT NULL, type TEXT NOT NULL, seq INTEGER NOT NULL, retries INTEGER NOT NULL,
  PRIMARY KEY (due, type, seq, retries)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS replays (
  id INTEGER PRIMARY KEY AUTOINCREMENT, type TEXT NOT NULL, seq INTEGER NOT NULL, until INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS packs (
  first INTEGER PRIMARY KEY, last INTEGER NOT NULL, at INTEGER NOT NULL, calls TEXT NOT NULL);
`;

const HOUR = 3_600_000;
const COUNTED_HOURS = 24;

export interface TriggerState {
  /** The place in the event log up to which it is told, or will be by a retry. */
  seq: number;
  health: Health;
  /** By the hour (ms / 3,600,000) of the last day: calls that were taken, that were not, slow ones, very slow ones. */
  hours: Record<string, HourCounts>;
}
export type HourCounts = [taken: number, failed: number, slow: number, verySlow: number];

export interface Retry extends Record<string, SqlStorageValue> {
  due: number;
  type: EventType;
  seq: number;
  /** How many came before it; 0 for an event that is told for the first time. */
  retries: number;
}

export interface Replay extends Record<string, SqlStorageValue> {
  id: number;
  type: EventType;
  /** The place behind which it goes on. */
  seq: number;
  until: number;
}

/** One call, as the log of a hook has it. */
export interface LoggedCall {
  /** Of the call: when it began, ms. */
  at: number;
  /** When what it tells of happened. */
  eventAt: number;
  type: EventType;
  /** The event's place in the event log. */
  seq: number;
  eventId: string;
  stream: string;
  messageId: string;
  /** "" once it was removed. */
  email: string;
  retries: number;
  url: string;
  /** As sent, but for the customer's own, of which only the names are kept. */
  headers: Record<string, string>;
  /** As sent; absent when it was too long to be kept, or was removed. */
  body?: string;
  status?: number;
  failure?: string;
  /** How long the call took. */
  ms: number;
  reply?: { headers: Record<string, string>; body: string };
  /** What follows. */
  next: "done" | "dropped" | "retry" | "paused";
  /** When it is told again. */
  nextAt?: number;
}

interface Pack extends Record<string, SqlStorageValue> {
  first: number;
  last: number;
  at: number;
  calls: string;
}

export class HookStore {
  readonly #sql: SqlStorage;
  #last = 0;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    this.#sql.exec(SCHEMA);
    this.#last = Number(this.#sql.exec("SELECT coalesce(max(last), 0) AS last FROM packs").one().last);
  }

  trigger(type: EventType): TriggerState | undefined {
    const row = this.#sql.exec("SELECT state FROM triggers WHERE type = ?", type).toArray()[0];
    return row && (JSON.parse(String(row.state)) as TriggerState);
  }

  setTrigger(type: EventType, state: TriggerState, now: number): void {
    const since = Math.floor(now / HOUR) - COUNTED_HOURS;
    const hours = Object.fromEntries(Object.entries(state.hours).filter(([hour]) => Number(hour) > since));
    this.#sql.exec(
      "INSERT INTO triggers VALUES (?1, ?2) ON CONFLICT (type) DO UPDATE SET state = ?2",
      type,
      JSON.stringify({ ...state, hours }),
    );
  }

  /** Those that are due first; of any time without `now`. */
  retries(type: EventType, now: number | undefined, limit: number): Retry[] {
    return this.#sql
      .exec<Retry>(
        "SELECT * FROM retries WHERE type = ?1 AND due <= ?2 ORDER BY due, seq LIMIT ?3",
        type,
        now ?? Number.MAX_SAFE_INTEGER,
        limit,
      )
      .toArray();
  }

  addRetry({ due, type, seq, retries }: Retry): void {
    this.#sql.exec(
      "INSERT INTO retries VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
      ...[due, type, seq, retries],
    );
  }

  removeRetry({ due, type, seq, retries }: Retry): void {
    this.#sql.exec(
      "DELETE FROM retries WHERE due = ? AND type = ? AND seq = ? AND retries = ?",
      ...[due, type, seq, retries],
    );
  }

  countRetries(type: EventType): number {
    return Number(this.#sql.exec("SELECT count(*) AS n FROM retries WHERE type = ?", type).one().n);
  }

  /** When its first is due, ms. */
  nextRetry(type: EventType): number | undefined {
    const row = this.#sql.exec("SELECT min(due) AS due FROM retries WHERE type = ?", type).one();
    return row.due === null ? undefined : Number(row.due);
  }

  /** What waits for triggers other than these, and nobody wants to be told any more. */
  removeWaitingBut(types: EventType[]): void {
    for (const table of ["retries", "replays"])
      this.#sql.exec(
        `DELETE FROM ${table} WHERE type NOT IN (SELECT value FROM json_each(?))`,
        JSON.stringify(types),
      );
  }

  addReplay(type: EventType, after: number, until: number): void {
    this.#sql.exec("INSERT INTO replays (type, seq, until) VALUES (?, ?, ?)", type, after, until);
  }

  replays(type?: EventType): Replay[] {
    return this.#sql
      .exec<Replay>("SELECT * FROM replays WHERE ?1 IS NULL OR type = ?1 ORDER BY id", type ?? null)
      .toArray();
  }

  /** It ends where there is nothing left of it. */
  moveReplay({ id, until }: Replay, seq: number): void {
    if (seq >= until) this.#sql.exec("DELETE FROM replays WHERE id = ?", id);
    else this.#sql.exec("UPDATE replays SET seq = ? WHERE id = ?", seq, id);
  }

  /** The number of the newest call; they rise by one. */
  get lastCall(): number {
    return this.#last;
  }

  /** A row for each half megabyte. */
  logCalls(calls: LoggedCall[], now: number): void {
    for (const { count, text } of jsonPacks(calls)) {
      const first = this.#last + 1;
      this.#last += count;
      this.#sql.exec("INSERT INTO packs VALUES (?, ?, ?, ?)", first, this.#last, now, text);
    }
  }

  /** Packs of calls before that number, newest first, one after another as they are asked for. */
  *callsBefore(number: number): Generator<{ number: number; call: LoggedCall }> {
    for (let before = number; ; ) {
      const pack = this.#sql
        .exec<Pack>("SELECT * FROM packs WHERE first < ? ORDER BY first DESC LIMIT 1", before)
        .toArray()[0];
      if (!pack) return;
      const calls = JSON.parse(pack.calls) as LoggedCall[];
      for (let i = calls.length - 1; i >= 0; i--) {
        const call = calls[i];
        if (call && pack.first + i < before) yield { number: pack.first + i, call };
      }
      before = pack.first;
    }
  }

  call(number: number): LoggedCall | undefined {
    const [found] = this.callsBefore(number + 1);
    return found?.number === number ? found.call : undefined;
  }

  /** Deletes packs that are older, and those before the last `kept` calls; the last number stays. */
  forgetCalls(before: number, kept: number): void {
    this.#sql.exec(
      "DELETE FROM packs WHERE last < ?1 AND (at < ?2 OR last <= ?3)",
      this.#last,
      before,
      this.#last - kept,
    );
  }

  /** Rewrites every pack with what `left` makes of its calls. */
  rewriteCalls(left: (call: LoggedCall) => LoggedCall): void {
    const packs = this.#sql.exec("SELECT first FROM packs").toArray();
    for (const { first } of packs) {
      const row = this.#sql.exec<Pack>("SELECT * FROM packs WHERE first = ?", first).one();
      const calls = JSON.parse(row.calls) as LoggedCall[];
      const kept = calls.map(left);
      if (kept.some((call, i) => call !== calls[i]))
        this.#sql.exec("UPDATE packs SET calls = ? WHERE first = ?", JSON.stringify(kept), first);
    }
  }
}

/** Adds one call to what was counted of its hour. */
export function countCall(
  state: TriggerState,
  { ok, ms, now }: { ok: boolean; ms: number; now: number },
): void {
  const hour = String(Math.floor(now / HOUR));
  const counts = state.hours[hour] ?? [0, 0, 0, 0];
  counts[ok ? 0 : 1]++;
  if (ms >= VERY_SLOW_MS) counts[3]++;
  else if (ms >= SLOW_MS) counts[2]++;
  state.hours[hour] = counts;
}

/** Postmark does not say what it takes for slow. */
const SLOW_MS = 2_000;
const VERY_SLOW_MS = 10_000;
