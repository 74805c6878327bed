/** What is found in HTML lies where a mail program sees it: changed there and nowhere else, the page is the same page with other links. */
import { type CheerioAPI, load } from "cheerio";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { applyEdits } from "../../src/compose/edit.ts";
import { findInHtml } from "../../src/compose/track-html.ts";
import { SHAPES } from "./html-shapes.ts";

const OURS = "https://l.example/c/0123456789/~blank~/aGVsbG8_-";
const rewrite = (html: string) =>
  applyEdits(
    html,
    findInHtml(html, false).links.map(({ from, to }) => ({ from, to, text: OURS })),
  );
/** As a browser decides what of an href counts. */
const clean = (href: string) => href.trim().replace(/[\t\r\n]/g, "");
const hrefs = (page: CheerioAPI) =>
  page("a[href]")
    .toArray()
    .map((a) => clean(page(a).attr("href") ?? ""));
/** The page, without where its links lead. */
function tree(page: CheerioAPI, links: string[]): string {
  for (const a of page("a[href]").toArray())
    if ([OURS, ...links].includes(clean(page(a).attr("href") ?? ""))) page(a).attr("href", "LINK");
  return page.html();
}

describe("links in HTML", () => {
  it.each(Object.entries(SHAPES))("of %s are those that a browser finds", (_, { html, links }) => {
    const found = findInHtml(html, false);
    expect(found.links.map((link) => link.url)).toEqual(links);
    // Another parser, which follows the standard to the letter, finds them too.
    const known = hrefs(load(html));
    expect(known.filter((href) => links.includes(href))).toEqual(links);
    expect(hrefs(load(rewrite(html)))).toEqual(known.map((href) => (links.includes(href) ? OURS : href)));
  });

  it.each(Object.entries(SHAPES))("of %s change, and nothing else does", (_, { html, links }) => {
    const changed = rewrite(html);
    expect(tree(load(changed), links)).toBe(tree(load(html), links));
    expect(changed.split(OURS)).toHaveLength(links.length + 1);
    let at = 0;
    for (const piece of changed.split(OURS)) {
      const found = html.indexOf(piece, at);
      expect(found).toBeGreaterThanOrEqual(at);
      at = found + piece.length;
    }
  });

  it("change in any page that is put together of what pages are made of", () => {
    const url = fc.constantFrom(
      "https://example.com/",
      "http://example.com/a?b=1&amp;c=2",
      "https://example.com/&eacute;",
      "HTTPS://example.com",
      "mailto:a@example.com",
      "/relative",
      "",
      "javascript:x",
    );
    const quote = fc.constantFrom('"', "'");
    const space = fc.constantFrom(" ", "\n\t", "  ", "\r\n");
    const href = fc
      .tuple(fc.constantFrom("href", "HREF", "Href"), fc.constantFrom("=", " = ", "\n="), quote, url)
      .map(([name, equals, q, value]) => `${name}${equals}${q}${value}${q}`);
    const attribute = fc.oneof(
      href,
      fc.constantFrom(
        "class=x",
        'style="a:b"',
        "disabled",
        "title='<a href=\"http://no.example\">'",
        "id=a>b",
      ),
    );
    const anchor = fc
      .tuple(fc.constantFrom("a", "A"), space, fc.array(attribute, { maxLength: 4 }), space)
      .map(([name, gap, attributes, end]) => `<${name}${gap}${attributes.join(gap)}${end}>`);
    const piece = fc.oneof(
      { weight: 5, arbitrary: anchor },
      fc.constantFrom(
        "</a>",
        "<p>",
        "</p>",
        "<b>",
        "<br/>",
        "</body>",
        "</html>",
        "text",
        "&amp;",
        "&nbsp",
        "& ",
        "a < b",
      ),
      fc.constantFrom(
        "<!-- <a href='http://no.example'> -->",
        "<!---->",
        "<!--[if mso]><a href=x><![endif]-->",
      ),
      fc.constantFrom(
        "<style>a{}</style>",
        "<script>'<a href=\"http://no.example\">'</script>",
        "<title>&lt;</title>",
      ),
      fc.string({ maxLength: 5 }).map((text) => text.replace(/[<\0]/g, "")),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
        const html = `<html><body>${pieces.join("")}`;
        const { links } = findInHtml(html, false);
        const urls = links.map((link) => link.url);
        const changed = load(rewrite(html));
        expect(hrefs(changed)).toEqual(hrefs(load(html)).map((h) => (urls.includes(h) ? OURS : h)));
        expect(tree(changed, urls)).toBe(tree(load(html), urls));
      }),
      { numRuns: 1_000 },
    );
  });

  it("that their author does not want tracked are told, and the mark taken out", () => {
    const html = `<a data-pm-no-track href="https://a.example/?x&amp;y">1</a><a href=https://b.example/ DATA-PM-NO-TRACK>2</a><a
 data-pm-no-track="" class="c" href='https://c.example/'>3</a><a class="d"data-pm-no-track='true' href="https://d.example/">4</a><p data-pm-no-track>5</p>`;
    const { links, marks, untracked } = findInHtml(html, false);
    expect(links).toEqual([]);
    expect([...untracked]).toEqual([
      "https://a.example/?x&y",
      "https://b.example/",
      "https://c.example/",
      "https://d.example/",
    ]);
    expect(
      applyEdits(
        html,
        marks.map((mark) => ({ ...mark, text: "" })),
      ),
    ).toBe(
      `<a href="https://a.example/?x&amp;y">1</a><a href=https://b.example/>2</a><a class="c" href='https://c.example/'>3</a><a class="d" href="https://d.example/">4</a><p data-pm-no-track>5</p>`,
    );
  });
});

describe("the end of a page, where more can be put in", () => {
  const put = (html: string) => {
    const { end } = findInHtml(html, false);
    return applyEdits(html, [{ from: end, to: end, text: "<i>MORE</i>" }]);
  };
  it.each([
    ["<p>x</p>", "<p>x</p>*"],
    ["", "*"],
    ["plain", "plain*"],
    ["<html><body><p>x</p></body></html>\n", "<html><body><p>x</p>*</body></html>\n"],
    ["<html><p>x</p></HTML>", "<html><p>x</p>*</HTML>"],
    ["<body>a</body><p>b</p></BODY\n>c", "<body>a</body><p>b</p>*</BODY\n>c"],
    ["<p>x<!-- </body>", "<p>x*<!-- </body>"],
    ["<p>x</p><a href='", "<p>x</p>*<a href='"],
    ["<p>x</p><a href=x", "<p>x</p>*<a href=x"],
    ["<p>x</p><script>if (a </body>", "<p>x</p>*<script>if (a </body>"],
    ["<p>x</p><style>a{}</style>", "<p>x</p><style>a{}</style>*"],
    ["<p>x</p><title>a &amp; b", "<p>x</p>*<title>a &amp; b"],
    ["<p>x</p", "<p>x*</p"],
    ["<p>x</", "<p>x*</"],
    ["<p>x</p ", "<p>x*</p "],
    ["x<!doctype", "x*<!doctype"],
    ["x<!-", "x*<!-"],
    ["x<?php", "x*<?php"],
    ["x<![CDATA[ a", "x*<![CDATA[ a"],
    ["x &amp; y &am", "x &amp; y &am*"],
    ["a < b", "a < b*"],
    ["a</ b>c</!x>d<!-->e<!--->f", "a</ b>c</!x>d<!-->e<!--->f*"],
  ])("of %s", (html, expected) => {
    expect(put(html)).toBe(expected.replace("*", "<i>MORE</i>"));
  });

  it.each(Object.entries(SHAPES))(
    "of %s: what is put in is seen, and the rest is what it was",
    (_, { html }) => {
      const page = load(put(html));
      expect(page("i").text()).toBe("MORE");
      page("i").remove();
      if (!html.includes('href="https://example.com/cut')) expect(page.html()).toBe(load(html).html());
    },
  );
});

describe("placeholders in HTML", () => {
  const kinds = (html: string) =>
    findInHtml(html, true).placeholders.map(({ from, to, isUrl }) => [
      html.slice(from, to),
      isUrl ? "URL" : "link",
    ]);
  it.each([
    ["<p>{{{ pm:unsubscribe }}}</p>", ["{{{ pm:unsubscribe }}}", "link"]],
    ["<p>{{{pm:unsubscribe}}}</p>", ["{{{pm:unsubscribe}}}", "link"]],
    ["<p>{{{\n\tpm:unsubscribe&nbsp;}}}</p>", ["{{{\n\tpm:unsubscribe&nbsp;}}}", "link"]],
    ["<p>{{{ pm:unsubscribe_url }}}</p>", ["{{{ pm:unsubscribe_url }}}", "URL"]],
    [`<a href="{{{ pm:unsubscribe }}}">stop</a>`, ["{{{ pm:unsubscribe }}}", "URL"]],
    [`<a href='{{{pm:unsubscribe_url}}}'>stop</a>`, ["{{{pm:unsubscribe_url}}}", "URL"]],
    ["<a href={{{ pm:unsubscribe }}}>stop</a>", ["{{{ pm:unsubscribe }}}", "URL"]],
    [`<a href="http://{{{ pm:unsubscribe }}}">stop</a>`, ["http://{{{ pm:unsubscribe }}}", "URL"]],
    [
      `<a href="%7B%7B%7B%20pm:unsubscribe%20%7D%7D%7D">stop</a>`,
      ["%7B%7B%7B%20pm:unsubscribe%20%7D%7D%7D", "URL"],
    ],
    [`<!--[if mso]><v:rect href="{{{ pm:unsubscribe }}}"><![endif]-->`, ["{{{ pm:unsubscribe }}}", "URL"]],
    ["<!--[if mso]><p>{{{ pm:unsubscribe }}}</p><![endif]-->", ["{{{ pm:unsubscribe }}}", "link"]],
    ["<title>{{{ pm:unsubscribe }}}</title>", ["{{{ pm:unsubscribe }}}", "URL"]],
    ["<p title='{{{ pm:unsubscribe }}}'>", ["{{{ pm:unsubscribe }}}", "URL"]],
    [`<a href="{{{ pm:unsubscribe }}}`, ["{{{ pm:unsubscribe }}}", "URL"]],
  ])("%s", (html, expected) => {
    expect(kinds(html)).toEqual([expected]);
    expect(findInHtml(html, false).placeholders).toEqual([]);
  });

  it("are each judged by their own place, and their hrefs are no links to be tracked", () => {
    const html = `{{{ pm:unsubscribe }}}<a class="{{{ pm:unsubscribe }}}" href="https://x.example/?{{{pm:unsubscribe_url}}}">{{{ pm:unsubscribe }}}</a>&amp;<a href="https://y.example/">{{{pm:unsubscribe}}}`;
    const { placeholders, links } = findInHtml(html, true);
    expect(placeholders.map((p) => p.isUrl)).toEqual([false, true, true, false, false]);
    expect(links.map((link) => link.url)).toEqual(["https://y.example/"]);
  });

  it.each([
    "{{ pm:unsubscribe }}",
    "{{{ pm:unsubscribed }}}",
    "{{{ pm:unsubscribe",
    "pm:unsubscribe",
    "{{{ pm: unsubscribe }}}",
  ])("are not seen in %s", (html) => expect(kinds(html)).toEqual([]));
});

describe("hostile HTML", () => {
  const many = (text: string, characters = 3_000_000) => text.repeat(Math.ceil(characters / text.length));
  it.each([
    ["unclosed tags", many("<a")],
    ["unclosed tags with a space", many("<a ")],
    ["attributes", `<a ${many("x ")}href="https://example.com/">`],
    ["hrefs", `<a ${many('href="https://example.com/" ')}>`],
    ["marks", `<a ${many("data-pm-no-track ")}href="https://example.com/">`],
    ["links", many('<a href="https://example.com/">x</a>')],
    [
      "links that are all others",
      Array.from({ length: 100_000 }, (_, i) => `<a href=http://x${i}.y>`).join(""),
    ],
    ["nesting", many("<div>")],
    ["open comments", many("<!--")],
    ["dashes", `<!--${many("-")}`],
    ["entities", `<a href="https://example.com/${many("&amp;")}">${many("&amp")}`],
    ["entities without end", `<a href="https://example.com/${many("&")}">${many("&#1")}`],
    ["ends of tags", many("</")],
    ["ends of tags with names", many("</body ")],
    ["scripts that do not end", many("<script>")],
    ["white space", `<a href=${many(" ")}"https://example.com/"${many("\n")}data-pm-no-track${many("\t")}>`],
    ["placeholders", many("{{{ pm:unsubscribe }}}")],
    ["beginnings of placeholders", `pm:unsubscribe${many("{{{ ")}${many("{")}{{{${many(" ")}`],
    ["schemes", `{{{pm:unsubscribe}}}${many("http://{{{")}`],
    ["quotes", many(`"'`)],
    ["nothing", many("\0")],
  ])("of %s is read in one go, and little is changed", (_, html) => {
    const { links, marks, placeholders } = findInHtml(html, true);
    expect(links.length).toBeLessThanOrEqual(1_000);
    expect(marks.length).toBeLessThanOrEqual(1_000);
    expect(placeholders.length).toBeLessThanOrEqual(100);
  });

  it("of any kind breaks nothing", () => {
    const soup = fc.array(
      fc.constantFrom(
        "<",
        ">",
        "a",
        "/",
        " ",
        '"',
        "'",
        "=",
        "href",
        "!",
        "--",
        "&",
        "&#",
        "x",
        ";",
        "?",
        "https://e.x/",
        "<a href=",
        "</body>",
        "<title>",
        "{{{ pm:unsubscribe }}}",
        "data-pm-no-track",
        "[CDATA[",
      ),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(soup, (pieces) => {
        const html = pieces.join("");
        const { links, marks, placeholders, end } = findInHtml(html, true);
        const edits = [...links, ...marks, ...placeholders].map(({ from, to }) => ({ from, to, text: "" }));
        expect(end).toBeLessThanOrEqual(html.length);
        expect(applyEdits(html, edits).length).toBeLessThanOrEqual(html.length);
      }),
      { numRuns: 3_000 },
    );
  });
});
