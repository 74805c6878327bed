/** Bodies: caps, nesting, and keys in any case at every level that a schema describes. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { fieldsReader, flag, parseJson, readBody, scalar, whole } from "../../src/api/json-body.ts";

function request(body: BodyInit | null, headers: Record<string, string> = {}): Request {
  return new Request("http://x/", { method: "POST", body, headers, duplex: "half" } as RequestInit);
}

/** A body of `total` bytes in chunks, and how many of them were read. */
function stream(total: number, chunk = 64 * 1024) {
  const state = { read: 0, cancelled: false };
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      const size = Math.min(chunk, total - state.read);
      if (size <= 0) return controller.close();
      state.read += size;
      controller.enqueue(new Uint8Array(size).fill(0x20));
    },
    cancel() {
      state.cancelled = true;
    },
  });
  return { body, state };
}

describe("a body is read", () => {
  it("whole, in many chunks, with characters cut between them", async () => {
    const bytes = new TextEncoder().encode('{"a":"ü😀"}');
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
        controller.close();
      },
    });
    expect(await readBody(request(body), 100)).toEqual({ ok: '{"a":"ü😀"}' });
  });

  it("without its byte order mark", async () => {
    expect(await readBody(request("\ufeff{}", { "Content-Type": "application/json" }), 100)).toEqual({
      ok: "{}",
    });
  });

  it("to the last byte that is allowed, and is 413 after it", async () => {
    expect(await readBody(request("x".repeat(100), { "Content-Type": "application/json" }), 100)).toEqual({
      ok: "x".repeat(100),
    });
    expect(await readBody(request("x".repeat(101)), 100)).toMatchObject({ error: { status: 413 } });
    expect(await readBody(request("ü".repeat(51)), 100)).toMatchObject({ error: { status: 413 } });
  });

  it("to its end when it is too large, so that the answer arrives", async () => {
    const { body, state } = stream(1024 * 1024);
    expect(await readBody(request(body), 1000)).toMatchObject({ error: { status: 413 } });
    expect(state).toEqual({ read: 1024 * 1024, cancelled: false });
  });

  it("but not for ever", async () => {
    const { body, state } = stream(Number.POSITIVE_INFINITY, 4 * 1024 * 1024);
    expect(await readBody(request(body), 1000)).toMatchObject({ error: { status: 413 } });
    expect(state.cancelled).toBe(true);
  });

  it.each<[string | undefined, boolean]>([
    [undefined, true],
    ["application/json", true],
    ["APPLICATION/JSON;charset=UTF-8", true],
    ["application/problem+json", true],
    ["text/plain", false],
    ["multipart/form-data; boundary=x", false],
  ])("as %s: %s", async (type, fine) => {
    const bytes = new TextEncoder().encode("{}");
    const read = await readBody(request(bytes, type === undefined ? {} : { "Content-Type": type }), 100);
    expect(read).toMatchObject(fine ? { ok: "{}" } : { error: { code: 409, status: 415 } });
  });

  it("as nothing when there is none, whatever its type", async () => {
    expect(await readBody(request(null, { "Content-Type": "text/plain" }), 100)).toEqual({ ok: "" });
  });
});

describe("JSON is parsed", () => {
  it.each<[string, unknown]>([
    ["", undefined],
    [" \n", undefined],
    ["null", undefined],
    ["{}", {}],
    ['{"a":1,"a":2}', { a: 2 }],
    ['{"a":"\\u00fc\\/"}', { a: "ü/" }],
    ["[[]]", [[]]],
  ])("%j", (text, value) => {
    expect(parseJson(text)).toEqual({ ok: value });
  });

  it.each(["{", "{'a':1}", '{"a":1,}', "[1", "nul", "NaN", '"', '{"a":"\\"}', "]", "{}{}"])(
    "not: %j",
    (text) => {
      expect(parseJson(text)).toMatchObject({ error: { code: 402, status: 422 } });
    },
  );

  it("to a depth of 32, not counting brackets in strings", () => {
    const nest = (n: number) => "[".repeat(n) + "]".repeat(n);
    expect(parseJson(nest(32))).toHaveProperty("ok");
    expect(parseJson(nest(33))).toMatchObject({ error: { code: 402 } });
    expect(parseJson(`${nest(32)}`.replace("[]", '["\\\\\\"[[[[{{{{","\\\\"]'))).toHaveProperty("ok");
    expect(parseJson(`["\\\\",${nest(32)}]`)).toMatchObject({ error: { code: 402 } });
    expect(parseJson(`[${"[],".repeat(1000)}[]]`)).toHaveProperty("ok");
  });

  it("like JSON.parse, whatever is given", () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 20 }), (text) => {
        expect(parseJson(text)).toEqual({ ok: JSON.parse(text) ?? undefined });
      }),
    );
  });
});

describe("fields are read by a schema", () => {
  const read = fieldsReader(
    z.object({
      Name: z.string().default(""),
      TemplateId: whole.optional(),
      Active: flag.optional(),
      Note: z.string().optional(),
      Value: scalar.optional(),
      Kind: z.enum(["A", "B"]).optional(),
      Model: z.record(z.string(), z.unknown()).default({}),
      Anything: z.unknown().optional(),
      Rows: z.array(z.object({ Key: z.string(), Inner: z.object({ Deep: whole }).optional() })).default([]),
    }),
  );

  it.each<[unknown, unknown]>([
    [{}, { Name: "", Model: {}, Rows: [] }],
    [{ NAME: "x" }, { Name: "x" }],
    [{ name: "x", Name: "y" }, { Name: "y" }],
    [{ Name: "y", name: "x" }, { Name: "x" }],
    [{ name: null }, { Name: "" }],
    [{ templateID: "123" }, { TemplateId: 123 }],
    [{ TemplateId: "" }, { TemplateId: undefined }],
    [{ TemplateId: null }, { TemplateId: undefined }],
    [{ active: "True" }, { Active: true }],
    [{ active: "" }, { Active: undefined }],
    [{ Active: 0 }, { Active: false }],
    [{ Note: "" }, { Note: "" }],
    [{ Note: null }, { Note: undefined }],
    [{ Value: 2.5 }, { Value: "2.5" }],
    [{ Value: false }, { Value: "false" }],
    [{ Value: "" }, { Value: "" }],
    [{ Kind: "" }, { Kind: undefined }],
    [{ Model: { name: null, Name: "", active: "1" } }, { Model: { name: null, Name: "", active: "1" } }],
    [{ Model: [] }, { Model: {} }],
    [{ Anything: { name: null } }, { Anything: { name: null } }],
    [{ rows: [{ KEY: "a", inner: { deep: "5" }, other: 1 }] }, { Rows: [{ Key: "a", Inner: { Deep: 5 } }] }],
    [{ rows: [{ KEY: "a", inner: null }] }, { Rows: [{ Key: "a", Inner: undefined }] }],
    [{ unknown: 1 }, { Name: "" }],
  ])("%j", (given, expected) => {
    expect(read(given)).toEqual({ ok: expect.objectContaining(expected as object) });
    expect(read(given)).not.toHaveProperty("ok.unknown");
  });

  it.each<[unknown, string]>([
    [{ name: 5 }, "'Name'"],
    [{ TemplateId: "5x" }, "'TemplateId'"],
    [{ TemplateId: 5.5 }, "'TemplateId'"],
    [{ Active: "maybe" }, "'Active'"],
    [{ Kind: "C" }, "'Kind'"],
    [{ Model: ["a"] }, "'Model'"],
    [{ rows: {} }, "'Rows'"],
    [{ rows: [{ key: 5 }] }, "'Rows'"],
    [{ rows: [{}] }, "'Rows'"],
    [{ name: [], active: {} }, "'Name', 'Active'"],
  ])("%j is refused for %s", (given, names) => {
    expect(read(given)).toMatchObject({
      error: { code: 403, message: `Invalid request field(s): ${names}.` },
    });
  });

  it.each([null, undefined, 5, "x", true, []])("%j is no object", (given) => {
    expect(read(given)).toMatchObject({ error: { code: 402 } });
  });

  it("and nothing reaches a prototype", () => {
    expect(read(JSON.parse('{"__proto__":{"Name":"evil"},"constructor":{"Name":"evil"}}'))).toMatchObject({
      ok: { Name: "" },
    });
  });
});
