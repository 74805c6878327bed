/**
 * The model that a template seems to want, read off its tags: what it prints becomes "<key>_Value", what it repeats an
 * array, what it descends into an object. It is a sample to render with, and a start for whoever writes the real one.
 */
import type { Path } from "./path.ts";
import type { Json } from "./print.ts";
import type { Compiled, Node } from "./template.ts";

export type Model = { [key: string]: Json };

/** How one value is used, over all parts of a template. */
class Use {
  readonly key: string;
  readonly parent: Use | undefined;
  readonly children = new Map<string, Use>();
  /** Each element of the value, if it is repeated. */
  element: Use | undefined;
  isPrinted = false;
  isScope = false;

  constructor(key: string, parent?: Use) {
    this.key = key;
    this.parent = parent;
  }

  /** The same walk as the renderer's, over uses in place of values. */
  at(path: Path): Use {
    let use: Use = this;
    for (let i = 0; i < path.up; i++) use = use.parent ?? use;
    for (const key of path.down) {
      const child = use.children.get(key) ?? new Use(key, use);
      use.children.set(key, child);
      use = child;
    }
    return use;
  }
}

/** Of the parts of one message: subject, both bodies, and the layout's. */
export function inferModel(parts: Compiled[]): Model {
  const root = new Use("");
  for (const { nodes } of parts) note(nodes, root);
  return object(root);
}

/**
 * What is given wins, key by key: objects are merged, all else is replaced. A `given` that is no object (null, or the
 * [] of languages whose empty map is an empty list) gives nothing.
 */
export function mergeModels(inferred: Model, given: unknown): Model {
  if (!isObject(given)) return inferred;
  const merged = new Map<string, Json>(Object.entries(inferred));
  for (const [key, value] of Object.entries(given)) {
    const own = merged.get(key);
    merged.set(key, isObject(own) && isObject(value) ? mergeModels(own, value) : value);
  }
  return Object.fromEntries(merged);
}

function note(nodes: Node[], scope: Use): void {
  for (const node of nodes) {
    if (node.kind === "text" || node.kind === "slot") continue;
    const use = scope.at(node.path);
    if (node.kind === "print") use.isPrinted = true;
    else if (node.kind === "section") {
      use.isScope = true;
      note(node.body, use);
    } else {
      use.element ??= new Use(use.key, use);
      note(node.body, use.element);
    }
  }
}

function value(use: Use): Json {
  if (use.element) return elements(use.element);
  if (use.children.size === 0 && use.isPrinted && !use.isScope) return `${use.key}_Value`;
  return object(use);
}

/** Three, so that one sees the repetition; one where each is itself large. */
function elements(element: Use): Json[] {
  if (element.element) return [elements(element.element)];
  if (element.children.size > 0) return [object(element)];
  return [1, 2, 3].map((n) => `${element.key}_${n}`);
}

function object(use: Use): Model {
  return Object.fromEntries(Array.from(use.children, ([key, child]) => [key, value(child)]));
}

function isObject(value: unknown): value is Model {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
