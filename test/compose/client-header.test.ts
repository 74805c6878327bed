/** What is changed in the header of a message that its client made, and that nothing else is. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { editClientHeader } from "../../src/compose/client-header.ts";

const EDITS = { keepMessageId: false, messageId: "<id@ours.example>", id: "id", acceptedAt: 0 };
const ADDED = "Message-ID: <id@ours.example>\r\nX-PM-Message-Id: id\r\n";
const DATE = "Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n";

function edit(message: string, more: Partial<typeof EDITS> = {}): string {
  const edited = editClientHeader(Buffer.from(message, "latin1"), { ...EDITS, ...more });
  return Buffer.from(edited).toString("latin1");
}

describe("a client's header", () => {
  it("loses what was for us and what must not be shown, folded lines and all", () => {
    const message =
      "x-pm-tag: a\r\n b\r\nDate: d\r\nBCC: x@y\r\nX-PMX: stays\r\nReturn-Path: <a>\r\nSubject: s\r\n\r\nX-PM-Tag: body\r\n";
    expect(edit(message)).toBe(`Date: d\r\nX-PMX: stays\r\nSubject: s\r\n${ADDED}\r\nX-PM-Tag: body\r\n`);
  });

  it("gets our Message-ID in place of its own, unless it is to keep it", () => {
    const message = "Date: d\r\nMessage-Id: <a@b>\r\nMESSAGE-ID: <c@d>\r\n\r\n";
    expect(edit(message)).toBe(`Date: d\r\n${ADDED}\r\n`);
    expect(edit(message, { keepMessageId: true })).toBe(
      "Date: d\r\nMessage-Id: <a@b>\r\nX-PM-Message-Id: id\r\n\r\n",
    );
    expect(edit("Date: d\r\n\r\n", { keepMessageId: true })).toBe(`Date: d\r\n${ADDED}\r\n`);
  });

  it("gets a Date where it has none", () => {
    expect(edit("Subject: s\r\n\r\nb")).toBe(`Subject: s\r\n${DATE}${ADDED}\r\nb`);
  });

  it("ends where a line can be no field", () => {
    expect(edit("Date: d\r\nno field\r\nTo: x\r\n\r\nb\r\n")).toBe(
      `Date: d\r\n${ADDED}\r\nno field\r\nTo: x\r\n\r\nb\r\n`,
    );
    expect(edit("just text\r\n")).toBe(`${DATE}${ADDED}\r\njust text\r\n`);
    expect(edit("Date: d\r\n")).toBe(`Date: d\r\n${ADDED}\r\n`);
    expect(edit("")).toBe(`${DATE}${ADDED}\r\n`);
  });

  it("keeps every byte of the body, and of the fields that stay", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.stringMatching(/^[ -~]{0,80}$/), (bytes, text) => {
        const head = `Subject: ${text}\r\nDate: d\r\n`;
        const body = Buffer.from(bytes).toString("latin1");
        expect(edit(`${head}\r\n${body}`)).toBe(`${head}${ADDED}\r\n${body}`);
      }),
    );
  });
});
