/** `TemplateModel` as callers write it: an object, the empty list that PHP makes of an empty map, or either as a string of JSON. */
import { type Result, refused } from "./error.ts";
import { parseJson } from "./json-body.ts";

export type TemplateModel = Record<string, unknown>;

/** Postmark's own placeholders are `pm:…` and `@content`: a model that had such a key could not be told from them. */
const RESERVED = /^(?:pm$|pm:|@)/;

export function readTemplateModel(value: unknown): Result<TemplateModel> {
  if (value === undefined || value === "") return refused(1120, "The 'TemplateModel' field is required.");
  const model = typeof value === "string" ? parsed(value) : value;
  if (Array.isArray(model) && model.length === 0) return { ok: {} };
  if (typeof model !== "object" || model === null || Array.isArray(model))
    return refused(1122, "Invalid 'TemplateModel'. It must be a JSON object.");
  const reserved = Object.keys(model).find((key) => RESERVED.test(key));
  if (reserved !== undefined)
    return refused(
      1122,
      `Invalid 'TemplateModel'. The key '${reserved.slice(0, 100)}' is reserved at its top level.`,
    );
  return { ok: model as TemplateModel };
}

function parsed(text: string): unknown {
  const value = parseJson(text);
  return "ok" in value ? value.ok : undefined;
}
