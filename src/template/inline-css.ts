/**
 * Moves the rules of style elements into style attributes, because many mail programs read nothing else. The cascade is
 * juice's; how much it may be asked to do is decided here, before it starts, since nobody can stop it: a body that is
 * past a bound goes out as it is written, with its style elements.
 */
import { type CheerioAPI, load } from "cheerio/slim";
import { type Selector, SelectorType } from "css-what";
import juice from "juice/client";
import { areWhole, type InlineRule, readStyles, squeezed } from "./style-rules.ts";

/** Ten times what mail programs show before they cut a message off. */
const MAX_HTML = 1024 * 1024;
/** Opening and closing ones. The parser looks for what a closing tag closes among all that are open. */
const MAX_TAGS = 30_000;
/** Written out by recursion. */
const MAX_NESTING = 500;
/** The largest that people use have 50 KB. */
const MAX_CSS = 256 * 1024;
/** In units of some 30 ns: about a second. A letter of 50 KB with 80 selectors takes a million. */
const MAX_WORK = 30_000_000;

/** What the parts of the work take, in the same units; measured, and rounded up. */
const WORK = {
  selector: 1000,
  /** A selector that looks at an element, beside its tests. */
  look: 3,
  /** Two children of the root: the library compares each with each for every selector. */
  rootPair: 1 / 30,
  attributeCharacter: 1 / 16,
  match: 80,
  declaration: 40,
  styleAttribute: 3000,
  styleCharacter: 75,
};

/** What is left for all bodies of a request, in the units of MAX_WORK; below 0 when the last one would have taken more. */
export interface CssBudget {
  css: number;
}

/** Never fails: what cannot be read, or would take too long, comes back as it was. */
export function inlineCss(html: string, budget?: CssBudget): string {
  if (!/<style[\s>]/i.test(html) || html.length > MAX_HTML || hasTooManyTags(html)) return html;
  try {
    return inlined(html, budget) ?? html;
  } catch {
    // The libraries throw on what they cannot read. CSS is decoration: the message itself is good.
    return html;
  }
}

function inlined(html: string, budget: CssBudget | undefined): string | undefined {
  const $ = load(html, { xml: { xmlMode: false, decodeEntities: false } });
  const document = survey($);
  if (!document) return undefined;
  const rules: InlineRule[] = [];
  let characters = 0;
  for (const style of $("style").toArray()) {
    if (!isForScreens($(style).attr("media"))) continue;
    const css = withoutHtmlComment($(style).text());
    characters += css.length;
    if (characters > MAX_CSS) return undefined;
    const sheet = readStyles(css);
    rules.push(...sheet.rules);
    if (sheet.rest === "") $(style).remove();
    else if (sheet.rules.length > 0) $(style).text(sheet.rest);
  }
  if (rules.length === 0) return undefined;
  let work = document.styleAttributes * WORK.styleAttribute + document.styleCharacters * WORK.styleCharacter;
  const matching = rules.filter(({ selector }) => canMatch(selector, document));
  for (const rule of matching) work += workOf(rule, document);
  if (work > MAX_WORK) return undefined;
  if (budget) budget.css -= work;
  if (budget && budget.css < 0) return undefined;
  const css = matching.map((rule) => rule.css).join("\n");
  if (!areWhole(css, matching)) return undefined;
  juice.inlineDocument($, css, { resolveCSSVariables: false });
  return $.html();
}

/** What is known of a document before anything is matched in it. */
interface Survey {
  elements: number;
  roots: number;
  nesting: number;
  /** The most children that one element has. */
  siblings: number;
  attributeCharacters: number;
  styleAttributes: number;
  styleCharacters: number;
  /** How many elements there are by "p", ".class" and "#id". */
  counts: Map<string, number>;
}

interface DomNode {
  type: string;
  name?: string;
  attribs?: Record<string, string>;
  children?: DomNode[];
}

/** undefined for a document that nothing is to be done with. */
function survey($: CheerioAPI): Survey | undefined {
  const found: Survey = {
    elements: 0,
    roots: 0,
    nesting: 0,
    siblings: 0,
    attributeCharacters: 0,
    styleAttributes: 0,
    styleCharacters: 0,
    counts: new Map(),
  };
  const open: { node: DomNode; depth: number }[] = [];
  for (const node of $.root().contents().toArray()) open.push({ node, depth: 1 });
  found.roots = open.length;
  found.siblings = open.length;
  for (let next = open.pop(); next; next = open.pop()) {
    const { node, depth } = next;
    if (node.attribs) {
      found.elements++;
      if (!isCounted(node.name ?? "", node.attribs, found)) return undefined;
    }
    found.nesting = Math.max(found.nesting, depth);
    if (depth > MAX_NESTING) return undefined;
    found.siblings = Math.max(found.siblings, node.children?.length ?? 0);
    for (const child of node.children ?? []) open.push({ node: child, depth: depth + 1 });
  }
  return found;
}

/** False for a style attribute with braces in it: read as CSS it would be rules, and no longer an attribute's text. */
function isCounted(name: string, attributes: Record<string, string>, found: Survey): boolean {
  const classes = new Set(attributes.class?.split(/\s+/));
  const keys = [name, `#${attributes.id}`, ...Array.from(classes, (one) => `.${one}`)];
  for (const key of keys) found.counts.set(key, (found.counts.get(key) ?? 0) + 1);
  for (const value of Object.values(attributes)) found.attributeCharacters += value.length;
  const { style } = attributes;
  if (style === undefined) return true;
  attributes.style = squeezed(style);
  found.styleAttributes++;
  found.styleCharacters += style.length;
  return !/[{}]/.test(style);
}

/** False when it names what the document has nowhere: most of a framework's rules. */
function canMatch(selector: Selector[], document: Survey): boolean {
  return selector.every((token) => countOf(token, document) > 0);
}

/** At most this: that every element which could match does, and looks at all that it could look at. */
function workOf({ selector, declarations }: InlineRule, document: Survey): number {
  const { elements, roots, nesting, siblings, attributeCharacters } = document;
  let candidates = elements;
  let tests = 0;
  let around = 1;
  let places = 1;
  for (const token of selector) {
    if (token.type === SelectorType.Descendant || token.type === SelectorType.Child) around += nesting;
    else if (token.type === SelectorType.Sibling || token.type === SelectorType.Adjacent) around += siblings;
    else if (token.type === SelectorType.Pseudo) places += siblings;
    // After a combinator it is about another element: only the last ones are about the one that is matched.
    const isCombinator = !("name" in token) && token.type !== SelectorType.Universal;
    candidates = isCombinator ? elements : Math.min(candidates, countOf(token, document));
    tests++;
  }
  const looking = (WORK.look + tests) * elements + tests * attributeCharacters * WORK.attributeCharacter;
  const applying = candidates * (around * places + WORK.match + declarations * WORK.declaration);
  return WORK.selector + roots * roots * WORK.rootPair + looking + applying;
}

function countOf(token: Selector, { counts, elements }: Survey): number {
  if (token.type === SelectorType.Tag) return counts.get(token.name.toLowerCase()) ?? 0;
  if (token.type !== SelectorType.Attribute || token.ignoreCase === true) return elements;
  if (token.name === "class" && token.action === "element") return counts.get(`.${token.value}`) ?? 0;
  if (token.name === "id" && token.action === "equals") return counts.get(`#${token.value}`) ?? 0;
  return elements;
}

function hasTooManyTags(html: string): boolean {
  let tags = 0;
  for (let at = html.indexOf("<"); at >= 0; at = html.indexOf("<", at + 1))
    if (++tags > MAX_TAGS) return true;
  return false;
}

function isForScreens(media: string | undefined): boolean {
  return media === undefined || /^\s*(all|screen)?\s*$/i.test(media);
}

/** Style sheets were once hidden in one from browsers without CSS. */
function withoutHtmlComment(css: string): string {
  return css.replace(/^\s*<!--/, "").replace(/-->\s*$/, "");
}
