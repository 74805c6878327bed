/**
 * A text for a part: its line ends made CRLF and its characters made 7-bit lines of 76 at most, by the lightest encoding
 * that does it. Nothing that a relay or a mailbox file likes to change is left bare: a dot or "From " at the start of a
 * line, a space at the end of one, control characters.
 */

export type Encoded = { encoding: "7bit" | "quoted-printable" | "base64"; data: string };

/** RFC 2045 §6.7 (5) and §6.8: the most for both encodings; plain lines keep to it too. */
const MAX_LINE = 76;
/** Where base64 (4/3) is shorter than quoted-printable (3 for each byte that is not ASCII) by a margin. */
const BASE64_FROM = 0.25;

const LF = 10;
const CR = 13;
const DOT = 46;
const EQUALS = 61;
const HEX = "0123456789ABCDEF";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function encodeText(text: string): Encoded {
  const lines = normalise(text);
  const bytes = encoder.encode(lines);
  const { plain, nonAscii } = look(bytes);
  if (plain) return { encoding: "7bit", data: lines };
  if (nonAscii > bytes.length * BASE64_FROM) return { encoding: "base64", data: breakLines(toBase64(bytes)) };
  return { encoding: "quoted-printable", data: quotedPrintable(bytes) };
}

/** RFC 5322 §2.3: CR and LF occur only together. NUL is in no text that people meant (RFC 5321 §4.5.2 bars it). */
export function normalise(text: string): string {
  const some = text.includes("\0") ? text.replaceAll("\0", "") : text;
  return some.replace(/\r\n?|\n/g, "\r\n");
}

/** Base64 in lines, without a last CRLF. */
export function breakLines(base64: string): string {
  if (base64.length <= MAX_LINE) return base64;
  const lines: string[] = [];
  for (let i = 0; i < base64.length; i += MAX_LINE) lines.push(base64.slice(i, i + MAX_LINE));
  return lines.join("\r\n");
}

export function toBase64(bytes: Uint8Array): string {
  // In pieces: arguments of a call are limited.
  let binary = "";
  for (let i = 0; i < bytes.length; i += 8192)
    binary += String.fromCharCode.apply(null, bytes.subarray(i, i + 8192) as unknown as number[]);
  return btoa(binary);
}

/** Plain: may be sent as it is. */
function look(bytes: Uint8Array): { plain: boolean; nonAscii: number } {
  let plain = true;
  let nonAscii = 0;
  let start = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] ?? 0;
    if (byte === LF) {
      start = i + 1;
      continue;
    }
    if (byte >= 0x80) nonAscii++;
    if (!plain) continue;
    if (i === start && (byte === DOT || isFrom(bytes, i) || isBoundary(bytes, i))) plain = false;
    else if (byte === 32 || byte === 9) plain = !endsLine(bytes, i + 1) && i - start < MAX_LINE;
    else if (byte !== CR) plain = byte > 32 && byte < 127 && i - start < MAX_LINE;
  }
  return { plain, nonAscii };
}

/** RFC 2045 §6.7. Characters of several bytes stay on one line, for readers that decode line by line. */
function quotedPrintable(bytes: Uint8Array): string {
  // Three for each byte, and a soft break ("=" CRLF) for at least each 66.
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
    const bare = isBare(bytes, i);
    const room = byte >= 0xf0 ? 12 : byte >= 0xe0 ? 9 : byte >= 0xc0 ? 6 : bare ? 1 : 3;
    const within = byte >= 0x80 && byte < 0xc0;
    if (!within && column + room > MAX_LINE - 1) {
      out[to++] = EQUALS;
      out[to++] = CR;
      out[to++] = LF;
      column = 0;
    }
    if (bare && !(column === 0 && (byte === DOT || isFrom(bytes, i)))) {
      out[to++] = byte;
      column++;
    } else {
      out[to++] = EQUALS;
      out[to++] = HEX.charCodeAt(byte >> 4);
      out[to++] = HEX.charCodeAt(byte & 15);
      column += 3;
    }
  }
  return decoder.decode(out.subarray(0, to));
}

function isBare(bytes: Uint8Array, at: number): boolean {
  const byte = bytes[at] ?? 0;
  if (byte === 32 || byte === 9) return !endsLine(bytes, at + 1);
  return byte > 32 && byte < 127 && byte !== EQUALS;
}

function endsLine(bytes: Uint8Array, at: number): boolean {
  return at >= bytes.length || bytes[at] === CR;
}

/** What mailbox files and old relays turn into ">From ". */
function isFrom(bytes: Uint8Array, at: number): boolean {
  return (
    bytes[at] === 0x46 &&
    bytes[at + 1] === 0x72 &&
    bytes[at + 2] === 0x6f &&
    bytes[at + 3] === 0x6d &&
    bytes[at + 4] === 32
  );
}

/** "--=": how a boundary of ours looks. Encodings never give it. */
function isBoundary(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === 45 && bytes[at + 1] === 45 && bytes[at + 2] === EQUALS;
}
