/** Address lists as clients write them, and what is refused rather than guessed at. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseAddressList } from "../../src/mail/address.ts";

const box = (email: string, name = "") => ({ email, name });

describe("an address list is read", () => {
  it.each<[string, ReturnType<typeof box>[]]>([
    ["", []],
    [" , ,", []],
    ["a@b.com", [box("a@b.com")]],
    ["  a@b.com  ", [box("a@b.com")]],
    ["a@b.com,", [box("a@b.com")]],
    [",a@b.com,,c@d.com", [box("a@b.com"), box("c@d.com")]],
    ["<a@b.com>", [box("a@b.com")]],
    ["Ann <a@b.com>", [box("a@b.com", "Ann")]],
    ["Ann<a@b.com>", [box("a@b.com", "Ann")]],
    ['"Ann"<a@b.com>', [box("a@b.com", "Ann")]],
    ['"Last, First" <a@b.com>, c@d.com', [box("a@b.com", "Last, First"), box("c@d.com")]],
    ['"a@x.com","b@x.com"', [box("a@x.com"), box("b@x.com")]],
    ['"She said \\"hi, you\\"" <a@b.com>', [box("a@b.com", 'She said "hi, you"')]],
    ["a@b.com <c@d.com>", [box("c@d.com", "a@b.com")]],
    ["O'Neil & Söhne <a@b.com>", [box("a@b.com", "O'Neil & Söhne")]],
    ["Zoë 日本 <a@b.com>", [box("a@b.com", "Zoë 日本")]],
    ["=?utf-8?q?Zo=C3=AB?= <a@b.com>", [box("a@b.com", "Zoë")]],
    ["O'Neil (Boss) <a@b.com>", [box("a@b.com", "O'Neil")]],
    ["a@b.com,\tc@d.com", [box("a@b.com"), box("c@d.com")]],
    ["a!#$%&'*+/=?^_`{|}~-z@b.com", [box("a!#$%&'*+/=?^_`{|}~-z@b.com")]],
    ["A.B@Example.COM", [box("A.B@Example.COM")]],
    ["a@münchen.de", [box("a@xn--mnchen-3ya.de")]],
    ["Ann <a@MÜNCHEN.de>", [box("a@xn--mnchen-3ya.de", "Ann")]],
    ["a@例え。テスト", [box("a@xn--r8jz45g.xn--zckzah")]],
    // A look-alike of example.com is another domain, and is seen to be.
    ["a@еxample.com", [box("a@xn--xample-2of.com")]],
  ])("%j", (text, expected) => {
    expect(parseAddressList(text)).toEqual({ ok: expected });
  });
});

describe("an address list is refused", () => {
  it.each<[string, RegExp | string]>([
    ["x", "Illegal email address 'x'. It must contain the '@' symbol."],
    ["a@b.com, x", "Illegal email address 'x'. It must contain the '@' symbol."],
    ["Last, First <a@b.com>", "Illegal email address 'Last'. It must contain the '@' symbol."],
    ["user@+", "Illegal email domain '+' in address 'user@+'."],
    ["a@localhost", "Illegal email domain 'localhost' in address 'a@localhost'."],
    ["a@b", /Illegal email domain 'b'/],
    ["a@b.com.", /Illegal email domain/],
    ["a@.b.com", /Illegal email domain/],
    ["a@b..com", /Illegal email domain/],
    ["a@-b.com", /Illegal email domain/],
    ["a@b-.com", /Illegal email domain/],
    ["a@b_c.com", /Illegal email domain/],
    ["a@127.0.0.1", /Illegal email domain/],
    ["a@[127.0.0.1]", /Illegal email/],
    ["a@0x7f.1", /Illegal email domain/],
    ["a@ä/b.com", /Illegal email/],
    ["a@ä:80.com", /Illegal email/],
    ["a@ä%2e.com", /Illegal email/],
    [`a@${"b".repeat(64)}.com`, /Illegal email domain/],
    [`${"a".repeat(65)}@b.com`, /Illegal email address/],
    [`a@${"b.".repeat(130)}com`, /Illegal email domain/],
    ["@b.com", /Illegal email address/],
    ["a@", /Illegal email/],
    [".a@b.com", /Illegal email address/],
    ["a.@b.com", /Illegal email address/],
    ["a..b@c.com", /Illegal email address/],
    ["jürgen@b.com", /Illegal email address/],
    ["a@b@c.com", /Illegal email address/],
    ['"a@x"@y.com', /Illegal email address/],
    ['"a b"@y.com', /Illegal email address/],
    // Two addresses where one should be: taking either would lose the other.
    ["a@b.com c@d.com", /Illegal email address/],
    ["a@b.com;c@d.com", /Illegal email address/],
    ["x <a@b.com> <c@d.com>", /Illegal email address/],
    ["x <a@b.com> c@d.com", /Illegal email address/],
    ['"a@x.com" "b@x.com"', /Illegal email address/],
    ['"a@x.com", b@x.com c@x.com', /Illegal email address/],
    // Groups (RFC 5322 §3.4) hide addresses from whoever checks the first.
    ["Friends: a@b.com, c@d.com;", /Illegal email address/],
    ["Friends: a@b.com;", /Illegal email address/],
    ["undisclosed-recipients:;", /must contain the '@' symbol/],
    ['"a@b.com', /Illegal email address/],
    ['a@b.com, "x, c@d.com', /Illegal email/],
    ["=?utf-8?q?a=40evil.com?=", /must contain the '@' symbol/],
    ["=?utf-8?q?x=0d=0aBcc:_e?= <a@b.com>", /Illegal email address/],
    ["a@b.com\r\nBcc: e@evil.com", /Illegal character/],
    ["a\0@b.com", /Illegal character/],
    ["Ann\u0085 <a@b.com>", /Illegal character/],
    ["Ann\u2028 <a@b.com>", /Illegal character/],
    [`${"x".repeat(3000)}@b.com`, /too long/],
    ["a@b.com,".repeat(1001), "More than 1000 addresses."],
  ])("%j", (text, expected) => {
    const read = parseAddressList(text);
    expect(read).toHaveProperty("error");
    const { error } = read as { error: string };
    if (typeof expected === "string") expect(error).toBe(expected);
    else expect(error).toMatch(expected);
  });
});

describe("whatever is given", () => {
  const pieces = fc.constantFrom(
    ..."a|b@|@|.com|b.com|<|>|\"|\\|,|;|:|(|)| |=?utf-8?q?|?=|\r\n|ü|\0|Name|'".split("|"),
  );
  const texts = fc.oneof(
    fc.string(),
    fc.array(pieces, { maxLength: 30 }).map((parts) => parts.join("")),
  );

  it("reads only what can stand in an envelope, and a name that cannot break a line", () => {
    fc.assert(
      fc.property(texts, (text) => {
        const read = parseAddressList(text);
        if ("error" in read) {
          // biome-ignore lint/suspicious/noControlCharactersInRegex: their absence is what is tested.
          expect(read.error).not.toMatch(/[\u0000-\u001f\u007f]/);
          return;
        }
        for (const { email, name } of read.ok) {
          expect(email).toMatch(/^[!-~]+@[A-Za-z0-9.-]+\.[A-Za-z0-9-]+$/);
          expect(email.split("@").length).toBe(2);
          expect(email).not.toMatch(/[<>()[\],;:\\"\s]/);
          expect(name).not.toMatch(/[\r\n\0]/);
        }
        // Never fewer addresses than there are "@" outside of names that the caller quoted or put before a "<".
        const bare = /^[^"<>()\\:;=]*$/.test(text);
        if (bare) expect(read.ok.length).toBe(text.split("@").length - 1);
      }),
      { numRuns: 3000 },
    );
  });

  it("gives back the addresses of a list that was put together with plain names", () => {
    const mailbox = fc.record({
      email: fc.emailAddress({ size: "small" }).filter((e) => "ok" in parseAddressList(e) && e.length < 250),
      name: fc.string({ unit: "grapheme", maxLength: 20 }).map((n) => n.replace(/[\p{C}\p{Z}=\\"]/gu, "x")),
    });
    fc.assert(
      fc.property(fc.array(mailbox, { maxLength: 8 }), (boxes) => {
        const text = boxes.map(({ name, email }) => `"${name}" <${email}>`).join(", ");
        expect(parseAddressList(text)).toEqual({ ok: boxes });
      }),
    );
  });
});
