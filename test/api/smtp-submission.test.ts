/** A message by SMTP is read whatever it is: what cannot be read is refused as a value, and nothing throws. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readSmtpSubmission } from "../../src/api/smtp-submission.ts";
import { editClientHeader } from "../../src/compose/client-header.ts";
import { POLICY } from "./sending.ts";

const envelope = { reversePath: "a@b.example", recipients: [{ address: "bob@far.org" }] };
const read = (raw: string) => readSmtpSubmission(Buffer.from(raw, "latin1"), { envelope }, POLICY);
const EDITS = { keepMessageId: false, messageId: "<a@b>", id: "a", acceptedAt: 0 };

describe("a message by SMTP", () => {
  it("is read from its headers, whatever their case, folding and encoding", async () => {
    const raw = [
      "FROM: =?utf-8?Q?J=C3=BCrgen?=\r\n <ann@example.com>",
      "x-pm-TAG: =?utf-8?B?w6Q=?=",
      "X-PM-Track-Opens: TRUE",
      "X-PM-TrackLinks: htmlandtext",
      "X-PM-Bounce-Type: SoftBounce",
      "X-PM-Message-Stream: broadcast",
      "",
      "",
    ].join("\r\n");
    expect(await read(raw)).toMatchObject({
      from: { email: "ann@example.com", name: "Jürgen" },
      tag: "ä",
      trackOpens: true,
      trackLinks: "HtmlAndText",
      bounceType: "SoftBounce",
      stream: "broadcast",
      bcc: [{ email: "bob@far.org" }],
    });
  });

  it.each([
    ["=?utf-8?Q?M=C3=BCller=2C_J=C3=B6rg?= <ann@example.com>", "Müller, Jörg"],
    ["=?utf-8?B?QW5uIEAgU2hvcCAoQmVybGluKTsgPGhpPg==?= <ann@example.com>", "Ann @ Shop (Berlin); <hi>"],
    // All of it encoded, as RFC 2047 §5 forbids and some programs do.
    ["=?utf-8?B?QW5uIDxhbm5AZXhhbXBsZS5jb20+?=", "Ann"],
  ])("may be from %s", async (from, name) => {
    const submission = await read(`From: ${from}\r\n\r\n`);
    expect(submission.refusal).toBeUndefined();
    expect(submission.from).toEqual({ email: "ann@example.com", name });
  });

  it("is refused when it is from two", async () => {
    for (const from of ["ann@example.com, kim@signed.org", "=?utf-8?Q?Ann?= <ann@example.com>, x@y.example"])
      expect((await read(`From: ${from}\r\n\r\n`)).refusal).toMatch(/^300 Invalid 'From'/);
  });

  it("never throws, and is edited to something that still ends its header", async () => {
    const piece = fc.constantFrom(
      "From: ann@example.com\r\n",
      "From: =?x?Q?=00?= <a@b\r\n",
      "Subject: =?utf-7?B?////?=\r\n",
      'To: a:b:c:;,<<>>,"\r\n',
      "Content-Type: multipart/mixed; boundary=b\r\n",
      "Content-Type: message/rfc822\r\n",
      "Content-Disposition: attachment; filename*=utf-8''%ff%zz\r\n",
      "X-PM-Metadata-__proto__: x\r\n",
      "X-PM-Metadata-: \r\n",
      " folded\r\n",
      "\r\n",
      "--b\r\n",
      "--b--\r\n",
    );
    const message = fc.array(fc.oneof(piece, fc.string({ unit: "binary", maxLength: 30 })), {
      maxLength: 25,
    });
    await fc.assert(
      fc.asyncProperty(message, async (pieces) => {
        const raw = pieces.join("");
        const submission = await read(raw);
        expect(submission.recipients).toEqual(["bob@far.org"]);
        const edited = editClientHeader(Buffer.from(raw, "latin1"), EDITS);
        expect(Buffer.from(edited).toString("latin1")).toContain("X-PM-Message-Id: a\r\n\r\n");
      }),
      { numRuns: 1_000 },
    );
  });
});
