/**
 * Single fields of a message's header, read from its bytes without parsing the rest: the inbox indexes three of them for every message
 * that arrives, and a MIME parser for each would cost more than storing it.
 */
import { decodeWords } from "postal-mime";

/** Headers beyond it are not looked at. */
const MAX_HEADER_BYTES = 256 * 1024;

/** The header with its folded lines joined (RFC 5322 §2.2.3); all of the bytes when no blank line ends it. */
export function headerOf(raw: Buffer): string {
  const end = raw.subarray(0, MAX_HEADER_BYTES).indexOf("\r\n\r\n");
  const bytes = raw.subarray(0, end < 0 ? MAX_HEADER_BYTES : end);
  return bytes.toString("utf8").replace(/\r\n(?=[ \t])/g, "");
}

/** The first field of that name; "" when there is none. */
export function fieldOf(header: string, name: string): string {
  const value = new RegExp(`^${name}[ \\t]*:(.*)$`, "im").exec(header)?.[1];
  return value?.trim() ?? "";
}

/** With encoded words decoded (RFC 2047), as people read it. */
export function textOf(header: string, name: string): string {
  return decodeWords(fieldOf(header, name));
}

/**
 * What the message calls itself: the MessageID that Edgepost gave it, else its Message-ID without the brackets, else "".
 */
export function messageIdOf(header: string): string {
  return fieldOf(header, "X-PM-Message-Id") || fieldOf(header, "Message-ID").replace(/^<|>$/g, "");
}
