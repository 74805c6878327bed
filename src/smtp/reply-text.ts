/**
 * Makes a `Reply` out of what a server said: the code, its enhanced status code, and text that is safe to store and to show.
 * A remote server writes this text, so nothing of it is trusted: control characters go, and its length is bounded.
 */
import type { Reply } from "../mail/reply.ts";

/** What a page, a webhook and a DSN can carry; real explanations are shorter. */
export const MAX_TEXT_CHARACTERS = 1_000;
/** Far above real replies; bounds the work on a hostile one. */
const MAX_LINES = 128;

/** RFC 3463 §2: class "." subject "." detail, at the start of a line's text (RFC 2034 §4). */
const ENHANCED = /^([245]\.\d{1,3}\.\d{1,3})(?:[\s:;,-]+|$)/;
/** Some servers put it elsewhere: "Requested action not taken: mailbox unavailable (#5.1.1)". */
const ENHANCED_WITHIN = /(?:^|[\s(#[])([45]\.[0-7]\.\d{1,3})(?=$|[\s)\],;:])/;
const LINE = /^([2-5]\d\d)([ -]|$)(.*)$/s;

/** A reply of these lines, which still carry their code: "550-5.1.1 no such", "550 5.1.1 user". Code 0 when it is none. */
export function toReply(lines: string[]): Reply {
  let code = 0;
  let enhanced = "";
  const texts: string[] = [];
  for (const line of lines.slice(0, MAX_LINES)) {
    const [, digits, , rest] = LINE.exec(line) ?? [];
    if (digits && code === 0) code = Number(digits);
    const text = digits ? (rest ?? "") : line;
    const status = ENHANCED.exec(text);
    enhanced ||= status?.[1] ?? "";
    // It is repeated on each line; once is enough.
    texts.push(status?.[1] === enhanced ? text.slice(status[0].length) : text);
  }
  const text = cleanText(texts.join(" "));
  return { code, enhanced: enhanced || enhancedWithin(code, text), text };
}

/** The same, from one string with line ends. */
export function parseReply(text: string): Reply {
  return toReply(text.split(/\r?\n/, MAX_LINES).filter((line) => line !== ""));
}

/** One line without control, format and line-separating characters, its spaces single, bounded. */
export function cleanText(text: string): string {
  return text
    .slice(0, MAX_TEXT_CHARACTERS * 4)
    .replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, " ")
    .replace(/\s+/g, " ")
    .trim()
    .slice(0, MAX_TEXT_CHARACTERS)
    .toWellFormed();
}

/** A reply that no server gave: what we found out ourselves, with the status code that says it. */
export function noReply(enhanced = "", text = ""): Reply {
  return { code: 0, enhanced, text: cleanText(text) };
}

/** Only taken from within the text of a refusal, and only when its class agrees with the code: it may be a version number. */
function enhancedWithin(code: number, text: string): string {
  if (code < 400) return "";
  const found = ENHANCED_WITHIN.exec(text)?.[1] ?? "";
  return found.startsWith(String(Math.floor(code / 100))) ? found : "";
}
