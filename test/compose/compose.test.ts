/** What every message must be whatever was submitted: safe lines, the fields that were meant, the same bytes each time. */
import fc from "fast-check";
import PostalMime from "postal-mime";
import { describe, expect, it } from "vitest";
import { compose } from "../../src/compose/compose.ts";
import type { Submission } from "../../src/mail/message.ts";
import { BASE, IDS, SAMPLES, sample } from "./samples.ts";

// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what headers may not have.
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g;

const text = (submission: Partial<Submission>) =>
  Buffer.from(compose({ ...BASE, ...submission }, IDS)).toString("latin1");
const parse = (submission: Partial<Submission>) => PostalMime.parse(compose({ ...BASE, ...submission }, IDS));

/** Fields of the top header, names as written. */
function fieldNames(message: string): string[] {
  const header = message.slice(0, message.indexOf("\r\n\r\n"));
  return header.split(/\r\n(?![ \t])/).map((line) => line.slice(0, line.indexOf(":")));
}

/** "multipart/mixed(multipart/alternative(text/plain,text/html),application/pdf)". */
function structure(message: string): string {
  const end = message.indexOf("\r\n\r\n");
  const header = message.slice(0, end).replace(/\r\n[ \t]+/g, " ");
  const type = /^content-type: ([^;\r]+)/im.exec(header)?.[1] ?? "";
  const boundary = /^content-type: multipart.*boundary="([^"]+)"/im.exec(header)?.[1];
  if (!boundary) return type;
  const parts = message.slice(end).split(`\r\n--${boundary}`).slice(1, -1);
  return `${type}(${parts.map((part) => structure(part.slice(2))).join(",")})`;
}

describe("every sample", () => {
  it.each(Object.keys(SAMPLES))("%s: lines that any server takes, in 7 bits", (name) => {
    const message = Buffer.from(compose(sample(name), IDS));
    const lines = message.toString("latin1").split("\r\n");
    const header = lines.slice(0, lines.indexOf(""));
    expect(lines.filter((line) => /[^\t\x20-\x7e]/.test(line))).toEqual([]);
    expect(lines.filter((line) => line.length > 998)).toEqual([]);
    expect(lines.filter((line) => /^(\.$|From )/.test(line))).toEqual([]);
    expect(
      header.filter((line) => line.length > 78 && line.includes(" ", 1) && !/https:/.test(line)),
    ).toEqual([]);
    expect(header.filter((line) => /^\s*$/.test(line))).toEqual([]);
    expect(lines.at(-1)).toBe("");
    for (const word of message.toString("latin1").match(/=\?utf-8\?[BQ]\?[^?\s]*\?=/g) ?? [])
      expect(word.length).toBeLessThanOrEqual(75);
  });

  it.each(Object.keys(SAMPLES))("%s: the same bytes each time", (name) => {
    expect(Buffer.compare(compose(sample(name), IDS), compose(sample(name), IDS))).toBe(0);
  });

  it.each(Object.keys(SAMPLES))("%s: reads back in postal-mime", async (name) => {
    const submission = sample(name);
    const read = await PostalMime.parse(compose(submission, IDS));
    expect(read.subject ?? "").toBe(submission.subject.toWellFormed().trim());
    expect(read.from).toEqual({ address: submission.from.email, name: submission.from.name });
    const shown = read.to?.map((m) => m.name).filter((n) => n !== "undisclosed-recipients") ?? [];
    expect(shown).toEqual(submission.to.map((m) => m.name));
    expect(read.cc?.map((m) => m.name) ?? []).toEqual(submission.cc.map((m) => m.name));
    const lines = (value: string) =>
      value.replaceAll("\0", "").replace(/\r\n?/g, "\n").toWellFormed().trimEnd();
    expect(lines(read.text ?? "") === lines(submission.textBody)).toBe(true);
    expect(lines(read.html ?? "") === lines(submission.htmlBody)).toBe(true);
    expect(read.attachments.map((a) => a.filename ?? "").toSorted()).toEqual(
      submission.attachments.map((a) => a.name || "attachment").toSorted(),
    );
  });
});

describe("structure", () => {
  const shape = (name: string) => structure(Buffer.from(compose(sample(name), IDS)).toString("latin1"));

  it("has only the levels that are needed", () => {
    expect(shape("plain text")).toBe("text/plain");
    expect(shape("HTML only")).toBe("text/html");
    expect(shape("text and HTML")).toBe("multipart/alternative(text/plain,text/html)");
    expect(shape("an attachment")).toBe("multipart/mixed(text/plain,application/pdf)");
    expect(shape("inline images and no text")).toBe("multipart/related(text/html,image/png)");
    expect(shape("inline images without HTML")).toBe("multipart/mixed(text/plain,image/png)");
  });

  it("puts related into alternative into mixed", () => {
    expect(shape("inline images and attachments")).toBe(
      "multipart/mixed(multipart/alternative(text/plain,multipart/related(text/html,image/png)),application/pdf)",
    );
  });

  it("keeps messages readable as messages, and what only claims to have parts as bytes", () => {
    expect(shape("forwarded messages")).toBe(
      "multipart/mixed(text/plain,message/rfc822,application/octet-stream,application/octet-stream)",
    );
  });

  it("says no charset of bytes, and keeps what a calendar needs", () => {
    const message = text(sample("attachments of kinds"));
    expect(message).toMatch(/application\/octet-stream;\r\n name="a.bin"/);
    expect(message).toMatch(/text\/calendar;\r\n method=REQUEST;\r\n charset=utf-8;\r\n name="invite.ics"/);
    expect(message).toMatch(/text\/csv;\r\n charset=iso-8859-1;\r\n header=present/);
  });

  it("names files as RFC 2231 has it, and as older readers know it", () => {
    const message = text(sample("attachment names in scripts"));
    expect(message).toContain("filename*=utf-8''%E8%AB%8B%E6%B1%82%E6%9B%B8.pdf");
    expect(message).toContain('name="=?utf-8?B?6KuL5rGC5pu4LnBkZg==?="');
    expect(message).toContain("filename*0*=utf-8''");
  });
});

describe("header", () => {
  it("has what the contract says, in one order", () => {
    expect(fieldNames(text({ tag: "t", cc: BASE.to, replyTo: BASE.to, htmlBody: "<p>" }))).toEqual(
      "Date From Reply-To To Cc Message-ID Subject MIME-Version X-PM-Message-Id X-PM-Tag Content-Type".split(
        " ",
      ),
    );
    expect(text({})).toContain("\r\nFrom: Shop <shop@example.com>\r\n");
    expect(text({})).toMatch(/^Date: Tue, 17 Feb 2026 12:25:01 \+0000\r\n/);
    expect(text({})).toContain(`\r\nMessage-ID: <${IDS.messageId}@mail.example.org>\r\n`);
  });

  it("never shows Bcc or metadata, and says that there are recipients when all are hidden", () => {
    expect(text(sample("only Bcc"))).toContain("\r\nTo: undisclosed-recipients:;\r\n");
    expect(text(sample("only Bcc"))).not.toMatch(/hidden|a0@example/i);
    expect(fieldNames(text(sample("only Cc")))).not.toContain("To");
    expect(text(sample("custom headers"))).not.toMatch(/unseen|secret/);
  });

  it("gives domains as A-labels and leaves local parts in their script", () => {
    expect(text(sample("domain in another script"))).toContain("<info@xn--bcher-kva.example>");
    const other = compose({ ...BASE, to: [{ email: "жанна@пример.example", name: "" }] }, IDS);
    expect(Buffer.from(other).toString()).toContain("\r\nTo: жанна@xn--e1afmkfd.example\r\n");
  });

  it("takes the caller's Message-ID when it is one", () => {
    const id = (value: string) =>
      /Message-ID: (.*)\r\n/.exec(text({ headers: [{ name: "Message-Id", value }] }))?.[1];
    expect(id("<mine.1@example.com>")).toBe("<mine.1@example.com>");
    expect(id("mine.1@example.com")).toBe("<mine.1@example.com>");
    for (const bad of ["", "x", "<a@b>\r\nX: y", "<é@b.example>", "<a@b> <c@d>"])
      expect(id(bad)).toBe(`<${IDS.messageId}@mail.example.org>`);
  });

  it("drops reserved names in any case, and the second of what may occur once", () => {
    const reserved =
      "Return-Path From TO cc Bcc Reply-To Sender Received Date Subject MIME-Version Content-Type " +
      "Content-Transfer-Encoding X-PM-RCPT X-PM-Tag X-PM-Message-Id X-PM-Bounce-Type DKIM-Signature";
    const headers = reserved.split(" ").map((name) => ({ name, value: "evil" }));
    expect(text({ headers })).toBe(text({}));
    const twice = ["a", "b"].map((value) => ({ name: "References", value: `<${value}@example.com>` }));
    expect(fieldNames(text({ headers: twice })).filter((n) => n === "References")).toHaveLength(1);
    expect(
      text({
        headers: [
          { name: "X-A", value: "1" },
          { name: "X-A", value: "2" },
        ],
      }),
    ).toContain("X-A: 2");
  });

  it("leaves a long URL whole, since it can't be folded", () => {
    expect(text(sample("custom headers"))).toContain(`<https://example.com/u/${"a".repeat(300)}>`);
  });
});

describe("whatever is submitted", () => {
  const nasty = fc.oneof(
    fc.string({ unit: "binary" }),
    fc
      .array(
        fc.constantFrom(
          "\r",
          "\n",
          "\r\n",
          "\0",
          "\u0085",
          "\u2028",
          " ",
          "\t",
          ":",
          "Bcc: x@y.example",
          "=?",
          "?=",
          "=?utf-8?Q?=0D=0ABcc:_x?=",
          "é",
          "🎉",
          '"',
          "\\",
          "<",
          ">",
          ",",
          ";",
          "(",
          "a",
          "--=_mixed-",
          ".",
          "=",
        ),
      )
      .map((parts) => parts.join("")),
  );
  const mailbox = fc.record({ email: nasty.map((local) => `${local}@example.com`), name: nasty });
  const submissions: fc.Arbitrary<Submission> = fc.record({
    from: mailbox,
    to: fc.array(mailbox, { maxLength: 3 }),
    cc: fc.array(mailbox, { maxLength: 3 }),
    bcc: fc.array(mailbox, { maxLength: 3 }),
    replyTo: fc.array(mailbox, { maxLength: 3 }),
    subject: nasty,
    htmlBody: nasty,
    textBody: nasty,
    tag: nasty,
    headers: fc.array(
      fc.record({ name: fc.oneof(nasty, fc.constantFrom("X-A", "Message-ID", "X-Long-Name")), value: nasty }),
      { maxLength: 4 },
    ),
    metadata: fc.dictionary(nasty, nasty),
    attachments: fc.array(
      fc.record({
        name: nasty,
        contentType: fc.oneof(
          nasty,
          nasty.map((s) => `text/plain; ${s}`),
          nasty.map((s) => `image/png; x=${s}`),
        ),
        content: fc.oneof(fc.base64String(), nasty),
        contentId: nasty,
      }),
      { maxLength: 3 },
    ),
    trackOpens: fc.boolean(),
    trackLinks: fc.constant("None" as const),
    stream: nasty,
  });

  it("has exactly the fields that were meant, and no line that ends early", () => {
    fc.assert(
      fc.property(submissions, (submission) => {
        const message = Buffer.from(compose(submission, IDS)).toString("latin1");
        const custom = submission.headers
          .map((h) => h.name)
          .filter((n) => /^[!-9;-~]{1,76}$/.test(n) && !/^(x-pm-|content-|bcc$|message-id$)/i.test(n));
        const single = structure(message).startsWith("text/");
        const expected = [
          "Date",
          "From",
          ...(submission.replyTo.length > 0 ? ["Reply-To"] : []),
          ...(submission.to.length > 0 || submission.cc.length === 0 ? ["To"] : []),
          ...(submission.cc.length > 0 ? ["Cc"] : []),
          "Message-ID",
          "Subject",
          "MIME-Version",
          "X-PM-Message-Id",
          ...(submission.tag === "" ? [] : ["X-PM-Tag"]),
          ...custom,
          "Content-Type",
          ...(single ? ["Content-Transfer-Encoding"] : []),
        ];
        expect(fieldNames(message)).toEqual(expected);
        expect([...message.replaceAll("\r\n", "")].filter((c) => "\r\n\0".includes(c))).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  it("reads back the parts that went in, and no others", async () => {
    await fc.assert(
      fc.asyncProperty(submissions, async (submission) => {
        const read = await PostalMime.parse(compose(submission, IDS), { forceRfc822Attachments: true });
        expect(read.attachments).toHaveLength(submission.attachments.length);
        expect(read.bcc).toBeUndefined();
      }),
      { numRuns: 300 },
    );
  });

  it("reads back any subject, without control characters", async () => {
    await fc.assert(
      fc.asyncProperty(nasty, async (subject) => {
        const read = await parse({ subject });
        const expected = subject.replace(CONTROLS, " ").toWellFormed().trim();
        expect(read.subject ?? "").toBe(expected);
      }),
      { numRuns: 500 },
    );
  });

  it("reads back any text, with its line ends made one kind", async () => {
    await fc.assert(
      fc.asyncProperty(nasty, fc.integer({ min: 1, max: 80 }), async (piece, times) => {
        const body = `>${piece.repeat(times)}.`;
        const read = (await parse({ textBody: body })).text?.replaceAll("\r\n", "\n") ?? "";
        const expected = body.replaceAll("\0", "").replace(/\r\n?/g, "\n").toWellFormed();
        expect(read.replace(/\n$/, "")).toBe(expected);
      }),
      { numRuns: 300 },
    );
  });
});
