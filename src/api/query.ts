/**
 * Query strings as Postmark's clients write them: keys in any case and with underscores or without, booleans in three spellings,
 * dates in five, and paging whose limits are the same for all lists while its error code is each family's own. Parameters are
 * read by a schema (`queryReader`), made of the kinds at the end of this file.
 */
import * as z from "zod";
import { fromEastern } from "../mail/eastern.ts";
import { type ApiError, apiError, type Result, refused } from "./error.ts";

export const MAX_COUNT = 500;
export const MAX_WINDOW = 10_000;
const DAY_MS = 86_400_000;
const METADATA = "metadata_";

/** "2025-1-5", then perhaps a time, a fraction, and a zone, whose "+" has become a space if it was not escaped. */
const DATE =
  /^(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ](\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?(Z|[+ -]\d{2}:?\d{2})?)?$/i;

export interface RawQuery {
  /** By key in lower case without underscores; what was given as empty is absent. The last of several counts. */
  values: ReadonlyMap<string, string>;
  /** `metadata_<key>`: the key as it was written. */
  metadata: ReadonlyMap<string, string>;
}

export function readQuery(url: string): RawQuery {
  const start = url.indexOf("?");
  const values = new Map<string, string>();
  const metadata = new Map<string, string>();
  if (start < 0) return { values, metadata };
  for (const [key, value] of new URLSearchParams(url.slice(start + 1))) {
    if (value === "") continue;
    if (key.slice(0, METADATA.length).toLowerCase() === METADATA)
      metadata.set(key.slice(METADATA.length), value);
    else values.set(key.toLowerCase().replaceAll("_", ""), value);
  }
  return { values, metadata };
}

/** undefined when it is absent. */
export function queryFlag(query: RawQuery, key: string): boolean | "invalid" | undefined {
  const value = query.values.get(key)?.toLowerCase();
  if (value === undefined) return undefined;
  if (value === "true" || value === "1") return true;
  return value === "false" || value === "0" ? false : "invalid";
}

/**
 * Milliseconds since the epoch; undefined when it is no date. Without a zone it is Eastern time. Ranges are inclusive, so a day
 * alone as the `end` of one is its last millisecond.
 */
export function parseDate(text: string, edge: "start" | "end"): number | undefined {
  const match = DATE.exec(text.trim());
  if (!match) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((part) => Number(part ?? 0));
  const fraction = Math.floor(Number(`0.${match[7] ?? "0"}`) * 1000);
  const wall = Date.UTC(year ?? 0, (month ?? 0) - 1, day, hour, minute, second, fraction);
  const back = new Date(wall);
  // Date.UTC counts on from the 31st of February; a caller who writes that has made an error.
  if (back.getUTCMonth() + 1 !== month || back.getUTCDate() !== day || back.getUTCHours() !== hour)
    return undefined;
  if (match[4] === undefined) return edge === "start" ? fromEastern(wall) : fromEastern(wall + DAY_MS) - 1;
  const zone = match[8];
  if (!zone) return fromEastern(wall);
  if (zone === "Z" || zone === "z") return wall;
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(-2));
  return wall - (zone.startsWith("-") ? -1 : 1) * minutes * 60_000;
}

export interface DateRange {
  from?: number;
  to?: number;
}

/** `fromdate` and `todate`, both inclusive. */
export function dateRange(query: RawQuery, code: number): Result<DateRange> {
  const range: DateRange = {};
  for (const [key, name, edge] of [
    ["fromdate", "from", "start"],
    ["todate", "to", "end"],
  ] as const) {
    const text = query.values.get(key);
    if (text === undefined) continue;
    const at = parseDate(text, edge);
    if (at === undefined) return { error: apiError(code, `Parameter '${key}' is not a valid date.`) };
    range[name] = at;
  }
  return { ok: range };
}

export interface Page {
  count: number;
  offset: number;
}

/** Missing values are 100 and 0. Nothing is clamped: a client that pages would go on for ever. */
export function paging(query: RawQuery, code: number): Result<Page> {
  const count = whole(query.values.get("count"), 100);
  const offset = whole(query.values.get("offset"), 0);
  const wrong = (text: string): { error: ApiError } => ({ error: apiError(code, text) });
  if (count === undefined || count < 1 || count > MAX_COUNT)
    return wrong(`Parameter 'count' must be a number from 1 to ${MAX_COUNT}.`);
  if (offset === undefined || offset < 0)
    return wrong("Parameter 'offset' must be a number that is 0 or more.");
  if (count + offset > MAX_WINDOW)
    return wrong(`Parameters 'count' and 'offset' together may not exceed ${MAX_WINDOW}.`);
  return { ok: { count, offset } };
}

function whole(text: string | undefined, absent: number | undefined): number | undefined {
  if (text === undefined) return absent;
  return /^\s*[+-]?\d{1,9}\s*$/.test(text) ? Number(text) : undefined;
}

/**
 * Reads parameters by a schema whose keys are Postmark's names. What is wrong is refused with the family's code and the text
 * of the parameter's own schema.
 */
export function queryReader<S extends z.ZodObject>(
  schema: S,
  code: number,
): (query: RawQuery) => Result<z.infer<S>> {
  const names = Object.keys(schema.shape).map(
    (name) => [name, name.toLowerCase().replaceAll("_", "")] as const,
  );
  const isPaged = "count" in schema.shape && "offset" in schema.shape;
  return ({ values }) => {
    const given = Object.fromEntries(names.map(([name, key]) => [name, values.get(key)]));
    const read = schema.safeParse(given);
    if (!read.success) {
      const [issue] = read.error.issues;
      return refused(code, `Parameter '${String(issue?.path[0])}' ${issue?.message}.`);
    }
    const { count, offset, cursor } = read.data as Partial<Page> & { cursor?: unknown };
    if (isPaged && cursor === undefined && (count ?? 0) + (offset ?? 0) > MAX_WINDOW)
      return refused(code, `Parameters 'count' and 'offset' together may not exceed ${MAX_WINDOW}.`);
    return { ok: read.data };
  };
}

/** How a parameter stands in the OpenAPI document: what its schema reads is always a string. */
type Shown = Record<string, unknown>;

function parameter<T>(read: (text: string) => T | undefined, wrong: string, openapi: Shown) {
  return z
    .string()
    .transform((text, context) => {
      const value = read(text);
      if (value !== undefined) return value;
      context.addIssue({ code: "custom", message: wrong });
      return z.NEVER;
    })
    .meta({ openapi });
}

/** `.default(100)`, where it is absent. */
export const countParameter = parameter(
  (text) => between(whole(text, undefined), 1, MAX_COUNT),
  `must be a number from 1 to ${MAX_COUNT}`,
  { type: "integer", minimum: 1, maximum: MAX_COUNT, default: 100 },
).default(100);

export const offsetParameter = parameter(
  (text) => between(whole(text, undefined), 0, Number.MAX_SAFE_INTEGER),
  "must be a number that is 0 or more",
  { type: "integer", minimum: 0, default: 0 },
).default(0);

/** `count` and `offset`: what each paged list takes. */
export const pageParameters = { count: countParameter, offset: offsetParameter };

export const flagParameter = parameter(
  (text) => {
    const word = text.toLowerCase();
    if (word === "true" || word === "1") return true;
    return word === "false" || word === "0" ? false : undefined;
  },
  "must be 'true' or 'false'",
  { type: "boolean" },
);

const DATE_SHOWN = { type: "string", examples: ["2026-02-17", "2026-02-17T07:25:01-05:00"] };

/** Inclusive; milliseconds since the epoch when read. */
export const fromDateParameter = parameter(
  (text) => parseDate(text, "start"),
  "is not a valid date",
  DATE_SHOWN,
);
export const toDateParameter = parameter((text) => parseDate(text, "end"), "is not a valid date", DATE_SHOWN);

/** One of these words, in any case. */
export function wordParameter<const T extends string>(words: readonly T[]) {
  return parameter(
    (text) => words.find((word) => word.toLowerCase() === text.toLowerCase()),
    `must be one of ${words.join(", ")}`,
    { type: "string", enum: words },
  );
}

export const textParameter = z.string();

function between(n: number | undefined, min: number, max: number): number | undefined {
  return n !== undefined && n >= min && n <= max ? n : undefined;
}
