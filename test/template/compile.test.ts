/** What compile() refuses, and where it says the mistakes are. */
import { describe, expect, it } from "vitest";
import { compile, MAX_DEPTH, MAX_ERRORS, MAX_LEVELS, MAX_TAGS } from "../../src/template/template.ts";

const INVALID = (path: string) =>
  `The path '${path}' is not valid. Please see documentation for examples of valid paths.`;
const UNCLOSED = (path: string) =>
  `A scope block to the following path was opened but not closed: '${path}', please close it using the appropriate syntax.`;
const MISMATCHED = "It appears that open and closing elements are mismatched.";
const NO_EACH_PATH =
  "The 'each' block being opened requires a model path to be specified in the form '{{#each <name>}}'.";
const NO_EACH =
  "An 'each' block is being closed, but no corresponding opening element ('{{#each <name>}}') was detected.";
const EACH_CLOSER = "The syntax to close the 'each' block should be: '{{/each}}'.";

function errors(source: string, options = {}): string[] {
  const result = compile(source, options);
  if ("ok" in result) return [];
  return result.errors.map(({ message, line, character }) => `${line}:${character} ${message}`);
}

describe("paths", () => {
  it.each([
    "name",
    "first_name",
    "company.name",
    "company.address_line_1",
    "_",
    "9",
    ".",
    "../x",
    "../../x.y",
    "a../b",
    " name ",
    "naïve",
    "名前",
    "constructor",
    "__proto__",
    "eachItem",
  ])("%j is one", (path) => {
    expect(errors(`{{${path}}}`)).toEqual([]);
    expect(errors(`{{{${path}}}}`)).toEqual([]);
    expect(errors(`{{&${path}}}`)).toEqual([]);
  });

  it.each([
    "first name",
    "a-b",
    "@x",
    "@content",
    "@",
    "..",
    ".. ",
    "./",
    "a/b",
    "..a",
    "a..b",
    ".../x",
    ".../asdf.content",
    "..//x",
    "x:y",
    "pm:unsubscribe",
    "[",
    "]",
    ")",
    "(",
    "~",
    "$",
    "%",
    "a\nb",
    "😀",
  ])("%j is none", (path) => {
    expect(errors(`{{${path}}}`)).toEqual([`1:1 ${INVALID(path.trim())}`]);
  });

  it.each(["{{/}}", "{{//}}"])("%s closes nothing", (source) => {
    expect(errors(source)).toEqual([`1:1 ${MISMATCHED}`]);
  });

  it("is not valid in three braces or a section either", () => {
    expect(errors("{{{a-b}}}")).toEqual([`1:1 ${INVALID("a-b")}`]);
    expect(errors("{{{#a}}}")).toEqual([`1:1 ${INVALID("#a")}`]);
    expect(errors("{{{! no comment }}}")).toEqual([`1:1 ${INVALID("! no comment")}`]);
    expect(errors("{{{pm:other}}}")).toEqual([`1:1 ${INVALID("pm:other")}`]);
    expect(errors("{{#each a-b}}{{/each}}")).toEqual([`1:1 ${INVALID("a-b")}`]);
    expect(errors("{{#a-b}}{{/a-b}}")).toEqual([`1:1 ${INVALID("a-b")}`]);
  });
});

describe("sections", () => {
  it.each([
    ["{{#each element}}{{name}}", [`1:1 ${UNCLOSED("element")}`]],
    ["{{#element}}{{name}}", [`1:1 ${UNCLOSED("element")}`]],
    ["{{^element}}{{name}}", [`1:1 ${UNCLOSED("element")}`]],
    ["a{{#b}}{{^c}}", [`1:2 ${UNCLOSED("b")}`, `1:8 ${UNCLOSED("c")}`]],
    ["{{#a}}{{/b}}", [`1:7 ${MISMATCHED}`, `1:1 ${UNCLOSED("a")}`]],
    ["{{#a}}{{#b}}{{/a}}{{/b}}", [`1:13 ${MISMATCHED}`, `1:1 ${UNCLOSED("a")}`]],
    ["{{/a}}", [`1:1 ${MISMATCHED}`]],
    ["{{#each}}{{/each}}", [`1:1 ${NO_EACH_PATH}`]],
    ["{{#each }}{{/each}}", [`1:1 ${NO_EACH_PATH}`]],
    ["{{#eachs}}{{/each}}", [`1:1 ${NO_EACH_PATH}`]],
    ["{{/each}}", [`1:1 ${NO_EACH}`]],
    ["{{#a}}{{.}}{{/each}}", [`1:12 ${NO_EACH}`, `1:1 ${UNCLOSED("a")}`]],
    ["{{#a}}{{.}}{{/a}}{{/each}}", [`1:18 ${NO_EACH}`]],
    ["{{#each a}}{{/each }}{{/each}}", [`1:12 ${EACH_CLOSER}`]],
    ["{{#each a}}{{/ each}}{{/each}}", [`1:12 ${MISMATCHED}`]],
    ["{{#each a}}{{/a}}", [`1:12 ${MISMATCHED}`, `1:1 ${UNCLOSED("a")}`]],
  ])("%s", (source, expected) => {
    expect(errors(source)).toEqual(expected);
  });

  it.each([
    "{{#a}}{{/a}}",
    "{{# a }}{{/ a }}",
    "{{#a}}yes{{^a}}no{{/a}}",
    "{{^a}}no{{#a}}yes{{/a}}",
    "{{#a}}{{#a}}{{/a}}{{/a}}",
    "{{#each a}}{{#each .}}{{/each}}{{/each}}",
    "{{#each\n  a\n}}{{/each}}",
    "{{#a}}{{#../a}}{{/../a}}{{/a}}",
  ])("%j is well formed", (source) => {
    expect(errors(source)).toEqual([]);
  });
});

describe("positions", () => {
  it("count lines and characters from one, at the first brace of the tag", () => {
    const source = "xzyhj{{#company.address_line_1}}\nasdf{{dsadskl-sasa@}}\n{{/each}}";
    expect(errors(source)).toEqual([
      `2:5 ${INVALID("dsadskl-sasa@")}`,
      `3:1 ${NO_EACH}`,
      `1:6 ${UNCLOSED("company.address_line_1")}`,
    ]);
    expect(errors("1{{first name}}")).toEqual([`1:2 ${INVALID("first name")}`]);
    expect(errors("a{{name}}dd\ndd{{/each}}dd")).toEqual([`2:3 ${NO_EACH}`]);
    expect(errors("\r\n\r\n  {{a-b}}")).toEqual([`3:3 ${INVALID("a-b")}`]);
    expect(errors("{{{{a-b}}}}")).toEqual([`1:2 ${INVALID("a-b")}`]);
  });

  it("after a comment over lines are still right", () => {
    expect(errors("{{! one\ntwo\n}} {{a-b}}")).toEqual([`3:4 ${INVALID("a-b")}`]);
  });
});

describe("a layout", () => {
  it("has a place for content, however it is spaced, and no other template has", () => {
    const slots = (source: string) => {
      const result = compile(source, { layout: true });
      return "ok" in result ? result.ok.slots : result.errors;
    };
    expect(slots("<body>{{{ @content }}}</body>")).toBe(1);
    expect(slots("{{{@content}}}{{{\n@content\n}}}")).toBe(2);
    expect(slots("none")).toBe(0);
    expect(errors("{{{ @content }}}")).toEqual([`1:1 ${INVALID("@content")}`]);
    expect(errors("{{ @content }}", { layout: true })).toEqual([`1:1 ${INVALID("@content")}`]);
  });
});

describe("a compiled template", () => {
  it("knows whether it uses anything of a model", () => {
    const uses = (source: string) => {
      const result = compile(source, { layout: true });
      return "ok" in result && result.ok.usesModel;
    };
    expect(uses("plain {braces} {{! comment }} {{{ @content }}} {{{ pm:unsubscribe }}}")).toBe(false);
    expect(uses("{{a}}")).toBe(true);
    expect(uses("{{#a}}{{/a}}")).toBe(true);
  });
});

describe("bounds", () => {
  const nested = (depth: number) => "{{#a}}".repeat(depth) + "{{/a}}".repeat(depth);

  it("of nesting", () => {
    expect(errors(nested(MAX_DEPTH))).toEqual([]);
    const start = 6 * MAX_DEPTH + 1;
    expect(errors(nested(MAX_DEPTH + 1))).toEqual([
      `1:${start} Scope blocks may be nested at most ${MAX_DEPTH} deep.`,
    ]);
  });

  it("of levels, however they come about", () => {
    const path = (length: number) => Array(length).fill("a").join(".");
    expect(errors(`{{${path(MAX_LEVELS)}}}`)).toEqual([]);
    expect(errors(`{{${path(MAX_LEVELS + 1)}}}`)).toHaveLength(1);
    const half = path(MAX_LEVELS / 2);
    expect(errors(`{{#${half}}}{{${half}}}{{/${half}}}`)).toEqual([]);
    expect(errors(`{{#${half}}}{{${half}.a}}{{/${half}}}`)).toHaveLength(1);
    // Up again does not count, and an element does.
    expect(errors(`{{#${half}}}{{../${half}.a}}{{/${half}}}`)).toEqual([]);
    expect(errors(`{{#each ${half}}}{{${half}}}{{/each}}`)).toHaveLength(1);
    expect(errors(`{{${"../".repeat(10_000)}a}}`)).toEqual([]);
  });

  it("of tags and of errors", () => {
    expect(errors("{{a}}".repeat(MAX_TAGS))).toEqual([]);
    expect(errors("{{a}}".repeat(MAX_TAGS + 1))).toEqual([
      `1:${5 * MAX_TAGS + 1} A template may have at most ${MAX_TAGS} tags.`,
    ]);
    expect(errors("{{-}}".repeat(MAX_ERRORS + 1))).toHaveLength(MAX_ERRORS);
  });

  it("of what a message quotes", () => {
    const [error = ""] = errors(`{{${"-".repeat(100_000)}}}`);
    expect(error.length).toBeLessThan(400);
  });
});
