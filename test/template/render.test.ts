/** What templates make of models: the language, case by case. */
import { describe, expect, it } from "vitest";
import { type RenderOptions, render } from "../../src/template/render.ts";
import { compile } from "../../src/template/template.ts";

function rendered(source: string, model: unknown, options: Partial<RenderOptions> = {}): string {
  const compiled = compile(source, { layout: true });
  if ("errors" in compiled) throw new Error(compiled.errors.map(({ message }) => message).join("\n"));
  const result = render(compiled.ok, model, { escape: true, ...options });
  return "ok" in result ? result.ok : `error: ${result.error}`;
}

type Case = [source: string, model: unknown, expected: string];

describe("values", () => {
  it.each<Case>([
    ["Hello {{name}}!", { name: "Ann" }, "Hello Ann!"],
    ["{{ a.b.c }}", { a: { b: { c: "deep" } } }, "deep"],
    ["{{missing}}{{a.missing}}{{missing.too.deep}}", { a: "text" }, ""],
    ["{{Name}}", { name: "keys keep their case" }, ""],
    ["{{.}}", { a: 1 }, ""],
    ["{{null}}{{list}}{{object}}", { null: null, list: [1], object: { a: 1 } }, ""],
    ["{{yes}} {{no}}", { yes: true, no: false }, "True False"],
    ["{{0}}", { "0": 0 }, "0"],
    ["{{list.0}}{{list.length}}{{text.length}}", { list: ["x"], text: "x" }, ""],
    ["{{ }}", "scalar", "scalar"],
  ])("%s of %j", (source, model, expected) => {
    expect(rendered(source, model)).toBe(expected);
  });

  it.each([
    [0, "0"],
    [-0, "0"],
    [1, "1"],
    [1.0, "1"],
    [-17, "-17"],
    [1.5, "1.5"],
    [0.1, "0.1"],
    [19.99, "19.99"],
    [0.1 + 0.2, "0.30000000000000004"],
    [0.0001, "0.0001"],
    [0.00001, "1E-05"],
    [-0.0000123, "-1.23E-05"],
    [1e-7, "1E-07"],
    [1e-123, "1E-123"],
    [123456789.125, "123456789.125"],
    [9007199254740991, "9007199254740991"],
    [1e20, "100000000000000000000"],
    [1e21, "1E+21"],
    [1.5e300, "1.5E+300"],
  ])("the number %d is %s", (number, expected) => {
    expect(rendered("{{n}}", { n: number })).toBe(expected);
  });
});

describe("escaping", () => {
  const model = { html: `<a href="x">&'</a>` };
  it("is for two braces in HTML only", () => {
    const escaped = "&lt;a href=&quot;x&quot;&gt;&amp;&#39;&lt;/a&gt;";
    expect(rendered("{{html}}", model)).toBe(escaped);
    expect(rendered("{{html}}", model, { escape: false })).toBe(model.html);
    expect(rendered("{{{html}}}|{{& html}}|{{&html}}", model)).toBe(Array(3).fill(model.html).join("|"));
  });

  it("turns U+00A0 to U+00FF into numbers, as .NET's encoder does, and leaves what is above", () => {
    expect(rendered("{{t}}", { t: "\u009f\u00a0é\u00ff\u0100€😀" })).toBe(
      "\u009f&#160;&#233;&#255;\u0100€😀",
    );
  });

  it("is not for the template's own text", () => {
    expect(rendered("<b>é & {{x}}</b>", { x: "y" })).toBe("<b>é & y</b>");
  });
});

describe("braces that are no tags", () => {
  it.each<Case>([
    ["{{{{name}}", { name: "Mike" }, "{{Mike"],
    ["{{{name}}", { name: "Mike" }, "{Mike"],
    ["{{name}}}", { name: "Mike" }, "Mike}"],
    ["{{name}}}}", { name: "Mike" }, "Mike}}"],
    ["{{{{name}}}}", { name: "<" }, "{<}"],
    ["{{{{{name}}}}}", { name: "<" }, "{{<}}"],
    ["{{}} {} {a} {{ {a} }} {{a}", { a: 1 }, "{{}} {} {a} {{ {a} }} {{a}"],
    ["{{a{{b}}", { b: 1 }, "{{a1"],
    ["{{a}{{b}}", { b: 1 }, "{{a}1"],
    ["p{color:red} {{a}}", { a: 1 }, "p{color:red} 1"],
    ["{", {}, "{"],
    ["{{", {}, "{{"],
    ["}}{{", {}, "}}{{"],
  ])("%s", (source, model, expected) => {
    expect(rendered(source, model)).toBe(expected);
  });
});

describe("sections", () => {
  const falsy = [undefined, null, false, 0, "", [], {}];
  const truthy = [true, 1, -1, 0.5, "x", " ", "0", "false", [0], [null], { a: null }];
  it.each(falsy)("%j is falsy", (v) => {
    expect(rendered("{{#v}}yes{{/v}}{{^v}}no{{/v}}", { v })).toBe("no");
    expect(rendered("{{#each v}}x{{/each}}", { v })).toBe("");
  });
  it.each(truthy)("%j is truthy", (v) => {
    expect(rendered("{{#v}}yes{{/v}}{{^v}}no{{/v}}", { v })).toBe("yes");
  });

  it.each<Case>([
    ["{{#a}}{{b}}{{/a}}", { a: { b: 1 }, b: 2 }, "1"],
    ["{{#a}}{{c}}{{/a}}", { a: { b: 1 }, c: "outer" }, ""],
    ["{{#a}}{{../c}}{{/a}}", { a: { b: 1 }, c: "outer" }, "outer"],
    ["{{#a}}{{.}}{{/a}}", { a: "text" }, "text"],
    ["{{#a.b}}{{../c}}{{../../d}}{{/a.b}}", { a: { b: 1, c: "C" }, d: "D" }, "CD"],
    // On an array it renders once.
    ["{{#a}}x{{b}}{{/a}}", { a: [{ b: 1 }, { b: 2 }] }, "x"],
    ["{{^a}}{{b}}{{../b}}{{/a}}", { b: "B" }, "B"],
    ["{{^a.b}}{{../c}}{{../../d}}{{/a.b}}", { a: { c: "C" }, d: "D" }, "CD"],
    ["{{#a}}yes{{^a}}no{{/a}}", { a: 1 }, "yes"],
    ["{{#a}}yes{{^a}}no{{/a}}", {}, "no"],
    ["{{^a}}no{{#a}}yes{{/a}}!", { a: 1 }, "yes!"],
    ["{{#a}}1{{#a}}2{{/a}}3{{/a}}", { a: { a: 1 } }, "123"],
    ["{{#a}}{{/a}}", { a: 1 }, ""],
    ["{{#a}}{{#../b}}{{../x}}{{/../b}}{{/a}}", { a: 1, b: 1, x: "X" }, "X"],
  ])("%s of %j", (source, model, expected) => {
    expect(rendered(source, model)).toBe(expected);
  });
});

describe("each", () => {
  it.each<Case>([
    ["{{#each a}}[{{.}}]{{/each}}", { a: [1, "two", true, null] }, "[1][two][True][]"],
    ["{{#each a}}{{n}},{{/each}}", { a: [{ n: 1 }, { n: 2 }, 3] }, "1,2,,"],
    ["{{#each a}}{{#each .}}{{.}}{{/each}};{{/each}}", { a: [[1, 2], [], [3]] }, "12;;3;"],
    [
      "{{#each employees}}{{../company}}{{../../company}} {{/each}}",
      { employees: [1, 2], company: "C" },
      "C C ",
    ],
    [
      "{{#each Company.ceo.products}}{{../../last_name}}{{/each}}",
      { Company: { ceo: { products: [1], last_name: "Doe" } } },
      "Doe",
    ],
    ["{{#each a}}{{../../../../../x}}{{/each}}", { a: [1], x: "X" }, "X"],
    [
      "{{#items}}<ul>{{#each .}}<li>{{.}}</li>{{/each}}</ul>{{/items}}",
      { items: ["a"] },
      "<ul><li>a</li></ul>",
    ],
    ["{{#each a}}{{#b}}{{../../../c}}{{/b}}{{/each}}", { a: [{ b: 1 }], c: "C" }, "C"],
    ["{{#each a}}{{#b}}{{../c}}{{/b}}{{/each}}", { a: [{ b: 1, c: "own" }] }, "own"],
    ["{{#each a}}{{/each}}", {}, ""],
  ])("%s of %j", (source, model, expected) => {
    expect(rendered(source, model)).toBe(expected);
  });

  it.each([{ a: { b: 1 } }, { a: "text" }, { a: 5 }, { a: true }])("is an error over %j", (model) => {
    const message =
      "'a' is used like an array by the template, but is a scalar value or object in your model.";
    expect(rendered("before {{#each a}}x{{/each}}", model)).toBe(`error: ${message}`);
  });
});

describe("comments, placeholders and slots", () => {
  it("leaves comments out, over lines too", () => {
    expect(rendered("a{{! one }}b{{!\ntwo\nthree }}c{{!}}", {})).toBe("abc");
  });

  it("leaves the unsubscribe placeholders as they are, to be filled when the message is sent", () => {
    const source = '<a href="{{{ pm:unsubscribe }}}">x</a>{{{pm:unsubscribe_url}}} {{name}}';
    expect(rendered(source, { name: "n", "pm:unsubscribe": "no" })).toBe(source.replace("{{name}}", "n"));
  });

  it("puts rendered content where a layout has its place, unescaped and not rendered again", () => {
    const layout = "<body>{{title}}{{{ @content }}}</body>";
    const content = "<p>{{title}}</p>";
    expect(rendered(layout, { title: "T" }, { slots: { content } })).toBe(`<body>T${content}</body>`);
    expect(rendered(layout, { title: "T", "@content": "no" })).toBe("<body>T</body>");
  });

  it("prints a value with tags in it as it is", () => {
    expect(rendered("{{{a}}}", { a: "{{b}}", b: "no" })).toBe("{{b}}");
  });
});

describe("a model", () => {
  it("has no keys that it was not given", () => {
    const source =
      "{{constructor}}{{constructor.name}}{{__proto__}}{{__proto__.x}}{{toString}}{{a.constructor.name}}{{#__proto__}}y{{/__proto__}}";
    expect(rendered(source, { a: {} })).toBe("");
    expect(
      rendered("{{hasOwnProperty}}{{__proto__}}", JSON.parse('{"hasOwnProperty":1,"__proto__":2}')),
    ).toBe("12");
    expect(rendered("{{#a}}yes{{/a}}", { a: JSON.parse('{"__proto__":null}') })).toBe("yes");
  });

  it.each([undefined, null, [], "text", 5])("may be %j", (model) => {
    expect(rendered("a{{b}}{{#c}}x{{/c}}", model)).toBe("a");
  });
});
