/** `POST /templates/validate`: what is wrong with a template, what it renders to, and the model that it wants. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { LAYOUT, openTemplating, type Templating } from "./templating.ts";

let t: Templating;
beforeAll(async () => {
  t = await openTemplating();
  await t.make({ ...LAYOUT, Alias: "frame", HtmlBody: "<main>{{title}} {{{@content}}}</main>" });
});
afterAll(() => t.dispose());

interface Part {
  ContentIsValid: boolean;
  ValidationErrors: { Message: string; Line: number | null; CharacterPosition: number | null }[];
  RenderedContent: string | null;
}
interface Validated {
  AllContentIsValid: boolean;
  HtmlBody: Part | null;
  TextBody: Part | null;
  Subject: Part | null;
  SuggestedTemplateModel: Record<string, unknown>;
}

async function validate(body: unknown): Promise<Validated> {
  const { status, json } = await t.call("POST", "/templates/validate", body);
  expect(status).toBe(200);
  return json as Validated;
}

const fine = (text: string) => ({ ContentIsValid: true, ValidationErrors: [], RenderedContent: text });

describe("parts that are fine", () => {
  it("are rendered with the model, completed by what they use", async () => {
    const answer = await validate({
      Subject: "For {{name}}",
      HtmlBody: "<b>{{name}}</b>{{#each items}}<i>{{what}}</i>{{/each}}",
      TextBody: "{{name}} {{company.city}}",
      TestRenderModel: { name: "Kim & Co" },
    });
    expect(answer).toEqual({
      AllContentIsValid: true,
      Subject: fine("For Kim & Co"),
      HtmlBody: fine("<b>Kim &amp; Co</b><i>what_Value</i>"),
      TextBody: fine("Kim & Co city_Value"),
      SuggestedTemplateModel: {
        name: "Kim & Co",
        items: [{ what: "what_Value" }],
        company: { city: "city_Value" },
      },
    });
  });

  it("have null for those that were not sent", async () => {
    const answer = await validate({ TextBody: "x", HtmlBody: null, Subject: "" });
    expect(answer).toEqual({
      AllContentIsValid: true,
      HtmlBody: null,
      TextBody: fine("x"),
      Subject: null,
      SuggestedTemplateModel: {},
    });
  });

  it("have their styles inlined unless that is turned off", async () => {
    const HtmlBody = "<style>b { color: red }</style><b>{{x}}</b>";
    const inlined = await validate({ HtmlBody, TestRenderModel: null });
    expect(inlined.HtmlBody?.RenderedContent).toMatch(/<b style="color: red;?">x_Value<\/b>/);
    const plain = await validate({ HtmlBody, InlineCssForHtmlTestRender: "false" });
    expect(plain.HtmlBody?.RenderedContent).toBe("<style>b { color: red }</style><b>x_Value</b>");
  });

  it("are wrapped in a layout, whose model they share", async () => {
    const answer = await validate({ HtmlBody: "<b>{{x}}</b>", Subject: "s", LayoutTemplate: "frame" });
    expect(answer.HtmlBody).toEqual(fine("<main>title_Value <b>x_Value</b></main>"));
    expect(answer.TextBody).toBeNull();
    expect(answer.SuggestedTemplateModel).toEqual({ x: "x_Value", title: "title_Value" });
  });

  it("are those of a layout", async () => {
    const answer = await validate({
      TemplateType: "Layout",
      HtmlBody: "<p>{{{@content}}}</p>",
      TextBody: "{{{ @content }}}",
    });
    expect(answer.AllContentIsValid).toBe(true);
  });

  it("may have a model as a string of JSON", async () => {
    const answer = await validate({ TextBody: "{{a}}", TestRenderModel: '{"a":1}' });
    expect(answer.TextBody).toEqual(fine("1"));
  });
});

describe("a part that is broken", () => {
  it("says each mistake and its place; the others are rendered", async () => {
    const answer = await validate({ HtmlBody: "<p>{{a b}}</p>\n{{#c}}", TextBody: "{{d}}" });
    expect(answer.AllContentIsValid).toBe(false);
    expect(answer.HtmlBody).toEqual({
      ContentIsValid: false,
      ValidationErrors: [
        { Message: expect.stringContaining("'a b' is not valid"), Line: 1, CharacterPosition: 4 },
        { Message: expect.stringContaining("opened but not closed"), Line: 2, CharacterPosition: 1 },
      ],
      RenderedContent: null,
    });
    expect(answer.TextBody).toEqual(fine("d_Value"));
  });

  it("by the model alone is told of as well", async () => {
    const answer = await validate({ TextBody: "{{#each a}}x{{/each}}", TestRenderModel: { a: { b: 1 } } });
    expect(answer.TextBody).toEqual({
      ContentIsValid: false,
      ValidationErrors: [{ Message: expect.stringContaining("'a'"), Line: null, CharacterPosition: null }],
      RenderedContent: null,
    });
  });

  it("is a layout's without the placeholder, and a template's with it", async () => {
    const layout = await validate({ TemplateType: "Layout", HtmlBody: "<p></p>" });
    expect(layout.HtmlBody?.ValidationErrors[0]?.Message).toContain(
      "The layout content placeholder must be present",
    );
    const standard = await validate({ HtmlBody: "<p>{{{@content}}}</p>" });
    expect(standard.HtmlBody?.ContentIsValid).toBe(false);
  });
});

describe("is refused", () => {
  it.each<[string, unknown, string]>([
    ["without a body", undefined, "1109"],
    ["as a list", [], "402"],
    ["without a part", { TestRenderModel: {} }, "1120"],
    ["with a part that is a number", { TextBody: 5 }, "403"],
    ["with a part that is too large", { TextBody: "x".repeat(5 * 1024 * 1024 + 1) }, "1121"],
    ["with a model that is a list", { TextBody: "x", TestRenderModel: [1] }, "1122"],
    ["with an unknown layout", { TextBody: "x", LayoutTemplate: "nope" }, "1122"],
    [
      "with a layout on a layout",
      { TemplateType: "Layout", TextBody: "{{{@content}}}", LayoutTemplate: "frame" },
      "1123",
    ],
  ])("%s", async (_name, body, code) => {
    expect(await t.call("POST", "/templates/validate", body)).toMatchObject({ status: 422, code });
  });

  it("with another server's layout", async () => {
    const body = { TextBody: "x", LayoutTemplate: "frame" };
    expect(await t.call("POST", "/templates/validate", body, t.theirs)).toMatchObject({ code: "1122" });
  });
});
