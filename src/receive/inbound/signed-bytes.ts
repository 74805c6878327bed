/**
 * Whether a message's signatures can be checked within bounds: the library's time grows with the square of some of these. Honest mail
 * has a tenth of each.
 */
import { endOfHeader } from "./collapse.ts";

/** Large senders put on two or three. */
const MAX_SIGNATURES = 10;
/** As open-message.ts has them: for each field that a signature names, all fields are looked through. */
const MAX_HEADER_BYTES = 256 * 1024;
const MAX_HEADER_LINES = 2_000;
/** RFC 5322 §2.1.1 has 998; HTML on one line happens. What is known of a line is looked at again with each 64 KiB of it. */
const MAX_LINE_BYTES = 256 * 1024;
/** Each is a step of its own, of some microseconds. */
const MAX_BARE_LINE_FEEDS = 250_000;

const LF = 0x0a;
const CR = 0x0d;

/** Why they can't; undefined when they can. */
export function tooMuchToVerify(raw: Uint8Array, signatures: number): string | undefined {
  if (signatures > MAX_SIGNATURES) return `more than ${MAX_SIGNATURES} signatures`;
  const headerEnd = endOfHeader(raw);
  if (headerEnd > MAX_HEADER_BYTES) return `a header of more than ${MAX_HEADER_BYTES} bytes`;
  let lines = 0;
  let bare = 0;
  for (let start = 0; start < raw.length; ) {
    const end = raw.indexOf(LF, start);
    if (end < 0) return raw.length - start > MAX_LINE_BYTES ? LONG_LINE : undefined;
    if (end - start > MAX_LINE_BYTES) return LONG_LINE;
    if (end < headerEnd && ++lines > MAX_HEADER_LINES) return `more than ${MAX_HEADER_LINES} lines of header`;
    if (raw[end - 1] !== CR && ++bare > MAX_BARE_LINE_FEEDS)
      return `more than ${MAX_BARE_LINE_FEEDS} lines without CR`;
    start = end + 1;
  }
  return undefined;
}

const LONG_LINE = `a line of more than ${MAX_LINE_BYTES} bytes`;
