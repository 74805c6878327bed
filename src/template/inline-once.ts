/**
 * Inlines the styles of a template before it is rendered: once, and not for each message, which takes a hundred times as long as
 * rendering does. It is done where what is rendered cannot change what the rules match, and nowhere else: then the result is the
 * same as if each message had been inlined for itself.
 */
import { type CheerioAPI, load } from "cheerio/slim";
import { type Selector, SelectorType } from "css-what";
import { inlineCss } from "./inline-css.ts";
import { scan, type Tag } from "./scan.ts";
import { readStyles } from "./style-rules.ts";

/** Around the number of a tag, in its place while the markup is read: for private use, and no markup. */
const [OPEN, CLOSE] = ["\uE000", "\uE001"];
const MARK = /\uE000(\d+)\uE001/g;
/** Where what is printed, or nothing in its place, decides whether markup begins, or a comment ends. */
const AT_MARKUP = /<[/!?]?-{0,2}\uE000/;
const AT_DASH = /-\uE000|\uE001-/;

/** The source with its styles inlined; undefined when each message has to be inlined for itself. */
export function inlineOnce(source: string): string | undefined {
  if (!/<style[\s>]/i.test(source) || source.includes(OPEN) || source.includes(CLOSE)) return undefined;
  const tags = [...scan(source)];
  // What is printed raw may be markup, which the rules would match.
  if (tags.some(isRaw)) return undefined;
  const marked = replaceTags(source, tags, (_tag, number) => `${OPEN}${number}${CLOSE}`);
  if (AT_MARKUP.test(marked)) return undefined;
  // First, since what is past its bounds must not be read here either.
  const inlined = inlineCss(marked);
  if (inlined === marked) return undefined;
  const $ = load(marked, { xml: { xmlMode: false, decodeEntities: false } });
  const places = placesOf($);
  if (!places || places.size !== tags.length || !sectionsAreWhole(tags, places) || !rulesAreSimple($))
    return undefined;
  const numbers = Array.from(inlined.matchAll(MARK), ([, number]) => Number(number));
  if (numbers.length !== tags.length || new Set(numbers).size !== tags.length) return undefined;
  const result = inlined.replace(MARK, (_mark, number) => text(source, tags[Number(number)]));
  return [...scan(result)].length === tags.length ? result : undefined;
}

/** A layout with what it is laid around in its place; undefined when they would not be read as they were alone. */
export function composeLayout(layout: string, content: string): string | undefined {
  const tags = [...scan(layout)];
  const composed = replaceTags(layout, tags, (tag) => (isSlot(tag) ? content : text(layout, tag)));
  const expected = tags.length - 1 + [...scan(content)].length;
  return [...scan(composed)].length === expected ? composed : undefined;
}

function replaceTags(source: string, tags: Tag[], replace: (tag: Tag, number: number) => string): string {
  const pieces: string[] = [];
  let from = 0;
  for (const [number, tag] of tags.entries()) {
    pieces.push(source.slice(from, tag.start), replace(tag, number));
    from = tag.end;
  }
  return pieces.join("") + source.slice(from);
}

function text(source: string, tag: Tag | undefined): string {
  return tag ? source.slice(tag.start, tag.end) : "";
}

function isSlot({ triple, inner }: Tag): boolean {
  return triple && inner.trim() === "@content";
}

function isRaw({ triple, inner }: Tag): boolean {
  return triple ? !inner.trim().startsWith("pm:") : inner.startsWith("&");
}

/** Where each tag stands: the element whose text it is in, or one attribute. */
type Places = Map<number, string>;

interface DomNode {
  type: string;
  name?: string;
  data?: string;
  attribs?: Record<string, string>;
  children?: DomNode[];
}

/** undefined when what a rule matches, or the rules themselves, depend on a tag. */
function placesOf($: CheerioAPI): Places | undefined {
  const places: Places = new Map();
  const note = (value: string, place: string) => {
    for (const [, number] of value.matchAll(MARK)) places.set(Number(number), place);
  };
  let nodes = 0;
  const open: { node: DomNode; parent: number }[] = [];
  for (const node of $.root().contents().toArray()) open.push({ node, parent: 0 });
  for (let next = open.pop(); next; next = open.pop()) {
    const { node, parent } = next;
    const number = ++nodes;
    if (node.type === "comment" && AT_DASH.test(node.data ?? "")) return undefined;
    if (node.data !== undefined) note(node.data, `in ${node.type === "text" ? parent : number}`);
    for (const [name, value] of Object.entries(node.attribs ?? {})) {
      if (/^(?:class|id|style)$/i.test(name) && value.includes(OPEN)) return undefined;
      note(value, `${name} of ${number}`);
    }
    const isStyle = node.name === "style";
    for (const child of node.children ?? []) {
      if (isStyle && child.data?.includes(OPEN)) return undefined;
      open.push({ node: child, parent: number });
    }
  }
  return places;
}

/** Whether each section begins and ends in the same place: then there are whole elements in it, or it is within one attribute. */
function sectionsAreWhole(tags: Tag[], places: Places): boolean {
  const open: { name: string; sign: string; place: string | undefined }[] = [];
  for (const [number, { inner, triple }] of tags.entries()) {
    const sign = inner.charAt(0);
    if (triple || !/[#^/]/.test(sign)) continue;
    const name = inner.slice(1).trim();
    const place = places.get(number);
    const last = open.at(-1);
    // "{{#a}}…{{^a}}…{{/a}}": the second closes the first.
    const isElse = sign !== "/" && last?.name === name && last.sign !== sign;
    if (sign === "/" || isElse) {
      if (last?.place !== place) return false;
      open.pop();
    }
    if (sign !== "/") open.push({ name, sign, place });
  }
  return open.length === 0;
}

/** Rules that look at neighbours or at attributes would see what the model brings. */
function rulesAreSimple($: CheerioAPI): boolean {
  return $("style")
    .toArray()
    .every((style) => readStyles($(style).text()).rules.every(({ selector }) => selector.every(isSimple)));
}

function isSimple(token: Selector): boolean {
  switch (token.type) {
    case SelectorType.Tag:
    case SelectorType.Universal:
    case SelectorType.Descendant:
    case SelectorType.Child:
      return true;
    case SelectorType.Attribute:
      return token.name === "class" || token.name === "id";
    default:
      return false;
  }
}
