/** What reports say in detail, what they can't claim, and that nothing in them is slow or thrown. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { mayAnswer } from "../../src/receive/may-answer.ts";
import { openMessage } from "../../src/receive/open-message.ts";
import * as phrases from "../../src/receive/phrases.ts";
import { type Arrived, readReport } from "../../src/receive/read-report.ts";
import type { Report } from "../../src/receive/report.ts";
import { CORPUS, MESSAGE_ID, REPORTS } from "./corpus.ts";

const NULL: Arrived = { reversePath: "<>", messageId: "" };
const KINDS = [
  "dsn",
  "delay",
  "complaint",
  "auto-reply",
  "challenge",
  "unsubscribe",
  "subscribe",
  "address-change",
  "other",
  "unreadable",
];
const RETURN_PATH = `b-${MESSAGE_ID.replaceAll("-", "")}-0f1e2d3c4b5a6978@bounces.mail.example`;

const bytes = (text: string) => new TextEncoder().encode(text.replace(/\r?\n/g, "\r\n"));
const corpus = (path: string) => readFileSync(join(CORPUS, path));
const read = (text: string, arrived = NULL) => readReport(bytes(text), arrived);

function dsnOf(report: Report) {
  if (report.kind !== "dsn") throw new Error(`a ${report.kind}`);
  return report;
}

function dsn(fields: string, returned = ""): string {
  return `From: MAILER-DAEMON@far.example
Subject: Undelivered
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.far.example

${fields}
${returned && `--b\nContent-Type: message/rfc822\n\n${returned}\n`}--b--
`;
}

describe("readReport", () => {
  it("takes a folded reply of many lines apart, and keeps what people see of it", async () => {
    const report = dsnOf(await readReport(corpus("dsn/postfix-gmail-no-such-user.eml"), NULL));
    expect(report.reportingMta).toBe("mx.far.example");
    const [recipient] = report.recipients;
    expect(recipient).toMatchObject({
      original: "ann@gmail.example",
      status: "5.1.1",
      remoteMta: "mx.far.example",
    });
    expect(recipient?.reply).toMatchObject({ code: 550, enhanced: "5.1.1" });
    expect(recipient?.reply.text).not.toContain("550");
    expect(recipient?.details).toMatch(/^smtp; 550-5\.1\.1 The email account that you tried to reach/);
  });

  it("says why where a server only says it in words", async () => {
    const report = dsnOf(await readReport(corpus("dsn/domino-5.eml"), NULL));
    expect(report.recipients[0]?.details).toContain("not listed in public Name & Address Book");
    const qmail = dsnOf(await readReport(corpus("dsn/qmail-remote-550.eml"), NULL));
    expect(qmail.recipients[0]?.reply).toMatchObject({ code: 550, enhanced: "5.1.1" });
  });

  it("gives each of several recipients its own reason", async () => {
    const report = dsnOf(await readReport(corpus("dsn/qmail-two-recipients.eml"), NULL));
    expect(report.recipients.map((r) => r.status)).toEqual(["5.1.1", "5.2.2"]);
    expect(report.recipients[0]?.details).not.toContain("quota");
  });

  it("finds the original by the signed address, our header, the thread, and last by any text", async () => {
    const named = "019360aa-1c00-8123-8410-000000000001";
    const raw = corpus("dsn/postfix-user-unknown.eml");
    expect(dsnOf(await readReport(raw, { ...NULL, messageId: named })).original).toMatchObject({
      messageId: named,
      by: "address",
      returnPath: RETURN_PATH,
    });
    expect(dsnOf(await readReport(raw, NULL)).original).toMatchObject({
      messageId: MESSAGE_ID,
      by: "header",
    });
    const reply = await readReport(corpus("auto-replies/exchange-english.eml"), NULL);
    expect(reply).toMatchObject({ original: { messageId: MESSAGE_ID, by: "thread" } });
    const inText = dsn(
      `Final-Recipient: rfc822; a@x.example\nAction: failed\nStatus: 5.1.1\nX-Queue: ${MESSAGE_ID}\n`,
    );
    expect(await read(inText)).toMatchObject({ original: { messageId: MESSAGE_ID, by: "text" } });
  });

  it("takes no UUID that is not one of ours for a message, and gives a kept Message-ID as it stands", async () => {
    const returned =
      "From: a@x.example\nMessage-ID: <7a1f0d8e-1111-4abc-8def-001122334455@client.example>\nSubject: s\n\nb";
    const report = await read(
      dsn("Final-Recipient: rfc822; a@x.example\nAction: failed\nStatus: 5.1.1\n", returned),
    );
    expect(report).toMatchObject({
      original: {
        messageId: "",
        by: "",
        messageIdField: "<7a1f0d8e-1111-4abc-8def-001122334455@client.example>",
      },
    });
  });

  it("suppresses nobody for a refusal of reputation or policy, whatever status a report claims", async () => {
    const words = [
      "listed at Spamhaus",
      "poor reputation",
      "looks like spam",
      "DMARC policy of reject",
      "contains a virus",
    ];
    for (const status of ["5.1.1", "5.0.0", "5.2.1", "5.1.10"]) {
      for (const word of words) {
        const fields = `Final-Recipient: rfc822; a@x.example\nAction: failed\nStatus: ${status}\nDiagnostic-Code: smtp; 550 ${status} ${word}\n`;
        expect(dsnOf(await read(dsn(fields))).recipients[0]?.type).not.toBe("HardBounce");
      }
    }
  });

  it("suppresses nobody who was only given up, or is only late", async () => {
    for (const status of ["4.1.1", "4.4.1", "4.2.1"]) {
      const fields = `Final-Recipient: rfc822; a@x.example\nAction: failed\nStatus: ${status}\nDiagnostic-Code: smtp; 450 user unknown\n`;
      expect(dsnOf(await read(dsn(fields))).recipients[0]?.type).not.toBe("HardBounce");
    }
    const late = await read(dsn("Final-Recipient: rfc822; a@x.example\nAction: delayed\nStatus: 4.4.1\n"));
    expect(late).toMatchObject({ kind: "delay", recipients: [{ type: "Transient" }] });
  });

  it("does not take a person's mail for a DSN because it quotes one", async () => {
    const text =
      "From: ann@far.example\nSubject: Fwd: help\n\nWhat is this? It says: could not be delivered to\n<bob@far.example>: 550 5.1.1\n";
    expect((await read(text, { reversePath: "ann@far.example", messageId: "" })).kind).toBe("other");
  });

  it("does not take a courier's notice about a parcel for a DSN", async () => {
    const text =
      "From: delivery@courier.example\nSubject: Delivery notification\n\nThe recipient ann@far.example was unknown at the door.\n";
    expect((await read(text, { reversePath: "delivery@courier.example", messageId: "" })).kind).toBe("other");
  });

  it("gives no redacted address as a complainer", async () => {
    const report = await readReport(corpus("complaints/aol-redacted.eml"), NULL);
    expect(report).toMatchObject({
      kind: "complaint",
      recipients: [],
      original: { returnPath: RETURN_PATH },
    });
  });
});

describe("hostile mail", () => {
  /** Of any message that port 25 takes, on a machine that is busy with other tests. */
  const BOUND_MS = 20_000;

  const floods: Record<string, () => string> = {
    "10,000 parts": () => `Content-Type: multipart/mixed; boundary=b\n\n${"--b\n\nx\n".repeat(10_000)}`,
    "parts nested 100 deep": () =>
      Array.from(
        { length: 101 },
        (_, i) => `Content-Type: multipart/mixed; boundary=b${i}x\n\n--b${i}x\n`,
      ).join(""),
    "a header of 50,000 fields": () => `${"X: y\n".repeat(50_000)}\nx`,
    "one field of a megabyte": () => `Subject: ${"x".repeat(1_000_000)}\n\nx`,
  };
  it.each(Object.entries(floods))("%s: says that it is unreadable", async (_name, flood) => {
    const report = await read(flood());
    expect(report.kind).toBe("unreadable");
    expect(report).toHaveProperty("reason", expect.stringMatching(/./));
  });

  const heavy: Record<string, () => string> = {
    "a part's header of 200,000 lines": () =>
      `Content-Type: multipart/mixed; boundary=b\n\n--b\n${"X: y\n".repeat(200_000)}\nx`,
    "100,000 recipients": () =>
      dsn("Final-Recipient: rfc822; a@x.example\nStatus: 5.1.1\n\n".repeat(100_000)),
    "20,000 different recipients": () =>
      dsn(
        Array.from(
          { length: 20_000 },
          (_, i) => `Final-Recipient: rfc822; a${i}@x.example\nStatus: 5.1.1\n`,
        ).join("\n"),
      ),
    "a diagnostic of a megabyte": () =>
      dsn(`Final-Recipient: rfc822; a@x.example\nDiagnostic-Code: smtp; ${"550 ".repeat(250_000)}`),
    "30 MB behind a report": () =>
      dsn("Final-Recipient: rfc822; a@x.example\nStatus: 5.1.1\n", "x".repeat(30_000_000)),
    "a megabyte of addresses": () =>
      `From: MAILER-DAEMON@x.example\nSubject: failure notice\n\n${"a@x.example ".repeat(80_000)}`,
    "100,000 lines of addresses": () =>
      `From: MAILER-DAEMON@x.example\nSubject: failure notice\n\n${"<a@x.example>:\n".repeat(70_000)}`,
    "a megabyte of UUIDs": () =>
      `From: a@x.example\nSubject: s\n\n${"7a1f0d8e-1111-8abc-8def-001122334455 ".repeat(28_000)}`,
    "half a million empty lines": () =>
      `From: MAILER-DAEMON@x.example\nSubject: failure notice\n\n${"\n".repeat(500_000)}`,
    ...Object.fromEntries(
      [
        "a@",
        "<",
        "=?utf-8?Q?",
        " ",
        "-",
        "(",
        "&lt;",
        "user ",
        "1.",
        "550 ",
        "\t>",
        "a:",
        "\\x{",
        "受信者",
      ].map((s) => [
        `a megabyte of ${JSON.stringify(s)}`,
        () => `From: MAILER-DAEMON@x.example\nSubject: failure notice\n\n${s.repeat(500_000 / s.length)}`,
      ]),
    ),
    "a megabyte of tags": () =>
      `From: MAILER-DAEMON@x.example\nSubject: failure notice\nContent-Type: text/html\n\n${"<style <p ".repeat(50_000)}`,
  };
  it.each(Object.entries(heavy))(
    "%s: reads what there is, and no more",
    { timeout: BOUND_MS },
    async (_name, make) => {
      const report = await read(make());
      expect(KINDS).toContain(report.kind);
      // What is kept of it is small, whatever came.
      expect(JSON.stringify(report).length).toBeLessThan(1_000_000);
      if ("recipients" in report) expect(report.recipients.length).toBeLessThanOrEqual(200);
    },
  );

  it("never throws, whatever the bytes are", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 2_000 }), async (raw) => {
        expect(KINDS).toContain((await readReport(raw, NULL)).kind);
      }),
      { numRuns: 200 },
    );
  });

  it("never throws on a message of the corpus that was cut, doubled, or had bytes changed", async () => {
    const files = Object.entries(REPORTS).flatMap(([folder, index]) =>
      Object.keys(index).map((f) => `${folder}/${f}`),
    );
    const change = fc.record({ at: fc.nat(4_000), cut: fc.nat(200), put: fc.uint8Array({ maxLength: 40 }) });
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...files),
        fc.array(change, { maxLength: 6 }),
        async (file, changes) => {
          let raw = corpus(file);
          for (const { at, cut, put } of changes) {
            const from = at % (raw.length + 1);
            raw = Buffer.concat([raw.subarray(0, from), put, raw.subarray(from + cut)]);
          }
          const report = await readReport(raw, NULL);
          expect(KINDS).toContain(report.kind);
          expect(JSON.stringify(report).isWellFormed()).toBe(true);
        },
      ),
      { numRuns: 400 },
    );
  });
});

describe("the phrases", () => {
  const patterns = Object.entries(phrases).filter(
    (entry): entry is [string, RegExp] => entry[1] instanceof RegExp,
  );

  it.each(patterns)("%s never matches the empty text, which would make everything one", (_name, pattern) => {
    expect(pattern.test("")).toBe(false);
    expect(pattern.test("Hello Ann,\nthe meeting is on Monday.\n")).toBe(false);
  });
});

describe("mayAnswer", () => {
  const PERSON = "From: Ann <ann@far.example>\nSubject: Hello\n";
  const asked = async (header: string, reversePath = "ann@far.example") => {
    const opening = await openMessage(bytes(`${header}\nx\n`));
    if ("unreadable" in opening) throw new Error(opening.unreadable);
    return mayAnswer(opening.ok, reversePath);
  };

  it("lets a person be answered", async () => {
    expect(await asked(PERSON)).toBe(true);
    expect(await asked(`${PERSON}Auto-Submitted: no\n`)).toBe(true);
  });

  it.each(["", "<>"])("never a null reverse-path: %j", async (reversePath) => {
    expect(await asked(PERSON, reversePath)).toBe(false);
  });

  it.each([
    "Auto-Submitted: auto-replied",
    "Auto-Submitted: auto-generated (failure)",
    "Precedence: bulk",
    "Precedence: list",
    "Precedence: junk",
    "List-Id: <l.far.example>",
    "List-Unsubscribe: <https://far.example/u>",
    "X-Auto-Response-Suppress: All",
    "X-Autoreply: yes",
    "X-Loop: ann@far.example",
    "Return-Path: <>",
    "Content-Type: multipart/report; boundary=b",
  ])("never what a program or a list sent: %s", async (field) => {
    expect(await asked(`${PERSON}${field}\n`)).toBe(false);
  });

  it.each([
    "MAILER-DAEMON",
    "postmaster",
    "no-reply",
    "noreply",
    "owner-list",
    "list-request",
    "list-bounces",
    "listserv",
  ])("never a program's address: %s", async (local) => {
    expect(await asked(PERSON, `${local}@far.example`)).toBe(false);
    expect(await asked(`From: ${local}@far.example\n`)).toBe(false);
  });

  it("never a message of the corpus that a program sent", async () => {
    for (const file of readdirSync(join(CORPUS, "dsn")).filter((f) => f.endsWith(".eml"))) {
      const opening = await openMessage(corpus(`dsn/${file}`));
      if ("ok" in opening) expect(mayAnswer(opening.ok, ""), file).toBe(false);
    }
  });
});
