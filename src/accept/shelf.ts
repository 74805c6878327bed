/**
 * The packs of an Outbox at hand: where each message lies, who waits in which line, and which packs the archive should be told
 * of. Packs are read back from the store when they are not in memory, so hold one across no `await`: after it, ask again.
 */
import type { JobRef } from "../mail/job.ts";
import { Lines } from "./lines.ts";
import {
  isTold,
  isWaiting,
  type MessageProgress,
  messageVersion,
  type Pack,
  type PackedMessage,
} from "./pack.ts";
import type { Store } from "./store.ts";

/** A message that nobody has attempted yet goes to the archive after this all the same. */
const UNATTEMPTED_MS = 10_000;
/** Packs kept in memory: 64 messages of some KB each at most. */
const PACKS_IN_MEMORY = 128;

export interface Found {
  pack: Pack;
  slot: number;
  message: PackedMessage;
  progress: MessageProgress;
}

export class Shelf {
  readonly lines = new Lines();
  /** Packs with something to tell the archive, and from when on it is worth telling. */
  readonly dirty = new Map<number, number>();
  readonly #store: Store;
  readonly #where = new Map<string, number>();
  readonly #packs = new Map<number, Pack>();
  /** Changed and not saved: these must not leave memory. */
  readonly #unsaved = new Map<number, Pack>();

  /** What is found in the store may be claimed by a consumer that this object has forgotten. */
  constructor(store: Store, now: number) {
    this.#store = store;
    let until: number | undefined;
    const claimsUntil = () => {
      until ??= store.oldClaimsUntil(now);
      return until;
    };
    for (const pack of store.packs()) {
      this.#index(pack, { now, claimsUntil });
      const behind = pack.progress.some((p) => p.archived < messageVersion(p) || !isTold(p));
      if (behind || pack.hasBody || !pack.progress.some((p) => p.groups.some(isWaiting)))
        this.dirty.set(pack.id, 0);
    }
  }

  /** Messages here, open or not yet in the archive. */
  get size(): number {
    return this.#where.size;
  }

  add(pack: Pack, now: number): void {
    this.#index(pack);
    this.#keep(pack);
    // What was refused waits for nobody: its bounce is told at the next flush.
    const isOpen = pack.progress.some((p) => p.groups.some(isWaiting));
    this.dirty.set(pack.id, isOpen ? now + UNATTEMPTED_MS : now);
  }

  pack(id: number): Pack | undefined {
    const kept = this.#unsaved.get(id) ?? this.#packs.get(id);
    if (kept) return kept;
    const read = this.#store.pack(id);
    if (read) this.#keep(read);
    return read;
  }

  packOf(messageId: string): number | undefined {
    return this.#where.get(messageId);
  }

  find(messageId: string): Found | undefined {
    const id = this.#where.get(messageId.toLowerCase());
    const pack = id === undefined ? undefined : this.pack(id);
    const slot = pack ? pack.messages.findIndex((m) => m.id === messageId.toLowerCase()) : -1;
    return pack && slot >= 0 ? this.at(pack, slot) : undefined;
  }

  at(pack: Pack, slot: number): Found | undefined {
    const message = pack.messages[slot];
    const progress = pack.progress[slot];
    return message && progress ? { pack, slot, message, progress } : undefined;
  }

  newestFirst(): Generator<Found> {
    return this.#messagesOf(new Set(this.#where.values()));
  }

  /** Whose pack has something to tell the archive; newest first. */
  dirtyNewestFirst(): Generator<Found> {
    return this.#messagesOf(this.dirty.keys());
  }

  *#messagesOf(ids: Iterable<number>): Generator<Found> {
    for (const id of [...ids].sort((a, b) => b - a)) {
      const pack = this.pack(id);
      for (let slot = (pack?.messages.length ?? 0) - 1; pack && slot >= 0; slot--) {
        const found = this.at(pack, slot);
        if (found) yield found;
      }
    }
  }

  /** The message as it was or will be sent, while the pack still holds its bytes. */
  bytes(found: Found): Uint8Array | undefined {
    const { body } = found.message;
    if (!found.pack.hasBody || "large" in body) return undefined;
    const bytes = this.#store.bytes(found.pack.id, body.offset, body.length);
    if (!bytes || !found.progress.signature) return bytes;
    const signature = new TextEncoder().encode(found.progress.signature);
    const whole = new Uint8Array(signature.length + bytes.length);
    whole.set(signature);
    whole.set(bytes, signature.length);
    return whole;
  }

  /** The pack was changed in memory and will be saved or removed later: until then it stays at hand. */
  touch(pack: Pack): void {
    this.#unsaved.set(pack.id, pack);
  }

  /** Whether it was changed in memory and is not saved yet. */
  isUnsaved({ id }: Pack): boolean {
    return this.#unsaved.has(id);
  }

  /** Saves what was touched. One row. */
  saveTouched(id: number): void {
    const pack = this.#unsaved.get(id);
    if (!pack) return;
    this.#store.updatePack(pack);
    this.#unsaved.delete(id);
    this.#keep(pack);
  }

  /** Something about the pack changed: stored, and to be told to the archive. One row. */
  save(pack: Pack, now: number): void {
    this.touch(pack);
    this.saveTouched(pack.id);
    const attempted = pack.progress.every((p) => p.groups.every((g) => g.attempts > 0 || !isWaiting(g)));
    const due = this.dirty.get(pack.id) ?? now + UNATTEMPTED_MS;
    this.dirty.set(pack.id, attempted ? Math.min(due, now) : due);
  }

  /** Packs that are final everywhere are gone. */
  remove(ids: number[]): void {
    const messages = ids.flatMap((id) => this.pack(id)?.messages.map((message) => message.id) ?? []);
    // First, since it may fail: then they are here still.
    this.#store.deletePacks(ids);
    for (const message of messages) this.#where.delete(message);
    for (const id of ids) {
      this.#packs.delete(id);
      this.#unsaved.delete(id);
      this.dirty.delete(id);
    }
  }

  /** These messages of a pack are gone, all of which are final; the others stay. Two rows. */
  forget(pack: Pack, going: ReadonlySet<number>): void {
    if (going.size === 0) return;
    if (going.size === pack.messages.length) {
      this.remove([pack.id]);
      return;
    }
    const gone = pack.progress.filter((_, slot) => going.has(slot));
    const left = {
      ...pack,
      messages: pack.messages.filter((_, slot) => !going.has(slot)),
      progress: pack.progress.filter((_, slot) => !going.has(slot)),
    };
    this.#store.shrinkPack(left, gone);
    pack.messages.forEach((message, slot) => {
      if (going.has(slot)) this.#where.delete(message.id);
    });
    Object.assign(pack, left);
    this.#unsaved.delete(pack.id);
    this.#keep(pack);
  }

  /** Recipients that wait and that no line knows, which would never be tried again: there must be none. */
  waitingWithoutLine(): number {
    let lost = 0;
    for (const { message, progress } of this.newestFirst())
      message.groups.forEach((group, g) => {
        const at = progress.groups[g];
        if (!at || !isWaiting(at)) return;
        if (!this.lines.has({ messageId: message.id, domain: group.domain }))
          lost += at.recipients.filter((r) => r.state === "waiting").length;
      });
    return lost;
  }

  #index(pack: Pack, old?: { now: number; claimsUntil(): number }): void {
    pack.messages.forEach((message, slot) => {
      this.#where.set(message.id, pack.id);
      message.groups.forEach((group, g) => {
        const at = pack.progress[slot]?.groups[g];
        if (!at || !isWaiting(at)) return;
        const ref: JobRef = { messageId: message.id, domain: group.domain };
        // One whose next try was due already may be under way: it is as perhaps claimed as one that was never tried.
        const isAhead = at.nextTryAt !== undefined && at.nextTryAt > (old?.now ?? 0);
        const how = isAhead ? { dueAt: at.nextTryAt } : { perhapsClaimedUntil: old?.claimsUntil() };
        this.lines.add(ref, message.giveUpAt, how);
      });
    });
  }

  #keep(pack: Pack): void {
    this.#packs.delete(pack.id);
    this.#packs.set(pack.id, pack);
    if (this.#packs.size <= PACKS_IN_MEMORY) return;
    for (const oldest of this.#packs.keys()) {
      this.#packs.delete(oldest);
      break;
    }
  }
}
