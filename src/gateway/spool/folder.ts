/**
 * The spool's folders on disk. `waiting`, `held` (for a person) and `damaged` have a file a batch, whose name says all that must be
 * known without opening it; `writing` has what is not finished yet. Moves are renames, and a folder is synced after what came into it.
 */
import { constants, type Dir } from "node:fs";
import { access, mkdir, open, opendir, readdir, rename, rm, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";

export type Place = "waiting" | "held" | "damaged";
export const PLACES: readonly Place[] = ["waiting", "held", "damaged"];

/** What a file's name says. Names sort by time. */
export interface Entry {
  name: string;
  /** Since when it is in the spool; a retry by hand begins anew. */
  at: number;
  group: string;
  messages: number;
  /** Of the file. */
  bytes: number;
  key: string;
}

const NAME = /^(\d{13})\.(inbound|\d{1,15})\.(\d{1,4})\.(\d{1,12})\.([0-9a-f-]{36})\.batch$/;

export function newEntry(parts: Omit<Entry, "name">): Entry {
  const { at, group, messages, bytes, key } = parts;
  return { ...parts, name: `${String(at).padStart(13, "0")}.${group}.${messages}.${bytes}.${key}.batch` };
}

/** undefined for a file that is not ours. */
export function readName(name: string): Entry | undefined {
  const [, at, group, messages, bytes, key] = NAME.exec(name) ?? [];
  if (group === undefined || key === undefined) return undefined;
  return { name, at: Number(at), group, messages: Number(messages), bytes: Number(bytes), key };
}

/** Where a gateway whose state is in this folder has its spool. */
export function spoolFolder(state: string): string {
  return join(state, "spool");
}

export class Folder {
  readonly path: string;
  readonly #syncs = new Map<Place, SharedSync>();

  constructor(path: string) {
    this.path = path;
  }

  pathOf(place: Place | "writing", name: string): string {
    return join(this.path, place, name);
  }

  /** Makes what is missing, and removes what a process left half-written when it died: nobody was told that it is kept. */
  async prepare(): Promise<void> {
    for (const place of [...PLACES, "writing"])
      await mkdir(join(this.path, place), { recursive: true, mode: 0o700 });
    const left = await readdir(join(this.path, "writing"));
    for (const name of left) await rm(this.pathOf("writing", name), { force: true });
    await syncFolder(this.path);
    await syncFolder(dirname(this.path));
  }

  /** Throws when nothing could be written. */
  async checkWritable(): Promise<void> {
    for (const place of ["waiting", "writing"]) await access(join(this.path, place), constants.W_OK);
  }

  /** Names in no order, as a stream: there may be a million. */
  async *entries(place: Place): AsyncGenerator<Entry> {
    const folder: Dir = await opendir(join(this.path, place), { bufferSize: 512 });
    for await (const { name } of folder) {
      const entry = readName(name);
      if (entry) yield entry;
    }
  }

  /** From `writing`, when it is whole. */
  async publish(temporary: string, place: Place, name: string): Promise<void> {
    const path = this.pathOf(place, name);
    await rename(temporary, path);
    try {
      await this.#sync(place);
    } catch (error) {
      // The client will be told that it is not kept, and comes again: what may have come into the folder all the same must go.
      // A disk that does not do that either leaves a second copy, which is better than none.
      await unlink(path).catch(() => undefined);
      throw error;
    }
  }

  async move(from: Place, to: Place, name: string, newName = name): Promise<void> {
    await rename(this.pathOf(from, name), this.pathOf(to, newName));
    await this.#sync(to);
  }

  /** Not synced: a file that comes back after a crash is forwarded again, with the same key. */
  async remove(place: Place, name: string): Promise<void> {
    await unlink(this.pathOf(place, name)).catch((error: NodeJS.ErrnoException) => {
      // Somebody else has removed it.
      if (error.code !== "ENOENT") throw error;
    });
  }

  #sync(place: Place): Promise<void> {
    let shared = this.#syncs.get(place);
    if (!shared) {
      shared = new SharedSync(join(this.path, place));
      this.#syncs.set(place, shared);
    }
    return shared.sync();
  }
}

/** One fsync for all that came into a folder while the one before was running. */
class SharedSync {
  readonly #path: string;
  #last: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  sync(): Promise<void> {
    // One that runs already may have begun before our rename.
    this.#next ??= this.#last.then(
      () => this.#begin(),
      () => this.#begin(),
    );
    return this.#next;
  }

  #begin(): Promise<void> {
    this.#last = syncFolder(this.#path);
    this.#next = undefined;
    return this.#last;
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
