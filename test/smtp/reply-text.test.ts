/** Replies out of what servers say, and transcripts out of replies. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cleanText, MAX_TEXT_CHARACTERS, noReply, parseReply, toReply } from "../../src/smtp/reply-text.ts";
import { exchange, MAX_EXCHANGES, transcriptFor } from "../../src/smtp/transcript.ts";

describe("parseReply", () => {
  it.each([
    ["250 ok", 250, "", "ok"],
    ["250", 250, "", ""],
    ["250 2.1.0 Sender ok", 250, "2.1.0", "Sender ok"],
    ["550 5.1.1", 550, "5.1.1", ""],
    ["550-5.1.1 no such\r\n550 5.1.1 user", 550, "5.1.1", "no such user"],
    ["550-first\r\n550-\r\n550 5.7.1 last", 550, "5.7.1", "first last"],
    ["550 5.7.606: Access denied", 550, "5.7.606", "Access denied"],
    [
      "550 Requested action not taken: mailbox unavailable (#5.1.1)",
      550,
      "5.1.1",
      "Requested action not taken: mailbox unavailable (#5.1.1)",
    ],
    ["550 [5.2.1] disabled", 550, "5.2.1", "[5.2.1] disabled"],
    // A number within is a status code only when its class fits.
    ["450 see RFC 5.1.1", 450, "", "see RFC 5.1.1"],
    ["250 version 4.1.1 ready", 250, "", "version 4.1.1 ready"],
    ["550 server 4.9.5 says no", 550, "", "server 4.9.5 says no"],
    ["hello", 0, "", "hello"],
    ["", 0, "", ""],
    ["600 no such class", 0, "", "600 no such class"],
    ["25 ok", 0, "", "25 ok"],
  ])("%j", (text, code, enhanced, words) => {
    expect(parseReply(text)).toEqual({ code, enhanced, text: words });
  });

  it("takes out what could do harm where it is shown", () => {
    expect(parseReply("550 5.1.1 a\0b\x1b[31mc\u202ed\u2028e\u0085f\tg").text).toBe("a b [31mc d e f g");
    expect(cleanText("  a  \r\n b ")).toBe("a b");
  });

  it("is bounded and clean whatever comes", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "binary" })), (lines) => {
        const { text, code, enhanced } = toReply(lines);
        expect(text.length).toBeLessThanOrEqual(MAX_TEXT_CHARACTERS);
        expect(text).not.toMatch(/[\p{Cc}\p{Cf}\u2028\u2029]/u);
        expect(text.isWellFormed()).toBe(true);
        expect(code === 0 || (code >= 200 && code <= 599)).toBe(true);
        expect(enhanced).toMatch(/^(?:[245]\.\d{1,3}\.\d{1,3})?$/);
      }),
    );
    expect(parseReply(`550 ${"x".repeat(1_000_000)}`).text.length).toBe(MAX_TEXT_CHARACTERS);
    expect(parseReply("550-a\r\n".repeat(100_000)).text.length).toBeLessThanOrEqual(MAX_TEXT_CHARACTERS);
  });
});

describe("transcripts", () => {
  it("keep commands and replies short", () => {
    const { command, reply } = exchange(
      1,
      `MAIL FROM:<${"x".repeat(1_000)}>\r\n`,
      noReply("", "y".repeat(900)),
    );
    expect(command.length).toBe(320);
    expect(reply.text.length).toBe(300);
  });

  it("show a recipient nobody else, and of a long session the start and the end", () => {
    const all = [
      exchange(0, "(connect)", noReply()),
      ...Array.from({ length: 100 }, (_, i) => exchange(i, `RCPT TO:<${i}@x.example>`, noReply())),
      exchange(101, "DATA", noReply()),
    ];
    expect(transcriptFor("7@x.example", all).map((e) => e.command)).toEqual([
      "(connect)",
      "RCPT TO:<7@x.example>",
      "DATA",
    ]);
    const long = Array.from({ length: 200 }, (_, i) => exchange(i, `STEP ${i}`, noReply()));
    const seen = transcriptFor("a@x.example", long);
    expect([seen.length, seen[0]?.at, seen.at(-1)?.at]).toEqual([MAX_EXCHANGES, 0, 199]);
  });
});
