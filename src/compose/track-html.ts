/**
 * Finds in HTML what tracking and unsubscribing change: the values of links' `href`, placeholders, and where a footer or a picture can
 * stand. It reads as a mail program does (a tokenizer that forgives everything, and knows comments, scripts and entities), and tells
 * places in the source, so that every other character stays as its author wrote it. Pure, and linear in the length of the text.
 */
import { QuoteType, Tokenizer, type TokenizerCallbacks } from "htmlparser2";
import { isTarget } from "../mail/tracking-link.ts";
import { type Placeholder, placeholdersIn } from "./unsubscribe.ts";

/** Of one text. Each grows by 150 characters; a newsletter has a hundred. Those beyond stay as they are. */
export const MAX_LINKS = 1_000;

export interface Range {
  from: number;
  to: number;
}

export interface FoundLink extends Range {
  /** Where it leads, entities decoded. */
  url: string;
}

export interface FoundInHtml {
  /** Their `href`s' values. */
  links: FoundLink[];
  /** Where links were asked not to be tracked: to be taken out, with the white space before. */
  marks: Range[];
  /** Where those lead. */
  untracked: Set<string>;
  placeholders: Placeholder[];
  /** Where more can be put in at the end. */
  end: number;
}

const NO_TRACK = "data-pm-no-track";
/** What is in these is no HTML. */
const RAW = new Set(["script", "style", "title", "textarea", "xmp"]);
const QUOTE = /["']/;

/** Placeholders only where they are wanted. */
export function findInHtml(html: string, wantsPlaceholders: boolean): FoundInHtml {
  const reader = new Reader(html, wantsPlaceholders ? placeholdersIn(html) : []);
  const tokenizer = new Tokenizer({ decodeEntities: true }, reader);
  tokenizer.write(html);
  tokenizer.end();
  return reader.found();
}

class Reader implements TokenizerCallbacks {
  readonly #html: string;
  readonly #links: FoundLink[] = [];
  readonly #marks: Range[] = [];
  readonly #untracked = new Set<string>();
  readonly #placeholders: Placeholder[];
  /** Of the placeholders, the first that no token was met for. */
  #next = 0;
  /** Of the tag that is being read. */
  #isAnchor = false;
  #tagFrom = 0;
  #tagName = "";
  #href: FoundLink | undefined;
  #isUntracked = false;
  /** Of the attribute that is being read: "" when nothing asks for it. */
  #attribute = "";
  #nameFrom = 0;
  #nameTo = 0;
  #value = "";
  /** Where an element begins whose text is no HTML, and that is not closed yet. */
  #rawFrom: number | undefined;
  /** Behind the last token that is whole. */
  #settled = 0;
  #bodyEnd: number | undefined;
  #htmlEnd: number | undefined;

  constructor(html: string, placeholders: Placeholder[]) {
    this.#html = html;
    this.#placeholders = placeholders;
  }

  found(): FoundInHtml {
    const end = this.#bodyEnd ?? this.#htmlEnd ?? this.#rawFrom ?? this.#settled;
    return {
      links: this.#links,
      marks: this.#marks,
      untracked: this.#untracked,
      placeholders: this.#placeholders,
      end,
    };
  }

  onopentagname(from: number, to: number): void {
    const name = this.#html.slice(from, to);
    // Longer than any of those that matter here.
    this.#tagName = name.length > 8 ? "" : name.toLowerCase();
    this.#tagFrom = from - 1;
    this.#isAnchor = this.#tagName === "a";
    this.#href = undefined;
    this.#isUntracked = false;
  }

  onattribname(from: number, to: number): void {
    this.#nameFrom = from;
    this.#nameTo = to;
    this.#value = "";
    const length = to - from;
    const mayMatter = this.#isAnchor && (length === "href".length || length === NO_TRACK.length);
    this.#attribute = mayMatter ? this.#html.slice(from, to).toLowerCase() : "";
  }

  onattribdata(from: number, to: number): void {
    if (this.#attribute === "href") this.#value += this.#html.slice(from, to);
  }

  onattribentity(codePoint: number): void {
    if (this.#attribute === "href") this.#value += String.fromCodePoint(codePoint);
  }

  onattribend(quote: QuoteType, end: number): void {
    const hasPlaceholder = this.#meet(end, () => true);
    if (this.#attribute === NO_TRACK) {
      this.#isUntracked = true;
      this.#mark(quote === QuoteType.NoValue ? this.#nameTo : end);
    } else if (this.#attribute === "href" && quote !== QuoteType.NoValue && !this.#href) {
      // Of several the first counts.
      const url = hasPlaceholder ? "" : written(this.#value);
      this.#href = { ...this.#valueRange(quote, end), url };
    }
    this.#attribute = "";
  }

  onopentagend(at: number): void {
    this.#endTag();
    if (RAW.has(this.#tagName)) this.#rawFrom = this.#tagFrom;
    else this.#settled = at + 1;
  }

  onselfclosingtag(at: number): void {
    this.#endTag();
    this.#settled = at + 1;
  }

  onclosetag(from: number, to: number): void {
    this.#rawFrom = undefined;
    const isWhole = this.#html.startsWith("</", from - 2);
    const name = to - from === 4 && isWhole ? this.#html.slice(from, to).toLowerCase() : "";
    if (name === "body") this.#bodyEnd = from - 2;
    if (name === "html") this.#htmlEnd = from - 2;
    const closed = this.#html.indexOf(">", to);
    this.#settled = closed < 0 ? this.#settled : closed + 1;
  }

  /** At the end of the source the tokenizer calls text what is none: the beginning of a tag or declaration that was cut off. */
  ontext(from: number, to: number): void {
    this.#meet(to, ({ isUrl }) => isUrl || this.#rawFrom !== undefined);
    const isText = from === this.#settled && !(to === this.#html.length && this.#html.startsWith("</", from));
    if (isText && this.#rawFrom === undefined) this.#settled = to;
  }

  ontextentity(_codePoint: number, end: number): void {
    if (this.#rawFrom === undefined) this.#settled = end;
  }

  oncomment(_from: number, end: number): void {
    // What some programs read in a comment: in an attribute there, it is the URL.
    this.#meet(end, ({ from, isUrl }) => isUrl || QUOTE.test(this.#html.charAt(from - 1)));
    if (this.#html.charAt(end) === ">") this.#settled = end + 1;
  }

  oncdata(from: number, end: number): void {
    this.oncomment(from, end);
  }

  ondeclaration(_from: number, end: number): void {
    this.#settled = end + 1;
  }

  onprocessinginstruction(_from: number, end: number): void {
    this.#settled = end + 1;
  }

  onend(): void {
    this.#meet(Number.POSITIVE_INFINITY, () => true);
  }

  /** The placeholders that begin before `end`, which is where the present token does. */
  #meet(end: number, isUrl: (placeholder: Placeholder) => boolean): boolean {
    const before = this.#next;
    for (let met = this.#placeholders[before]; met && met.from < end; met = this.#placeholders[this.#next]) {
      met.isUrl = isUrl(met);
      this.#next++;
    }
    return this.#next > before;
  }

  #endTag(): void {
    const href = this.#href;
    if (!this.#isAnchor || !href) return;
    if (this.#isUntracked) this.#untracked.add(href.url);
    else if (this.#links.length < MAX_LINKS && isTarget(href.url)) this.#links.push(href);
  }

  #mark(to: number): void {
    if (this.#marks.length === MAX_LINKS) return;
    let from = this.#nameFrom;
    while (/\s/.test(this.#html.charAt(from - 1))) from--;
    this.#marks.push({ from, to });
  }

  #valueRange(quote: QuoteType, end: number): Range {
    let from = this.#html.indexOf("=", this.#nameTo) + 1;
    while (/\s/.test(this.#html.charAt(from))) from++;
    return quote === QuoteType.Unquoted ? { from, to: end } : { from: from + 1, to: end - 1 };
  }
}

/** As browsers read it: without white space around it, nor line ends and tabs within. */
function written(value: string): string {
  return value.trim().replace(/[\t\r\n]/g, "");
}
