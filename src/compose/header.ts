/**
 * Values of header fields: encoded words (RFC 2047), folding (RFC 5322 §2.2.3), addresses. Whatever comes in, what goes
 * out is lines that can't end the field: control characters become spaces here, however sure the caller is of them.
 */
import type { Mailbox } from "../mail/message.ts";

/** RFC 2047 §2: a line with an encoded word has 76 at most; RFC 5322 §2.1.1 wants 78 of the others. */
const MAX_LINE = 76;
/** Of an encoded word's 75, so that one fits after "Subject: ", which is never alone on its line. */
const MAX_WORD = 64;
const PAYLOAD = MAX_WORD - "=?utf-8?B??=".length;
/** An ASCII word longer than this is encoded where that is allowed, since encoded words can be folded. */
const LONG_WORD = 60;
/** RFC 5322 §2.1.1: 998 is the end of any line; the rest is for the field's name. */
const MAX_TOKEN = 900;

// biome-ignore lint/suspicious/noControlCharactersInRegex: removing them is the point.
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII.
const NOT_ASCII = /[^\u0000-\u007f]/;
const ATOMS = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+$/;
/** What can't stand in an address that isn't quoted, quoted ones being refused at the door. */
const NOT_IN_ADDRESS = /[\s"<>(),:;@\\[\]]/g;

const encoder = new TextEncoder();

/** One line of text without control characters, and no lone surrogates. */
export function oneLine(text: string): string {
  return text.replace(CONTROLS, " ").toWellFormed().trim();
}

/** Unstructured text, such as a Subject: reads back exactly as `oneLine` has it. */
export function textValue(name: string, text: string): string {
  const line = oneLine(text);
  if (line.length + name.length + 2 <= MAX_LINE && isPlain(line)) return line;
  return fold(name, encodeRuns(line.split(" "), LONG_WORD));
}

/**
 * A field that the caller made up. It may have a syntax that we don't know, so words that can stay stay (a long URL, a
 * Message-ID), and spaces mean only that there is one.
 */
export function customValue(name: string, text: string): string {
  const line = oneLine(text);
  if (line === "") return "";
  const words = line.split(/ +/);
  return fold(name, encodeRuns(words, MAX_TOKEN));
}

export function addressValue(name: string, mailboxes: Mailbox[]): string {
  const tokens: string[] = [];
  mailboxes.forEach((mailbox, i) => {
    const comma = i < mailboxes.length - 1 ? "," : "";
    const address = addressOf(mailbox.email);
    const phrase = phraseOf(oneLine(mailbox.name));
    if (phrase.length > 0) tokens.push(...phrase, `<${address}>${comma}`);
    else tokens.push(address + comma);
  });
  return fold(name, tokens);
}

/** Encoded words for a text, each whole: no character is split between two (RFC 2047 §5). */
export function encodeWords(text: string): string[] {
  const bytes = encoder.encode(text);
  let quotedLength = 0;
  for (const byte of bytes) quotedLength += isWordSafe(byte) || byte === 32 ? 1 : 3;
  return quotedLength <= bytes.length * 1.4 ? quotedWords(text) : base64Words(text);
}

/** Greedily, at spaces only; a token that is too long for a line has one of its own. */
function fold(name: string, tokens: string[]): string {
  let out = "";
  let column = name.length + 1;
  tokens.forEach((token, i) => {
    const fits = column + 1 + token.length <= MAX_LINE;
    // A first token that would be too long on the next line too gains nothing by it.
    const apart = i > 0 ? !fits : !fits && 1 + token.length <= MAX_LINE && isEncoded(token);
    if (apart) out += "\r\n ";
    else if (i > 0) out += " ";
    out += token;
    column = apart ? 1 + token.length : column + 1 + token.length;
  });
  return out;
}

/** Each run of words that can't stand as they are becomes encoded words, with the spaces between them. */
function encodeRuns(words: string[], longest: number): string[] {
  const tokens: string[] = [];
  let run: string[] = [];
  const flush = () => {
    if (run.length > 0) tokens.push(...encodeWords(run.join(" ")));
    run = [];
  };
  words.forEach((word, i) => {
    // An empty word is a further space: it is kept by encoding it, with the word that it stands before.
    const odd = word === "" || words[i - 1] === "" || word.length > longest || !isPlain(word);
    if (odd) run.push(word);
    else {
      flush();
      tokens.push(word);
    }
  });
  flush();
  return tokens;
}

/** ASCII, and nothing that a reader would take for an encoded word. */
function isPlain(text: string): boolean {
  return !NOT_ASCII.test(text) && !text.includes("=?") && !text.includes("  ");
}

function isEncoded(token: string): boolean {
  return token.startsWith("=?");
}

/** A display name: atoms, one quoted string, or encoded words (RFC 5322 §3.2.5, RFC 2047 §5 (3)). */
function phraseOf(name: string): string[] {
  if (name === "") return [];
  if (!isPlain(name)) return encodeWords(name);
  const words = name.split(" ");
  if (ATOMS.test(name) && words.every((word) => word.length <= LONG_WORD)) return words;
  if (name.length > LONG_WORD) return encodeWords(name);
  return [`"${name.replace(/["\\]/g, "\\$&")}"`];
}

/** The domain as A-labels; a local part in another script stays as it is (RFC 6532). */
function addressOf(email: string): string {
  const line = oneLine(email);
  const at = line.lastIndexOf("@");
  if (at < 0) return line.replace(NOT_IN_ADDRESS, "");
  const local = line.slice(0, at).replace(NOT_IN_ADDRESS, "");
  return `${local}@${domainOf(line.slice(at + 1).replace(NOT_IN_ADDRESS, ""))}`;
}

function domainOf(domain: string): string {
  if (!NOT_ASCII.test(domain)) return domain;
  const url = URL.canParse(`http://${domain}/`) ? new URL(`http://${domain}/`).hostname : "";
  return url === "" ? domain.replace(/[^a-z0-9.-]/gi, "") : url;
}

/** RFC 2047 §5 (3): what may stand bare within a phrase; used everywhere. */
function isWordSafe(code: number): boolean {
  return (
    (code >= 48 && code <= 57) ||
    (code >= 65 && code <= 90) ||
    (code >= 97 && code <= 122) ||
    code === 33 ||
    code === 42 ||
    code === 43 ||
    code === 45 ||
    code === 47
  );
}

function quotedWords(text: string): string[] {
  const words: string[] = [];
  let payload = "";
  for (const character of text) {
    const quoted = quote(character);
    if (payload.length + quoted.length > PAYLOAD) {
      words.push(`=?utf-8?Q?${payload}?=`);
      payload = "";
    }
    payload += quoted;
  }
  words.push(`=?utf-8?Q?${payload}?=`);
  return words;
}

function quote(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (code === 32) return "_";
  if (isWordSafe(code)) return character;
  const bytes = code < 0x80 ? [code] : encoder.encode(character);
  let quoted = "";
  for (const byte of bytes) quoted += `=${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  return quoted;
}

function base64Words(text: string): string[] {
  const maxBytes = (PAYLOAD / 4) * 3;
  const word = (part: string) => `=?utf-8?B?${btoa(String.fromCharCode(...encoder.encode(part)))}?=`;
  const words: string[] = [];
  let from = 0;
  let size = 0;
  for (let i = 0; i < text.length; ) {
    const code = text.codePointAt(i) ?? 0;
    const bytes = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    if (size + bytes > maxBytes) {
      words.push(word(text.slice(from, i)));
      from = i;
      size = 0;
    }
    size += bytes;
    i += code < 0x10000 ? 1 : 2;
  }
  words.push(word(text.slice(from)));
  return words;
}
