/** No template and no model makes compiling or rendering hang, crash or grow past its bounds. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { inferModel, mergeModels } from "../../src/template/infer.ts";
import { LIMITS, type Limits, render } from "../../src/template/render.ts";
import { type Compiled, compile, MAX_ERRORS } from "../../src/template/template.ts";

function compiled(source: string): Compiled {
  const result = compile(source, { layout: true });
  if ("errors" in result) throw new Error(result.errors[0]?.message);
  return result.ok;
}

/** Few names, so that templates and models meet. */
const name = fc.constantFrom("a", "b", "c", "each", "__proto__", "constructor", "length", "0");
const path = fc.oneof(
  fc.constantFrom(".", "", "../", "../../a", "a../b"),
  fc.array(name, { minLength: 1, maxLength: 3 }).map((keys) => keys.join(".")),
  fc.tuple(fc.constantFrom("../", "../../", "../../../"), name).map((parts) => parts.join("")),
);

const { template } = fc.letrec<{ template: string; piece: string }>((tie) => ({
  template: fc.array(tie("piece"), { maxLength: 6 }).map((pieces) => pieces.join("")),
  piece: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom(
      "text",
      "{",
      "}",
      "}}",
      "{{",
      "\n",
      "{{! c }}",
      "{{{ pm:unsubscribe }}}",
      "{{{@content}}}",
      "é",
    ),
    path.map((p) => `{{${p}}}`),
    path.map((p) => `{{{${p}}}}`),
    fc.tuple(path, tie("template")).map(([p, inner]) => `{{#${p}}}${inner}{{/${p}}}`),
    fc.tuple(path, tie("template")).map(([p, inner]) => `{{^${p}}}${inner}{{/${p}}}`),
    fc.tuple(path, tie("template")).map(([p, inner]) => `{{#each ${p}}}${inner}{{/each}}`),
  ),
}));

/** Tags torn apart. */
const noise = fc
  .array(
    fc.constantFrom(
      "{",
      "}",
      "{{",
      "}}",
      "{{{",
      "}}}",
      "#",
      "^",
      "/",
      "each",
      " ",
      "a",
      "..",
      "@",
      "!",
      "&",
      "\n",
    ),
    { maxLength: 200 },
  )
  .map((pieces) => pieces.join(""));

const { json } = fc.letrec<{ json: unknown }>((tie) => ({
  json: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom<unknown>(null, true, false, 0, "", "text", "<é>", 1.5, 1e-9, 1e30),
    fc.array(tie("json"), { maxLength: 4 }),
    fc.array(fc.tuple(name, tie("json")), { maxLength: 4 }).map((entries) => Object.fromEntries(entries)),
  ),
}));

describe("random templates", () => {
  it("compile, or say where they do not", () => {
    fc.assert(
      fc.property(fc.oneof(noise, template, fc.string({ unit: "binary", maxLength: 300 })), (source) => {
        const result = compile(source, { layout: true });
        if ("ok" in result) return;
        expect(result.errors.length).toBeGreaterThan(0);
        const lines = source.split("\n");
        const isAtTag = result.errors.map(({ line, character }) =>
          lines[line - 1]?.startsWith("{{", character - 1),
        );
        expect(isAtTag).toEqual(isAtTag.map(() => true));
      }),
      { numRuns: 1000 },
    );
  });

  it("render any model to text or an error, the same each time, within what they were given", () => {
    fc.assert(
      fc.property(template, json, fc.boolean(), (source, model, isHtml) => {
        const result = compile(source, { layout: true });
        if ("errors" in result) return;
        const before = JSON.stringify(model);
        const limits: Limits = { output: 300, steps: 300 };
        const options = { escape: isHtml, slots: { content: "content" }, limits };
        const first = render(result.ok, model, options);
        expect(render(result.ok, model, options)).toEqual(first);
        if ("ok" in first) {
          expect(first.ok.length).toBeLessThanOrEqual(limits.output);
          expect(first.ok).not.toMatch(/\[object|function|undefined|NaN/);
        } else
          expect(first.error).toMatch(/used like an array|more than 300 steps|longer than 300 characters/);
        expect(JSON.stringify(model)).toBe(before);
      }),
      { numRuns: 1000 },
    );
  });

  it("give models that are JSON, and merge with any", () => {
    fc.assert(
      fc.property(template, json, (source, given) => {
        const result = compile(source, { layout: true });
        if ("errors" in result) return;
        const inferred = inferModel([result.ok]);
        expect(JSON.parse(JSON.stringify(inferred))).toEqual(inferred);
        const merged = mergeModels(inferred, given);
        if (given !== null && typeof given === "object" && !Array.isArray(given)) {
          for (const key of [...Object.keys(inferred), ...Object.keys(given)]) {
            expect(Object.hasOwn(merged, key)).toBe(true);
          }
        } else expect(merged).toEqual(inferred);
        expect(({} as Record<string, unknown>).a).toBe(undefined);
      }),
      { numRuns: 1000 },
    );
  });
});

describe("hostile templates", () => {
  const MEGABYTE = 1_000_000;
  it.each([
    ["opening braces", "{"],
    ["closing braces", "}"],
    ["pairs of opening braces with text", "{{a"],
    ["tags that do not end", "{{a}"],
    ["sections", "{{#a}}"],
    ["sections of each", "{{#each a}}"],
    ["ends of each", "{{/each}}"],
    ["else without end", "{{#a}}{{^a}}"],
    ["mistakes", "{{-}}"],
    ["mistakes on lines", "{{-}}\n"],
    ["tags", "{{{a}}}"],
    ["braces in pairs", "{}"],
  ])("a megabyte of %s is compiled or refused", (_, piece) => {
    const result = compile(piece.repeat(MEGABYTE / piece.length));
    if ("errors" in result) expect(result.errors.length).toBeLessThanOrEqual(MAX_ERRORS);
    else expect(render(result.ok, {}, { escape: true })).toHaveProperty("ok");
  });

  it.each([
    ["dots", `{{${".".repeat(MEGABYTE)}}}`],
    ["ups", `{{${"../".repeat(MEGABYTE / 3)}a}}`],
    ["ups and downs", `{{${"a../".repeat(MEGABYTE / 4)}a}}`],
    ["keys", `{{${"a.".repeat(MEGABYTE / 2)}a}}`],
    ["a key", `{{${"a".repeat(MEGABYTE)}}}`],
    ["spaces", `{{#each ${" ".repeat(MEGABYTE)}a}}{{/each}}`],
    ["ampersands", `{{{${"&".repeat(MEGABYTE)}a}}}`],
    ["lines before a mistake", `${"\n".repeat(MEGABYTE)}{{-}}`],
    ["a comment", `{{!${"c".repeat(MEGABYTE)}}}`],
  ])("a tag with a megabyte of %s too", (_, source) => {
    const result = compile(source);
    if ("errors" in result) for (const { message } of result.errors) expect(message.length).toBeLessThan(500);
    else expect(inferModel([result.ok])).toBeDefined();
  });
});

describe("hostile models", () => {
  const array = Array.from({ length: 1000 }, (_, i) => i);

  it("each in each in each over a thousand elements ends with an error", () => {
    const source = "{{#each a}}{{#each ../../a}}{{#each ../../../../a}}x{{/each}}{{/each}}{{/each}}";
    const result = render(compiled(source), { a: array }, { escape: true });
    expect(result).toEqual({
      error: `Rendering the template with this model takes more than ${LIMITS.steps} steps.`,
    });
  });

  it("so does each over each that writes nothing", () => {
    const source = "{{#each a}}{{#each ../../a}}{{#each ../../../../a}}{{/each}}{{/each}}{{/each}}";
    expect(render(compiled(source), { a: array }, { escape: true })).toHaveProperty("error");
  });

  it("a long value printed often stops at the bound of the output", () => {
    const result = render(
      compiled("{{#each a}}{{{../../v}}}{{/each}}"),
      { a: array, v: "x".repeat(100_000) },
      { escape: true },
    );
    expect(result).toEqual({ error: `The rendered template is longer than ${LIMITS.output} characters.` });
  });

  it("what escaping adds is counted", () => {
    const template = compiled("{{v}}");
    const limits = { output: 60 };
    expect(render(template, { v: '"'.repeat(10) }, { escape: true, limits })).toEqual({
      ok: "&quot;".repeat(10),
    });
    expect(render(template, { v: '"'.repeat(11) }, { escape: true, limits })).toHaveProperty("error");
    expect(render(template, { v: '"'.repeat(60) }, { escape: false, limits })).toHaveProperty("ok");
  });

  it("a layout that repeats its content stops at the bound too", () => {
    const content = "x".repeat(1_000_000);
    const layout = compiled("{{#each a}}{{{ @content }}}{{/each}}");
    expect(render(layout, { a: array }, { escape: true, slots: { content } })).toHaveProperty("error");
  });

  it("a model of a hundred thousand levels is not walked", () => {
    let model: unknown = {};
    for (let i = 0; i < 100_000; i++) model = { a: model };
    expect(render(compiled("{{#a}}{{#a}}{{a.b}}x{{/a}}{{/a}}"), model, { escape: true })).toEqual({
      ok: "x",
    });
    expect(mergeModels(inferModel([compiled("{{a.a.a}}")]), model)).toHaveProperty("a");
  });

  it("an object of many keys is asked once whether it is empty", () => {
    const o = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`k${i}`, i]));
    let asked = 0;
    const watched = new Proxy(o, {
      ownKeys(target) {
        asked++;
        return Reflect.ownKeys(target);
      },
    });
    const source = "{{#each a}}{{#../../o}}x{{/../../o}}{{/each}}";
    expect(render(compiled(source), { a: array, o: watched }, { escape: true })).toEqual({
      ok: "x".repeat(1000),
    });
    expect(asked).toBe(1);
  });
});

describe("the cost of rendering", () => {
  /** The fewest steps that it can be rendered with. */
  function steps(source: string, model: unknown): number {
    const template = compiled(source);
    let [low, high] = [0, LIMITS.steps];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ("ok" in render(template, model, { escape: true, limits: { steps: middle } })) high = middle;
      else low = middle + 1;
    }
    return low;
  }
  const items = (count: number) => ({ items: Array.from({ length: count }, (_, n) => ({ n })) });

  it("grows with what is rendered, and not faster", () => {
    expect(steps("text", {})).toBe(1);
    expect(steps("{{a}}", {})).toBe(2);
    expect(steps("{{a}}".repeat(1000), {})).toBe(2000);
    expect(steps("{{a.b.c}}", {})).toBe(4);
    const list = "{{#each items}}{{n}}{{/each}}";
    expect(steps(list, items(10))).toBe(2 + 3 * 10);
    expect(steps(list, items(1000))).toBe(2 + 3 * 1000);
    expect(steps(list, items(10_000))).toBe(2 + 3 * 10_000);
  });

  it("has room for a table of 20,000 rows with ten cells", () => {
    const source = `{{#each items}}<tr>${"<td>{{n}}</td>".repeat(10)}</tr>\n{{/each}}`;
    expect(render(compiled(source), items(20_000), { escape: true })).toHaveProperty("ok");
  });
});
