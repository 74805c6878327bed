/**
 * Reads a style sheet for inlining: which rules can become style attributes, and what has to stay a style sheet because
 * no attribute can say it: media queries, keyframes, states like :hover, custom properties, nested rules.
 */
import { parse as parseSelector, type Selector, SelectorType } from "css-what";
import type { Container, Rule } from "postcss";
import parseCss from "postcss-safe-parser";

export interface InlineRule {
  selector: Selector[];
  /** The selector as it is written. */
  text: string;
  /** The rule again, on a line of its own and with this selector alone. */
  css: string;
  declarations: number;
}

export interface StyleSheet {
  rules: InlineRule[];
  /** "" when nothing has to stay. */
  rest: string;
}

/** An image as a data: address is longer, and better off where it is written once. */
const MAX_VALUE = 2000;

/** What an element is by its place. Others are states, or look at more than the element's own surroundings. */
const PLACES = new Set([
  "root",
  "empty",
  "first-child",
  "last-child",
  "only-child",
  "nth-child",
  "nth-last-child",
  "first-of-type",
  "last-of-type",
  "only-of-type",
  "nth-of-type",
  "nth-last-of-type",
]);

/** Reads broken CSS too, as a browser would: what cannot be understood stays where it is. */
export function readStyles(css: string): StyleSheet {
  const root = parseCss(css);
  const rules: InlineRule[] = [];
  for (const node of [...root.nodes]) {
    if (node.type !== "rule") continue;
    const declarations = inlineDeclarations(node);
    if (!declarations) continue;
    const kept = node.selectors.filter((text) => {
      const selector = inlineSelector(text);
      if (selector) rules.push({ selector, ...written(text, declarations) });
      return !selector;
    });
    if (kept.length > 0) node.selectors = kept;
    else node.remove();
  }
  // A statement like @import keeps its semicolon also when it has become the last.
  root.raws.semicolon = true;
  const stays = root.nodes.some((node) => node.type !== "comment");
  return { rules, rest: rules.length === 0 ? css : stays ? root.toString() : "" };
}

function written(selector: string, declarations: string[]): Omit<InlineRule, "selector"> {
  const text = squeezed(selector).trim();
  return { text, css: `${text} { ${declarations.join("; ")} }`, declarations: declarations.length };
}

/** undefined when the rule has to stay. */
function inlineDeclarations(rule: Rule): string[] | undefined {
  const declarations: string[] = [];
  for (const node of (rule as Container).nodes ?? []) {
    if (node.type === "comment") continue;
    if (node.type !== "decl" || node.prop.startsWith("--")) return undefined;
    const value = squeezed(node.value);
    if (value.length > MAX_VALUE || /[{}]/.test(value)) return undefined;
    declarations.push(`${node.prop}: ${value}${node.important ? " !important" : ""}`);
  }
  return declarations;
}

/** undefined for what only a style sheet can say, and for what is no selector at all. */
function inlineSelector(text: string): Selector[] | undefined {
  try {
    const [selector, ...more] = parseSelector(text);
    return selector && more.length === 0 && isInline(selector) ? selector : undefined;
  } catch {
    // It does not parse, so nobody can match it; it stays where it was written.
    return undefined;
  }
}

function isInline(selector: Selector[]): boolean {
  // Each of two would look at all siblings for each that the other looks at.
  if (selector.filter((token) => token.type === SelectorType.Sibling).length > 1) return false;
  return selector.every((token) => {
    switch (token.type) {
      case SelectorType.Tag:
      case SelectorType.Universal:
      case SelectorType.Attribute:
        return token.namespace === null;
      case SelectorType.Pseudo:
        return PLACES.has(token.name);
      case SelectorType.Descendant:
      case SelectorType.Child:
      case SelectorType.Adjacent:
      case SelectorType.Sibling:
        return true;
      default:
        return false;
    }
  });
}

/** Long runs of white space mean what one space means, and expressions that trim are slow on them. */
export function squeezed(css: string): string {
  return css.replace(/\s{20,}/g, " ");
}

/**
 * Whether rules that were read apart are the same when they are read together. A quote that one of them leaves open may
 * find its end in another, and what lies between would be other rules, that nobody has looked at.
 */
export function areWhole(css: string, rules: InlineRule[]): boolean {
  const { nodes } = parseCss(css);
  return (
    nodes.length === rules.length &&
    nodes.every((node, i) => {
      const rule = rules[i];
      if (node.type !== "rule" || node.selector !== rule?.text) return false;
      return node.nodes.length === rule.declarations && node.nodes.every(({ type }) => type === "decl");
    })
  );
}
