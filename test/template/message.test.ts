/** The three parts of a message, rendered together: layouts, errors, and what all messages of a request may take. */
import { describe, expect, it } from "vitest";
import {
  type Budget,
  compileMessage,
  type MessageSource,
  renderMessage,
} from "../../src/template/message.ts";

const SOURCE: MessageSource = { subject: "For {{a}}", htmlBody: "<p>{{a}}</p>", textBody: "{{a}}" };
const CSS = "<style>p { color: red }</style>";
const budget = (of: Partial<Budget>): Budget => ({
  output: 1_000_000,
  steps: 1_000_000,
  css: 1_000_000,
  ...of,
});

function rendered(source: Partial<MessageSource>, model: unknown = { a: "&" }, of?: Budget) {
  const compiled = compileMessage({ ...SOURCE, ...source });
  if (!("ok" in compiled)) throw new Error("does not compile");
  return renderMessage(compiled.ok, model, { inlineCss: true, ...(of ? { budget: of } : {}) });
}

describe("a message", () => {
  it("is escaped in its HTML alone", () => {
    expect(rendered({})).toEqual({ ok: { subject: "For &", htmlBody: "<p>&amp;</p>", textBody: "&" } });
  });

  it("has no layout around a part that is not there", () => {
    const layout = { htmlBody: "<i>{{{ @content }}}</i>", textBody: "-{{{ @content }}}-" };
    expect(rendered({ textBody: null, layout })).toMatchObject({
      ok: { htmlBody: "<i><p>&amp;</p></i>", textBody: "" },
    });
    expect(rendered({ htmlBody: null, layout })).toMatchObject({ ok: { htmlBody: "", textBody: "-&-" } });
    expect(rendered({ layout: { ...layout, htmlBody: null } })).toMatchObject({
      ok: { htmlBody: "<p>&amp;</p>" },
    });
  });

  it("says all that is wrong, and in which part", () => {
    const layout = { htmlBody: "{{{ @content }}}{{/each}}", textBody: null };
    expect(compileMessage({ subject: "{{", htmlBody: "{{#x}}", textBody: "{{a b}}", layout })).toEqual({
      errors: [
        expect.objectContaining({ part: "htmlBody", line: 1, character: 1 }),
        expect.objectContaining({ part: "textBody", line: 1, character: 1 }),
      ],
    });
  });

  it("is one error when a part cannot be rendered", () => {
    expect(rendered({ textBody: "{{#each a}}x{{/each}}" })).toEqual({
      error: expect.stringContaining("'a'"),
    });
  });
});

describe("a budget", () => {
  it("is taken from, by each message, and a layout's content once", () => {
    const left = budget({});
    const layout = { htmlBody: "<i>{{{ @content }}}</i>", textBody: null };
    rendered({ subject: null, textBody: null, layout }, { a: "x" }, left);
    expect(left.output).toBe(1_000_000 - "<i><p>x</p></i>".length);
    expect(left.steps).toBeLessThan(1_000_000);
    expect(left.css).toBe(1_000_000);
  });

  it.each<[string, Partial<Budget>]>([
    ["output", { output: 20 }],
    ["steps", { steps: 3 }],
    ["styles that are inlined message by message", { css: 5 }],
  ])("that is used up is an error: %s", (_name, of) => {
    expect(rendered({ htmlBody: `${CSS}<p>{{{a}}}</p>` }, { a: "x" }, budget(of))).toEqual({
      error: expect.stringMatching(/ \d+ |too long/),
    });
  });

  it("is not asked for styles that were inlined with the template", () => {
    const left = budget({ css: 5 });
    expect(rendered({ htmlBody: `${CSS}<p>{{a}}</p>` }, { a: "x" }, left)).toMatchObject({
      ok: { htmlBody: expect.stringMatching(/<p style="color: red;?">x<\/p>/) },
    });
    expect(left.css).toBe(5);
  });
});
