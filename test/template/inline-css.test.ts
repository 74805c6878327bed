/** What becomes of style elements, and of HTML and CSS that nobody should have to read. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { inlineCss } from "../../src/template/inline-css.ts";

describe("inlining", () => {
  it("moves rules into style attributes, and leaves everything else as it was written", () => {
    const html = `<!DOCTYPE html>
<html><head><style>
  p { color: red; }
  .b { font-weight: bold }
  #c > a[href] { text-decoration: none }
</style></head>
<body><p class="b">caf&eacute; &amp; <br/>tea</p><div id="c"><a href="{{{ pm:unsubscribe }}}">x</a></div>
<!--[if mso]><table><tr><td><![endif]-->
</body></html>`;
    const inlined = inlineCss(html);
    expect(inlined).toContain(
      `<p class="b" style="color: red; font-weight: bold;">caf&eacute; &amp; <br>tea</p>`,
    );
    expect(inlined).toContain(`<a href="{{{ pm:unsubscribe }}}" style="text-decoration: none;">x</a>`);
    expect(inlined).toContain("<!--[if mso]><table><tr><td><![endif]-->");
    expect(inlined).toMatch(/^<!DOCTYPE html>\n<html><head><\/head>/);
  });

  it.each([
    ["the more specific rule", "#i{color:a}.c{color:b}p{color:c}", "color: a;"],
    ["the later of two", "p{color:a}p{color:b}", "color: b;"],
    ["the attribute's own", "p{margin:0}", "margin: 0; color: own;"],
    ["what is important, over the attribute", "p{color:a !important}", "color: a;"],
    ["each selector of a list", "b,p,i{margin:0}", "margin: 0; color: own;"],
  ])("takes %s", (_, css, style) => {
    const own = style.includes("own") || css.includes("important") ? ' style="color: own;"' : "";
    expect(inlineCss(`<style>${css}</style><p id="i" class="c"${own}>x</p>`)).toContain(`style="${style}"`);
  });

  it.each([
    ["first-child", "<i>1</i>"],
    ["nth-child(2n+1)", "<i>1</i>"],
  ])("knows :%s", (pseudo, first) => {
    const html = `<style>i:${pseudo}{a:b}</style><p>${first}<i>2</i></p>`;
    expect(inlineCss(html)).toBe(`<p><i style="a: b;">1</i><i>2</i></p>`);
  });

  it("reads several style elements in their order, and none that is for print", () => {
    const html = `<style>p{color:a}</style><style media="print">p{color:no}</style><style media="screen">p{color:b}</style><p>x</p>`;
    expect(inlineCss(html)).toBe(`<style media="print">p{color:no}</style><p style="color: b;">x</p>`);
  });

  it.each([
    "@media (max-width: 600px) { p { color: red } }",
    "@keyframes k { from { color: red } to { color: blue } }",
    "@font-face { font-family: F; src: url(f.woff) }",
    "@import url(other.css);",
    "a:hover { color: red }",
    "p::before { content: 'x' }",
    ":root { --brand: red }",
    "p:has(b) { color: red }",
    "p { & b { color: red } }",
    "p:not(.x) { color: red }",
    `p { background: url(data:image/png;base64,${"A".repeat(3000)}) }`,
  ])("keeps %s", (kept) => {
    const html = `<style>${kept} i { margin: 0 }</style><p><i>x</i></p>`;
    expect(inlineCss(html)).toBe(`<style>${kept}</style><p><i style="margin: 0;">x</i></p>`);
  });

  it("keeps of a list what only a style sheet can say", () => {
    const html = "<style>a, a:hover { color: red }</style><a>x</a>";
    expect(inlineCss(html)).toBe(`<style>a:hover { color: red }</style><a style="color: red;">x</a>`);
  });

  it("reads what is written in the oddest ways that are right", () => {
    const css = `\n\tp /* c */ ,\n .a\\:b , [title="}{"] , i[title='"'] { color : red ; ; background:url( "a;b" ) !important }`;
    const html = `<style>${css}</style><p>1</p><b class="a:b">2</b><b title="}{">3</b><i title='"'>4</i>`;
    expect(inlineCss(html).match(/style="color: red; background: url\( 'a;b' \);"/g)).toHaveLength(4);
  });

  it("says to programs that know attributes only what CSS said", () => {
    const html = `<style>td{width:100px;background-color:#eee;text-align:left}</style><table><tr><td>x</td></tr></table>`;
    expect(inlineCss(html)).toMatch(/<td [^>]*width="100"[^>]*bgcolor="#eee"[^>]*align="left"/);
  });
});

describe("what comes back as it was", () => {
  it.each([
    ["without a style element", "<p class=x>1<P>2 &nbsp; <br/>"],
    ["empty", ""],
    ["text", "a < b > c"],
    ["with nothing that can be inlined", "<style>@media x{p{color:red}}</style><p class=x>1"],
    ["with rules in a style attribute", `<style>p{color:red}</style><p style="a{& & &{& & &{b:c}}}">x</p>`],
    ["with CSS that is nothing", "<style>}}}{ p{color:red} @media {</style><p>1</p>"],
  ])("HTML %s", (_, html) => {
    expect(inlineCss(html)).toBe(html);
  });

  it("is CSS that is broken in part, and the rest is inlined", () => {
    expect(inlineCss("<style>p{color:red; ;;x} 8{y:z}</style><p>1</p>")).toContain('style="color: red;"');
    expect(inlineCss("<p>1</p><style>p{color:red")).toBe('<p style="color: red;">1</p>');
    expect(inlineCss("<style>p{color:red</style><p>1</p>")).toBe('<p style="color: red;">1</p>');
  });
});

describe("hostile HTML and CSS", () => {
  const r = (text: string, times: number) => text.repeat(times);
  const names = (count: number) => Array.from({ length: count }, (_, i) => `p${i}:1`).join(";");
  const paragraphs = r("<p>x</p>", 9000);
  const deep = r("<div>", 400) + r("</div>", 400);

  // Each of these would take minutes, or not end, if it were simply handed to the library.
  it.each([
    ["many declarations on many elements", `<style>*{${names(3000)}}</style>${paragraphs}`],
    ["many selectors on many elements", `<style>${r("p{a:b}", 5000)}</style><div>${paragraphs}</div>`],
    ["many selectors and a flat document", `<style>${r("p b{a:b}", 1000)}</style>${paragraphs}<b>x</b>`],
    ["descendants in deep documents", `<style>${r("p div{a:b}", 500)}</style>${r(deep, 30)}<p>`],
    ["places among many", `<style>${r("p:nth-child(2n){a:b}", 20)}</style><div>${paragraphs}</div>`],
    ["siblings of siblings", `<style>p ~ p ~ p ~ b{a:b}</style><div>${paragraphs}<b>x</b></div>`],
    ["more nesting than a stack holds", `<style>p{a:b}</style>${r("<p><div>", 5000)}`],
    ["closing tags that close nothing", `<style>p{a:b}</style>${r("<div>", 100_000)}${r("</p>", 100_000)}`],
    ["5 MB", `<style>p{a:b}</style>${r("<p>x</p>", 625_000)}`],
    ["a megabyte of CSS", `<style>${r("p{a:b}", 180_000)}</style><p>x</p>`],
    ["style attributes without end", `<style>*{a:b}</style><p style="${r("a:b;", 100_000)}">x</p>`],
    ["nested rules that multiply", `<style>p{${r("& & &{", 30)}color:red${r("}", 30)}}</style><p>x</p>`],
    [
      "quotes that end in another style element",
      `${r("<style>p{a:'x}</style><style>[b='& & &{']{c:d}</style>", 30)}<p b>x</p>`,
    ],
    [
      "a selector within two quotes of two elements",
      `<style>p{a:'x}</style><style>[b='} p:has(b:has(b)) {c:d;e:']{f:g}</style><style>i{a:'x}</style><i><p b>x</p></i>`,
    ],
    ["selectors within selectors", `<style>p${r(":not(", 50_000)}{a:b}</style><p>x</p>`],
    ["brackets", `<style>${r("[", 100_000)}{a:b}</style><p>x</p>`],
    ["at-rules in at-rules", `<style>${r("@media x{", 20_000)}p{a:b}</style><p>x</p>`],
  ])("%s: goes out as it is", (_, html) => {
    expect(inlineCss(html) === html).toBe(true);
  });

  it.each([
    ["a variable that names itself", "<style>p{color:var(--a)}</style>", `<p style="--a: var(--a)">x</p>`],
    ["variables that multiply", `<style>p{color:var(--a, var(--a) var(--a))}</style>`, "<p>x</p>"],
    ["long white space", `<style>p{a:b${r(" ", 100_000)}c !important}</style>`, "<p>x</p>"],
    [
      "white space in an attribute",
      "<style>p{a:b}</style>",
      `<p style="c:d${r(" ", 100_000)}e !important">x</p>`,
    ],
    ["a class of many", "<style>.a{b:c}</style>", `<p class="${r("a ", 50_000)}">x</p>`],
    ["code blocks of other languages", "<style>p{a:b}</style>", `<p>${r("<%x%>{{y}}<#z>", 5000)}</p>`],
  ])("%s: is inlined", (_, css, html) => {
    const inlined = inlineCss(css + html);
    expect(/<p [^>]*style="/.test(inlined)).toBe(true);
    expect(inlined.includes("<style>")).toBe(false);
  });

  it("random HTML with random CSS never fails, and nothing that is shown gets lost", () => {
    const css = fc.array(
      fc.constantFrom(
        "p",
        "b",
        "*",
        ".a",
        "#i",
        " ",
        ">",
        "+",
        "~",
        ",",
        "{",
        "}",
        ":",
        ";",
        "color",
        "red",
        "@media x",
        "!important",
        "(",
        ")",
        "'",
        '"',
        "/*",
        "*/",
        "[",
        "]",
        "\\",
        "--x",
        "var(--x)",
        "&",
        ":first-child",
        ":hover",
        "url(",
        "<!--",
        "-->",
      ),
      { maxLength: 60 },
    );
    const html = fc.array(
      fc.oneof(
        fc.constantFrom(
          "<p>",
          "</p>",
          "<b class=a>",
          "</b>",
          '<i id="i" style="color:blue">',
          "</i>",
          "<p style='{'>",
          "<br>",
          "<!-- c -->",
          "<",
          ">",
          "&amp;",
          "&",
          "<table><tr><td>",
          "</table>",
          "<style>",
          "</style>",
          "<![CDATA[",
          "<svg>",
        ),
        fc.constantFrom("1one", "2two"),
      ),
      { maxLength: 30 },
    );
    fc.assert(
      fc.property(css, html, (sheet, body) => {
        const source = `<style>${sheet.join("")}</style>MARK${body.join("")}`;
        const inlined = inlineCss(source);
        expect(inlined).toContain("MARK");
        expect(inlined.match(/1one|2two/g)).toEqual(source.match(/1one|2two/g));
      }),
      { numRuns: 1000 },
    );
  });
});
