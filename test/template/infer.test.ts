/** The models that templates seem to want, and what becomes of them beside a model that is given. */
import { describe, expect, it } from "vitest";
import { inferModel, mergeModels } from "../../src/template/infer.ts";
import { render } from "../../src/template/render.ts";
import { type Compiled, compile } from "../../src/template/template.ts";

function compiled(source: string): Compiled {
  const result = compile(source, { layout: true });
  if ("errors" in result) throw new Error(result.errors[0]?.message);
  return result.ok;
}

const inferred = (...sources: string[]) => inferModel(sources.map(compiled));

describe("inferring a model", () => {
  it.each([
    ["no tags", {}],
    ["{{! comment }}{{{ pm:unsubscribe }}}{{{ @content }}}", {}],
    ["{{.}}", {}],
    ["{{Name}}", { Name: "Name_Value" }],
    ["{{{raw}}}{{& other}}", { raw: "raw_Value", other: "other_Value" }],
    ["{{a.b.c}}{{a.d}}", { a: { b: { c: "c_Value" }, d: "d_Value" } }],
    ["{{#Person}}{{Name}}{{/Person}}", { Person: { Name: "Name_Value" } }],
    ["{{#a}}text{{/a}}{{^b}}text{{/b}}", { a: {}, b: {} }],
    ["{{#a}}{{.}}{{/a}}", { a: {} }],
    ["{{#each a}}{{.}}{{/each}}", { a: ["a_1", "a_2", "a_3"] }],
    ["{{#each a}}x{{/each}}", { a: ["a_1", "a_2", "a_3"] }],
    ["{{#each Employees}}{{name}}{{/each}}", { Employees: [{ name: "name_Value" }] }],
    ["{{#items}}{{#each .}}{{n}}{{/each}}{{/items}}", { items: [{ n: "n_Value" }] }],
    ["{{#each a}}{{#each .}}{{.}}{{/each}}{{/each}}", { a: [["a_1", "a_2", "a_3"]] }],
    [
      "{{#Person}}{{Name}}{{#each ../Person.FavoriteColors}}{{.}}{{/each}}{{/Person}}",
      {
        Person: {
          Name: "Name_Value",
          FavoriteColors: ["FavoriteColors_1", "FavoriteColors_2", "FavoriteColors_3"],
        },
      },
    ],
    [
      "{{#each Employees}}{{person.name}}{{#each favoriteColors}}{{hue}}{{/each}}{{#each workplaces}}{{.}}{{/each}}{{/each}}",
      {
        Employees: [
          {
            person: { name: "name_Value" },
            favoriteColors: [{ hue: "hue_Value" }],
            workplaces: ["workplaces_1", "workplaces_2", "workplaces_3"],
          },
        ],
      },
    ],
    ["{{#each e}}{{n}}{{../../company}}{{/each}}", { e: [{ n: "n_Value" }], company: "company_Value" }],
    ["{{#content}}{{../Person.Name}}{{/content}}", { content: {}, Person: { Name: "Name_Value" } }],
  ])("%s", (source, model) => {
    expect(inferred(source)).toEqual(model);
  });

  it("goes over all parts", () => {
    expect(inferred("{{a}}{{#b}}{{c}}{{/b}}", "{{b.d}}{{a}}", "{{#each e}}{{f}}{{/each}}")).toEqual({
      a: "a_Value",
      b: { c: "c_Value", d: "d_Value" },
      e: [{ f: "f_Value" }],
    });
  });

  it("gives a model that the template renders with", () => {
    const source = "{{#each o.items}}{{name}}: {{../../total}} {{#each tags}}{{.}} {{/each}}{{/each}}";
    const result = render(compiled(source), inferred(source), { escape: false });
    expect(result).toEqual({ ok: "name_Value: total_Value tags_1 tags_2 tags_3 " });
  });

  it("makes keys of any name, and pollutes nothing", () => {
    const model = inferred("{{__proto__.polluted}}{{constructor}}");
    expect(JSON.stringify(model)).toBe(
      '{"__proto__":{"polluted":"polluted_Value"},"constructor":"constructor_Value"}',
    );
    expect(Object.hasOwn(Object.prototype, "polluted")).toBe(false);
  });
});

describe("merging models", () => {
  it.each([
    [{ a: 1 }, { a: 2 }, { a: 2 }],
    [{ a: 1 }, { b: 2 }, { a: 1, b: 2 }],
    [{ a: { b: 1, c: 2 } }, { a: { c: 3, d: 4 } }, { a: { b: 1, c: 3, d: 4 } }],
    [{ a: { b: 1 } }, { a: "text" }, { a: "text" }],
    [{ a: { b: 1 } }, { a: null }, { a: null }],
    [{ a: "x" }, { a: { b: 1 } }, { a: { b: 1 } }],
    [{ a: [{ b: 1 }] }, { a: [{ c: 2 }, 3] }, { a: [{ c: 2 }, 3] }],
    [{ a: [1] }, { a: { b: 1 } }, { a: { b: 1 } }],
    [{ a: 1 }, null, { a: 1 }],
    [{ a: 1 }, undefined, { a: 1 }],
    [{ a: 1 }, [], { a: 1 }],
    [{}, {}, {}],
  ])("%j and %j", (own, given, merged) => {
    expect(mergeModels(own, given)).toEqual(merged);
  });

  it("pollutes nothing", () => {
    const merged = mergeModels({ a: 1 }, JSON.parse('{"__proto__":{"polluted":1}}'));
    expect(JSON.stringify(merged)).toBe('{"a":1,"__proto__":{"polluted":1}}');
    expect(Object.hasOwn(Object.prototype, "polluted")).toBe(false);
  });
});
