/** Styles inlined in a template give what styles inlined in each of its messages would; where they could not, nothing is done. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { inlineCss } from "../../src/template/inline-css.ts";
import { composeLayout, inlineOnce } from "../../src/template/inline-once.ts";
import { compileMessage, renderMessage } from "../../src/template/message.ts";
import { render } from "../../src/template/render.ts";
import { compile } from "../../src/template/template.ts";

const CSS =
  "<style>.a { color: red } td { padding: 1px } table .b { margin: 0 } @media print { td { padding: 0 } }</style>";
const MODELS = [
  {},
  { a: 1, b: [{ c: "x" }, { c: "<b class='a'>" }], d: { e: "E" } },
  { a: "", b: [], d: null },
  { a: "a&b", b: ["1", "2", "3"], d: { e: '"' } },
];

function rendered(source: string, model: unknown): string {
  const compiled = compile(source);
  if (!("ok" in compiled)) throw new Error("does not compile");
  const result = render(compiled.ok, model, { escape: true });
  return "ok" in result ? result.ok : result.error;
}

/** An attribute that a model made empty is written in two ways, which mean the same. */
const same = (html: string) => html.replaceAll('=""', "");

function expectSame(source: string): void {
  const once = inlineOnce(source);
  if (once === undefined) throw new Error("was not done");
  for (const model of MODELS)
    expect(same(rendered(once, model))).toBe(same(inlineCss(rendered(source, model))));
}

describe("is done once", () => {
  it.each([
    `${CSS}<p class="a">Hi {{a}}</p>`,
    `${CSS}<table>{{#each b}}<tr><td class="b">{{c}}</td></tr>{{/each}}</table>`,
    `${CSS}<a class="a" href="https://x.org/{{a}}?q={{d.e}}">{{! a note }}x</a>`,
    `${CSS}{{#a}}<p class="a">yes</p>{{/a}}{{^a}}<p class="b">no</p>{{/a}}`,
    `${CSS}{{#a}}<i class="a">yes</i>{{^a}}<i>no</i>{{/a}}`,
    `${CSS}<img alt="{{#a}}big{{/a}}" class="a">`,
    `${CSS}<!--[if mso]>{{#a}}<td>{{.}}</td>{{/a}}<![endif]--><td>x</td>`,
    `${CSS}<a class="a" href="{{{ pm:unsubscribe_url }}}">bye</a>`,
    `${CSS}<p class="a">{ stray } {{a}}</p>`,
    `<html><head>${CSS}</head><body><td class="a b">&nbsp;{{a}}&amp;</td></body></html>`,
  ])("%s", expectSame);
});

describe("is left to each message", () => {
  it.each([
    ["without styles", '<p class="a">x</p>'],
    ["when a rule depends on the model", `<style>p { color: {{a}} }</style><p>x</p>`],
    ["when there is markup in the model", `${CSS}<p>{{{a}}}</p>`],
    ["when there is, in the other form", `${CSS}<p>{{&a}}</p>`],
    ["when a class depends on the model", `${CSS}<p class="{{a}}">x</p>`],
    ["when a style does", `${CSS}<p class="a" style="margin: {{a}}">x</p>`],
    ["when an attribute itself is in a section", `${CSS}<p {{#a}}title="x"{{/a}}>x</p>`],
    [
      "when an element is opened in a section, and closed in another",
      `${CSS}{{#a}}<div class="a">{{/a}}x{{#a}}</div>{{/a}}`,
    ],
    ["when a section ends in what it began", `${CSS}<ul>{{#each b}}<li>{{c}}{{/each}}</ul>`],
    [
      "when there are two cells of which one is there",
      `${CSS}<tr>{{#a}}<td>{{/a}}{{^a}}<td class="a">{{/a}}x</td></tr>`,
    ],
    ["when a rule looks at neighbours", `<style>p + p { margin: 0 }</style>{{#a}}<p>1</p>{{/a}}<p>2</p>`],
    ["when a rule counts", `<style>p:first-child { margin: 0 }</style>{{#a}}<p>1</p>{{/a}}<p>2</p>`],
    ["when a rule looks at attributes", `<style>[title=x] { margin: 0 }</style><p title="{{a}}">2</p>`],
    ["when the source has what stands for tags", `${CSS}<p class="a">\uE0000\uE001{{a}}</p>`],
  ])("%s", (_name, source) => {
    expect(inlineOnce(source)).toBeUndefined();
  });
});

describe("a layout and its content", () => {
  it("are one document", () => {
    expect(composeLayout("<b>{{x}}{{{ @content }}}</b>", "<i>{{y}}</i>$&")).toBe(
      "<b>{{x}}<i>{{y}}</i>$&</b>",
    );
  });

  it("are left apart when braces would meet", () => {
    expect(composeLayout("{{{@content}}}{a}}", "x{")).toBeUndefined();
  });

  it.each([
    [
      `${CSS}<main class="a">{{{@content}}}</main>`,
      "<table>{{#each b}}<tr><td>{{c}}</td></tr>{{/each}}</table>",
    ],
    [`<main>{{{@content}}}</main>`, `${CSS}<td class="a">{{a}}</td>`],
    [`${CSS}{{#d}}<main class="a">{{{@content}}}</main>{{/d}}`, "<td>{{a}}</td>"],
    [`${CSS}<main>{{{@content}}}</main>`, "<td>{{{a}}}</td>"],
  ])("%s around %s: the same as each for itself", (layout, htmlBody) => {
    const compiled = compileMessage({
      subject: "s",
      htmlBody,
      textBody: null,
      layout: { htmlBody: layout, textBody: null },
    });
    if (!("ok" in compiled)) throw new Error("does not compile");
    for (const model of MODELS) {
      const plain = renderMessage(compiled.ok, model, { inlineCss: false });
      const styled = renderMessage(compiled.ok, model, { inlineCss: true });
      if (!("ok" in plain && "ok" in styled)) throw new Error("does not render");
      expect(styled.ok.htmlBody).toBe(inlineCss(plain.ok.htmlBody));
    }
  });
});

it("random templates: wherever it is done once, no message differs", () => {
  const piece = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.constantFrom(
        "<p>",
        "</p>",
        '<p class="a">',
        "<td>",
        "</td>",
        '<td class="b">',
        "<table>",
        "</table>",
        "<br>",
        "x",
        "<li>",
        '<a title="',
      ),
    },
    {
      weight: 4,
      arbitrary: fc.constantFrom(
        "{{a}}",
        "{{#a}}",
        "{{/a}}",
        "{{^a}}",
        "{{#each b}}",
        "{{/each}}",
        "{{c}}",
        "{{d.e}}",
        '">',
        "{{! x }}",
        "{{{a}}}",
        "{{{ pm:unsubscribe }}}",
      ),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        "{{#d}}<p class='a'>{{e}}</p>{{/d}}",
        "{",
        "}",
        "<!--",
        "-->",
        "-",
        ">",
        "<!",
        CSS,
        "&amp;",
        "<",
      ),
    },
  );
  let done = 0;
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 14 }), (pieces) => {
      const source = CSS + pieces.join("");
      if (!("ok" in compile(source))) return;
      const once = inlineOnce(source);
      if (once === undefined) return;
      done++;
      for (const model of MODELS)
        expect(same(rendered(once, model))).toBe(same(inlineCss(rendered(source, model))));
    }),
    { numRuns: 2000 },
  );
  expect(done).toBeGreaterThan(50);
});
