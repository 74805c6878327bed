/** A client's texts are changed in their places: what they decode to is what was wanted, and no other byte is another. */
import PostalMime from "postal-mime";
import { describe, expect, it } from "vitest";
import { replaceFields } from "../../src/compose/client-header.ts";
import { fillBlanks } from "../../src/compose/fill.ts";
import { isInLeaves, rewriteLeaves } from "../../src/compose/rewrite-leaves.ts";

const crlf = (text: string) => Buffer.from(text.replace(/\r?\n/g, "\r\n"), "latin1");
const BLANK = "~~WHO~~~";
const LINK = `http://l.example/c/${"x".repeat(90)}/${BLANK}/${"y".repeat(40)}`;
/** Each link of the old kind becomes one of the new. */
const change = async ({ text }: { text: string }) => text.replaceAll("http://old.example/", LINK);
const rewrite = async (message: string | Buffer, whole = "") => {
  const bytes = typeof message === "string" ? crlf(message) : message;
  const { bytes: out, left } = await rewriteLeaves(bytes, change, whole);
  return { bytes: out, text: Buffer.from(out).toString("latin1"), left, before: bytes };
};

const part = (type: string, encoding: string, body: string) =>
  `Content-Type: ${type}\nContent-Transfer-Encoding: ${encoding}\n\n${body}`;
const mixed = (...parts: string[]) =>
  `From: a@b.c\nSubject: s\nMIME-Version: 1.0\nContent-Type: multipart/mixed;\n boundary="b;1"\n\npreamble http://old.example/\n${parts
    .map((p) => `--b;1\n${p}\n`)
    .join("")}--b;1--\nepilogue http://old.example/\n`;

describe("a client's texts", () => {
  it.each([
    ["7bit", "utf-8", "see http://old.example/ now"],
    ["8bit", "utf-8", Buffer.from("Grüße http://old.example/ ✓").toString("latin1")],
    ["8bit", "iso-8859-1", "Gr\u00fc\u00dfe http://old.example/ \u00df"],
    ["quoted-printable", "utf-8", "Gr=C3=BC=C3=9Fe http://old.exam=\nple/ end"],
    [
      "quoted-printable",
      "windows-1252",
      "=80 100 http://old.example/ \u00e4=E4=E4=E4=E4=E4=E4=E4=E4=E4=E4=E4=E4",
    ],
    ["base64", "utf-8", Buffer.from("Grüße http://old.example/ ✓ ende").toString("base64")],
    ["7BIT", "US-ASCII", "see http://old.example/"],
  ])(
    "in %s and %s decode to what was wanted, alone and as a part, for one and for several",
    async (encoding, charset, body) => {
      for (const whole of ["", BLANK]) {
        for (const message of [
          `From: a@b.c\n${part(`text/plain; charset="${charset}"`, encoding, `${body}\n`)}`,
          mixed(part(`text/plain; charset=${charset}`, encoding, body)),
        ]) {
          const { bytes, text, left, before } = await rewrite(message, whole);
          expect(left).toBeUndefined();
          const was = await PostalMime.parse(before);
          const is = await PostalMime.parse(bytes);
          expect(is.text?.trimEnd()).toBe(was.text?.trimEnd().replaceAll("http://old.example/", LINK));
          expect(text.endsWith("\r\n")).toBe(true);
          for (const line of text.split("\r\n")) expect(line.length).toBeLessThanOrEqual(998);
          if (whole === "") continue;
          const filled = await PostalMime.parse(fillBlanks(bytes, BLANK, "someone_"));
          expect(filled.text).toContain(LINK.replace(BLANK, "someone_"));
        }
      }
    },
  );

  it("leave every other byte as it came: attachments, quoted messages, preamble, epilogue, other charsets", async () => {
    const file = 'text/html; name="a.html"';
    const others = [
      part(file, "7bit", "<a href='http://old.example/'>file</a>"),
      `Content-Disposition: attachment\n${part("text/plain", "7bit", "http://old.example/")}`,
      part("message/rfc822", "7bit", "Subject: x\n\nhttp://old.example/"),
      part("text/calendar", "7bit", "http://old.example/"),
      part("text/plain; format=flowed; delsp=yes", "7bit", "http://old.example/ \nrest"),
      part("text/plain; charset=iso-2022-jp", "7bit", "http://old.example/"),
    ];
    const { text, before, left } = await rewrite(
      mixed(...others, part("text/html", "7bit", "<p>http://old.example/</p>")),
    );
    expect(left).toBe("charset");
    const expected = before.toString("latin1").replace("<p>http://old.example/</p>", `<p>${LINK}</p>`);
    expect(text).toBe(expected);
  });

  it.each([
    ["signed", `multipart/signed; protocol="x"; boundary="b;1"`],
    ["encrypted", `multipart/encrypted; boundary="b;1"`],
    ["encrypted", "application/pkcs7-mime; smime-type=signed-data"],
  ])("stay when the message is %s", async (why, type) => {
    const message = mixed(part("text/plain", "7bit", "http://old.example/")).replace(
      'multipart/mixed;\n boundary="b;1"',
      type,
    );
    const { bytes, before, left } = await rewrite(message);
    expect(left).toBe(why);
    expect(bytes).toBe(before);
  });

  it("stay when they are signed within themselves", async () => {
    const { bytes, before, left } = await rewrite(
      `From: a@b.c\n\n-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nhttp://old.example/\n`,
    );
    expect([left, bytes]).toEqual(["signed", before]);
  });

  it("change beside a part that is signed", async () => {
    const signed = `Content-Type: multipart/signed; boundary=in\n\n--in\n\nhttp://old.example/\n--in--`;
    const { text, before } = await rewrite(
      mixed(signed, part("text/plain", "7bit", "foot http://old.example/")),
    );
    expect(text).toBe(before.toString("latin1").replace("foot http://old.example/", `foot ${LINK}`));
  });

  it.each([
    [
      "nested 100 deep",
      Array.from(
        { length: 100 },
        (_, i) => `Content-Type: multipart/mixed; boundary=b${i}\n\n--b${i}\n`,
      ).join(""),
    ],
    ["of 10,000 parts", mixed(...Array.from({ length: 10_000 }, () => "\nhttp://old.example/"))],
    ["with a header without end", `From: a@b.c\nX-A: ${"a\n ".repeat(100_000)}\n\nhttp://old.example/\n`],
    ["of delimiters alone", `Content-Type: multipart/mixed; boundary=b\n\n${"--b\n".repeat(200_000)}`],
  ])("stay in a message %s", async (_, message) => {
    const { bytes, before, left } = await rewrite(message);
    expect([left, bytes === before]).toEqual(["too complex", true]);
  });

  it("go into quoted-printable when a line grows too long, and the field says so", async () => {
    const body = Array.from({ length: 20 }, () => "http://old.example/").join(" ");
    const { bytes, text } = await rewrite(`From: a@b.c\nX-Last: x\n\n${body}\n`);
    expect(text).toContain("\r\nX-Last: x\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n");
    expect((await PostalMime.parse(bytes)).text).toContain(`${LINK} ${LINK}`);
  });

  it("are asked for HTML first, in whose text it is said what is to stay in others", async () => {
    const asked: string[] = [];
    const message = mixed(
      part("text/plain", "7bit", "one"),
      part("text/html", "7bit", "two"),
      part("text/plain", "7bit", "three"),
    );
    const { bytes } = await rewriteLeaves(crlf(message), async ({ type, text, isFirst }) => {
      asked.push(`${type} ${text} ${isFirst}`);
      return text.toUpperCase();
    });
    expect(asked).toEqual(["text/html two true", "text/plain one true", "text/plain three false"]);
    expect(Buffer.from(bytes).toString()).toBe(
      crlf(message).toString().replace("one", "ONE").replace("two", "TWO").replace("three", "THREE"),
    );
  });

  it("are looked into for a placeholder, however they are encoded", () => {
    const has = (message: string) => isInLeaves(crlf(message), "pm:unsubscribe");
    expect(has(mixed(part("text/plain", "base64", btoa("{{{ pm:unsubscribe }}}"))))).toBe(true);
    expect(has(mixed(part("text/plain", "quoted-printable", "{{{ pm:unsub=\nscribe }}}")))).toBe(true);
    expect(has(mixed(part("application/pdf", "base64", btoa("{{{ pm:unsubscribe }}}"))))).toBe(false);
  });
});

describe("fields of ours", () => {
  it("take the place of the client's", () => {
    const message = crlf("From: a@b.c\nlist-unsubscribe: <mailto:x@y.z>,\n <http://x>\nTo: d@e.f\n\nbody\n");
    const text = Buffer.from(replaceFields(message, [["List-Unsubscribe", "<https://u>"]])).toString();
    expect(text).toBe("From: a@b.c\r\nTo: d@e.f\r\nList-Unsubscribe: <https://u>\r\n\r\nbody\r\n");
  });
});
