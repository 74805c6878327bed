/**
 * What a template must be, whoever writes it: its fields as callers send them, and the rules about one template alone, each with its
 * code. Only what compiles is stored, so that sending never meets a template that cannot be read.
 */
import * as z from "zod";
import type { TemplateFields } from "../accounts/templates.ts";
import { MAX_SUBJECT, utf8Length } from "../mail/text.ts";
import { compile, type TemplateError } from "../template/template.ts";
import { type ApiError, apiError } from "./error.ts";

export const TEMPLATE_TYPES = ["Standard", "Layout"] as const;
const MAX_NAME = 255;
const MAX_ALIAS = 255;
/** A row of the directory holds 2,000,000 bytes: so much for both bodies leaves room for the rest. */
const MAX_BODIES_BYTES = 1_900_000;
const ALIAS = /^[A-Za-z][A-Za-z0-9._-]*$/;

export const templateTypeField = z
  .preprocess(
    (value) => TEMPLATE_TYPES.find((type) => type.toLowerCase() === String(value).toLowerCase()),
    z.enum(TEMPLATE_TYPES),
  )
  .meta({ openapi: { type: "string", enum: TEMPLATE_TYPES } });

export const editFields = z.object({
  Name: z.string().optional(),
  Alias: z.string().optional(),
  Subject: z.string().optional(),
  HtmlBody: z.string().optional(),
  TextBody: z.string().optional(),
  LayoutTemplate: z.string().optional(),
});

export const createFields = editFields.extend({ TemplateType: templateTypeField.optional() });

/** Of what `checkTemplate` refuses. */
export const TEMPLATE_ERRORS: Record<number, string> = {
  1109: "There is no data",
  1120: "`Name`, both bodies, or the `Subject` of a standard template are missing",
  1121: `A value is too large: the bodies may have ${MAX_BODIES_BYTES} bytes together`,
  1122: "The alias is malformed or in use, there is no such layout, or the syntax of a part is wrong",
  1123: "A layout has a `Subject` or a `LayoutTemplate`",
  1131: "A body of a layout does not have `{{{ @content }}}` exactly once",
};

export const NO_DATA = apiError(1109, "The request has no template data.");

export function createdFields(body: z.infer<typeof createFields>): TemplateFields {
  return {
    name: body.Name?.trim() ?? "",
    alias: body.Alias || null,
    type: body.TemplateType ?? "Standard",
    subject: body.Subject || null,
    htmlBody: body.HtmlBody || null,
    textBody: body.TextBody || null,
    layout: body.LayoutTemplate || null,
  };
}

/** What is absent stays; "" takes a body or the layout away. */
export function editedFields(body: z.infer<typeof editFields>, old: TemplateFields): TemplateFields {
  const changed = (given: string | undefined, kept: string | null) =>
    given === undefined ? kept : given || null;
  return {
    name: body.Name === undefined ? old.name : body.Name.trim(),
    alias: body.Alias || old.alias,
    type: old.type,
    subject: changed(body.Subject, old.subject),
    htmlBody: changed(body.HtmlBody, old.htmlBody),
    textBody: changed(body.TextBody, old.textBody),
    layout: changed(body.LayoutTemplate, old.layout),
  };
}

export function checkTemplate(fields: TemplateFields): ApiError | undefined {
  return checkPresence(fields) ?? checkSizes(fields) ?? checkSyntax(fields);
}

function checkPresence({ name, type, subject, htmlBody, textBody, layout }: TemplateFields) {
  if (name === "") return missing("Name");
  if (type === "Standard" && subject === null) return missing("Subject");
  if (type === "Layout" && subject !== null) return apiError(1123, "A layout may not have a 'Subject'.");
  if (type === "Layout" && layout !== null)
    return apiError(1123, "A layout may not have a 'LayoutTemplate'.");
  if (htmlBody === null && textBody === null) return missing("HtmlBody' or 'TextBody");
  return undefined;
}

function missing(field: string): ApiError {
  return apiError(1120, `The '${field}' field is required.`);
}

function checkSizes({ name, alias, subject, htmlBody, textBody }: TemplateFields) {
  if (name.length > MAX_NAME) return tooLarge("Name", `${MAX_NAME} characters`);
  if (alias !== null && alias.length > MAX_ALIAS) return tooLarge("Alias", `${MAX_ALIAS} characters`);
  if (subject !== null && subject.length > MAX_SUBJECT)
    return tooLarge("Subject", `${MAX_SUBJECT} characters`);
  const bytes = utf8Length(htmlBody ?? "", MAX_BODIES_BYTES) + utf8Length(textBody ?? "", MAX_BODIES_BYTES);
  if (bytes > MAX_BODIES_BYTES)
    return apiError(1121, `'HtmlBody' and 'TextBody' together are limited to ${MAX_BODIES_BYTES} bytes.`);
  return undefined;
}

function tooLarge(field: string, limit: string): ApiError {
  return apiError(1121, `Invalid '${field}'. It is limited to ${limit}.`);
}

function checkSyntax({ alias, type, subject, htmlBody, textBody }: TemplateFields) {
  if (alias !== null && !ALIAS.test(alias))
    return apiError(
      1122,
      "Invalid 'Alias'. It must start with a letter and may only contain letters, digits, '.', '-' and '_'.",
    );
  const isLayout = type === "Layout";
  for (const [name, source] of [
    ["Subject", subject],
    ["HtmlBody", htmlBody],
    ["TextBody", textBody],
  ] as const) {
    if (source === null) continue;
    const compiled = compile(source, { layout: isLayout });
    if ("errors" in compiled) return syntaxError(name, compiled.errors);
    if (isLayout && compiled.ok.slots !== 1) return apiError(1131, placeholderText(name));
  }
  return undefined;
}

function syntaxError(part: string, [first]: TemplateError[]): ApiError {
  const where = first ? `${first.message} (line ${first.line}, character ${first.character})` : "";
  return apiError(1122, `The syntax of the '${part}' is not valid: ${where}.`);
}

export function placeholderText(part: string): string {
  return `The layout content placeholder must be present exactly once in the '${part}' of a layout: '{{{ @content }}}'.`;
}
