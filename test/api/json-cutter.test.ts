/** Cutting a JSON object as it arrives: the pieces are those of the whole, wherever the chunks end, and what is no object is told. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CutError, JsonCutter } from "../../src/api/json-cutter.ts";

const MAX_PIECE = 10_000;

/** Cuts it in chunks of these sizes, again and again, and parses the pieces. */
function cut(text: string, sizes: number[] = [1_000_000]) {
  const cutter = new JsonCutter({ isList: (key) => key === "list", maxPiece: MAX_PIECE });
  const bytes = new TextEncoder().encode(text);
  const members: [string, unknown][] = [];
  const elements: unknown[] = [];
  const parse = (piece: Uint8Array): unknown => JSON.parse(new TextDecoder().decode(piece));
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = Math.max(1, sizes[i % sizes.length] ?? 1);
    for (const piece of cutter.cut(bytes.subarray(at, at + size)))
      if ("element" in piece) elements.push(parse(piece.element));
      else members.push([piece.key, parse(piece.bytes)]);
    at += size;
  }
  return { members, elements, isAtEnd: cutter.isAtEnd, isEmpty: cutter.isEmpty, lists: cutter.lists };
}

describe("cutting", () => {
  it("gives members and the list's elements, in order", () => {
    const text = ' {"a" : 1,"list":[ {"x":"]}\\""} ,2, "three",[4] ],"b":{"list":[5]}, "c":"é"} ';
    expect(cut(text)).toEqual({
      members: [
        ["a", 1],
        ["b", { list: [5] }],
        ["c", "é"],
      ],
      elements: [{ x: ']}"' }, 2, "three", [4]],
      isAtEnd: true,
      isEmpty: false,
      lists: 1,
    });
  });

  it("gives what parsing the whole gives, wherever chunks end", () => {
    const json = fc.jsonValue({ maxDepth: 3 });
    const object = fc.record({ before: json, list: fc.array(json, { maxLength: 8 }), 'än\\d "er': json });
    fc.assert(
      fc.property(
        object,
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
        fc.boolean(),
        (value, sizes, wide) => {
          const { members, elements, isAtEnd } = cut(JSON.stringify(value, null, wide ? 2 : 0), sizes);
          const { list, ...others } = JSON.parse(JSON.stringify(value)) as Record<string, unknown>;
          expect({ others: Object.fromEntries(members), elements, isAtEnd }).toEqual({
            others,
            elements: list,
            isAtEnd: true,
          });
        },
      ),
      { numRuns: 300 },
    );
  });

  it("takes nothing that a parser would not take", () => {
    const mutated = fc.tuple(
      fc.jsonValue({ maxDepth: 2 }).map((value) => JSON.stringify({ a: value, list: [value] })),
      fc.nat(),
      fc.constantFrom("", ",", "]", "}", "{", "[", '"', ":", "x", "\\"),
    );
    fc.assert(
      fc.property(mutated, ([text, at, put]) => {
        const place = at % (text.length + 1);
        const broken = text.slice(0, place) + put + text.slice(place + 1);
        let isTaken: boolean;
        try {
          isTaken = cut(broken, [3]).isAtEnd;
        } catch {
          isTaken = false;
        }
        let value: unknown;
        try {
          value = JSON.parse(broken);
        } catch {
          value = undefined;
        }
        expect(isTaken).toBe(typeof value === "object" && value !== null && !Array.isArray(value));
      }),
      { numRuns: 2_000 },
    );
  });

  it.each([
    "[]",
    "null",
    '"a"',
    '{"a":1,}',
    '{"list":[1,]}',
    '{"list":[,1]}',
    "{a:1}",
    '{"a" 1}',
    "{} x",
    '{"a":}',
  ])("says that %s is no object", (text) => expect(() => cut(text)).toThrow(CutError));

  it("says when it was cut short, and when there was nothing", () => {
    expect(cut('{"list":[1,2').isAtEnd).toBe(false);
    expect(cut(" \n").isEmpty).toBe(true);
    expect(cut("\ufeff{}").isAtEnd).toBe(true);
  });

  it("does not keep a piece that is too large, whatever the chunks", () => {
    const large = `{"list":["${"x".repeat(MAX_PIECE)}"]}`;
    for (const sizes of [[7], [1_000_000]])
      expect(() => cut(large, sizes)).toThrow(expect.objectContaining({ why: "large" }));
  });

  it("counts how often the list was there", () => {
    expect(cut('{"list":[],"list":[1]}').lists).toBe(2);
  });
});
