/**
 * An attachment's own header fields: its type, made safe and fit for the encoding it is sent in, and its file name in
 * both of the ways that readers know. Base64 goes through undecoded.
 */
import type { Attachment } from "../mail/message.ts";
import { breakBase64 } from "./base64.ts";
import { encodeWords, oneLine } from "./header.ts";
import { normalise } from "./text.ts";

export interface Part {
  headers: Record<string, string>;
  /** In pieces, since large ones are dear to copy. */
  data: (string | Uint8Array)[];
}

const TOKEN = "[A-Za-z0-9!#$&^_.+-]{1,64}";
const TYPE = new RegExp(`^\\s*(${TOKEN}/${TOKEN})\\s*(?:;|$)`);
const PARAMETER = new RegExp(`;\\s*(${TOKEN})\\s*=\\s*(?:"([^"\\\\]{0,200})"|(${TOKEN}))`, "g");
const FALLBACK = "application/octet-stream";
/** Room for a piece of a name on a line of 76, beside `filename*10*=utf-8''` and its semicolon. */
const PIECE = 52;

const encoder = new TextEncoder();

export function attachmentPart(attachment: Attachment, place: "inline" | "attachment"): Part {
  const name = oneLine(attachment.name) || "attachment";
  const { type, parameters } = readType(attachment.contentType);
  const message = /^message\//i.test(type) ? messageText(attachment.content) : undefined;
  // RFC 2046 §5.2.1 and §5.1: neither a message nor a multipart may be base64, and readers look for parts within.
  const opaque = (/^message\//i.test(type) && message === undefined) || /^multipart\//i.test(type);
  // Readers take a text that is inline for a part of the letter (RFC 2183 §2.1).
  const shown = place === "inline" && !/^text\//i.test(type);
  const fields = opaque ? [FALLBACK] : [type, ...parameters];
  const headers: Record<string, string> = {
    "Content-Type": [...fields, fallbackName(name)].join(";\r\n "),
    "Content-Transfer-Encoding": message === undefined ? "base64" : "7bit",
    "Content-Disposition": [shown ? "inline" : "attachment", ...fileName(name)].join(";\r\n "),
  };
  const contentId = cid(attachment.contentId);
  if (contentId !== "") headers["Content-ID"] = `<${contentId}>`;
  return { headers, data: [message ?? breakBase64(attachment.content)] };
}

/** Parameters that say something of the content are kept (a calendar's `method`), except those that are ours to say. */
function readType(contentType: string): { type: string; parameters: string[] } {
  const type = TYPE.exec(contentType)?.[1];
  if (!type) return { type: FALLBACK, parameters: [] };
  const text = /^text\//i.test(type);
  const parameters: string[] = [];
  for (const [, name = "", quoted, bare] of contentType.matchAll(PARAMETER)) {
    const value = quoted ?? bare ?? "";
    const ours = /^(name|filename|boundary)/i.test(name) || (/^charset/i.test(name) && !text);
    if (!ours && /^[\x20-\x7e]*$/.test(value) && parameters.length < 10)
      parameters.push(/^[A-Za-z0-9_.-]+$/.test(value) ? `${name}=${value}` : `${name}="${value}"`);
  }
  return { type, parameters };
}

/** A forwarded message that is 7-bit, has no long lines, and no line that is dangerous bare; undefined of any other. */
function messageText(base64: string): string | undefined {
  try {
    const text = normalise(atob(base64));
    const fit =
      /^[\t\r\n\x20-\x7e]*$/.test(text) && !/[^\n]{998}/.test(text) && !/^(\.\r?$|From )/m.test(text);
    return fit ? text : undefined;
  } catch {
    // Not base64: to be passed on as it is.
    return undefined;
  }
}

/** For readers that don't know RFC 2231: encoded words in quotes, which no RFC allows and all of them read. */
function fallbackName(name: string): string {
  return isSimple(name) ? `name=${quoted(name)}` : `name="${encodeWords(name).join("\r\n ")}"`;
}

/** RFC 2231 §3 and §4: `filename*=utf-8''…`, in numbered pieces when it is long. */
function fileName(name: string): string[] {
  if (isSimple(name)) return [`filename=${quoted(name)}`];
  const pieces: string[] = [""];
  for (const character of name) {
    const escaped = percent(character);
    const last = pieces.at(-1) ?? "";
    if (last.length + escaped.length > PIECE) pieces.push(escaped);
    else pieces[pieces.length - 1] = last + escaped;
  }
  if (pieces.length === 1) return [`filename*=utf-8''${pieces[0]}`];
  return pieces.map((piece, i) => `filename*${i}*=${i === 0 ? "utf-8''" : ""}${piece}`);
}

function isSimple(name: string): boolean {
  return name.length <= PIECE && /^[\x20-\x7e]*$/.test(name) && !name.includes("=?");
}

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}

/** RFC 2231 §7: attribute-char stays. */
function percent(character: string): string {
  if (/^[A-Za-z0-9!#$&+.^_`{|}~-]$/.test(character)) return character;
  let out = "";
  for (const byte of encoder.encode(character)) out += `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  return out;
}

/** What may be between the angle brackets (RFC 2392); another script is written as a `cid:` URL would. */
export function cid(contentId: string): string {
  const line = oneLine(contentId)
    .replace(/^cid:/i, "")
    .replace(/[\s<>()[\]\\",;:]/g, "");
  return line.replace(/[^\x21-\x7e]+/g, encodeURIComponent).slice(0, 300);
}
