/**
 * A text for a part: its line ends made CRLF and its characters made 7-bit lines of 76 at most, by the lightest encoding
 * that does it. Nothing that a relay or a mailbox file likes to change is left bare: a dot or "From " at the start of a
 * line, a space at the end of one, control characters.
 */
import { encodeBase64 } from "./base64.ts";

export type Encoded =
  | { encoding: "7bit"; data: string }
  | { encoding: "quoted-printable" | "base64"; data: Uint8Array };

/** RFC 2045 §6.7 (5): the most for quoted-printable; plain lines keep to it too. */
const MAX_LINE = 76;
/** The share of other bytes than ASCII where base64 (4/3) is shorter than quoted-printable (3 each) by a margin. */
const BASE64_FROM = 0.25;

const LF = 10;
const CR = 13;
const DOT = 46;
const EQUALS = 61;
const HEX = new TextEncoder().encode("0123456789ABCDEF");
const FROM = new TextEncoder().encode("From ");

/** What a byte is in quoted-printable: it stays, it stays unless it ends a line, or it is encoded. */
const STAYS = 1;
const SPACE = 2;
const KINDS = new Uint8Array(256);
for (let byte = 33; byte < 127; byte++) KINDS[byte] = STAYS;
KINDS[EQUALS] = 0;
KINDS[32] = SPACE;
KINDS[9] = SPACE;

const encoder = new TextEncoder();

/** `whole`: ASCII letters that will be found and replaced in what is encoded, so they stay as they are and on one line. */
export function encodeText(text: string, whole = ""): Encoded {
  const lines = normalise(text);
  const bytes = encoder.encode(lines);
  const { plain, nonAscii } = look(bytes);
  if (plain) return { encoding: "7bit", data: lines };
  if (nonAscii > bytes.length * BASE64_FROM && whole === "")
    return { encoding: "base64", data: encodeBase64(bytes) };
  return { encoding: "quoted-printable", data: quotedPrintable(bytes, { whole }) };
}

/** RFC 5322 §2.3: CR and LF occur only together. NUL is in no text that people meant (RFC 5321 §4.5.2 bars it). */
export function normalise(text: string): string {
  const some = text.includes("\0") ? text.replaceAll("\0", "") : text;
  return some.replace(/\r(?!\n)|(?<!\r)\n/g, "\r\n");
}

/** Plain: may be sent as it is. */
function look(bytes: Uint8Array): { plain: boolean; nonAscii: number } {
  let plain = true;
  let nonAscii = 0;
  let start = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] ?? 0;
    if (byte >= 0x80) nonAscii++;
    if (!plain) continue;
    if (byte === LF) start = i + 1;
    else if (byte !== CR) {
      const kind = KINDS[byte];
      plain =
        i - start < MAX_LINE &&
        (kind === STAYS || byte === EQUALS || (kind === SPACE && !endsLine(bytes, i)));
      if (i === start && (byte === DOT || isFrom(bytes, i) || isBoundary(bytes, i))) plain = false;
    }
  }
  return { plain, nonAscii };
}

/**
 * RFC 2045 §6.7. Characters of several bytes stay on one line, for readers that decode line by line: those of UTF-8, unless it is
 * said that the text is in another charset.
 */
export function quotedPrintable(
  bytes: Uint8Array,
  { whole = "", isUtf8 = true }: { whole?: string; isUtf8?: boolean } = {},
): Uint8Array {
  const unit = encoder.encode(whole);
  // Three for each byte, and a soft break ("=" CRLF) for at least each 64.
  const out = new Uint8Array(Math.ceil(bytes.length * 3.2) + 16);
  let to = 0;
  let column = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] ?? 0;
    if (byte === CR && bytes[i + 1] === LF) {
      out[to++] = CR;
      out[to++] = LF;
      column = 0;
      i++;
      continue;
    }
    const kind = KINDS[byte];
    let stays = kind === STAYS || (kind === SPACE && !endsLine(bytes, i));
    const isUnit = byte === unit[0] && unit.every((c, u) => bytes[i + u] === c);
    const needs = isUnit ? unit.length : stays ? 1 : isUtf8 ? room(byte) : 3;
    if (column + needs > MAX_LINE - 1) {
      out[to++] = EQUALS;
      out[to++] = CR;
      out[to++] = LF;
      column = 0;
    }
    if (column === 0 && (byte === DOT || isFrom(bytes, i))) stays = false;
    if (stays) {
      out[to++] = byte;
      column++;
    } else {
      out[to++] = EQUALS;
      out[to++] = HEX[byte >> 4] ?? 0;
      out[to++] = HEX[byte & 15] ?? 0;
      column += 3;
    }
  }
  return out.subarray(0, to);
}

/** What a byte needs on its line: a character's first, what all of them need; the others found their place with it. */
function room(byte: number): number {
  if (byte < 0x80) return 3;
  if (byte < 0xc0) return 0;
  return byte >= 0xf0 ? 12 : byte >= 0xe0 ? 9 : 6;
}

function endsLine(bytes: Uint8Array, at: number): boolean {
  return at + 1 >= bytes.length || bytes[at + 1] === CR;
}

/** What mailbox files and old relays turn into ">From ". */
function isFrom(bytes: Uint8Array, at: number): boolean {
  return FROM.every((byte, i) => bytes[at + i] === byte);
}

/** "--=": how a boundary of ours looks. Encodings never give it. */
function isBoundary(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === 45 && bytes[at + 1] === 45 && bytes[at + 2] === EQUALS;
}
