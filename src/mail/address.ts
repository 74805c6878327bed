/**
 * Reads addresses as people and clients write them, and gives only what can stand in an envelope: an ASCII local part and a
 * domain of A-labels. Every comma-separated item must be exactly one address: an item that holds two, or a group, is refused
 * rather than guessed at, since a guess loses a recipient or lets one address be checked and another be shown.
 */
import { addressParser } from "postal-mime";
import type { Mailbox } from "./message.ts";

/** RFC 5321 §4.5.3.1: 64 for the local part; 254 for a path without its brackets. */
const MAX_LOCAL = 64;
const MAX_ADDRESS = 254;
/** Names may be long, in any script; this bounds what the parser is given for one item. */
const MAX_ITEM = 2_000;
/** Far above any limit on recipients; bounds the work for a list that is nothing but commas. */
const MAX_ITEMS = 1_000;

const MAX_LABEL = 63;
const BACKSLASH = 0x5c;
const QUOTE = 0x22;
const COMMA = 0x2c;

const LOCAL = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/;
const LABEL = /^(?!-)[A-Za-z0-9-]+(?<!-)$/;
const ASCII_DOMAIN = /^[A-Za-z0-9.-]+$/;
const UNICODE_DOMAIN = /^[\p{L}\p{M}\p{N}.\u3002\uff0e\uff61-]+$/u;
const BARE = /^[^\s"<>(),:;@\\[\]]+@[^\s"<>(),:;@\\[\]]+$/;
/** A name that needs no parsing, then the address in angle brackets. */
const NAMED = /^([^"<>(),:;\\]*)<([^<>"\s]+)>$/;
const QUOTED = /^"([^"\\]*)"\s*<([^<>"\s]+)>$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: refusing them is the point.
const CONTROL = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u2028\u2029]/;

export type AddressList = { ok: Mailbox[] } | { error: string };

/** The addresses of a list; `[]` for one that is empty. Errors are sentences in Postmark's words, without the field's name. */
export function parseAddressList(text: string): AddressList {
  const whole = text.trim();
  if (CONTROL.test(whole)) return { error: `Illegal character in address '${printable(whole)}'.` };
  const items = splitList(whole);
  if (items.length > MAX_ITEMS) return { error: `More than ${MAX_ITEMS} addresses.` };
  const ok: Mailbox[] = [];
  for (const item of items) {
    const parsed = parseItem(item);
    if (typeof parsed === "string") return { error: parsed };
    ok.push(parsed);
  }
  return { ok };
}

/** The part after the "@", lower case. */
export function domainOf(email: string): string {
  return email.slice(email.lastIndexOf("@") + 1).toLowerCase();
}

/** What an error may repeat of the caller's text: one line, not long. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: replacing them is the point.
  const line = text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, " ");
  return line.length > 255 ? `${line.slice(0, 255).toWellFormed()}…` : line.toWellFormed();
}

/** At commas outside of double quotes; empty items, as a trailing comma makes, are left out. */
function splitList(text: string): string[] {
  if (!text.includes(",")) return text ? [text] : [];
  const items: string[] = [];
  const keep = (item: string) => item && items.push(item);
  let quoted = false;
  let from = 0;
  for (let i = 0; i < text.length && items.length <= MAX_ITEMS; i++) {
    const c = text.charCodeAt(i);
    if (quoted && c === BACKSLASH) i++;
    else if (c === QUOTE) quoted = !quoted;
    else if (c === COMMA && !quoted) {
      keep(text.slice(from, i).trim());
      from = i + 1;
    }
  }
  keep(text.slice(from).trim());
  return items;
}

/** The one address of an item, or what is wrong with it. */
function parseItem(item: string): Mailbox | string {
  if (item.length > MAX_ITEM) return `Illegal email address '${printable(item)}'. It is too long.`;
  if (!item.includes("@"))
    return `Illegal email address '${printable(item)}'. It must contain the '@' symbol.`;
  if (BARE.test(item)) return checked(item, "");
  // An encoded word (RFC 2047 §2) is decoded by the library, so that nothing hides in it.
  const [, name, email] = (item.includes("=?") ? null : (NAMED.exec(item) ?? QUOTED.exec(item))) ?? [];
  if (email !== undefined) return checked(email, (name ?? "").trim());
  return parseHard(item);
}

function parseHard(item: string): Mailbox | string {
  const illegal = `Illegal email address '${printable(item)}'.`;
  const outside = item.replace(/"(?:[^"\\]|\\.)*"/g, "");
  const [only, ...more] = addressParser(item);
  // A second "@" or "<" outside of quotes is a second address, whichever of them the parser took.
  if (!only || more.length > 0 || only.group !== undefined) return illegal;
  if (outside.includes('"') || outside.split("@").length > 2 || outside.split("<").length > 2) return illegal;
  if (CONTROL.test(only.name)) return illegal;
  return checked(only.address, only.name.trim());
}

function checked(email: string, name: string): Mailbox | string {
  const at = email.lastIndexOf("@");
  const local = email.slice(0, at);
  const given = email.slice(at + 1);
  if (at < 1 || local.length > MAX_LOCAL || !LOCAL.test(local))
    return `Illegal email address '${printable(email)}'.`;
  const domain = asciiDomain(given);
  if (!domain || local.length + 1 + domain.length > MAX_ADDRESS)
    return `Illegal email domain '${printable(given)}' in address '${printable(email)}'.`;
  return { email: `${local}@${domain}`, name };
}

/** The domain as A-labels (RFC 5890 §2.3.2.1); undefined when it is none that mail can go to. */
export function asciiDomain(given: string): string | undefined {
  let domain = given;
  if (!ASCII_DOMAIN.test(given)) {
    // Only letters, marks, digits and the dots of other scripts: nothing that URL reads as a port, a path or a user.
    if (!UNICODE_DOMAIN.test(given)) return undefined;
    try {
      domain = new URL(`http://${given}`).hostname;
    } catch {
      // IDNA refuses it (RFC 5891 §4.2): no such domain can be.
      return undefined;
    }
  }
  const labels = domain.split(".");
  // A top-level domain has a letter: "1.2.3.4" is an address literal without its brackets.
  if (labels.length < 2 || /^[0-9]+$/.test(labels.at(-1) ?? "")) return undefined;
  return labels.every((label) => label.length <= MAX_LABEL && LABEL.test(label)) ? domain : undefined;
}
