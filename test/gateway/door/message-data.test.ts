/** The reader of DATA against a plain one that looks at each byte, on every kind of input and every way to cut it. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DataMemory } from "../../../src/gateway/door/limits.ts";
import { MessageData } from "../../../src/gateway/door/message-data.ts";

interface Read {
  end: number;
  flaw: boolean;
  body: string;
}

/** RFC 5321 §4.1.1.4 and §4.5.2, word for word and slowly. */
function readSlowly(wire: string): Read {
  const end = wire.startsWith(".\r\n") ? 0 : wire.indexOf("\r\n.\r\n") + 2;
  if (end === 1) return { end: -1, flaw: false, body: "" };
  const content = wire.slice(0, end);
  const flaw = /\r(?!\n)|(?<!\r)\n|\0/.test(content);
  const body = content
    .split("\r\n")
    .map((line) => line.replace(/^\./, ""))
    .join("\r\n");
  return { end: end + 3, flaw, body };
}

function readInPieces(wire: string, cuts: number[], memory = new DataMemory(), limit = 1_000_000): Read {
  const data = new MessageData({ prefix: Buffer.from("P: x\r\n"), limit, declared: undefined, memory });
  const bytes = Buffer.from(wire, "latin1");
  const at = [0, ...cuts.map((c) => c % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  for (let i = 1; i < at.length; i++) {
    // A piece in the middle of a chunk, as behind a pipelined DATA.
    const from = at[i - 1] ?? 0;
    const chunk = Buffer.concat([Buffer.from("DATA\r\n"), bytes.subarray(from, at[i])]);
    const end = data.push(chunk, 6);
    if (end < 0) continue;
    const text = data.flaw === undefined ? data.bytes().toString("latin1") : "P: x\r\n";
    return { end: from + end - 6, flaw: data.flaw !== undefined, body: text.slice(6) };
  }
  return { end: -1, flaw: data.flaw !== undefined, body: "" };
}

const piece = fc.constantFrom(
  "\r",
  "\n",
  "\r\n",
  ".",
  "..",
  "\r\n.",
  "\r\n..",
  "\0",
  "a",
  "bc",
  "\n.\n",
  "\r.\r",
);

describe("the reader of DATA", () => {
  it("sees the end where it is and nowhere else, whatever the input and however it is cut", () => {
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), fc.array(fc.nat(), { maxLength: 8 }), (parts, cuts) => {
        const wire = `${parts.join("")}\r\n.\r\nQUIT\r\n`;
        const right = readSlowly(wire);
        const read = readInPieces(wire, cuts);
        expect(read.end).toBe(right.end);
        expect(read.flaw).toBe(right.flaw);
        if (!right.flaw) expect(read.body).toBe(right.body);
      }),
      { numRuns: 3_000 },
    );
  });

  it("keeps a real message of any length in any pieces", () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ maxLength: 200 }), { maxLength: 300 }),
        fc.array(fc.nat(), { maxLength: 5 }),
        (lines, cuts) => {
          const body = `${lines.map((l) => l.replace(/[\r\n\0]/g, "")).join("\r\n")}\r\n`;
          const wire = `${Buffer.from(body, "utf8").toString("latin1").replace(/^\./gm, "..")}.\r\n`;
          expect(readInPieces(wire, cuts).body).toBe(Buffer.from(body, "utf8").toString("latin1"));
        },
      ),
      { numRuns: 200 },
    );
  });

  it("drops what is too much, gives its memory back, and knows when there is no end to it", () => {
    const memory = new DataMemory();
    const data = new MessageData({ prefix: Buffer.alloc(0), limit: 100_000, declared: 90_000, memory });
    const chunk = Buffer.alloc(60_000, "x");
    expect(data.push(chunk, 0)).toBe(-1);
    expect(data.flaw).toBeUndefined();
    data.push(chunk, 0);
    expect(data.flaw).toBe("size");
    expect(data.isEndless).toBe(false);
    data.push(chunk, 0);
    data.push(chunk, 0);
    expect(data.isEndless).toBe(true);
    expect(data.bytes().length).toBe(0);
    expect(memory.take(256 * 1024 * 1024)).toBe(true);
  });

  it("takes small mail, and no large mail, when too much arrives at once", () => {
    const memory = new DataMemory();
    memory.add(256 * 1024 * 1024);
    expect(readInPieces("small\r\n.\r\n", [], memory)).toEqual({ end: 10, flaw: false, body: "small\r\n" });
    const data = new MessageData({ prefix: Buffer.alloc(0), limit: 1_000_000, declared: undefined, memory });
    expect(data.push(Buffer.from(`${"x".repeat(50_000)}\r\n.\r\n`), 0)).toBe(50_005);
    expect(data.flaw).toBe("memory");
  });

  it("is not slowed by a chunk that is all bare line ends", () => {
    const data = new MessageData({
      prefix: Buffer.alloc(0),
      limit: 10_000_000,
      declared: undefined,
      memory: new DataMemory(),
    });
    let scanned = 0;
    const chunk = Buffer.alloc(65_536, "\n");
    const indexOf = chunk.indexOf.bind(chunk);
    chunk.indexOf = ((value: number, from: number) => {
      const found = indexOf(value, from);
      scanned += (found < 0 ? chunk.length : found) - from;
      return found;
    }) as typeof chunk.indexOf;
    data.push(chunk, 0);
    expect(data.flaw).toBe("line end");
    expect(scanned).toBeLessThan(4 * chunk.length);
  });
});
