/**
 * Bodies: read with a cap before they are parsed, parsed only when they are not nested too deeply, and then matched with a
 * schema whatever the case of their keys. Values of the caller's own (metadata, template models) are not touched.
 */
import * as z from "zod";
import { type ApiError, apiError, type Result, refused } from "./error.ts";

const MB = 1024 * 1024;
/** Clients cannot tell a refusal by a closed connection from a time-out: so much is read on, and dropped, to give the answer. */
const MAX_DRAINED = 64 * MB;
const MAX_DEPTH = 32;

/** The text of a body; "" when there is none. */
export async function readBody(request: Request, maxBytes: number): Promise<Result<string>> {
  if (!request.body) return { ok: "" };
  if (isCompressed(request)) return { error: COMPRESSED };
  const bytes = await readBytes(request.body, announcedBytes(request), maxBytes);
  if (!bytes) return { error: tooLarge(maxBytes) };
  if (bytes.length === 0) return { ok: "" };
  if (isNoJson(request)) return { error: NO_JSON };
  return { ok: new TextDecoder().decode(bytes) };
}

/**
 * Gives a body piece by piece, so that a large one is never in memory as a whole; says how many bytes came. `take` is waited for,
 * and gets nothing more once the body is known to be refused.
 */
export async function readChunks(
  request: Request,
  maxBytes: number,
  take: (chunk: Uint8Array) => Promise<void>,
): Promise<Result<number>> {
  if (!request.body) return { ok: 0 };
  if (isCompressed(request)) return { error: COMPRESSED };
  const isWrong = isNoJson(request) || announcedBytes(request) > maxBytes;
  const length = await drain(request.body, async (chunk, soFar) => {
    if (!isWrong && soFar <= maxBytes) await take(chunk);
  });
  if (length > maxBytes) return { error: tooLarge(maxBytes) };
  return length > 0 && isNoJson(request) ? { error: NO_JSON } : { ok: length };
}

const COMPRESSED = apiError(409, "A request body must not be compressed.");
const NO_JSON = apiError(409, "The Content-Type of a request body must be application/json.");

function isCompressed(request: Request): boolean {
  const encoding = request.headers.get("Content-Encoding");
  return encoding !== null && encoding !== "" && encoding.toLowerCase() !== "identity";
}

function isNoJson(request: Request): boolean {
  const type = request.headers.get("Content-Type");
  return type !== null && type !== "" && !/json/i.test(type);
}

function announcedBytes(request: Request): number {
  return Number(request.headers.get("Content-Length") ?? 0);
}

function tooLarge(maxBytes: number): ApiError {
  return apiError(300, `The request body is larger than ${Math.round(maxBytes / MB)} MB.`, 413);
}

/** undefined when there are more than `max`. */
async function readBytes(
  body: ReadableStream,
  announced: number,
  max: number,
): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  const length = await drain(body, (chunk, soFar) => {
    if (soFar <= max && announced <= max) chunks.push(chunk);
    else chunks.length = 0;
  });
  if (length > max) return undefined;
  const [only] = chunks;
  if (chunks.length === 1 && only) return only;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

/** For a request that is answered without its body, which its client may still be sending. */
export async function dropBody(request: Request): Promise<void> {
  if (!request.body || request.bodyUsed) return;
  try {
    await drain(request.body, () => {});
  } catch {
    // The client has gone, and the answer that it was to get stays as it is.
  }
}

/** Reads to the end, or as far as we go; says how many bytes came. */
async function drain(
  body: ReadableStream,
  take: (chunk: Uint8Array, soFar: number) => void | Promise<void>,
): Promise<number> {
  const reader: ReadableStreamDefaultReader<Uint8Array> = body.getReader();
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return length;
    length += value.length;
    const taken = take(value, length);
    if (taken) await taken;
    if (length > MAX_DRAINED) {
      await reader.cancel();
      return length;
    }
  }
}

/** undefined for a body that is empty or says `null`, as some clients send where no body is asked for. */
export function parseJson(text: string): Result<unknown> {
  if (text.trim() === "") return { ok: undefined };
  if (depth(text) > MAX_DEPTH)
    return refused(402, `Invalid JSON: nested more than ${MAX_DEPTH} levels deep.`);
  try {
    return { ok: JSON.parse(text) ?? undefined };
  } catch {
    // The parser's own text would repeat parts of the body.
    return refused(402, "Invalid JSON: the request body could not be parsed.");
  }
}

/**
 * How deeply brackets outside of strings are nested; stops counting past the limit. Before parsing, since a parser's stack for a
 * body of nothing but brackets is many times as large as the body.
 */
function depth(text: string): number {
  let now = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x22) {
      i = endOfString(text, i);
      if (i < 0) return 0;
    } else if (c === 0x7b || c === 0x5b) {
      if (++now > MAX_DEPTH) return now;
    } else if (c === 0x7d || c === 0x5d) now--;
  }
  return 0;
}

/** Where the quote is that closes the string which opens at `start`; -1 when none does, which the parser will say. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let escapes = 0;
    while (text.charCodeAt(end - 1 - escapes) === 0x5c) escapes++;
    if (escapes % 2 === 0) return end;
  }
  return -1;
}

/** `true`, `"True"`, `"1"` and the like. */
export const flag = z
  .preprocess((value) => {
    if (typeof value !== "string") return value === 1 ? true : value === 0 ? false : value;
    const word = value.toLowerCase();
    if (word === "true" || word === "1") return true;
    return word === "false" || word === "0" ? false : value;
  }, z.boolean())
  .meta({ openapi: { type: "boolean" } });

/** `5` or `"5"`. */
export const whole = z
  .preprocess(
    (value) => (typeof value === "string" && /^-?\d{1,15}$/.test(value) ? Number(value) : value),
    z.int(),
  )
  .meta({ openapi: { type: "integer" } });

/** A string, where some clients send a number or a boolean. */
export const scalar = z
  .preprocess(
    (value) => (typeof value === "number" || typeof value === "boolean" ? String(value) : value),
    z.string(),
  )
  .meta({ openapi: { type: "string" } });

/**
 * Reads an object's fields by a schema. Keys match in any case, the last of several counts, unknown ones are left out; `null` is
 * absent, and so is "" where the schema doesn't ask for a string. A wrong type is 403 with the names of the fields.
 */
export function fieldsReader<S extends z.ZodObject>(schema: S): (value: unknown) => Result<z.infer<S>> {
  const read = fieldsOf(schema);
  return (value) => {
    const fields = read(value);
    if ("ok" in fields) return fields;
    if (fields.wrong.length === 0) return refused(402, "Invalid JSON: a JSON object was expected.");
    return { error: wrongFields(fields.wrong) };
  };
}

/** The same for those who say by themselves which fields are wrong; none is, when it is no object. */
export function fieldsOf<S extends z.ZodObject>(
  schema: S,
): (value: unknown) => { ok: z.infer<S> } | { wrong: string[] } {
  const canonical = canonicalKeys(schema);
  return (value) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return { wrong: [] };
    const read = schema.safeParse(canonical(value));
    if (read.success) return { ok: read.data };
    return { wrong: [...new Set(read.error.issues.map((issue) => String(issue.path[0])))] };
  };
}

export function wrongFields(names: string[]): ApiError {
  return apiError(403, `Invalid request field(s): ${names.map((name) => `'${name}'`).join(", ")}.`);
}

type Rewrite = (value: unknown) => unknown;

/** Compiled once from a schema: a function that gives a value the keys which the schema has, at every level that it describes. */
function canonicalKeys(schema: z.core.$ZodType): Rewrite {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault)
    return canonicalKeys(schema.unwrap());
  if (schema instanceof z.ZodArray) {
    const element = canonicalKeys(schema.element);
    return (value) => (Array.isArray(value) ? value.map(element) : value);
  }
  // PHP cannot tell an empty map from an empty list.
  if (schema instanceof z.ZodRecord)
    return (value) => (Array.isArray(value) && value.length === 0 ? {} : value);
  if (!(schema instanceof z.ZodObject)) return (value) => value;
  return objectKeys(schema);
}

function objectKeys(schema: z.ZodObject): Rewrite {
  const fields = new Map<string, { name: string; empty: boolean; rewrite: Rewrite }>();
  for (const [name, type] of Object.entries(schema.shape)) {
    const field = { name, empty: takesEmpty(type), rewrite: canonicalKeys(type) };
    fields.set(name, field).set(name.toLowerCase(), field);
  }
  return (value) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
    const known: Record<string, unknown> = {};
    for (const [key, given] of Object.entries(value)) {
      const field = fields.get(key) ?? fields.get(key.toLowerCase());
      if (!field) continue;
      const absent = given === null || (given === "" && !field.empty);
      known[field.name] = absent ? undefined : field.rewrite(given);
    }
    return known;
  };
}

function takesEmpty(schema: z.core.$ZodType): boolean {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault) return takesEmpty(schema.unwrap());
  return schema instanceof z.ZodString || schema instanceof z.ZodUnknown || schema === scalar;
}
