/**
 * Changes the texts of a message that its client made, each in its place and in its own charset; every other byte stays as it came.
 * What cannot be decoded and encoded without loss stays too, and is told. Pure.
 */
import type { NotTracked } from "../mail/record.ts";
import { encodeBase64 } from "./base64.ts";
import { join } from "./join.ts";
import { type Leaf, leavesOf } from "./leaves.ts";
import { quotedPrintable } from "./text.ts";

/** As much as a body may have that comes by the API: larger ones are reports and logs. */
const MAX_TEXT_BYTES = 5_000_000;
/** RFC 5322 §2.1.1. */
const MAX_LINE = 998;
const LF = 10;
const CR = 13;
/** One byte is one character: what was decoded can be encoded again. */
const SINGLE_BYTE =
  /^(us-ascii|ascii|iso-?8859-\d{1,2}|latin-?\d|windows-125[0-8]|cp125[0-8]|koi8-[ru]|macintosh|windows-874|ibm866)$/;

/** Gives the text changed; `isFirst` of its type in the message. It is asked for HTML before it is asked for any plain text. */
export type Change = (leaf: { type: Leaf["type"]; text: string; isFirst: boolean }) => Promise<string>;

export interface Rewritten {
  bytes: Uint8Array;
  /** Why texts stay as they came that were to be changed. */
  left?: NotTracked;
}

/** `whole` is what encodeText keeps whole. */
export async function rewriteLeaves(message: Uint8Array, change: Change, whole = ""): Promise<Rewritten> {
  const found = leavesOf(message);
  if ("left" in found) return { bytes: message, left: found.left };
  const { changes, left } = await changesOf(message, found.leaves, { change, whole });
  const pieces: Uint8Array[] = [];
  let at = 0;
  for (const leaf of found.leaves) {
    const written = changes.get(leaf);
    if (!written) continue;
    const field = written.encoding
      ? [new TextEncoder().encode(`Content-Transfer-Encoding: ${written.encoding}\r\n`)]
      : [];
    const { encodingField } = leaf;
    if (field.length > 0) pieces.push(message.subarray(at, encodingField.from), ...field);
    const from = field.length > 0 ? encodingField.to : at;
    pieces.push(message.subarray(from, leaf.from), written.body, ...lastLineEnd(message, leaf, written.body));
    at = leaf.to;
  }
  const bytes = pieces.length === 0 ? message : join([...pieces, message.subarray(at)]);
  return left === undefined ? { bytes } : { bytes, left };
}

/** What each leaf's body becomes that is another than before. */
async function changesOf(
  message: Uint8Array,
  leaves: Leaf[],
  { change, whole }: { change: Change; whole: string },
): Promise<{ changes: Map<Leaf, Written>; left?: NotTracked }> {
  const changes = new Map<Leaf, Written>();
  let left: NotTracked | undefined;
  for (const type of ["text/html", "text/plain"] as const) {
    const alike = leaves.filter((leaf) => leaf.type === type);
    for (const leaf of alike) {
      const read = decode(message, leaf);
      if ("left" in read) {
        left ??= read.left;
        continue;
      }
      const text = await change({ type, text: read.text, isFirst: leaf === alike[0] });
      if (text !== read.text) changes.set(leaf, encode(leaf, read.toBytes(text), whole));
    }
  }
  return left === undefined ? { changes } : { changes, left };
}

type Read = { text: string; toBytes(text: string): Uint8Array } | { left: NotTracked };

/** Whether `wanted` is in one of the texts. */
export function isInLeaves(message: Uint8Array, wanted: string): boolean {
  const found = leavesOf(message);
  if ("left" in found) return false;
  return found.leaves.some((leaf) => {
    const read = decode(message, leaf);
    return "text" in read && read.text.includes(wanted);
  });
}

function decode(message: Uint8Array, leaf: Leaf): Read {
  if (leaf.to - leaf.from > MAX_TEXT_BYTES) return { left: "too large" };
  const raw = Buffer.from(message.buffer, message.byteOffset + leaf.from, leaf.to - leaf.from);
  const bytes =
    leaf.encoding === "base64"
      ? Buffer.from(raw.toString("latin1"), "base64")
      : leaf.encoding === "quoted-printable"
        ? unquoted(raw)
        : raw;
  const isUtf8 = /^utf-?8$/.test(leaf.charset);
  if (!isUtf8 && !SINGLE_BYTE.test(leaf.charset)) return { left: "charset" };
  try {
    const decoder = new TextDecoder(leaf.charset, { fatal: true, ignoreBOM: true });
    const text = decoder.decode(bytes);
    if (isUtf8) return { text, toBytes: (changed) => new TextEncoder().encode(changed) };
    return { text, toBytes: (changed) => encodeSingle(changed, leaf.charset) };
  } catch {
    // Bytes that are not of the charset that is named, or a charset that the platform does not know: encoded anew, it might change.
    return { left: "charset" };
  }
}

/** Throws on a character that the charset does not have, of which a text that was decoded from it has none. */
function encodeSingle(text: string, charset: string): Uint8Array {
  const decoder = new TextDecoder(charset, { fatal: false, ignoreBOM: true });
  const bytes = new Map<string, number>();
  for (let byte = 255; byte >= 0; byte--) bytes.set(decoder.decode(Uint8Array.of(byte)), byte);
  return Uint8Array.from(text, (character) => {
    const byte = bytes.get(character);
    if (byte === undefined) throw new Error(`${charset} has no ${character}`);
    return byte;
  });
}

interface Written {
  body: Uint8Array;
  /** When it is another than before. */
  encoding?: "quoted-printable";
}

/** As it was encoded, unless its lines grew too long for that, or base64 would hide what is to be found in it. */
function encode({ encoding, charset }: Leaf, bytes: Uint8Array, whole: string): Written {
  const quoted = () => quotedPrintable(bytes, { whole, isUtf8: /^utf-?8$/.test(charset) });
  if (encoding === "quoted-printable") return { body: quoted() };
  if (encoding === "base64" && whole === "") return { body: encodeBase64(bytes) };
  if (encoding === "identity" && longestLine(bytes) <= MAX_LINE) return { body: bytes };
  return { body: quoted(), encoding: "quoted-printable" };
}

/** The body of a message that has no parts ends with its last line. */
function lastLineEnd(message: Uint8Array, { from, to }: Leaf, body: Uint8Array): Uint8Array[] {
  const ended = to - from >= 2 && message[to - 2] === CR && message[to - 1] === LF;
  const ends = body.length >= 2 && body[body.length - 2] === CR && body[body.length - 1] === LF;
  return ended && !ends ? [Uint8Array.of(CR, LF)] : [];
}

function longestLine(bytes: Uint8Array): number {
  let longest = 0;
  let start = 0;
  for (let end = bytes.indexOf(LF); end >= 0; end = bytes.indexOf(LF, start)) {
    longest = Math.max(longest, end - start - 1);
    start = end + 1;
  }
  return Math.max(longest, bytes.length - start);
}

/** RFC 2045 §6.7; what is malformed stays as it is. */
function unquoted(raw: Uint8Array): Uint8Array {
  const out = new Uint8Array(raw.length);
  let to = 0;
  for (let i = 0; i < raw.length; i++) {
    const byte = raw[i] ?? 0;
    if (byte !== 61) {
      out[to++] = byte;
      continue;
    }
    const soft = softBreak(raw, i + 1);
    const [high, low] = [hex(raw[i + 1]), hex(raw[i + 2])];
    if (soft > 0) i = soft - 1;
    else if (high >= 0 && low >= 0) {
      out[to++] = high * 16 + low;
      i += 2;
    } else out[to++] = byte;
  }
  return out.subarray(0, to);
}

/** Behind the line end that white space at most is before (§6.7 (3)); 0 when there is none. */
function softBreak(raw: Uint8Array, from: number): number {
  let at = from;
  while (raw[at] === 32 || raw[at] === 9) at++;
  if (at >= raw.length) return raw.length;
  if (raw[at] === CR && raw[at + 1] === LF) return at + 2;
  return raw[at] === LF ? at + 1 : 0;
}

function hex(byte: number | undefined): number {
  if (byte === undefined) return -1;
  if (byte >= 48 && byte <= 57) return byte - 48;
  const lower = byte | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}
