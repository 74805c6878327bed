/** The parts of a message that are lists of the caller's own names and values: header fields and metadata. Pure. */
import { printable } from "../mail/address.ts";
import { type Result, refused } from "./error.ts";

const MAX_METADATA = 10;
const MAX_METADATA_KEY = 20;
const MAX_METADATA_VALUE = 80;
/** Mail servers refuse header blocks beyond some hundred KB; with ours, these stay well below. */
const MAX_HEADERS = 250;
const MAX_HEADER_CHARACTERS = 100_000;

/** RFC 5322 §2.2: printable ASCII but the colon. RFC 5322 §2.1.1 bounds the line that it has to fit on. */
const HEADER_NAME = /^[\x21-\x39\x3b-\x7e]{1,76}$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: refusing them is the point.
const CONTROL = /[\u0000-\u0008\u000a-\u001f\u007f\u0085\u2028\u2029]/;

export interface Header {
  name: string;
  value: string;
}

/** Reserved names are the composer's to leave out; here is only refused what can be no header field. */
export function readHeaders(given: { Name: string; Value: string }[]): Result<Header[]> {
  if (given.length > MAX_HEADERS) return refused(300, `A message may have at most ${MAX_HEADERS} headers.`);
  const headers: Header[] = [];
  let characters = 0;
  for (const { Name, Value } of given) {
    const name = Name.trim();
    const value = Value.trim().toWellFormed();
    if (!HEADER_NAME.test(name)) return refused(300, `Invalid header name: '${printable(Name)}'.`);
    if (CONTROL.test(value))
      return refused(300, `Invalid value of header '${name}'. It may not contain line breaks.`);
    characters += name.length + value.length;
    headers.push({ name, value });
  }
  if (characters > MAX_HEADER_CHARACTERS)
    return refused(300, `The headers of a message may have at most ${MAX_HEADER_CHARACTERS} characters.`);
  return { ok: headers };
}

/** Numbers and booleans become strings, as clients in other languages send them. */
export function readMetadata(given: Record<string, unknown>): Result<Record<string, string>> {
  const wrong = (why: string) => refused(300, `Invalid metadata content. ${why}`);
  const entries = Object.entries(given).filter(([, value]) => value !== null && value !== undefined);
  if (entries.length === 0) return { ok: {} };
  if (entries.length > MAX_METADATA) return wrong(`At most ${MAX_METADATA} fields are allowed.`);
  const seen = new Set<string>();
  const pairs: [string, string][] = [];
  for (const [key, value] of entries) {
    if (key === "") return wrong("Field names may not be empty.");
    if (key.length > MAX_METADATA_KEY)
      return wrong(`Field names are limited to ${MAX_METADATA_KEY} characters.`);
    if (seen.has(key.toLowerCase())) return wrong("Field names must be unique, whatever their case.");
    seen.add(key.toLowerCase());
    if (typeof value === "object") return wrong("Field values must be strings.");
    const text = String(value);
    if (text.length > MAX_METADATA_VALUE)
      return wrong(`Field values are limited to ${MAX_METADATA_VALUE} characters.`);
    pairs.push([key.toWellFormed(), text.toWellFormed()]);
  }
  // fromEntries defines properties: a key "__proto__" is one like any other.
  return { ok: Object.fromEntries(pairs) };
}
