/**
 * `POST /templates/validate`: what is wrong with the parts of a template, and what they make of a model. Nothing is stored, and the
 * model is completed from what the parts use, so that a template can be looked at before there is one.
 */
import * as z from "zod";
import { findTemplate } from "../accounts/templates.ts";
import { MAX_BODY_BYTES, utf8Length } from "../mail/text.ts";
import { inferModel, mergeModels } from "../template/infer.ts";
import { inlineCss } from "../template/inline-css.ts";
import { renderPart } from "../template/message.ts";
import { type Compiled, compile } from "../template/template.ts";
import { type Endpoint, serverEndpoint } from "./endpoint.ts";
import { type ApiError, apiError, type Result, refused } from "./error.ts";
import { flag } from "./json-body.ts";
import { settled } from "./settings-needs.ts";
import { NO_DATA, placeholderText, templateTypeField } from "./template-fields.ts";
import { readTemplateModel } from "./template-model.ts";
import type { TemplateNeeds } from "./templates.ts";

const MB = 1024 * 1024;
const NAMES = ["HtmlBody", "TextBody", "Subject"] as const;
type Name = (typeof NAMES)[number];

const fields = z.object({
  Subject: z.string().optional(),
  HtmlBody: z.string().optional(),
  TextBody: z.string().optional(),
  TestRenderModel: z.unknown().optional(),
  TemplateType: templateTypeField.default("Standard"),
  LayoutTemplate: z.string().optional(),
  InlineCssForHtmlTestRender: flag.default(true),
});

const validatedPart = z.object({
  ContentIsValid: z.boolean(),
  ValidationErrors: z.array(
    z.object({
      Message: z.string(),
      Line: z.int().nullable(),
      CharacterPosition: z.int().nullable(),
    }),
  ),
  RenderedContent: z.string().nullable(),
});

type ValidatedPart = z.infer<typeof validatedPart>;
type Parts = Partial<Record<Name, Compiled>>;

export function templateValidationEndpoints(needs: TemplateNeeds): Endpoint[] {
  return [
    serverEndpoint(
      {
        method: "POST",
        path: "/templates/validate",
        family: "Templates",
        summary: "Checks the parts of a template, and renders them with a model",
        scope: "full",
        body: { schema: fields, empty: NO_DATA, maxBytes: 10 * MB },
        response: z.object({
          AllContentIsValid: z.boolean(),
          HtmlBody: validatedPart.nullable(),
          TextBody: validatedPart.nullable(),
          Subject: validatedPart.nullable(),
          SuggestedTemplateModel: z.record(z.string(), z.unknown()),
        }),
        errors: {
          1109: "There is no data",
          1120: "There is neither a `Subject` nor a body",
          1121: "A part is larger than 5 MB",
          1123: "A layout is to have a layout",
          1122: "There is no such layout, or the `TestRenderModel` is no object",
        },
      },
      async ({ policy: { serverId }, body }) => {
        const unfit = checkParts(body);
        if (unfit) return { error: unfit };
        const model = readTemplateModel(body.TestRenderModel ?? {});
        if ("error" in model) return model;
        const layout = await findLayout(needs, serverId, body.LayoutTemplate);
        return "error" in layout ? layout : { ok: validate(body, layout.ok, model.ok) };
      },
    ),
  ];
}

type Body = z.infer<typeof fields>;

function checkParts(body: Body): ApiError | undefined {
  const given = NAMES.filter((name) => body[name]);
  if (given.length === 0)
    return apiError(1120, "At least one of 'Subject', 'HtmlBody' and 'TextBody' is required.");
  if (body.TemplateType === "Layout" && body.LayoutTemplate)
    return apiError(1123, "A layout may not have a 'LayoutTemplate'.");
  const large = given.find((name) => utf8Length(body[name] ?? "", MAX_BODY_BYTES) > MAX_BODY_BYTES);
  return large && apiError(1121, `Invalid '${large}'. It is limited to 5 MB.`);
}

/** Its compiled bodies; none when no layout is named. */
async function findLayout(
  { directory }: TemplateNeeds,
  serverId: number,
  alias: string | undefined,
): Promise<Result<Parts>> {
  if (!alias) return { ok: {} };
  const found = await settled(findTemplate(directory, serverId, { alias }));
  if (found?.type !== "Layout")
    return refused(1122, "Invalid 'LayoutTemplate'. This server has no layout with that alias.");
  const parts: Parts = {};
  for (const [name, source] of [
    ["HtmlBody", found.htmlBody],
    ["TextBody", found.textBody],
  ] as const) {
    const compiled = source === null ? undefined : compile(source, { layout: true });
    if (compiled && "ok" in compiled) parts[name] = compiled.ok;
  }
  return { ok: parts };
}

function validate(body: Body, layout: Parts, given: Record<string, unknown>) {
  const isLayout = body.TemplateType === "Layout";
  const parts: Parts = {};
  const validated: Record<Name, ValidatedPart | null> = { HtmlBody: null, TextBody: null, Subject: null };
  for (const name of NAMES) {
    const source = body[name];
    if (!source) continue;
    const hasSlot = isLayout && name !== "Subject";
    const compiled = compile(source, { layout: hasSlot });
    if ("errors" in compiled)
      validated[name] = invalid(
        compiled.errors.map(({ message, line, character }) => ({
          Message: message,
          Line: line,
          CharacterPosition: character,
        })),
      );
    else if (hasSlot && compiled.ok.slots !== 1) validated[name] = invalid([unplaced(placeholderText(name))]);
    else parts[name] = compiled.ok;
  }
  const around = Object.entries(layout).flatMap(([name, part]) => (parts[name as Name] ? [part] : []));
  const model = mergeModels(inferModel([...Object.values(parts), ...around]), given);
  for (const name of NAMES) {
    const part = parts[name];
    if (!part) continue;
    const rendered = renderPart(part, layout[name], model, { escape: name === "HtmlBody" });
    if ("error" in rendered) validated[name] = invalid([unplaced(rendered.error)]);
    else {
      const isInlined = name === "HtmlBody" && body.InlineCssForHtmlTestRender;
      validated[name] = valid(isInlined ? inlineCss(rendered.ok) : rendered.ok);
    }
  }
  return {
    AllContentIsValid: NAMES.every((name) => validated[name]?.ContentIsValid ?? true),
    ...validated,
    SuggestedTemplateModel: model,
  };
}

function valid(content: string): ValidatedPart {
  return { ContentIsValid: true, ValidationErrors: [], RenderedContent: content };
}

function invalid(errors: ValidatedPart["ValidationErrors"]): ValidatedPart {
  return { ContentIsValid: false, ValidationErrors: errors, RenderedContent: null };
}

/** An error of the whole part: it has no line. */
function unplaced(message: string): ValidatedPart["ValidationErrors"][number] {
  return { Message: message, Line: null, CharacterPosition: null };
}
