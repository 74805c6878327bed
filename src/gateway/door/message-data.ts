/**
 * One message while its DATA arrives: bytes in, the message out, dots un-stuffed, in one piece of memory. Only CRLF ends a line and only
 * CRLF.CRLF ends the message (RFC 5321 §4.1.1.4): software that also takes `LF.LF` for an end can be made to see a second message
 * within a first (CVE-2023-51764 to -51766), so a message with a bare CR or LF is never passed on. The library's own stream keeps
 * them, un-stuffs dots behind a bare LF, and costs a PassThrough a message.
 */
const CR = 0x0d;
const LF = 0x0a;
const DOT = 0x2e;

/** Why the message can't be taken. `memory`: too much mail is arriving at once. */
export type Flaw = "size" | "line end" | "nul" | "memory";

/** What all messages together may hold. */
export interface Memory {
  /** Taken whether there is room or not. */
  add(bytes: number): void;
  take(bytes: number): boolean;
  give(bytes: number): void;
}

/** Where in a line the last byte was. */
type State = "line start" | "dot" | "dot CR" | "in line" | "CR";

/** Most messages fit, and five thousand sessions that begin one at the same time hold 80 MB. */
const FIRST_BYTES = 16 * 1024;
/** What a declared SIZE may reserve at once: a client can declare anything. */
const MAX_FIRST_BYTES = 128 * 1024;

export interface DataOptions {
  /** Written before the message: our Received field. */
  prefix: Buffer;
  /** Of the message without the prefix, after un-stuffing (RFC 1870 §3). */
  limit: number;
  declared: number | undefined;
  memory: Memory;
}

export class MessageData {
  flaw: Flaw | undefined;
  /** All that came, with what was dropped. */
  received = 0;
  readonly #memory: Memory;
  readonly #limit: number;
  readonly #prefixBytes: number;
  #buffer: Buffer;
  #used: number;
  #state: State = "line start";

  constructor({ prefix, limit, declared, memory }: DataOptions) {
    const wished = Math.min((declared ?? 0) + 512, MAX_FIRST_BYTES);
    this.#buffer = Buffer.allocUnsafeSlow(prefix.length + Math.max(FIRST_BYTES, wished));
    this.#used = prefix.copy(this.#buffer);
    this.#prefixBytes = prefix.length;
    this.#limit = limit;
    this.#memory = memory;
    // The first piece is always given: it is small, and the number of sessions bounds it.
    memory.add(this.#buffer.length);
  }

  /** Of the message, without the prefix. */
  get size(): number {
    return this.#used - this.#prefixBytes;
  }

  /** Twice what is announced: nobody who sends so much looks at replies. */
  get isEndless(): boolean {
    return this.received > 2 * this.#limit;
  }

  /** With the prefix. */
  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#used);
  }

  /** The message is somewhere else by now, or nowhere. */
  release(): void {
    this.#memory.give(this.#buffer.length);
    this.#buffer = Buffer.alloc(0);
    this.#used = 0;
  }

  /** Reads `chunk` from `from`; the index behind the end of the message, or -1 when it goes on. */
  push(chunk: Buffer, from: number): number {
    const end = this.#read(chunk, from);
    const until = end < 0 ? chunk.length : end;
    this.received += until - from;
    if (this.flaw === undefined) {
      const nul = chunk.indexOf(0, from);
      if (nul >= 0 && nul < until) this.#refuse("nul");
    }
    return end;
  }

  #read(chunk: Buffer, from: number): number {
    let at = from;
    // Begin of what is to be kept next, when we are within a line.
    let kept = from;
    const { length } = chunk;
    while (at < length) {
      switch (this.#state) {
        case "line start":
          if (chunk[at] === DOT) {
            this.#keep(chunk, kept, at);
            at++;
            this.#state = "dot";
          } else this.#state = "in line";
          break;
        case "dot":
          // RFC 5321 §4.5.2: the dot goes, whatever follows it.
          kept = at;
          if (chunk[at] === CR) {
            at++;
            this.#state = "dot CR";
          } else this.#state = "in line";
          break;
        case "dot CR":
          if (chunk[at] === LF) return at + 1;
          this.#refuse("line end");
          this.#state = "in line";
          break;
        case "CR":
          if (chunk[at] === LF) {
            at++;
            this.#state = "line start";
          } else {
            this.#refuse("line end");
            this.#state = "in line";
          }
          break;
        case "in line":
          at = this.#lines(chunk, at);
      }
    }
    if (this.#state !== "dot" && this.#state !== "dot CR") this.#keep(chunk, kept, length);
    return -1;
  }

  /** Whole lines that do not begin with a dot, as many as there are: by far the most of every message. */
  #lines(chunk: Buffer, from: number): number {
    let at = from;
    for (;;) {
      // Only the end matters then; and looking for both would scan all that is left for every LF of a chunk without a CR.
      if (this.flaw !== undefined) return this.#toCr(chunk, at);
      const lf = chunk.indexOf(LF, at);
      const cr = chunk.indexOf(CR, at);
      if (cr >= 0 && cr + 1 === lf) {
        at = lf + 1;
        if (chunk[at] !== DOT && at < chunk.length) continue;
        this.#state = "line start";
        return at;
      }
      if (lf >= 0 && (cr < 0 || lf < cr)) {
        // Not the end of a line: a line goes on.
        this.#refuse("line end");
        at = lf + 1;
      } else return this.#toCr(chunk, at);
    }
  }

  #toCr(chunk: Buffer, from: number): number {
    const cr = chunk.indexOf(CR, from);
    if (cr < 0) return chunk.length;
    this.#state = "CR";
    return cr + 1;
  }

  #keep(chunk: Buffer, from: number, to: number): void {
    if (this.flaw !== undefined || to <= from) return;
    const needed = this.#used + to - from;
    if (needed - this.#prefixBytes > this.#limit) this.#refuse("size");
    else if (needed > this.#buffer.length && !this.#grow(needed)) this.#refuse("memory");
    else this.#used += chunk.copy(this.#buffer, this.#used, from, to);
  }

  #grow(needed: number): boolean {
    const most = this.#prefixBytes + this.#limit;
    const size = Math.min(Math.max(needed, this.#buffer.length * 2), most);
    if (!this.#memory.take(size - this.#buffer.length)) return false;
    const larger = Buffer.allocUnsafeSlow(size);
    this.#buffer.copy(larger, 0, 0, this.#used);
    this.#buffer = larger;
    return true;
  }

  /** Nothing is kept from here on, but the end is still looked for: the client reads its reply there. */
  #refuse(flaw: Flaw): void {
    if (this.flaw !== undefined) return;
    this.release();
    this.flaw = flaw;
  }
}
