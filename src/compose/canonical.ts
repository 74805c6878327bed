/** The relaxed forms of RFC 6376 §3.4, and a message cut into its header fields and body. Pure. */

const LF = 10;
const CR = 13;
const SP = 32;
const TAB = 9;

export interface Field {
  /** Lower case. */
  name: string;
  /** Relaxed, "name:value", without CRLF; a character for each byte. */
  relaxed: string;
}

/** The header fields in order, and the body after the empty line. */
export function cut(message: Uint8Array): { fields: Field[]; body: Uint8Array } {
  const end = headerEnd(message);
  const header = fromBytes(message.subarray(0, end));
  const fields = header
    .split(/\r\n(?![ \t])/)
    .filter((line) => line.includes(":"))
    .map((line) => {
      const relaxed = relaxField(line);
      return { name: relaxed.slice(0, relaxed.indexOf(":")), relaxed };
    });
  return { fields, body: message.subarray(Math.min(end + 4, message.length)) };
}

/** §3.4.2: the name in lower case, unfolded, white space of any length as one space, none at the ends. */
export function relaxField(line: string): string {
  const colon = line.indexOf(":");
  const name = line.slice(0, colon).trimEnd().toLowerCase();
  const value = line
    .slice(colon + 1)
    .replace(/\r\n/g, "")
    .replace(/[ \t]+/g, " ");
  return `${name}:${value.replace(/^ | $/g, "")}`;
}

/** §3.4.4: white space as in fields but kept at the start of a line, no empty lines at the end, a last CRLF if not empty. */
export function relaxBody(body: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(body.length + 2);
  let to = 0;
  /** After the last line that is not empty. */
  let kept = 0;
  let space = false;
  for (let i = 0; i < body.length; i++) {
    const byte = body[i] ?? 0;
    if (byte === SP || byte === TAB) {
      space = true;
      continue;
    }
    if (byte === CR && body[i + 1] === LF) {
      out[to++] = CR;
      out[to++] = LF;
      space = false;
      i++;
      continue;
    }
    if (space) out[to++] = SP;
    space = false;
    out[to++] = byte;
    kept = to;
  }
  if (kept === 0) return out.subarray(0, 0);
  out[kept] = CR;
  out[kept + 1] = LF;
  return out.subarray(0, kept + 2);
}

/** Fields of others may be in any charset: what is signed is their bytes, so a character here is a byte. */
function fromBytes(bytes: Uint8Array): string {
  let text = "";
  // In pieces: arguments of a call are limited.
  for (let i = 0; i < bytes.length; i += 4096) text += String.fromCharCode(...bytes.subarray(i, i + 4096));
  return text;
}

export function toBytes(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** Where the CRLF CRLF is that ends the header; the end of a message that has none. */
function headerEnd(message: Uint8Array): number {
  for (let i = message.indexOf(CR); i >= 0; i = message.indexOf(CR, i + 1)) {
    if (message[i + 1] === LF && message[i + 2] === CR && message[i + 3] === LF) return i;
  }
  return message.length;
}
