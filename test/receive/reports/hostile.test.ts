import fc from "fast-check";
import { Gzip, gzipSync, strFromU8, strToU8, Zip, ZipDeflate, zipSync } from "fflate";
import { describe, expect, it } from "vitest";
import { readAttachment, readMessage } from "../../../src/receive/reports/read.ts";
import { MAX_UNPACKED_BYTES, unpack } from "../../../src/receive/reports/unpack.ts";
import { corpus, mailWith, pack, reportOf } from "./mail.ts";

const refusal = (bytes: Uint8Array) => {
  const read = readAttachment(bytes);
  return "refused" in read ? read.refused : JSON.stringify(read.ok);
};

/** A file of `mb` MB of spaces, behind the beginning of a report; made in pieces. */
function bomb(mb: number, kind: "zip" | "gzip"): Uint8Array {
  const pieces: Uint8Array[] = [];
  const take = (piece: Uint8Array) => void pieces.push(piece);
  const spaces = new Uint8Array(1024 * 1024).fill(32);
  const fill = (stream: { push(piece: Uint8Array, last?: boolean): void }) => {
    stream.push(strToU8("<feedback>"));
    for (let i = 1; i <= mb; i++) stream.push(spaces, i === mb);
  };
  if (kind === "gzip") fill(new Gzip({ level: 9 }, take));
  else {
    const zip = new Zip((error, piece) => {
      if (error) throw error;
      take(piece);
    });
    const file = new ZipDeflate("report.xml", { level: 9 });
    zip.add(file);
    fill(file);
    zip.end();
  }
  return Buffer.concat(pieces);
}

describe("what grows", () => {
  it.each(["zip", "gzip"] as const)("a %s bomb ends after a bounded number of bytes", (kind) => {
    const packed = bomb(64, kind);
    expect(packed.length).toBeLessThan(128 * 1024);
    let seen = 0;
    let largest = 0;
    expect(() =>
      unpack(packed, () => ({
        push(piece) {
          seen += piece.length;
          largest = Math.max(largest, piece.length);
        },
        end() {},
      })),
    ).toThrow(/unpacks to more than/);
    expect(seen).toBeLessThanOrEqual(MAX_UNPACKED_BYTES);
    expect(largest).toBeLessThan(4 * 1024 * 1024);
    expect(refusal(packed)).toMatch(/unpacks to more than/);
  });

  it("a small file that grows to some MB is refused for its ratio", () => {
    expect(refusal(bomb(4, "gzip"))).toMatch(/times its size/);
  });

  it("a zip file's entries are counted together, and are few", () => {
    const entry = new Uint8Array(6 * 1024 * 1024).map((_, i) => (i % 64 < 8 ? (i * i * 7919) >> 9 : 0));
    const files = Object.fromEntries(
      Array.from({ length: 7 }, (_, i) => [`${i}.bin`, [entry, { level: 1 }] as const]),
    );
    expect(refusal(zipSync(files as never))).toMatch(/unpacks to more than/);
    const many = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`${i}.xml`, strToU8("<a/>")]));
    expect(refusal(zipSync(many))).toMatch(/more than 8 entries/);
  });

  it("an archive in an archive is not opened", () => {
    const inner = pack(corpus("google.xml"), "zip");
    expect(refusal(zipSync({ "report.zip": inner }))).toMatch(/neither XML nor JSON/);
    expect(refusal(gzipSync(gzipSync(corpus("google.xml"))))).toMatch(/neither XML nor JSON/);
  });

  it("more than 10 MB is not looked at", () => {
    expect(refusal(new Uint8Array(10 * 1024 * 1024 + 1))).toMatch(/more than 10485760 bytes/);
  });
});

describe("XML that is an attack", () => {
  it("entities are not expanded: a document type is refused", () => {
    const laughs = `<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><feedback>&b;</feedback>`;
    expect(refusal(strToU8(laughs))).toMatch(/document type/);
    const outside = `<!DOCTYPE feedback SYSTEM "file:///etc/passwd"><feedback/>`;
    expect(refusal(strToU8(outside))).toMatch(/document type/);
  });

  it("unknown entities stay as they are written", () => {
    const xml = reportOf(1).replace("<org_name>Many", "<org_name>&xxe;");
    expect(refusal(strToU8(xml))).toContain('"organization":"&xxe;"');
  });

  it("deep nesting, endless elements and endless text are bounded", () => {
    expect(refusal(strToU8("<a>".repeat(100_000)))).toMatch(/nested too deep/);
    expect(refusal(strToU8(`<feedback>${"<a/>".repeat(100_000)}</feedback>`))).toMatch(/too many elements/);
    const record = `<feedback><record>${"<row/>".repeat(100_000)}</record></feedback>`;
    expect(refusal(strToU8(record))).toMatch(/too many elements/);
    const long = reportOf(1).replace("<org_name>", `<org_name>${"x".repeat(3_000_000)}`);
    expect(refusal(strToU8(long)).length).toBeLessThan(5_000);
  });

  it("what is cut off is refused, wherever the cut is", () => {
    const xml = strFromU8(corpus("google.xml"));
    for (let end = 0; end < xml.trimEnd().length; end += 37)
      expect("refused" in readAttachment(strToU8(xml.slice(0, end)))).toBe(true);
    const zip = pack(corpus("google.xml"), "zip");
    for (let end = 1; end < zip.length / 2; end += 29)
      expect("refused" in readAttachment(zip.slice(0, end))).toBe(true);
    expect("refused" in readAttachment(pack(corpus("google.xml"), "gzip").slice(0, 300))).toBe(true);
  });

  it("what is no report says so", () => {
    expect(refusal(strToU8("<html><body>hello</body></html>"))).toMatch(/no report: <html>/);
    expect(refusal(strToU8('{"hello": 1}'))).toMatch(/no TLS report/);
    expect(refusal(strToU8(`{"a":${"[".repeat(200_000)}`))).toMatch(/cannot be parsed/);
    expect(refusal(strToU8("<feedback></feedback>"))).toMatch(/which domain/);
    expect(
      refusal(
        strToU8("<feedback><policy_published><domain>a.example</domain></policy_published></feedback>"),
      ),
    ).toMatch(/which time/);
  });
});

describe("encodings", () => {
  const xml = reportOf(2);
  it.each([
    ["UTF-8 with a mark", Buffer.from(`\ufeff${xml}`)],
    ["UTF-16LE with a mark", Buffer.from(`\ufeff${xml}`, "utf16le")],
    ["UTF-16LE without", Buffer.from(xml, "utf16le")],
    ["UTF-16BE", Buffer.from(`\ufeff${xml}`, "utf16le").swap16()],
    ["one that nobody knows", Buffer.from(xml.replace('"1.0"', '"1.0" encoding="x-klingon"'))],
    ["a lie", Buffer.from(xml.replace('"1.0"', '"1.0" encoding="UTF-16"'))],
    [
      "wrong bytes",
      Buffer.concat([
        Buffer.from(xml.slice(0, 60)),
        Buffer.from([0xff, 0xfe, 0x80]),
        Buffer.from(xml.slice(60)),
      ]),
    ],
  ])("%s", (_, bytes) => {
    const read = readAttachment(new Uint8Array(bytes));
    expect("ok" in read && read.ok.kind === "aggregate" && read.ok.records.length).toBe(2);
  });
});

describe("much of it", () => {
  it("10,000 records are read, each once; past 30,000 it is refused", async () => {
    const message = mailWith(pack(strToU8(reportOf(10_000)), "zip"));
    const read = await readMessage(message);
    if (!("ok" in read) || read.ok.report.kind !== "aggregate") throw new Error("not read");
    expect(read.ok.report.records.length).toBe(10_000);
    expect(new Set(read.ok.report.records.map((r) => r.sourceIp)).size).toBe(10_000);
    expect(read.ok.report.records.reduce((sum, r) => sum + r.count, 0)).toBe(50_005_000);
    expect(refusal(pack(strToU8(reportOf(30_001)), "gzip"))).toMatch(/more than 30000 records/);
  });

  it("a message with thousands of parts, or nested deep, ends", async () => {
    const parts = "--b\r\nContent-Type: application/gzip\r\n\r\nx\r\n".repeat(5_000);
    const many = `MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n${parts}--b--\r\n`;
    expect(await readMessage(strToU8(many))).toHaveProperty("refused");
    const deep = Array.from(
      { length: 200 },
      (_, i) => `Content-Type: multipart/mixed; boundary=b${i}\r\n\r\n--b${i}\r\n`,
    );
    expect(await readMessage(strToU8(`MIME-Version: 1.0\r\n${deep.join("")}`))).toHaveProperty("refused");
  });
});

describe("any bytes", () => {
  const whole = pack(corpus("google.xml"), "zip");
  const changed = (bytes: Uint8Array) =>
    fc
      .array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 20 })
      .map((changes) => {
        const copy = bytes.slice();
        for (const [at, byte] of changes) copy[at] = byte;
        return copy;
      });

  it("end in a report or a refusal, and never throw", async () => {
    const any = fc.oneof(
      fc.uint8Array({ maxLength: 400 }),
      changed(whole),
      changed(pack(corpus("outlook.xml"), "gzip")),
      changed(corpus("rfc9990.xml")),
      changed(corpus("rfc8460-tls.json")),
    );
    await fc.assert(
      fc.asyncProperty(any, async (bytes) => {
        const read = readAttachment(bytes);
        expect("ok" in read || read.refused.length > 0).toBe(true);
        expect(await readMessage(bytes)).toBeDefined();
      }),
      { numRuns: 200 },
    );
  });

  it("a report means the same however it is packed", () => {
    fc.assert(
      fc.property(fc.nat(30), fc.constantFrom("zip", "gzip", "plain" as const), (n, packing) => {
        const xml = strToU8(reportOf(n));
        expect(readAttachment(pack(xml, packing as "zip"))).toEqual(readAttachment(xml));
      }),
      { numRuns: 40 },
    );
  });
});
