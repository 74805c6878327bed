/**
 * What a message has for unsubscribing: the placeholders that its author writes and what stands in their places, the footer of one
 * that has none, and the two fields of its header. Pure.
 */

/** What every form of the placeholders has in it. */
export const PLACEHOLDER = "pm:unsubscribe";

/** Each becomes a link seven times as long; a message has one or two. Those beyond stay as they are. */
const MAX_PLACEHOLDERS = 100;
/**
 * "{{{ pm:unsubscribe }}}" and "{{{ pm:unsubscribe_url }}}". Editors write braces in an href as %7B, put a scheme before what they
 * take for a host's name, and turn spaces into those that do not break.
 */
const BRACE = String.raw`(?:\{|%7B)`;
const END = String.raw`(?:\}|%7D)`;
const SPACES = String.raw`(?:\s|%20|&nbsp;|&#160;){0,40}`;
const FORMS = new RegExp(`(https?://)?${BRACE}{3}${SPACES}pm:unsubscribe(_url)?${SPACES}${END}{3}`, "gi");

export interface Placeholder {
  from: number;
  to: number;
  /** The URL wherever it stands; else a link to it where a link can stand. */
  isUrl: boolean;
}

export function placeholdersIn(text: string): Placeholder[] {
  if (!text.includes(PLACEHOLDER)) return [];
  const found: Placeholder[] = [];
  for (const match of text.matchAll(FORMS)) {
    if (found.length === MAX_PLACEHOLDERS) break;
    const [whole, scheme, url] = match;
    const isUrl = scheme !== undefined || url !== undefined;
    found.push({ from: match.index, to: match.index + whole.length, isUrl });
  }
  return found;
}

/** `url` has no character that HTML would read as another. */
export function unsubscribeLink(url: string): string {
  return `<a href="${url}">Unsubscribe</a>`;
}

export function htmlFooter(url: string): string {
  return `<p style="margin:24px 0;text-align:center;font-family:sans-serif;font-size:12px">${unsubscribeLink(url)}</p>`;
}

/** Behind what `text` ends with, in line ends of its kind. */
export function textFooter(text: string, url: string): string {
  const end = text.includes("\r\n") ? "\r\n" : "\n";
  const gap = text === "" ? "" : text.endsWith("\n") ? end : end + end;
  return `${gap}Unsubscribe: ${url}${end}`;
}

/** Value of List-Unsubscribe (RFC 2369 §3.2): by mail, and by the POST of RFC 8058. */
export function listUnsubscribe({ address, url }: { address: string; url: string }): string {
  return `<mailto:${address}?subject=unsubscribe>, <${url}>`;
}

/** RFC 8058 §3.1. */
export const LIST_UNSUBSCRIBE_POST = "List-Unsubscribe=One-Click";
