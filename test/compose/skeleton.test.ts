/** A message's bones: what a parser is given before a message is accepted. */
import fc from "fast-check";
import PostalMime from "postal-mime";
import { describe, expect, it } from "vitest";
import { skeleton } from "../../src/compose/skeleton.ts";

const lines = (...all: string[]) => Buffer.from(all.join("\r\n"), "latin1");
const bones = (message: Uint8Array) => {
  const made = skeleton(message);
  return "bytes" in made ? Buffer.from(made.bytes).toString("latin1") : made.error;
};

const NESTED = lines(
  "From: a@b.example",
  'Content-Type: multipart/mixed; boundary="o u t"',
  "",
  "preamble",
  "--o u t",
  "Content-Type: multipart/alternative;",
  "\tboundary=inner",
  "",
  "--inner",
  "",
  "text",
  "-- signature",
  "--inner  ",
  "Content-Type: text/html",
  "",
  "<p>",
  "--inner--",
  "--o u t",
  "Content-Disposition: attachment; filename=a.pdf",
  "",
  "AAAA",
  "--innerX",
  "--o u t--",
  "epilogue",
  "",
);

describe("a message's bones", () => {
  it("are its headers and delimiters, without what the parts contain", () => {
    const text = bones(NESTED);
    for (const gone of ["preamble", "text\r\n", "<p>", "AAAA", "epilogue", "-- signature", "--innerX"])
      expect(text).not.toContain(gone);
    for (const kept of ["From: a@b.example", "--inner  ", "filename=a.pdf", "--o u t--"])
      expect(text).toContain(kept);
  });

  it("name the same attachments as the whole", async () => {
    const names = async (bytes: Uint8Array) =>
      (await PostalMime.parse(bytes)).attachments.map((a) => [a.filename, a.mimeType]);
    expect(await names(Buffer.from(bones(NESTED), "latin1"))).toEqual(await names(NESTED));
  });

  it("are the header alone where there are no parts", () => {
    const message = lines("Subject: s", "", "--no delimiter", "text", "");
    expect(bones(message)).toBe("Subject: s\r\n\r\n");
    expect(bones(lines("Subject: no body", ""))).toBe("Subject: no body\r\n");
    expect(bones(Buffer.from(""))).toBe("");
  });

  it("do not look into a message that is attached", () => {
    const text = bones(
      lines(
        "Content-Type: multipart/mixed; boundary=b",
        "",
        "--b",
        "Content-Type: message/rfc822",
        "",
        "Content-Type: multipart/mixed; boundary=c",
        "",
        "--c",
        "Content-Disposition: attachment; filename=inner.exe",
        "",
        "--c--",
        "--b--",
        "",
      ),
    );
    expect(text).not.toContain("inner.exe");
  });

  it("end with an error where there are more parts than mail has", () => {
    const many = (n: number) =>
      lines("Content-Type: multipart/mixed; boundary=b", "", ...Array(n).fill("--b\r\n"), "--b--", "");
    expect(bones(many(999))).toContain("--b--");
    expect(bones(many(1_001))).toBe("too many parts");
  });

  it("take any bytes, and are never longer than the message", () => {
    const piece = fc.constantFrom(
      "Content-Type: multipart/mixed; boundary=b\r\n",
      'content-type: multipart/x; boundary="q\\"x"\r\n',
      "\r\n",
      "--b\r\n",
      "--b--\r\n",
      '--q"x\r\n',
      "\n--b\n",
      "\r",
      "x: y\r\n",
      "text",
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(piece, fc.string({ unit: "binary" })), { maxLength: 40 }), (pieces) => {
        const message = Buffer.from(pieces.join(""), "latin1");
        expect(bones(message).length).toBeLessThanOrEqual(Math.max(message.length, 20));
      }),
      { numRuns: 500 },
    );
  });
});
