/**
 * A message without what its parts contain: the header, and the delimiters and headers of its parts. It tells all that is to be known
 * before a message is accepted, and costs a parser a tenth of the whole. It is also where a message with more parts than any
 * person sends is found before a parser is given it. Pure.
 */
import { join } from "./join.ts";

const CR = 13;
const LF = 10;
/** Far above what mail programs make; each part costs every reader on the way. */
const MAX_PARTS = 1_000;
/** RFC 2046 §5.1.1. */
const MAX_BOUNDARY = 70;
const BOUNDARY = /\bboundary\s*=\s*(?:"((?:[^"\\]|\\.){1,140})"|([^\s;"]{1,70}))/gi;

export type Skeleton = { bytes: Uint8Array } | { error: "too many parts" };

export function skeleton(message: Uint8Array): Skeleton {
  const pieces: Uint8Array[] = [];
  const boundaries = new Set<string>();
  let parts = 0;
  let end = headerEnd(message, 0);
  pieces.push(message.subarray(0, end));
  collect(message.subarray(0, end), boundaries);
  if (boundaries.size === 0) return { bytes: message.subarray(0, end) };
  for (const at of delimiters(message, end)) {
    // Inside a part's header, which has been taken already.
    if (at < end) continue;
    const line = lineAt(message, at);
    if (!isDelimiter(line, boundaries)) continue;
    if (++parts > MAX_PARTS) return { error: "too many parts" };
    const headerFrom = Math.min(at + line.length + 2, message.length);
    end = line.endsWith("--") ? headerFrom : headerEnd(message, headerFrom);
    pieces.push(message.subarray(at, end));
    collect(message.subarray(headerFrom, end), boundaries);
  }
  return { bytes: join(pieces) };
}

/** Where the empty line ends that ends the header which begins at `from`; the end of the message when there is none. */
export function headerEnd(message: Uint8Array, from: number): number {
  if (message[from] === CR && message[from + 1] === LF) return from + 2;
  for (let i = message.indexOf(CR, from); i >= 0; i = message.indexOf(CR, i + 1))
    if (message[i + 1] === LF && message[i + 2] === CR && message[i + 3] === LF) return i + 4;
  return message.length;
}

/** Where lines begin that begin with "--". */
function* delimiters(message: Uint8Array, from: number): Generator<number> {
  // The line feed before is the last byte of the header.
  const whole = Buffer.from(message.buffer, message.byteOffset, message.length);
  for (let i = whole.indexOf("\n--", from - 1); i >= 0; i = whole.indexOf("\n--", i + 1)) yield i + 1;
}

/** A line's text without its end, as far as a delimiter can reach; a character for each byte. */
function lineAt(message: Uint8Array, at: number): string {
  let text = "";
  for (let i = at; i < message.length && i < at + MAX_BOUNDARY + 80; i++) {
    const byte = message[i] ?? 0;
    if (byte === CR || byte === LF) break;
    text += String.fromCharCode(byte);
  }
  return text;
}

/** "--boundary" or "--boundary--", perhaps with white space behind (RFC 2046 §5.1.1). */
function isDelimiter(line: string, boundaries: ReadonlySet<string>): boolean {
  const text = line.slice(2).trimEnd();
  return boundaries.has(text) || (text.endsWith("--") && boundaries.has(text.slice(0, -2)));
}

function collect(header: Uint8Array, boundaries: Set<string>): void {
  const text = Buffer.from(header.buffer, header.byteOffset, header.length).toString("latin1");
  if (!/multipart\//i.test(text)) return;
  for (const [, quoted, bare] of text.matchAll(BOUNDARY)) {
    const boundary = quoted?.replace(/\\(.)/g, "$1") ?? bare ?? "";
    if (boundary.length <= MAX_BOUNDARY) boundaries.add(boundary.trimEnd());
  }
}
