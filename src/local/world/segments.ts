/**
 * Files that are only appended to, with one fsync for everybody who waits at the same time (group commit). A record is a line of JSON
 * and, when that says `bytes`, so many bytes and a line feed. A file that was not closed well may end in half a record: it is left
 * as it is, and every start begins a new file.
 */
import { closeSync, fstatSync, mkdirSync, openSync, readdirSync, readSync, rmSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";

/** Small enough that dropping a whole file when all in it is old keeps the disk near what the inbox keeps. */
const MAX_SEGMENT_BYTES = 64 * 1024 * 1024;
const READ_BYTES = 64 * 1024;
/** A header of a thousand recipients is 60 KB. */
const MAX_LINE_BYTES = 1024 * 1024;

export interface Place {
  segment: number;
  /** Of the body, in the file. */
  offset: number;
  bytes: number;
}

interface Waiting {
  line: object;
  body: Buffer | undefined;
  /** Called within the commit, so that what it does is never overtaken by a clear. */
  committed(place: Place): void;
  failed(error: unknown): void;
}

export class Segments {
  readonly #folder: string;
  #number: number;
  #size = 0;
  #file: FileHandle | undefined;
  #waiting: Waiting[] = [];
  /** One thing at a time happens to the files. */
  #turn: Promise<void> = Promise.resolve();

  constructor(folder: string) {
    mkdirSync(folder, { recursive: true });
    this.#folder = folder;
    this.#number = (this.numbers().at(-1) ?? 0) + 1;
  }

  numbers(): number[] {
    return readdirSync(this.#folder)
      .map((name) => Number(/^(\d+)\.log$/.exec(name)?.[1] ?? 0))
      .filter((n) => n > 0)
      .sort((a, b) => a - b);
  }

  fileOf(segment: number, kind: "log" | "replied" = "log"): string {
    return join(this.#folder, `${String(segment).padStart(8, "0")}.${kind}`);
  }

  /** `committed` is called when it is on disk: fsynced when there is a body, written when there is none. */
  append(line: object, body: Buffer | undefined, committed: (place: Place) => void): Promise<void> {
    return new Promise((done, failed) => {
      const told = (place: Place) => {
        committed(place);
        done();
      };
      this.#waiting.push({ line, body, committed: told, failed });
      if (this.#waiting.length === 1) this.#next(() => this.#commit());
    });
  }

  /** Runs between commits, when everything appended before is on disk and nothing is being written. */
  exclusively(work: () => void): Promise<void> {
    return this.#next(async () => {
      await this.#close();
      this.#number++;
      work();
    });
  }

  remove(segment: number): void {
    rmSync(this.fileOf(segment), { force: true });
    rmSync(this.fileOf(segment, "replied"), { force: true });
  }

  async read({ segment, offset, bytes }: Place): Promise<Buffer> {
    const file = await open(this.fileOf(segment));
    try {
      const body = Buffer.alloc(bytes);
      const { bytesRead } = await file.read(body, 0, bytes, offset);
      return body.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  }

  close(): Promise<void> {
    return this.#next(() => this.#close());
  }

  #next(work: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #commit(): Promise<void> {
    const batch = this.#waiting;
    this.#waiting = [];
    try {
      if (this.#size > MAX_SEGMENT_BYTES) {
        await this.#close();
        this.#number++;
      }
      this.#file ??= await open(this.fileOf(this.#number), "ax", 0o600);
      const places: Place[] = [];
      const parts: Buffer[] = [];
      let offset = this.#size;
      for (const { line, body } of batch) {
        const head = Buffer.from(`${JSON.stringify({ ...line, bytes: body?.length })}\n`);
        places.push({ segment: this.#number, offset: offset + head.length, bytes: body?.length ?? 0 });
        parts.push(head);
        if (body) parts.push(body, LINE_FEED);
        offset += head.length + (body ? body.length + 1 : 0);
      }
      await this.#file.appendFile(Buffer.concat(parts));
      if (batch.some(({ body }) => body)) await this.#file.datasync();
      this.#size = offset;
      batch.forEach(({ committed }, i) => {
        committed(places[i] as Place);
      });
    } catch (error) {
      // After a failed fsync the kernel may have dropped the pages, so this file is trusted no more (the next begins another).
      await this.#close().catch(() => undefined);
      this.#number++;
      for (const { failed } of batch) failed(error);
    }
  }

  async #close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    this.#size = 0;
    await file?.close();
  }
}

const LINE_FEED = Buffer.from("\n");

/** Every whole record of a file in order; `bytes` is 0 when it has no body. */
export function* recordsIn(file: string): Generator<{ line: unknown; offset: number; bytes: number }> {
  const fd = openSync(file, "r");
  try {
    const { size } = fstatSync(fd);
    const window = new Window(fd);
    for (let at = 0; at < size; ) {
      const text = window.lineAt(at);
      const line = text === undefined ? undefined : parse(text);
      if (text === undefined || !line) return;
      const offset = at + Buffer.byteLength(text) + 1;
      const next = line.bytes === undefined ? offset : offset + line.bytes + 1;
      if (next > size) return;
      yield { line, offset, bytes: line.bytes ?? 0 };
      at = next;
    }
  } finally {
    closeSync(fd);
  }
}

/** A stretch of a file in memory: many small records are one read, and the bodies of large ones are passed over. */
class Window {
  readonly #fd: number;
  #buffer = Buffer.allocUnsafe(READ_BYTES);
  #bytes = this.#buffer.subarray(0, 0);
  #start = 0;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Without its line feed; undefined when no line ends within a reasonable length. */
  lineAt(at: number): string | undefined {
    for (let length = READ_BYTES; ; length *= 4) {
      const from = at - this.#start;
      const end = from >= 0 && from < this.#bytes.length ? this.#bytes.indexOf(0x0a, from) : -1;
      if (end >= 0) return this.#bytes.toString("utf8", from, end);
      if (length > MAX_LINE_BYTES) return undefined;
      if (length > this.#buffer.length) this.#buffer = Buffer.allocUnsafe(length);
      this.#bytes = this.#buffer.subarray(0, readSync(this.#fd, this.#buffer, 0, length, at));
      this.#start = at;
    }
  }
}

/** Undefined for the half of a record that was being written when the process was killed. */
function parse(text: string): { bytes?: number } | undefined {
  try {
    return JSON.parse(text) as { bytes?: number };
  } catch {
    return undefined;
  }
}
