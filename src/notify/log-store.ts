/**
 * The event log's SQLite: packs of events, one row for what was appended together, since rows written are what is billed. Places in the
 * log are numbers that rise by one an event; a pack's key is the place of its first. All of it is synchronous.
 */
import type { EventType, LoggedEvent, MailEvent } from "../mail/event.ts";
import { jsonPacks } from "../mail/json-packs.ts";
import { type Forgetting, isOf } from "./forget.ts";

const SCHEMA = `
CREATE TABLE IF NOT EXISTS packs (
  first INTEGER PRIMARY KEY, last INTEGER NOT NULL, at INTEGER NOT NULL, events TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
`;

/** The same fact that is told again is known by its id among so many of the last events; after that it would stand here twice. */
const REMEMBERED = 20_000;
/** Packs that one reading looks through for what it wants. */
const PACKS_PER_READ = 50;

export interface ReadRequest {
  /** The place of the last event that the reader has; 0 for none. */
  after: number;
  /** The last place that is wanted; the log's end without it. */
  until?: number;
  /** What is absent does not filter. */
  types?: EventType[];
  stream?: string;
  messageId?: string;
  /** Lower case. */
  email?: string;
  limit: number;
}

export interface ReadReply {
  events: LoggedEvent[];
  /** What to read on after: also past events that were not wanted. */
  next: number;
  /** Whether the log has more behind that. */
  more: boolean;
}

interface Pack extends Record<string, SqlStorageValue> {
  first: number;
  last: number;
  /** When they were appended, ms. */
  at: number;
  events: string;
}

export class LogStore {
  readonly #sql: SqlStorage;
  /** In the order in which they came. */
  readonly #known = new Set<string>();
  #last: number;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(SCHEMA);
    const newest = sql.exec("SELECT coalesce(max(last), 0) AS last FROM packs").one();
    this.#last = Math.max(Number(newest.last), this.mark("last"));
    const ids: string[][] = [];
    let count = 0;
    for (const { events } of sql.exec<Pack>("SELECT * FROM packs ORDER BY first DESC")) {
      const of = eventsIn(events).map((event) => event.id);
      ids.push(of);
      count += of.length;
      if (count >= REMEMBERED) break;
    }
    for (const of of ids.reverse()) for (const id of of) this.#remember(id);
  }

  /** The place of the newest event; 0 while there is none. */
  get last(): number {
    return this.#last;
  }

  /**
   * Leaves out what is known to stand here. Returns what was new. A row for each half megabyte; to be called within a transaction, since
   * all or none of it is to stand here when this fails.
   */
  append(events: MailEvent[], now: number): LoggedEvent[] {
    const before = this.#last;
    const fresh: LoggedEvent[] = [];
    for (const event of events) {
      if (this.#known.has(event.id)) continue;
      this.#remember(event.id);
      fresh.push({ ...event, seq: before + fresh.length + 1 });
    }
    try {
      this.#write(fresh, now);
    } catch (error) {
      // What is not stored is not known: whoever tells it again must not be taken for one who repeats.
      this.#last = before;
      for (const { id } of fresh) this.#known.delete(id);
      throw error;
    }
    return fresh;
  }

  #write(events: LoggedEvent[], now: number): void {
    for (const { count, text } of jsonPacks(events.map(({ seq: _, ...event }) => event))) {
      const first = this.#last + 1;
      this.#last += count;
      this.#sql.exec("INSERT INTO packs VALUES (?, ?, ?, ?)", first, this.#last, now, text);
    }
  }

  read({ after, until = this.#last, limit, ...wanted }: ReadRequest): ReadReply {
    const events: LoggedEvent[] = [];
    let next = after;
    let looked = 0;
    const packs = this.#sql.exec<Pack>(
      `SELECT * FROM packs WHERE first >= (SELECT coalesce(max(first), 0) FROM packs WHERE first <= ?1 + 1)
         AND last > ?1 AND first <= ?2 ORDER BY first LIMIT ${PACKS_PER_READ}`,
      after,
      until,
    );
    for (const { first, last, events: text } of packs) {
      looked++;
      for (const [i, event] of eventsIn(text).entries()) {
        const seq = first + i;
        if (seq <= after || seq > until) continue;
        if (events.length === limit) return { events, next, more: true };
        next = seq;
        if (isWanted(event, wanted)) events.push({ ...event, seq });
      }
      // What was removed from a pack's end has left its places.
      next = Math.max(next, Math.min(last, until));
    }
    // What has gone from the log is not waited for: behind the last pack there is nothing up to the end.
    if (looked < PACKS_PER_READ) next = Math.max(next, Math.min(until, this.#last));
    return { events, next, more: next < Math.min(until, this.#last) };
  }

  /** The events at these places, in their order; those that have gone are left out. */
  at(seqs: number[]): LoggedEvent[] {
    const found: LoggedEvent[] = [];
    let pack: { first: number; last: number; events: (MailEvent | Gap)[] } | undefined;
    for (const seq of seqs.toSorted((a, b) => a - b)) {
      if (!pack || seq > pack.last) {
        const row = this.#sql
          .exec<Pack>("SELECT * FROM packs WHERE first <= ? ORDER BY first DESC LIMIT 1", seq)
          .toArray()[0];
        if (!row) continue;
        pack = { first: row.first, last: row.last, events: eventsIn(row.events) };
      }
      const event = pack.events[seq - pack.first];
      if (event && isEvent(event)) found.push({ ...event, seq });
    }
    return found;
  }

  /** The place of the last event that was appended before that time. Times rise with places, so it is looked for between them. */
  positionAt(ms: number): number {
    let before = 0;
    let behind = this.#last + 1;
    while (behind - before > 1) {
      const middle = Math.floor((before + behind) / 2);
      const pack = this.#sql
        .exec<Pack>("SELECT first, last, at FROM packs WHERE first <= ? ORDER BY first DESC LIMIT 1", middle)
        .toArray()[0];
      // What has gone from the log's beginning was before any time that is asked for.
      if (!pack || pack.at < ms) before = Math.max(middle, pack?.last ?? 0);
      else behind = pack.first;
    }
    return before;
  }

  /**
   * Rewrites up to `packs` packs behind `after` with what is left of their events. Returns where to go on; undefined when there are no
   * more. A row for each pack that changes.
   */
  erase({ look, left }: Forgetting, after: number, packs: number): number | undefined {
    const found = this.#sql
      .exec<Pack>("SELECT * FROM packs WHERE first > ? ORDER BY first LIMIT ?", after, packs)
      .toArray();
    for (const { first, events: text } of found) {
      const events = eventsIn(text);
      for (const event of events) if (isEvent(event)) look(event);
      const kept = events.map((event) => (isEvent(event) ? (left(event) ?? GAP) : event));
      if (kept.some((event, i) => event !== events[i]))
        this.#sql.exec("UPDATE packs SET events = ? WHERE first = ?", JSON.stringify(kept), first);
    }
    return found.length < packs ? undefined : found.at(-1)?.first;
  }

  /** Deletes up to `packs` packs from before then; whether there may be more. The last place is kept, so that none is given twice. */
  forget(before: number, packs: number): boolean {
    const oldest = this.#sql
      .exec<Pack>("SELECT first, at FROM packs ORDER BY first LIMIT ?", packs)
      .toArray();
    const old = oldest.filter((pack) => pack.at < before);
    if (old.length === 0) return false;
    this.setMark("last", this.#last);
    this.#sql.exec("DELETE FROM packs WHERE first <= ?", old.at(-1)?.first ?? 0);
    return old.length === packs;
  }

  mark(name: string): number {
    const row = this.#sql.exec("SELECT value FROM marks WHERE name = ?", name).toArray()[0];
    return Number(row?.value ?? 0);
  }

  setMark(name: string, value: number): void {
    this.#sql.exec(
      "INSERT INTO marks VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2",
      name,
      value,
    );
  }

  #remember(id: string): void {
    this.#known.add(id);
    if (this.#known.size <= REMEMBERED) return;
    for (const oldest of this.#known) {
      this.#known.delete(oldest);
      break;
    }
  }
}

/** What stands where an event was removed: the others keep the places at which readers know them. No reader is given it. */
interface Gap {
  id: "";
}
const GAP: Gap = { id: "" };

function eventsIn(text: string): (MailEvent | Gap)[] {
  return JSON.parse(text) as (MailEvent | Gap)[];
}

function isEvent(event: MailEvent | Gap): event is MailEvent {
  return event.id !== "";
}

function isWanted(
  event: MailEvent | Gap,
  { types, stream, messageId, email }: Omit<ReadRequest, "after" | "until" | "limit">,
): event is MailEvent {
  if (!isEvent(event)) return false;
  if (types && !types.includes(event.type)) return false;
  if (stream !== undefined && event.stream !== stream) return false;
  if (messageId !== undefined && event.messageId !== messageId) return false;
  return email === undefined || isOf(event, email);
}
