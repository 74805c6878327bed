/**
 * Every sample before readers that are not ours: Python's email package in its strict policy, and SpamAssassin's rules
 * for what is formally wrong with a message.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { compose } from "../../src/compose/compose.ts";
import type { Mailbox } from "../../src/mail/message.ts";
import { IDS, SAMPLES, sample } from "./samples.ts";

const has = (program: string) => spawnSync("which", [program]).status === 0;
const folder = mkdtempSync(join(tmpdir(), "edgepost-compose-"));
afterAll(() => rmSync(folder, { recursive: true }));

const NAMES = Object.keys(SAMPLES);

interface Read {
  defects: string[];
  subject: string;
  from: [string, string][];
  to: [string, string][];
  cc: [string, string][];
  replyTo: [string, string][];
  parts: { type: string; name: string; disposition: string; sha256: string; text: string }[];
}

const sha256 = (content: string | Uint8Array) => createHash("sha256").update(content).digest("hex");

describe.skipIf(!has("python3"))("Python's email package", () => {
  const script = join(import.meta.dirname, "read.py");
  const paths = NAMES.map((name, i) => {
    const path = join(folder, `${i}.eml`);
    writeFileSync(path, compose(sample(name), IDS));
    return path;
  });
  const run = spawnSync("python3", [script, ...paths], { encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
  const all = JSON.parse(run.stdout || "[]") as Read[];

  /** Encoded words in the quotes of `name=`, for readers older than RFC 2231: what Gmail and Outlook send too. */
  const onPurpose =
    /^Content-Type: InvalidHeaderDefect: (encoded word inside quoted string|missing trailing whitespace after encoded-word)$/;

  it.each(NAMES)("%s: no defects, and all as submitted", (name) => {
    const submission = sample(name);
    const read = all[NAMES.indexOf(name)];
    if (!read) throw new Error(run.stderr);
    const odd = /names (in scripts|that are odd)/.test(name);
    expect(read.defects.filter((defect) => !(odd && onPurpose.test(defect)))).toEqual([]);
    expect(read.subject).toBe(submission.subject.toWellFormed().trim());
    const people = (mailboxes: Mailbox[]) =>
      mailboxes.map((m) => [m.name, m.email.replace("bücher", "xn--bcher-kva")]);
    expect(read.from).toEqual(people([submission.from]));
    expect(read.to).toEqual(people(submission.to));
    expect(read.cc).toEqual(people(submission.cc));
    expect(read.replyTo).toEqual(people(submission.replyTo));

    const text = (value: string) =>
      sha256(value.replaceAll("\0", "").replace(/\r\n?/g, "\n").toWellFormed().replace(/\n+$/, ""));
    const bodies = [
      ...(submission.textBody === "" ? [] : [{ type: "text/plain", text: text(submission.textBody) }]),
      ...(submission.htmlBody === "" ? [] : [{ type: "text/html", text: text(submission.htmlBody) }]),
    ];
    const isBody = (p: Read["parts"][number]) => p.disposition === "" && p.name === "";
    // Within a forwarded message Python finds a text of its own.
    const own = read.parts.filter(isBody).slice(0, bodies.length);
    expect(own.map(({ type, text }) => ({ type, text }))).toEqual(bodies);
  });

  it.each(NAMES.filter((name) => SAMPLES[name]?.attachments && name !== "forwarded messages"))(
    "%s: attachments as submitted",
    (name) => {
      const { attachments } = sample(name);
      const parts = all[NAMES.indexOf(name)]?.parts.filter((p) => p.disposition !== "") ?? [];
      const key = (a: { name: string; sha256: string }) => `${a.name} ${a.sha256}`;
      expect(parts.map(key).toSorted()).toEqual(
        attachments
          .map((a) => ({ name: a.name || "attachment", sha256: sha256(Buffer.from(a.content, "base64")) }))
          .map(key)
          .toSorted(),
      );
    },
  );
});

describe.skipIf(!has("spamassassin"))("SpamAssassin", () => {
  /** Rules for a message's form. Others judge what it says, or where it came from. */
  const FORMAL = new RegExp(
    `^(${[
      "MIME_",
      "MISSING_",
      "INVALID_",
      "BAD_",
      "TVD_",
      "MALFORMED",
      "ILLEGAL",
      "SUBJ_ILLEGAL",
      "SUBJ_OBFU",
      "SUBJECT_NEEDS_ENCODING",
      "HEAD_ILLEGAL_CHARS",
      "HEAD_LONG",
      "FROM_ILLEGAL_CHARS",
      "FROM_NO_USER",
      "BASE64_",
      "MULTIPART_",
      "PART_CID",
      "CTYPE_",
      "CT_",
      "CHARSET_",
      "DATE_",
      "MSGID_",
      "TO_MALFORMED",
      "NULL_IN_",
      "DUP_",
      "UNPARSEABLE",
      "FORGED_",
      "FAKE_",
      "HTML_CHARSET",
      "HEADER_",
      "UNCLOSED_",
      "NO_HEADERS",
      "MSOE_",
      "X_MESSAGE",
    ].join("|")})`,
  );
  /** Large messages are passed by SpamAssassin's own clients too. */
  const MAX_BYTES = 300_000;
  const idOf = (name: string) => IDS.messageId.replace(/..$/, String(NAMES.indexOf(name)).padStart(2, "0"));
  const checked = NAMES.map((name) => ({
    name,
    bytes: Buffer.from(compose(sample(name), { ...IDS, messageId: idOf(name) })),
  })).filter(({ bytes }) => bytes.length < MAX_BYTES);
  const separator = "From test@example.com Tue Feb 17 12:25:01 2026\n";
  const mailbox = join(folder, "mbox");
  writeFileSync(
    mailbox,
    Buffer.concat(checked.flatMap(({ bytes }) => [Buffer.from(separator), bytes, Buffer.from("\n")])),
  );
  const run = spawnSync("spamassassin", ["-L", "-t", "--mbox", mailbox], {
    encoding: "latin1",
    maxBuffer: 64 * 1024 * 1024,
  });
  // Not in the order of the mailbox.
  const fired = new Map<string, string[]>();
  for (const output of run.stdout.split(/^(?=X-Spam-Checker-Version)/m)) {
    const id = /^X-PM-Message-Id: (\S+)/m.exec(output)?.[1] ?? "";
    const tests = /^X-Spam-Status: [\s\S]*?\btests=([A-Z0-9_,\s]*)/m.exec(output)?.[1] ?? "";
    fired.set(id, tests.split(/[,\s]+/));
  }

  it("says something of each message", () => {
    for (const { name } of checked) expect(fired.get(idOf(name))).toContain("NO_RELAYS");
  });

  it.each(checked.map(({ name }) => name))("%s: nothing formally wrong", (name) => {
    const rules = fired.get(idOf(name)) ?? [];
    // What they are: no text beside the HTML, and no To where nobody was addressed so.
    const facts = ["MIME_HTML_ONLY", ...(name === "only Cc" ? ["MISSING_HEADERS"] : [])];
    expect(rules.filter((rule) => FORMAL.test(rule) && !facts.includes(rule))).toEqual([]);
  });
});
