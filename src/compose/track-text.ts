/**
 * Finds the bare links in a plain text, and placeholders. A link is taken as mail programs take it: without the punctuation and
 * brackets that are the sentence's. Where they may differ about its end, it is left alone. Pure, and linear.
 */
import { isTarget } from "../mail/tracking-link.ts";
import { type FoundLink, MAX_LINKS } from "./track-html.ts";
import { type Placeholder, placeholdersIn } from "./unsubscribe.ts";

export interface FoundInText {
  links: FoundLink[];
  placeholders: Placeholder[];
}

/** ASCII that can be in a URL, or that browsers take in one. */
const RUN = /(?<![a-z0-9+.-])https?:\/\/[!#-;=?-_a-~]+/gi;
const LETTER = /^[\p{L}\p{N}\p{M}]/u;
const PUNCTUATION = ".,;:!?'*";
const BRACKETS: Record<string, string> = { ")": "(", "]": "[", "}": "{" };

export function findInText(text: string, wantsPlaceholders: boolean): FoundInText {
  const placeholders = wantsPlaceholders ? placeholdersIn(text) : [];
  const links: FoundLink[] = [];
  let next = 0;
  for (const match of text.matchAll(RUN)) {
    const [run] = match;
    const from = match.index;
    const behind = from + run.length;
    while ((placeholders[next]?.to ?? behind) <= from) next++;
    const isPlaceholder = (placeholders[next]?.from ?? behind) < behind;
    // A letter of another script ends the link for some programs, and is part of it for others.
    if (isPlaceholder || LETTER.test(text.slice(behind, behind + 2))) continue;
    const url = withoutSentence(run);
    if (isTarget(url)) links.push({ from, to: from + url.length, url });
    if (links.length === MAX_LINKS) break;
  }
  return { links, placeholders: placeholders.map((placeholder) => ({ ...placeholder, isUrl: true })) };
}

function withoutSentence(run: string): string {
  const surplus = new Map<string, number>();
  const count = (character: string) => run.split(character).length - 1;
  for (const [closing, opening] of Object.entries(BRACKETS))
    surplus.set(closing, count(closing) - count(opening));
  let end = run.length;
  for (; end > 0; end--) {
    const last = run.charAt(end - 1);
    const left = surplus.get(last) ?? 0;
    if (left > 0) surplus.set(last, left - 1);
    else if (!PUNCTUATION.includes(last)) break;
  }
  return run.slice(0, end);
}
