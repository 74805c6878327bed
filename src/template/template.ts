/**
 * Mustachio, the language of templates: text with tags in braces, compiled once into a tree that render.ts walks and
 * infer.ts reads. Compiling looks at each character a bounded number of times and collects every error; what it makes
 * is bounded in depth and in number, so that nothing that walks it can be made to overflow.
 */
import { type Path, parsePath } from "./path.ts";
import { scan, type Tag } from "./scan.ts";

export type Node =
  | { kind: "text"; text: string }
  | { kind: "print"; path: Path; raw: boolean }
  /** Renders its body once, with the path as the scope, when that is truthy (or, inverted, falsy). */
  | { kind: "section"; path: Path; inverted: boolean; body: Node[] }
  | { kind: "each"; path: Path; body: Node[] }
  /** Where a layout takes what it is laid around: {{{ @content }}}. */
  | { kind: "slot" };

export interface Compiled {
  nodes: Node[];
  /** How often {{{ @content }}} is there: a layout has it once in each body. */
  slots: number;
  /** Whether anything of a model is used. */
  usesModel: boolean;
  /** About how much memory it takes, for the cache. */
  bytes: number;
}

export interface TemplateError {
  message: string;
  /** Both from 1, of the tag's first brace. */
  line: number;
  character: number;
}

export type CompileResult = { ok: Compiled } | { errors: TemplateError[] };

export interface CompileOptions {
  /** Only a layout has a place for content; elsewhere "@content" is no valid path. */
  layout?: boolean;
}

/** Sections within sections. People need five; recursion over a hundred is safe in every runtime. */
export const MAX_DEPTH = 100;
/** Levels from the root to a value: what is inferred from a template is a JSON document of this depth. */
export const MAX_LEVELS = 250;
/** A tag takes some 200 bytes compiled, and an isolate has 128 MB for all that it does. */
export const MAX_TAGS = 20_000;
/** Nobody reads more of them, and a megabyte of mistakes must not become an answer of many. */
export const MAX_ERRORS = 100;
/** Of a path in a message: the same reason. */
const MAX_QUOTED = 200;

const TAG_BYTES = 200;

const NO_EACH_PATH =
  "The 'each' block being opened requires a model path to be specified in the form '{{#each <name>}}'.";
const EACH_CLOSER = "The syntax to close the 'each' block should be: '{{/each}}'.";
const NO_EACH =
  "An 'each' block is being closed, but no corresponding opening element ('{{#each <name>}}') was detected.";
const MISMATCHED = "It appears that open and closing elements are mismatched.";

/** `layout: true` lets {{{ @content }}} be. */
export function compile(source: string, options: CompileOptions = {}): CompileResult {
  return new Compilation(source, options.layout ?? false).run();
}

interface Scope {
  kind: "root" | "section" | "each";
  inverted: boolean;
  /** What a closing tag must say. */
  name: string;
  start: number;
  level: number;
  body: Node[];
}

class Compilation {
  readonly #source: string;
  readonly #layout: boolean;
  readonly #root: Scope = { kind: "root", inverted: false, name: "", start: 0, level: 0, body: [] };
  readonly #open: Scope[] = [];
  readonly #errors: TemplateError[] = [];
  readonly #lines: Lines;
  #slots = 0;
  #usesModel = false;

  constructor(source: string, layout: boolean) {
    this.#source = source;
    this.#layout = layout;
    this.#lines = new Lines(source);
  }

  run(): CompileResult {
    let textFrom = 0;
    let tags = 0;
    for (const tag of scan(this.#source)) {
      if (++tags > MAX_TAGS) {
        this.#error(tag.start, `A template may have at most ${MAX_TAGS} tags.`);
        break;
      }
      this.#text(textFrom, tag.start);
      this.#tag(tag);
      textFrom = tag.end;
    }
    this.#text(textFrom, this.#source.length);
    for (const { name, start } of this.#open) {
      const message = `A scope block to the following path was opened but not closed: '${quoted(name)}', please close it using the appropriate syntax.`;
      this.#error(start, message);
    }
    if (this.#errors.length > 0) return { errors: this.#errors };
    const bytes = 2 * this.#source.length + TAG_BYTES * tags;
    return { ok: { nodes: this.#root.body, slots: this.#slots, usesModel: this.#usesModel, bytes } };
  }

  /** The order of the cases is the language: "#each" before "#", and three braces before what else they hold. */
  #tag({ inner, triple, start, end }: Tag): void {
    const trimmed = inner.trim();
    if (triple) {
      if (this.#layout && trimmed === "@content") this.#slot();
      else if (/^pm:unsubscribe(_url)?$/.test(trimmed)) this.#text(start, end);
      else this.#print(trimmed.replace(/^&+/, "").trim(), true, start);
    } else if (inner.startsWith("#each")) this.#openEach(inner.slice("#each".length), start);
    else if (inner.startsWith("/each")) this.#closeEach(inner, start);
    else if (inner.startsWith("#")) this.#openSection(inner.replace(/^#+/, "").trim(), false, start);
    else if (inner.startsWith("^")) this.#openSection(inner.replace(/^\^+/, "").trim(), true, start);
    else if (inner.startsWith("/")) this.#closeSection(inner.replace(/^\/+/, "").trim(), start);
    else if (inner.startsWith("&")) this.#print(inner.replace(/^&+/, "").trim(), true, start);
    else if (!inner.startsWith("!")) this.#print(trimmed, false, start);
  }

  #text(from: number, to: number): void {
    if (to > from) this.#scope().body.push({ kind: "text", text: this.#source.slice(from, to) });
  }

  #slot(): void {
    this.#slots++;
    this.#scope().body.push({ kind: "slot" });
  }

  #print(text: string, raw: boolean, start: number): void {
    const path = this.#path(text, start);
    if (path) this.#scope().body.push({ kind: "print", path, raw });
  }

  #openEach(rest: string, start: number): void {
    const name = rest.trim();
    const hasPath = /^\s/.test(rest) && name !== "";
    if (!hasPath) this.#error(start, NO_EACH_PATH);
    const path = hasPath ? this.#path(name, start, 1) : undefined;
    const body: Node[] = [];
    if (path) this.#scope().body.push({ kind: "each", path, body });
    this.#enter({
      kind: "each",
      inverted: false,
      name: name || "each",
      start,
      level: this.#below(path, 1),
      body,
    });
  }

  #closeEach(inner: string, start: number): void {
    if (inner !== "/each") this.#error(start, EACH_CLOSER);
    else if (this.#scope().kind === "each") this.#open.pop();
    else this.#error(start, NO_EACH);
  }

  /** In {{#a}}…{{^a}}…{{/a}} the second tag closes the first's section too: that is how Mustachio says "else". */
  #openSection(name: string, inverted: boolean, start: number): void {
    const scope = this.#scope();
    if (scope.kind === "section" && scope.name === name && scope.inverted !== inverted) this.#open.pop();
    const path = this.#path(name, start);
    const body: Node[] = [];
    if (path) this.#scope().body.push({ kind: "section", path, inverted, body });
    this.#enter({ kind: "section", inverted, name, start, level: this.#below(path, 0), body });
  }

  #closeSection(name: string, start: number): void {
    const scope = this.#scope();
    if (scope.kind === "section" && scope.name === name) this.#open.pop();
    else this.#error(start, MISMATCHED);
  }

  /** Past the bound a scope is still kept, so that its closing tag is not an error more; what is in it is not used. */
  #enter(scope: Scope): void {
    if (this.#open.length === MAX_DEPTH) {
      this.#error(scope.start, `Scope blocks may be nested at most ${MAX_DEPTH} deep.`);
    }
    this.#open.push(scope);
  }

  #scope(): Scope {
    return this.#open.at(-1) ?? this.#root;
  }

  /** The level of what a path leads to. */
  #below(path: Path | undefined, more: number): number {
    const { level } = this.#scope();
    return path ? level - path.up + path.down.length + more : level;
  }

  #path(text: string, start: number, more = 0): Path | undefined {
    this.#usesModel = true;
    const path = parsePath(text, this.#scope().level);
    if (!path) {
      const message = `The path '${quoted(text)}' is not valid. Please see documentation for examples of valid paths.`;
      this.#error(start, message);
    } else if (this.#below(path, more) > MAX_LEVELS) {
      this.#error(start, `The path '${quoted(text)}' is more than ${MAX_LEVELS} levels deep.`);
      return undefined;
    }
    return path;
  }

  #error(start: number, message: string): void {
    if (this.#errors.length < MAX_ERRORS) this.#errors.push({ message, ...this.#lines.at(start) });
  }
}

/** Where the lines begin, found when the first error asks. */
class Lines {
  readonly #source: string;
  #starts: number[] | undefined;

  constructor(source: string) {
    this.#source = source;
  }

  at(position: number): { line: number; character: number } {
    this.#starts ??= [0, ...Array.from(this.#source.matchAll(/\n/g), (match) => match.index + 1)];
    let [line, after] = [0, this.#starts.length];
    while (after - line > 1) {
      const middle = (line + after) >> 1;
      if ((this.#starts[middle] ?? 0) <= position) line = middle;
      else after = middle;
    }
    return { line: line + 1, character: position - (this.#starts[line] ?? 0) + 1 };
  }
}

function quoted(text: string): string {
  return text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text;
}
