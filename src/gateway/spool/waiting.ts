/**
 * What is known in memory of the batches that wait: totals, and a window on the oldest names. There may be a million files, and the
 * names beyond the window are read from the disk again when it has run dry.
 */
import type { Entry, Folder } from "./folder.ts";

/** About 500 bytes each. */
const MAX_WINDOW = 16_384;
/** Of one group, so that a server whose Outbox is away does not hide the mail of all others. */
const MAX_OF_GROUP = 4_096;

export interface Waiting extends Entry {
  attempts: number;
  /** By a clock that does not jump. */
  notBefore: number;
  isBusy: boolean;
  /** The Worker has it, and only the file is still to be removed. */
  isAccepted: boolean;
}

export class WaitingList {
  batches = 0;
  messages = 0;
  bytes = 0;
  /** There are names that are not in the window. */
  hasMore = false;
  readonly #folder: Folder;
  readonly #maxWindow: number;
  readonly #maxOfGroup: number;
  #window = new Map<string, Waiting>();
  readonly #expected = new Set<string>();
  #changes: { added: Map<string, Entry>; removed: Set<string> } | undefined;

  constructor(folder: Folder, { maxWindow = MAX_WINDOW, maxOfGroup = MAX_OF_GROUP } = {}) {
    this.#folder = folder;
    this.#maxWindow = maxWindow;
    this.#maxOfGroup = maxOfGroup;
  }

  get oldestAt(): number | undefined {
    return this.#window.values().next().value?.at;
  }

  get groups(): Set<string> {
    return new Set([...this.#window.values()].map(({ group }) => group));
  }

  /** A file that may be seen before it is known to be on the disk; nobody may work on it yet. */
  expect(entry: Entry): void {
    this.#expected.add(entry.name);
  }

  expectNoMore(entry: Entry): void {
    this.#expected.delete(entry.name);
  }

  add(entry: Entry): void {
    this.#expected.delete(entry.name);
    this.#changes?.added.set(entry.name, entry);
    this.#count(entry, 1);
    // Behind what is not in the window, it is younger than that.
    if (this.hasMore || this.#window.size >= this.#maxWindow) this.hasMore = true;
    else this.#window.set(entry.name, newWaiting(entry));
  }

  remove(entry: Entry): void {
    this.#changes?.removed.add(entry.name);
    if (this.#window.delete(entry.name)) this.#count(entry, -1);
  }

  /** The oldest that may go, of those that nobody works on. */
  next(mayGo: (entry: Waiting) => boolean): Waiting | undefined {
    for (const entry of this.#window.values()) if (!entry.isBusy && mayGo(entry)) return entry;
    return undefined;
  }

  /** Reads the names again; what has come and gone meanwhile is not forgotten. */
  async scan(): Promise<void> {
    if (this.#changes) return;
    const changes = { added: new Map<string, Entry>(), removed: new Set<string>() };
    this.#changes = changes;
    const totals = { batches: 0, messages: 0, bytes: 0 };
    try {
      const window = new Oldest(this.#maxWindow, this.#maxOfGroup);
      const take = (entry: Entry) => {
        if (changes.removed.has(entry.name)) return;
        totals.batches++;
        totals.messages += entry.messages;
        totals.bytes += entry.bytes;
        window.add(entry);
      };
      for await (const entry of this.#folder.entries("waiting"))
        if (!changes.added.has(entry.name) && !this.#expected.has(entry.name)) take(entry);
      for (const entry of changes.added.values()) take(entry);
      const before = this.#window;
      const kept = window.take().filter(({ name }) => !changes.removed.has(name));
      this.#window = new Map(kept.map((entry) => [entry.name, before.get(entry.name) ?? newWaiting(entry)]));
      // What was read before it was removed is counted still.
      this.batches = totals.batches;
      this.messages = totals.messages;
      this.bytes = totals.bytes;
      for (const entry of window.dropFrom(changes.removed)) this.#count(entry, -1);
      this.hasMore = this.#window.size < this.batches;
    } finally {
      this.#changes = undefined;
    }
  }

  #count(entry: Entry, sign: 1 | -1): void {
    this.batches += sign;
    this.messages += sign * entry.messages;
    this.bytes += sign * entry.bytes;
  }
}

function newWaiting(entry: Entry): Waiting {
  return { ...entry, attempts: 0, notBefore: 0, isBusy: false, isAccepted: false };
}

/** The oldest names of a stream that may be long. */
class Oldest {
  readonly #max: number;
  readonly #maxOfGroup: number;
  #entries: Entry[] = [];

  constructor(max: number, maxOfGroup: number) {
    this.#max = max;
    this.#maxOfGroup = maxOfGroup;
  }

  add(entry: Entry): void {
    this.#entries.push(entry);
    if (this.#entries.length >= 2 * this.#max) this.#trim();
  }

  take(): Entry[] {
    this.#trim();
    return this.#entries;
  }

  dropFrom(names: ReadonlySet<string>): Entry[] {
    return this.#entries.filter(({ name }) => names.has(name));
  }

  #trim(): void {
    const counts = new Map<string, number>();
    const sorted = this.#entries.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    this.#entries = sorted
      .filter(({ group }) => {
        const count = (counts.get(group) ?? 0) + 1;
        counts.set(group, count);
        return count <= this.#maxOfGroup;
      })
      .slice(0, this.#max);
  }
}
