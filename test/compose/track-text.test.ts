/** Links in a plain text are those that mail programs show as links, and where these may differ, none. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { findInText } from "../../src/compose/track-text.ts";
import { textFooter } from "../../src/compose/unsubscribe.ts";

const links = (text: string) => findInText(text, true).links.map((link) => link.url);

describe("links in a plain text", () => {
  it.each([
    ["See https://example.com/a.", ["https://example.com/a"]],
    ["https://example.com", ["https://example.com"]],
    ["Is it http://example.com/a?b=c&d=e#f?!", ["http://example.com/a?b=c&d=e#f"]],
    [
      "<https://example.com/a>, \"https://example.com/b\", 'https://example.com/c'",
      ["https://example.com/a", "https://example.com/b", "https://example.com/c"],
    ],
    [
      "(https://example.com/a) (see https://example.com/b).",
      ["https://example.com/a", "https://example.com/b"],
    ],
    ["https://en.example/wiki/Mail_(protocol)", ["https://en.example/wiki/Mail_(protocol)"]],
    ["(https://en.example/wiki/Mail_(protocol)).", ["https://en.example/wiki/Mail_(protocol)"]],
    [
      "[text](https://example.com/md) and [x]: https://example.com/ref",
      ["https://example.com/md", "https://example.com/ref"],
    ],
    [
      "*https://example.com/bold* `https://example.com/code`",
      ["https://example.com/bold", "https://example.com/code"],
    ],
    [
      "https://example.com/a\r\nhttps://example.com/b\r\n",
      ["https://example.com/a", "https://example.com/b"],
    ],
    ["https://example.com/a,https://example.com/b", ["https://example.com/a,https://example.com/b"]],
    ["HTTPS://EXAMPLE.COM/X", ["HTTPS://EXAMPLE.COM/X"]],
    ["https://例え.jp/ and https://example.com/Käse and https://example.com/をご覧", []],
    ["詳細はhttps://example.com/a。", ["https://example.com/a"]],
    ["“https://example.com/a”, «https://example.com/b»", ["https://example.com/a", "https://example.com/b"]],
    ["xhttps://example.com ftp://example.com www.example.com mailto:a@example.com http:// https:///x", []],
    ["https://example.com:99999/ https://a b", ["https://a"]],
  ])("%s", (text, expected) => {
    expect(links(text)).toEqual(expected);
  });

  it("lie where they are said to", () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.constantFrom(
            "https://e.x/a",
            "http://b.c",
            " ",
            ".",
            ")",
            "(",
            "ü",
            "<",
            ">",
            "\n",
            "x",
            "{{{pm:unsubscribe}}}",
          ),
        ),
        (pieces) => {
          const text = pieces.join("");
          const found = findInText(text, true);
          let at = 0;
          for (const { from, to, url } of found.links) {
            expect(from).toBeGreaterThanOrEqual(at);
            expect(text.slice(from, to)).toBe(url);
            for (const placeholder of found.placeholders)
              expect(placeholder.to <= from || to <= placeholder.from).toBe(true);
            at = to;
          }
        },
      ),
    );
  });

  it.each([
    ["brackets", `https://example.com/${")".repeat(1_000_000)}`],
    ["schemes", "http://".repeat(500_000)],
    ["links", "https://example.com/ ".repeat(200_000)],
    ["dots", `https://example.com/${".".repeat(1_000_000)}x`],
    ["spaces", " ".repeat(3_000_000)],
  ])("of hostile %s are found in one go, and few are changed", (_, text) => {
    expect(links(text).length).toBeLessThanOrEqual(1_000);
  });
});

describe("placeholders in a plain text", () => {
  it("are each the URL, with the scheme that somebody put before", () => {
    const text = "Stop: {{{ pm:unsubscribe }}} or https://{{{pm:unsubscribe_url}}} https://example.com/";
    const { placeholders, links: found } = findInText(text, true);
    expect(placeholders.map(({ from, to, isUrl }) => [text.slice(from, to), isUrl])).toEqual([
      ["{{{ pm:unsubscribe }}}", true],
      ["https://{{{pm:unsubscribe_url}}}", true],
    ]);
    expect(found.map((link) => link.url)).toEqual(["https://example.com/"]);
    expect(findInText(text, false).placeholders).toEqual([]);
  });
});

describe("the footer of a plain text", () => {
  it.each([
    ["a", "a\n\nUnsubscribe: U\n"],
    ["a\n", "a\n\nUnsubscribe: U\n"],
    ["a\r\nb\r\n", "a\r\nb\r\n\r\nUnsubscribe: U\r\n"],
    ["", "Unsubscribe: U\n"],
  ])("%j", (text, expected) => expect(text + textFooter(text, "U")).toBe(expected));
});
