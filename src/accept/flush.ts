/**
 * Takes what was accepted, and what became of it, to R2 and D1, in batches. The two are independent: each message remembers
 * which it has reached, and a pack is deleted when both have all of it and every recipient is final. Running twice
 * changes nothing: a segment's key says which messages it holds, and facts carry versions.
 */
import type { JobRef } from "../mail/job.ts";
import type { MessageRecord } from "../mail/record.ts";
import { FLUSH_EVERY_MS } from "./commit.ts";
import { awaitsDsn, makeDsns } from "./dsn.ts";
import type { KnownServer } from "./known-server.ts";
import type { OutboxNeeds } from "./needs.ts";
import { isWaiting, messageVersion, type Pack, toRecord } from "./pack.ts";
import { Segment } from "./segment.ts";
import type { Found, Shelf } from "./shelf.ts";
import type { Store } from "./store.ts";
import { within } from "./within.ts";

/** One R2 object, one D1 transaction: a few hundred messages or 8 MB. */
const MESSAGES_PER_FLUSH = 512;
const BYTES_PER_FLUSH = 8_000_000;
const MAX_BACK_OFF_MS = 30_000;
/** A signature takes half a millisecond of the one thread, in which nothing is accepted: callers get their turn between. */
const SIGNED_PER_TURN = 8;
/** A store that does not answer is a store that is away: an alarm that waits for ever flushes nothing more. */
const STORE_MS = 30_000;

export class Flush {
  readonly #store: Store;
  readonly #shelf: Shelf;
  readonly #server: KnownServer;
  readonly #needs: OutboxNeeds;
  #failures = 0;
  #notBefore = 0;

  constructor(store: Store, shelf: Shelf, server: KnownServer, needs: OutboxNeeds) {
    this.#store = store;
    this.#shelf = shelf;
    this.#server = server;
    this.#needs = needs;
  }

  /** When there is something to take; undefined when nothing is, or the server is deleted. */
  due(): number | undefined {
    if (this.#store.isClosed) return undefined;
    let soonest = Number.POSITIVE_INFINITY;
    for (const due of this.#shelf.dirty.values()) soonest = Math.min(soonest, due);
    return soonest === Number.POSITIVE_INFINITY ? undefined : Math.max(soonest, this.#notBefore);
  }

  /** Takes batches until nothing that is due is left, or one fails: then the alarm comes back, ever more rarely. */
  async run(): Promise<void> {
    for (;;) {
      const now = this.#needs.now();
      const due = this.due();
      if (due === undefined || due > now) return;
      const ids = this.#batch(now);
      const isReported = await this.#attempt("DSNs", () => this.#makeDsns(ids));
      const inR2 = await this.#attempt("R2", () => this.#toR2(ids));
      const inD1 = await this.#attempt("D1", () => this.#toD1(ids));
      this.#finish(ids);
      if (!isReported || !inR2 || !inD1) {
        this.#failures++;
        const backOff = Math.min(FLUSH_EVERY_MS * 2 ** this.#failures, MAX_BACK_OFF_MS);
        this.#notBefore = this.#needs.now() + backOff * (0.75 + this.#needs.random() / 2);
        return;
      }
      this.#failures = 0;
    }
  }

  async #makeDsns(ids: number[]): Promise<void> {
    const wanted = [...this.#messages(ids)].filter((found) => awaitsDsn(found, this.#needs.now()));
    const context = { store: this.#store, shelf: this.#shelf, server: this.#server, needs: this.#needs };
    await makeDsns(
      wanted.map((found) => found.message.id),
      context,
    );
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

  async #attempt(what: string, work: () => Promise<void>): Promise<boolean> {
    try {
      await within(STORE_MS, work());
      return true;
    } catch (error) {
      this.#needs.log("flush failed", { shard: this.#server.shard, to: what, error: String(error) });
      return false;
    }
  }

  /** Signs what no attempt has signed yet, and writes one segment. Of a personal message no bytes are there that were sent. */
  async #toR2(ids: number[]): Promise<void> {
    const missing: Found[] = [];
    for (const id of ids) {
      const pack = this.#shelf.pack(id);
      for (let slot = 0; pack?.hasBody && slot < pack.messages.length; slot++) {
        const found = this.#shelf.at(pack, slot);
        if (found && !found.progress.segment) missing.push(found);
      }
    }
    if (missing.length === 0) return;
    const policy = await this.#server.policy();
    if (!policy) throw new Error("the server is not known");
    const segment = new Segment(this.#server.shard, missing);
    let signed = 0;
    for (const { message, progress, pack } of missing) {
      const isPersonal = message.summary.personal === true;
      if (!isPersonal && !progress.signature && ++signed % SIGNED_PER_TURN === 0) await scheduler.wait(0);
      const raw =
        "large" in message.body
          ? await this.#needs.getObject(message.body.large)
          : this.#store.bytes(pack.id, message.body.offset, message.body.length);
      if (!raw) throw new Error(`the bytes of ${message.id} are not there`);
      const unsigned = isPersonal ? "" : undefined;
      const signature = unsigned ?? progress.signature ?? (await this.#needs.sign(policy, message, raw));
      segment.add(message.id, signature, raw);
    }
    await this.#needs.putObject(segment.key, segment.bytes());
    // While R2 wrote, the packs may have changed: what is marked is their present state.
    for (const id of ids) {
      const pack = this.#shelf.pack(id);
      if (!pack) continue;
      pack.messages.forEach((message, slot) => {
        const entry = segment.entry(message.id);
        const progress = pack.progress[slot];
        if (!entry || !progress || progress.segment) return;
        progress.segment = { key: segment.key, offset: entry.offset, length: entry.length };
        if (!message.summary.personal) progress.signature ??= entry.signature;
      });
      pack.hasBody = pack.progress.some((p) => !p.segment);
      this.#shelf.touch(pack);
    }
  }

  async #toD1(ids: number[]): Promise<void> {
    const versions = new Map<string, number>();
    const records: MessageRecord[] = [];
    for (const found of this.#messages(ids)) {
      const version = messageVersion(found.progress);
      if (found.progress.archived >= version) continue;
      versions.set(found.message.id, version);
      const why = (ref: JobRef) => this.#shelf.lines.why(ref);
      records.push(toRecord(this.#server.serverId, found.message, found.progress, why));
    }
    if (records.length === 0) return;
    const suppressed = await this.#needs.record(this.#server.serverId, records);
    for (const id of ids) {
      const pack = this.#shelf.pack(id);
      pack?.messages.forEach((message, slot) => {
        const progress = pack.progress[slot];
        const version = versions.get(message.id);
        if (progress && version !== undefined) progress.archived = Math.max(progress.archived, version);
      });
      if (pack) this.#shelf.touch(pack);
    }
    if (suppressed.length === 0) return;
    this.#store.changeSuppressions(suppressed);
    await this.#needs.announce(this.#server.shard, suppressed);
  }

  /** Forgets packs that are done, saves what is marked of the others (a row each), and takes from the list what is told for now. */
  #finish(ids: number[]): void {
    const done: number[] = [];
    for (const id of ids) {
      const pack = this.#shelf.pack(id);
      if (!pack) continue;
      if (this.#isDone(pack)) done.push(id);
      else this.#shelf.saveTouched(id);
      const isTold = !pack.hasBody && pack.progress.every((p) => p.archived >= messageVersion(p));
      if (isTold && !this.#owesDsn(pack)) this.#shelf.dirty.delete(id);
    }
    this.#shelf.remove(done);
  }

  #isDone(pack: Pack): boolean {
    if (pack.hasBody || this.#owesDsn(pack)) return false;
    return pack.progress.every((p) => p.archived >= messageVersion(p) && !p.groups.some(isWaiting));
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
