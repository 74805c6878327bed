/**
 * Opens a message that came from outside, within bounds: its header, its text, and the parts that reports are made of. What goes beyond
 * the bounds is "unreadable", with the reason; the raw message stays in R2 for a person.
 */
import PostalMime, { decodeWords, type Email } from "postal-mime";

/** Reports come before the message that they return: what lies further back is not looked at. */
const MAX_READ_BYTES = 1024 * 1024;
/** The parser takes up to 80 µs for each line, however short (it makes a Blob of it): half a second at most. */
const MAX_READ_LINES = 5_000;
/** Ten times what real reports have; a parser takes about 0.1 ms for each. */
const MAX_BOUNDARY_LINES = 1_000;
const MAX_NESTING = 100;
/** Of all parts together; Postfix takes 100 KiB for a field, and a trace of 50 hops is 20 KiB. */
const MAX_HEADER_BYTES = 256 * 1024;
const MAX_HEADER_LINES = 2_000;
/** Explanations are a page or two. */
const MAX_TEXT = 128 * 1024;
const MAX_PARTS = 32;
/** RFC 2046 §5.1.1: 70 characters, and the dashes around them. */
const MAX_BOUNDARY_LINE = 76;

const LF = 0x0a;
const CR = 0x0d;
const DASH = 0x2d;
const SPACE = 0x20;

/** A part that is not shown as text: a report's fields, a returned message or its header. */
export interface Part {
  /** "message/delivery-status", lower case. */
  type: string;
  text: string;
}

export interface Opened {
  /** Every field's values, unfolded, by its name in lower case. */
  fields: Map<string, string[]>;
  subject: string;
  /** The address of the author; "" when there is none. */
  from: string;
  /** The message's own text, lines ended by "\n". */
  text: string;
  parts: Part[];
}

export type Opening = { ok: Opened } | { unreadable: string };

export async function openMessage(raw: Uint8Array): Promise<Opening> {
  const start = raw.subarray(0, MAX_READ_BYTES);
  const reason = tooMuch(start);
  if (reason) return { unreadable: reason };
  const bytes = firstLines(start);
  let email: Email;
  try {
    email = await PostalMime.parse(bytes, {
      forceRfc822Attachments: true,
      maxNestingDepth: MAX_NESTING,
      maxHeadersSize: MAX_HEADER_BYTES,
    });
  } catch (error) {
    // The parser refuses what exceeds its limits, and nothing else; whatever it says, the message can't be read.
    return { unreadable: error instanceof Error ? error.message.slice(0, 200) : "cannot be parsed" };
  }
  const fields = new Map<string, string[]>();
  for (const { key, value } of email.headers) {
    const values = fields.get(key);
    if (values) values.push(value);
    else fields.set(key, [value]);
  }
  const from = email.from?.address ?? email.from?.group?.[0]?.address ?? "";
  return {
    ok: {
      fields,
      subject: (email.subject ?? "").slice(0, 1000),
      from,
      text: textOf(email, bytes),
      parts: partsOf(email),
    },
  };
}

/** The first field of that name, without its encoded words; "" when there is none. */
export function fieldOf({ fields }: Pick<Opened, "fields">, name: string): string {
  return decodeWords((fields.get(name)?.[0] ?? "").slice(0, 2000)).trim();
}

/** Counts what the parser does not bound itself. */
function tooMuch(bytes: Uint8Array): string {
  let headerLines = 0;
  let boundaryLines = 0;
  let isHeader = true;
  for (let start = 0; start < bytes.length; ) {
    let end = bytes.indexOf(LF, start);
    if (end < 0) end = bytes.length;
    const length = end - start - (bytes[end - 1] === CR ? 1 : 0);
    if (isHeader && length === 0) isHeader = false;
    if (isHeader && ++headerLines > MAX_HEADER_LINES) return `more than ${MAX_HEADER_LINES} lines of header`;
    if (isBoundaryLike(bytes, start, length) && ++boundaryLines > MAX_BOUNDARY_LINES)
      return `more than ${MAX_BOUNDARY_LINES} parts`;
    start = end + 1;
  }
  return "";
}

function firstLines(bytes: Uint8Array): Uint8Array {
  let end = -1;
  for (let line = 0; line < MAX_READ_LINES; line++) {
    end = bytes.indexOf(LF, end + 1);
    if (end < 0) return bytes;
  }
  return bytes.subarray(0, end + 1);
}

/** "--" and something that is neither a rule of dashes nor a signature's "-- ". */
function isBoundaryLike(bytes: Uint8Array, start: number, length: number): boolean {
  if (length < 3 || length > MAX_BOUNDARY_LINE || bytes[start] !== DASH || bytes[start + 1] !== DASH)
    return false;
  for (let i = start + 2; i < start + length; i++) if (bytes[i] !== DASH && bytes[i] !== SPACE) return true;
  return false;
}

function textOf(email: Email, bytes: Uint8Array): string {
  const text = email.text || (email.html ? stripTags(email.html.slice(0, 4 * MAX_TEXT)) : "");
  if (text.trim() !== "") return lines(text);
  if (email.attachments.length > 0) return "";
  // A multipart whose boundary never comes: all of it is preamble to the parser, and still says something.
  const whole = decode(bytes.subarray(0, MAX_TEXT));
  const end = whole.search(/\r?\n\r?\n/);
  return end < 0 ? "" : lines(whole.slice(end));
}

function partsOf(email: Email): Part[] {
  const parts: Part[] = [];
  for (const { mimeType, content, filename } of email.attachments) {
    if (parts.length >= MAX_PARTS) break;
    const type = typeOf(mimeType, filename ?? "");
    if (typeof content === "string" || !/^(?:message|text)\//.test(type)) continue;
    parts.push({ type, text: lines(decode(new Uint8Array(content).subarray(0, MAX_TEXT))) });
  }
  return parts;
}

/** Gateways that rewrite a report's parts leave their names. */
function typeOf(mimeType: string, filename: string): string {
  if (/^(?:message|text)\//.test(mimeType)) return mimeType;
  if (/\.eml$/i.test(filename)) return "message/rfc822";
  if (/(?:^details|delivery-?status).{0,20}\.(?:txt|dat)$/i.test(filename)) return "message/delivery-status";
  return mimeType;
}

function decode(bytes: Uint8Array): string {
  // What is not UTF-8 is nearly always of one byte a character, and then every ASCII field survives.
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes, { stream: true });
  } catch {
    return new TextDecoder("windows-1252").decode(bytes);
  }
}

function lines(text: string): string {
  return text.slice(0, MAX_TEXT).replace(/\r\n?/g, "\n").toWellFormed();
}

const ENTITIES: Record<string, string> = { lt: "<", gt: ">", amp: "&", quot: '"', nbsp: " ", "#39": "'" };

/** Enough to find addresses and phrases, never to show. Each pattern stops at the next "<", so that it is linear. */
function stripTags(html: string): string {
  return html
    .replace(/<(?:style|script|title)\b[^<>]*>[^<]*/gi, " ")
    .replace(/<(?:br|p|div|tr|li|h\d|table|pre)\b[^<>]*>/gi, "\n")
    .replace(/<[^<>]*>/g, " ")
    .replace(/&(lt|gt|amp|quot|nbsp|#39);/g, (_, name: string) => ENTITIES[name] ?? " ");
}
