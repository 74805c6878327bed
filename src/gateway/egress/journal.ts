/**
 * Remembers what became of attempts, so that a key which is asked about again is answered and not sent again. Written with
 * write(2) and not synced: it is against the death of this process, not of the machine. A line a fact, in files that are
 * deleted when they are old:
 *
 *   `d <at> <key>`           the final dot is about to be sent
 *   `r <at> <key> <result>`  how it ended, as JSON
 *
 * A dot without a result, read at the start, is an attempt that was cut off where nobody can know how it ended.
 */
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import type { EgressResult } from "../../mail/egress.ts";

/** Long past the time at which a claim lapses and the same key comes again. */
const KEEP_MS = 15 * 60_000;
/** Positions kept, about 200 bytes each. At the highest rate this is minutes, and keys come again within one. */
const MAX_KEPT = 500_000;
const MAX_FILE_BYTES = 64 * 1024 * 1024;
/** On disk in all, as full files. Bytes are counted: each start begins a file, and many starts must not push out what is young. */
const MAX_FULL_FILES = 8;
const NAME = /^egress-(\d+)-\d+-\d+\.journal$/;

interface Place {
  at: number;
  file: string;
  offset: number;
  bytes: number;
}

export class Journal {
  readonly #folder: string;
  readonly #maxFileBytes: number;
  /** In the order of time, so that the oldest are the first. */
  readonly #results = new Map<string, Place>();
  readonly #dots = new Set<string>();
  #files: { name: string; at: number; bytes: number }[] = [];
  #fd = -1;
  #size = 0;
  #count = 0;

  constructor(folder: string, maxFileBytes = MAX_FILE_BYTES) {
    this.#folder = folder;
    this.#maxFileBytes = maxFileBytes;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.#readBack();
    this.#turnPage();
  }

  has(key: string): boolean {
    return this.#results.has(key);
  }

  /** Undefined when it is not known, or can't be read any more. */
  async find(key: string): Promise<EgressResult | undefined> {
    const place = this.#results.get(key);
    if (!place) return undefined;
    try {
      await using file = await open(join(this.#folder, place.file), "r");
      const { buffer, bytesRead } = await file.read(Buffer.alloc(place.bytes), 0, place.bytes, place.offset);
      const [, , , ...rest] = buffer.toString("utf8", 0, bytesRead).split(" ");
      return JSON.parse(rest.join(" ")) as EgressResult;
    } catch {
      // The file was deleted under us. Asking again costs a second copy at worst, and losing the answer would cost the mail.
      return undefined;
    }
  }

  /** Whether this key's dot was sent by a process that died before it wrote the result. Said once. */
  wasCutOff(key: string): boolean {
    return this.#dots.delete(key);
  }

  dot(key: string): void {
    this.#append(`d ${Date.now()} ${key}\n`);
  }

  result(result: EgressResult): void {
    const at = Date.now();
    const line = Buffer.from(`r ${at} ${result.key} ${JSON.stringify(result)}\n`);
    const place = this.#append(line);
    if (place) this.#keep(result.key, { ...place, at });
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** Where it was written; undefined when the disk would not take it, which costs the memory of it and nothing else. */
  #append(text: string | Buffer): Omit<Place, "at"> | undefined {
    const bytes = Buffer.from(text as string);
    let offset = this.#size;
    try {
      if (offset + bytes.length > this.#maxFileBytes) this.#turnPage();
      offset = this.#size;
      for (let done = 0; done < bytes.length; ) done += writeSync(this.#fd, bytes, done);
    } catch {
      this.#takeBack();
      return undefined;
    }
    this.#size += bytes.length;
    const file = this.#files.at(-1);
    if (file) file.bytes = this.#size;
    return { file: this.#files.at(-1)?.name ?? "", offset, bytes: bytes.length };
  }

  /** Of a line that was written in part, nothing stays: the next would run into it. */
  #takeBack(): void {
    try {
      ftruncateSync(this.#fd, this.#size);
    } catch {
      // A disk that does not even do this: the mail goes on, and what is read back later is checked line by line.
    }
  }

  #keep(key: string, place: Place): void {
    this.#results.delete(key);
    this.#results.set(key, place);
    const oldest = Date.now() - KEEP_MS;
    for (const [name, { at }] of this.#results) {
      if (at >= oldest && this.#results.size <= MAX_KEPT) break;
      this.#results.delete(name);
    }
  }

  #turnPage(): void {
    const at = Date.now();
    const name = `egress-${at}-${process.pid}-${this.#count++}.journal`;
    const fd = openSync(join(this.#folder, name), "a", 0o600);
    // Only now: the number of a closed file is soon a socket's.
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = fd;
    this.#size = 0;
    this.#files.push({ name, at, bytes: 0 });
    const newestFirst = this.#files.toReversed();
    let bytes = 0;
    const isOld = newestFirst.map((file, i) => {
      bytes += file.bytes;
      // A file's newest line is as old as the file after it.
      return (newestFirst[i - 1]?.at ?? at) < at - KEEP_MS || bytes > MAX_FULL_FILES * this.#maxFileBytes;
    });
    const old = newestFirst.filter((_, i) => isOld[i]);
    this.#files = newestFirst.filter((_, i) => !isOld[i]).toReversed();
    for (const file of old) rmSync(join(this.#folder, file.name), { force: true });
  }

  #readBack(): void {
    this.#files = readdirSync(this.#folder)
      .filter((name) => NAME.test(name))
      .map((name) => ({
        name,
        at: Number(NAME.exec(name)?.[1]),
        bytes: statSync(join(this.#folder, name)).size,
      }))
      .toSorted((a, b) => a.at - b.at);
    for (const { name } of this.#files) this.#readFile(name);
  }

  #readFile(name: string): void {
    const bytes = readFileSync(join(this.#folder, name));
    let from = 0;
    for (;;) {
      const end = bytes.indexOf(0x0a, from);
      // What is left without its line end was cut off by the death of its writer.
      if (end < 0) return;
      const [kind, time, key] = bytes.toString("utf8", from, Math.min(end, from + 600)).split(" ", 3);
      const at = Number(time);
      if (key && at > Date.now() - KEEP_MS) {
        if (kind === "d") this.#dots.add(key);
        if (kind === "r") {
          this.#dots.delete(key);
          this.#keep(key, { at, file: name, offset: from, bytes: end + 1 - from });
        }
      }
      from = end + 1;
    }
  }
}
