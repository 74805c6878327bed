/**
 * Takes what was accepted, and what became of it, to R2, to D1 and to the event log, in batches. The three are independent: each message
 * remembers which it has reached, one that is away keeps no other waiting, and a pack is deleted when all have all of it and every
 * recipient is final. Running twice changes nothing: a segment's key says which messages it holds, facts carry versions, events ids.
 */
import type { MailEvent } from "../mail/event.ts";
import type { JobRef } from "../mail/job.ts";
import type { MessageRecord } from "../mail/record.ts";
import { within } from "../mail/within.ts";
import { FLUSH_EVERY_MS } from "./commit.ts";
import { awaitsDsn, makeDsns } from "./dsn.ts";
import type { KnownServer } from "./known-server.ts";
import type { OutboxNeeds } from "./needs.ts";
import {
  isTold,
  isWaiting,
  type MessageProgress,
  messageVersion,
  type Pack,
  recipientVersions,
  toRecord,
} from "./pack.ts";
import type { Found, Shelf } from "./shelf.ts";
import type { Store } from "./store.ts";
import { untoldEvents } from "./untold.ts";
import { writeSegment } from "./write-segment.ts";

/** One R2 object, one D1 transaction: a few hundred messages or 8 MB. */
const MESSAGES_PER_FLUSH = 512;
const BYTES_PER_FLUSH = 8_000_000;
const MAX_BACK_OFF_MS = 30_000;
/** A store that does not answer is a store that is away: an alarm that waits for ever flushes nothing more. */
const STORE_MS = 30_000;
/** An object's answer is a matter of milliseconds, and R2 and D1 wait for it here. */
const TELL_MS = 5_000;

/** What the messages go to, and DSNs, which come out of them. */
type Target = "DSNs" | "R2" | "D1" | "events";

export class Flush {
  readonly #store: Store;
  readonly #shelf: Shelf;
  readonly #server: KnownServer;
  readonly #needs: OutboxNeeds;
  /** Those that failed: how often in a row, and when to try them again. */
  readonly #away = new Map<Target, { failures: number; until: number }>();
  /** Packs of which R2 cannot be given a message. */
  readonly #leftOut = new Set<number>();

  /** When the archive was last given something. An object that begins may have done that just before, unless it never had anything. */
  archivedAt: number;

  constructor(store: Store, shelf: Shelf, server: KnownServer, needs: OutboxNeeds) {
    this.#store = store;
    this.#shelf = shelf;
    this.#server = server;
    this.#needs = needs;
    this.archivedAt = store.isUnused ? 0 : needs.now();
  }

  /** When there is something to take; undefined when nothing is, or the server is deleted. */
  due(): number | undefined {
    if (this.#store.isClosed) return undefined;
    let soonest = Number.POSITIVE_INFINITY;
    for (const due of this.#shelf.dirty.values()) soonest = Math.min(soonest, due);
    return soonest === Number.POSITIVE_INFINITY ? undefined : soonest;
  }

  /** Takes batches until nothing that is due is left. What a target did not take becomes due again, ever later. */
  async run(): Promise<void> {
    for (;;) {
      const now = this.#needs.now();
      const due = this.due();
      if (due === undefined || due > now) return;
      const ids = this.#batch(now);
      const telling = this.#attempt("events", TELL_MS, () => this.#toEvents(ids));
      await this.#attempt("DSNs", STORE_MS, () => this.#makeDsns(ids));
      await this.#attempt("R2", STORE_MS, () => this.#toR2(ids));
      await this.#attempt("D1", STORE_MS, () => this.#toD1(ids));
      await telling;
      this.#finish(ids);
    }
  }

  async #makeDsns(ids: number[]): Promise<void> {
    const wanted = [...this.#messages(ids)].filter((found) => awaitsDsn(found, this.#needs.now()));
    await makeDsns(
      wanted.map((found) => found.message.id),
      this.#context,
    );
  }

  get #context() {
    return { store: this.#store, shelf: this.#shelf, server: this.#server, needs: this.#needs };
  }

  #batch(now: number): number[] {
    const ids: number[] = [];
    let messages = 0;
    let bytes = 0;
    for (const [id, due] of [...this.#shelf.dirty].sort(([a], [b]) => a - b)) {
      if (due > now) continue;
      const pack = this.#shelf.pack(id);
      if (!pack) continue;
      ids.push(id);
      messages += pack.messages.length;
      bytes += pack.messages.reduce((sum, m) => sum + m.body.length, 0);
      if (messages >= MESSAGES_PER_FLUSH || bytes >= BYTES_PER_FLUSH) break;
    }
    return ids;
  }

  /** Nothing, while the target is taken for away. */
  async #attempt(target: Target, limitMs: number, work: () => Promise<void>): Promise<void> {
    const away = this.#away.get(target);
    if (away && this.#needs.now() < away.until) return;
    try {
      await within(limitMs, work());
      this.#away.delete(target);
    } catch (error) {
      this.#needs.log("flush failed", { shard: this.#server.shard, to: target, error: String(error) });
      const failures = (away?.failures ?? 0) + 1;
      const backOff = Math.min(FLUSH_EVERY_MS * 2 ** failures, MAX_BACK_OFF_MS);
      const until = this.#needs.now() + backOff * (0.75 + this.#needs.random() / 2);
      this.#away.set(target, { failures, until });
    }
  }

  async #toEvents(ids: number[]): Promise<void> {
    const told = new Map<string, number[]>();
    const events: MailEvent[] = [];
    for (const { message, progress } of this.#messages(ids)) {
      if (isTold(progress)) continue;
      told.set(message.id, recipientVersions(progress));
      events.push(...untoldEvents(message, progress));
    }
    if (told.size === 0) return;
    if (events.length > 0) await this.#needs.tellEvents(this.#server.serverId, events);
    // What happened meanwhile is not told yet: the versions are those from before.
    this.#mark(ids, (progress, id) => {
      const versions = told.get(id);
      if (versions) progress.told = versions.map((v, i) => Math.max(v, progress.told?.[i] ?? 0));
    });
  }

  /** What was asked of a store is noted in the packs' present state: they may have changed, or left memory, while it answered. */
  #mark(ids: number[], note: (progress: MessageProgress, messageId: string) => void): void {
    for (const id of ids) {
      const pack = this.#shelf.pack(id);
      pack?.messages.forEach((message, slot) => {
        const progress = pack.progress[slot];
        if (progress) note(progress, message.id);
      });
      if (pack) this.#shelf.touch(pack);
    }
  }

  async #toR2(ids: number[]): Promise<void> {
    const leftOut = await writeSegment(ids, this.#context);
    for (const id of ids) {
      if (leftOut.has(id)) this.#leftOut.add(id);
      else this.#leftOut.delete(id);
    }
  }

  async #toD1(ids: number[]): Promise<void> {
    const versions = new Map<string, number>();
    const records: MessageRecord[] = [];
    for (const found of this.#messages(ids)) {
      const version = messageVersion(found.progress);
      if (found.progress.archived >= version) continue;
      versions.set(found.message.id, version);
      const why = (ref: JobRef) => this.#shelf.lines.why(ref, this.#needs.now());
      records.push(toRecord(this.#server.serverId, found.message, found.progress, why));
    }
    if (records.length === 0) return;
    const suppressed = await this.#needs.record(this.#server.serverId, records);
    this.archivedAt = this.#needs.now();
    this.#mark(ids, (progress, id) => {
      progress.archived = Math.max(progress.archived, versions.get(id) ?? 0);
    });
    if (suppressed.length === 0) return;
    this.#store.changeSuppressions(suppressed);
    await this.#needs.announce(this.#server.shard, suppressed);
  }

  /** Forgets packs that are done, saves what is marked of the others (a row each), and takes from the list what is told for now. */
  #finish(ids: number[]): void {
    const done: number[] = [];
    // What is left is left because of these; without one, because it changed while the stores were written.
    const again = Math.max(0, ...[...this.#away.values()].map(({ until }) => until));
    for (const id of ids) {
      const pack = this.#shelf.pack(id);
      if (!pack) continue;
      if (this.#isDone(pack)) done.push(id);
      else this.#shelf.saveTouched(id);
      const isFlushed =
        !pack.hasBody && pack.progress.every((p) => p.archived >= messageVersion(p) && isTold(p));
      if (isFlushed && !this.#owesDsn(pack)) this.#shelf.dirty.delete(id);
      else if (this.#leftOut.has(id)) this.#shelf.dirty.set(id, this.#needs.now() + MAX_BACK_OFF_MS);
      else if (again > 0) this.#shelf.dirty.set(id, again);
    }
    this.#shelf.remove(done);
  }

  #isDone(pack: Pack): boolean {
    if (pack.hasBody || this.#owesDsn(pack)) return false;
    return pack.progress.every(
      (p) => p.archived >= messageVersion(p) && isTold(p) && !p.groups.some(isWaiting),
    );
  }

  #owesDsn(pack: Pack): boolean {
    const now = this.#needs.now();
    return pack.messages.some((message, slot) => {
      const progress = pack.progress[slot];
      return progress !== undefined && awaitsDsn({ message, progress }, now);
    });
  }

  *#messages(ids: number[]): Generator<Found> {
    for (const id of ids) {
      const pack = this.#shelf.pack(id);
      for (let slot = 0; pack && slot < pack.messages.length; slot++) {
        const found = this.#shelf.at(pack, slot);
        if (found) yield found;
      }
    }
  }
}
