/**
 * A session's input: lines until DATA, then a message, then lines again. It takes the place of the library's stream, in which a bare LF
 * ends a command, a NUL is part of one, and a message is un-stuffed wrongly (see message-data.ts). One command is in hand at
 * a time; what is pipelined behind it waits in the socket.
 */
import { SMTPStream } from "smtp-server/lib/smtp-stream.js";
import type { MessageData } from "./message-data.ts";

const LF = 0x0a;
const CR = 0x0d;

/** RFC 5321 §4.5.3.1.4 has 512; extensions make MAIL and RCPT longer. */
export const MAX_COMMAND_BYTES = 4_096;
/** RFC 4954 §4: 12,288 for a response in an AUTH exchange. */
export const MAX_AUTH_BYTES = 16 * 1024;
/** What is dropped of one line that is too long, before the client is not listened to any more. */
const MAX_DROPPED_BYTES = 1024 * 1024;
/** Then others get their turn: a chunk may hold thousands of NOOPs. */
const MAX_COMMANDS_AT_ONCE = 100;

const NOTHING = Buffer.alloc(0);

/** `endless`: a line that is not worth waiting for the end of. */
export type LineFlaw = "line end" | "control character" | "too long" | "endless";

export class CommandStream extends SMTPStream {
  /** The most that a line may have, which begins so. */
  lineLimit: (start: Buffer) => number = () => MAX_COMMAND_BYTES;
  /** Instead of a command, as `oncommand`. */
  onflaw: (flaw: LineFlaw, resume: () => void) => void = (_flaw, resume) => resume();
  /** Milliseconds since the epoch. */
  lastInputAt = Date.now();
  #chunk: Buffer = NOTHING;
  #at = 0;
  #next: (() => void) | undefined;
  /** The beginning of a line whose end has not come. */
  #start: Buffer = NOTHING;
  /** What was dropped of a line that is too long; undefined when none is. */
  #dropped: number | undefined;
  #data: MessageData | undefined;
  #onDataEnd: (() => void) | undefined;
  #isRunning = false;
  #isResumed = false;
  readonly #resume = () => this.continue();

  /** From now on the input is this message; `onEnd` when it is whole or endless, and nothing more is read until `continue`. */
  startData(data: MessageData, onEnd: () => void): void {
    this.#data = data;
    this.#onDataEnd = onEnd;
  }

  /** Whether the client has sent more than the line that is in hand. */
  get hasMore(): boolean {
    return this.#at < this.#chunk.length || this.writableLength > this.#chunk.length;
  }

  override continue(): void {
    this.#isResumed = true;
    if (!this.#isRunning) this.#run();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding | "buffer", next: () => void): void {
    this.lastInputAt = Date.now();
    this.#chunk = chunk;
    this.#at = 0;
    this.#next = next;
    this.#run();
  }

  /** A line that has no end when the client goes is no command; the library would run it. */
  override _flushData(): void {}

  #run(): void {
    this.#isRunning = true;
    for (let count = 1; this.#at < this.#chunk.length && !this.isClosed; count++) {
      this.#isResumed = false;
      if (this.#data ? !this.#readData(this.#data) : !this.#readLine()) continue;
      if (!this.#isResumed || count >= MAX_COMMANDS_AT_ONCE) {
        this.#isRunning = false;
        // A loop here would starve the other sessions, and the replies that are not written yet.
        if (this.#isResumed) setImmediate(this.#resume);
        return;
      }
    }
    this.#isRunning = false;
    this.#chunk = NOTHING;
    this.#at = 0;
    const next = this.#next;
    this.#next = undefined;
    next?.();
  }

  /** Whether something was handed on, which calls `continue` when it is done. */
  #readData(data: MessageData): boolean {
    const end = data.push(this.#chunk, this.#at);
    this.#at = end < 0 ? this.#chunk.length : end;
    if (end < 0 && !data.isEndless) return false;
    const onEnd = this.#onDataEnd;
    this.#data = undefined;
    this.#onDataEnd = undefined;
    onEnd?.();
    return true;
  }

  #readLine(): boolean {
    const lf = this.#chunk.indexOf(LF, this.#at);
    const piece = this.#chunk.subarray(this.#at, lf < 0 ? undefined : lf);
    this.#at = lf < 0 ? this.#chunk.length : lf + 1;
    if (this.#dropped !== undefined) return this.#drop(piece.length, lf >= 0);
    const line = this.#start.length === 0 ? piece : Buffer.concat([this.#start, piece]);
    this.#start = NOTHING;
    // The CR is not counted. Most lines are far from any limit.
    if (line.length > MAX_COMMAND_BYTES + 1 && line.length > this.lineLimit(line) + 1) {
      if (lf < 0) this.#dropped = line.length;
      this.onflaw("too long", this.#resume);
      return true;
    }
    if (lf < 0) {
      // Copied: a few bytes must not hold the memory of a whole chunk.
      this.#start = Buffer.from(line);
      return false;
    }
    this.#handOn(line);
    return true;
  }

  #drop(bytes: number, isEnd: boolean): boolean {
    this.#dropped = isEnd ? undefined : (this.#dropped ?? 0) + bytes;
    if (this.#dropped === undefined || this.#dropped <= MAX_DROPPED_BYTES) return false;
    this.onflaw("endless", this.#resume);
    return true;
  }

  #handOn(line: Buffer): void {
    const command = line.subarray(0, -1);
    if (line.at(-1) !== CR) this.onflaw("line end", this.#resume);
    else if (command.includes(CR) || command.includes(0)) this.onflaw("control character", this.#resume);
    else this.oncommand(command, this.#resume);
  }
}
