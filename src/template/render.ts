/**
 * Renders a compiled template with a model. It is a pure function of the two, and bounded twice: by what it writes and
 * by what it does, so that "each" in "each" over long arrays ends with an error instead of holding the machine.
 */
import type { Path } from "./path.ts";
import { escapeHtml, print } from "./print.ts";
import type { Compiled, Node } from "./template.ts";

export interface Limits {
  /** Characters of the result. */
  output: number;
  /** Nodes visited and keys looked up. */
  steps: number;
}

/**
 * A body may have 5 MB, so more characters than that would be refused in any case. A million steps take about a tenth
 * of a second, and a table of 20,000 rows with ten cells each is under it.
 */
export const LIMITS: Limits = { output: 5 * 1024 * 1024, steps: 1_000_000 };

export interface RenderOptions {
  /** Whether {{ }} escapes for HTML: in the HTML body only. */
  escape: boolean;
  /** What a layout is laid around, already rendered. */
  slots?: { content?: string };
  /** Lower bounds than LIMITS. */
  limits?: Partial<Limits>;
  /** What is left for all renderings of a request: what this one takes is taken from it. */
  budget?: Limits;
}

export type RenderResult = { ok: string } | { error: string };

/** `model` is plain JSON; what it has beside own properties is not seen. */
export function render(template: Compiled, model: unknown, options: RenderOptions): RenderResult {
  const rendering = new Rendering(options);
  rendering.nodes(template.nodes, { value: model, parent: undefined });
  if (options.budget) rendering.charge(options.budget);
  return rendering.result();
}

/** A scope and those above it: each key of a path is one, and each element of an array. */
interface Scope {
  value: unknown;
  parent: Scope | undefined;
}

class Rendering {
  readonly #escape: boolean;
  readonly #content: string;
  readonly #limits: Limits;
  readonly #pieces: string[] = [];
  readonly #hasKeys = new Map<object, boolean>();
  #length = 0;
  #steps = 0;
  #error: string | undefined;

  constructor(options: RenderOptions) {
    this.#escape = options.escape;
    this.#content = options.slots?.content ?? "";
    const { output, steps } = { ...LIMITS, ...options.limits };
    const { budget } = options;
    this.#limits = budget
      ? { output: Math.min(output, budget.output), steps: Math.min(steps, budget.steps) }
      : { output, steps };
  }

  charge(budget: Limits): void {
    budget.output -= this.#length;
    budget.steps -= this.#steps;
  }

  result(): RenderResult {
    return this.#error === undefined ? { ok: this.#pieces.join("") } : { error: this.#error };
  }

  nodes(nodes: Node[], scope: Scope): void {
    for (const node of nodes) {
      this.#step(1);
      if (this.#error !== undefined) return;
      this.#node(node, scope);
    }
  }

  #node(node: Node, scope: Scope): void {
    if (node.kind === "text") this.#write(node.text);
    else if (node.kind === "slot") this.#write(this.#content);
    else if (node.kind === "print") this.#print(print(this.#find(node.path, scope).value), node.raw);
    else {
      const inner = this.#find(node.path, scope);
      if (node.kind === "each") this.#each(node.path, node.body, inner);
      else if (this.#isTruthy(inner.value) !== node.inverted) this.nodes(node.body, inner);
    }
  }

  #print(text: string, raw: boolean): void {
    // Looked at before it is escaped: the work on a value that has no room is not done.
    const fits = this.#length + text.length <= this.#limits.output;
    this.#write(raw || !this.#escape || !fits ? text : escapeHtml(text));
  }

  #each(path: Path, body: Node[], array: Scope): void {
    if (!this.#isTruthy(array.value)) return;
    if (!Array.isArray(array.value)) {
      this.#fail(
        `'${path.text}' is used like an array by the template, but is a scalar value or object in your model.`,
      );
      return;
    }
    for (const value of array.value) {
      this.#step(1);
      if (this.#error !== undefined) return;
      this.nodes(body, { value, parent: array });
    }
  }

  /** Only downwards from where the path begins: what an outer scope has is not seen from an inner one. */
  #find(path: Path, from: Scope): Scope {
    this.#step(path.up + path.down.length);
    let scope = from;
    for (let i = 0; i < path.up; i++) scope = scope.parent ?? scope;
    for (const key of path.down) scope = { value: own(scope.value, key), parent: scope };
    return scope;
  }

  #isTruthy(value: unknown): boolean {
    if (Array.isArray(value)) return value.length > 0;
    if (typeof value !== "object" || value === null) return Boolean(value);
    // Kept, because the first key of a large object costs as much as all of them.
    const known = this.#hasKeys.get(value);
    if (known !== undefined) return known;
    const has = hasKeys(value);
    this.#hasKeys.set(value, has);
    return has;
  }

  #write(text: string): void {
    this.#length += text.length;
    if (this.#length > this.#limits.output) {
      this.#fail(`The rendered template is longer than ${this.#limits.output} characters.`);
    } else this.#pieces.push(text);
  }

  #step(count: number): void {
    this.#steps += count;
    if (this.#steps > this.#limits.steps) {
      this.#fail(`Rendering the template with this model takes more than ${this.#limits.steps} steps.`);
    }
  }

  #fail(error: string): void {
    this.#error ??= error;
  }
}

/** "constructor", "__proto__" and an array's "length" are keys that are missing. */
function own(value: unknown, key: string): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value) || !Object.hasOwn(value, key))
    return undefined;
  return (value as Record<string, unknown>)[key];
}

function hasKeys(value: object): boolean {
  for (const key in value) if (Object.hasOwn(value, key)) return true;
  return false;
}
