/** Dot-stuffing against its definition, and replies out of bytes that are split anywhere. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readExtensions } from "../../../src/gateway/egress/extensions.ts";
import { NotSmtp, ReplyReader } from "../../../src/gateway/egress/reply-reader.ts";
import { toWire } from "../../../src/gateway/egress/wire.ts";

const piece = fc.constantFrom("\r\n", "\r\n.", ".", "..", "a", "text", "\r", "\n", "ü", "\0");

describe("toWire", () => {
  it("stuffs dots and adds the end, and nothing else", () => {
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        const text = pieces.join("");
        const whole = text === "" || text.endsWith("\r\n") ? text : `${text}\r\n`;
        const expected = `${`\r\n${whole}`.replaceAll("\r\n.", "\r\n..").slice(2)}.\r\n`;
        expect(toWire(Buffer.from(text)).bytes.toString()).toBe(expected);
      }),
    );
  });

  it("knows 8-bit content, lone line ends, and the size", () => {
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        const text = pieces.join("");
        const wire = toWire(Buffer.from(text));
        expect(wire.size).toBe(Buffer.byteLength(text));
        expect(wire.hasEightBit).toBe(text.includes("ü"));
        expect(wire.hasBareLineEnd).toBe(/[\r\n]/.test(text.replaceAll("\r\n", "")));
      }),
    );
  });

  it("reads a message that is a part of a larger buffer", () => {
    const whole = Buffer.from("before.within\r\nafter");
    expect(toWire(whole.subarray(6, 15)).bytes.toString()).toBe("..within\r\n.\r\n");
  });
});

describe("ReplyReader", () => {
  it("gives the same replies however the bytes are cut", () => {
    const text = "220 mx\r\n250-a\r\n250-b\r\n250 c\r\n550 5.1.1 no\n354\r\n";
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 10 }), { minLength: 1 }), (cuts) => {
        const reader = new ReplyReader();
        const replies = [];
        for (let at = 0, i = 0; at < text.length; i++) {
          const end = at + (cuts[i % cuts.length] ?? 1);
          replies.push(...reader.push(Buffer.from(text.slice(at, end))));
          at = end;
        }
        expect(replies.map(({ reply }) => [reply.code, reply.text])).toEqual([
          [220, "mx"],
          [250, "a b c"],
          [550, "no"],
          [354, ""],
        ]);
        expect(reader.isWithin()).toBe(false);
      }),
    );
  });

  it("cuts a long line and gives up on a longer one, on too many, and on what is no reply", () => {
    const long = new ReplyReader().push(Buffer.from(`250 ${"x".repeat(10_000)}\r\n`));
    expect(long[0]?.lines[0]?.length).toBe(2_048);
    for (const bytes of [
      `250 ${"x".repeat(100_000)}`,
      "250-x\r\n".repeat(200),
      "HTTP/1.1 200 OK\r\n",
      "\r\n",
      "250ok\r\n",
      "\xff\xfe\r\n",
    ])
      expect(() => new ReplyReader().push(Buffer.from(bytes, "latin1"))).toThrow(NotSmtp);
  });

  it("throws nothing but NotSmtp, whatever comes", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array()), (chunks) => {
        const reader = new ReplyReader();
        try {
          for (const chunk of chunks) reader.push(Buffer.from(chunk));
        } catch (error) {
          expect(error).toBeInstanceOf(NotSmtp);
        }
      }),
    );
  });
});

describe("readExtensions", () => {
  it("reads keywords in any case, and a size only when it is a number", () => {
    const read = readExtensions([
      "250-mx STARTTLS",
      "250-pipelining",
      "250-SIZE 1000",
      "250-8BITMIME",
      "250 SmtpUtf8",
    ]);
    // The first line is the server's name, not a keyword.
    expect(read).toEqual({
      pipelining: true,
      startTls: false,
      eightBitMime: true,
      smtpUtf8: true,
      size: true,
      maxSize: 1_000,
    });
    for (const size of ["SIZE", "SIZE 0", "SIZE x", "SIZE -1", "SIZE 1e400"])
      expect(readExtensions(["250-mx", `250 ${size}`])).toMatchObject({ size: true, maxSize: 0 });
  });
});
