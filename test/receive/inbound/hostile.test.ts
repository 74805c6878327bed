/**
 * Messages that want to keep whoever opens them busy: each is filed within the test's time, whole in R2, and what cannot be read of it
 * is its own attachment. In workerd, by takeInbound with everything that it asks.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findInbound, type InboundMessage, listInbound } from "../../../src/archive/inbound.ts";
import { InboundWorld, type Payload } from "./world.ts";

/** A hundred times what they take; without their bounds most take minutes. */
const LIMIT_MS = 60_000;

let world: InboundWorld;
beforeAll(async () => {
  world = await InboundWorld.start();
});
afterAll(() => world.stop());

async function file(raw: Buffer): Promise<{ row: InboundMessage; payload: Payload; logged: unknown[] }> {
  const { id, recipient } = await world.newServer();
  const { error, told, logged } = await world.take(raw, { recipient });
  expect(error).toBeUndefined();
  const archive = await world.archive();
  const asked = { filter: { status: "processed" as const }, page: { count: 2, offset: 0 } };
  const { messages } = await listInbound(archive, id, asked);
  expect(messages).toHaveLength(1);
  expect(told).toHaveLength(1);
  const row = await findInbound(archive, id, messages[0]?.id ?? "");
  if (!row) throw new Error("there is no row");
  expect((await world.read(row.raw)).equals(raw)).toBe(true);
  const payload = JSON.parse((await world.read(row.payload)).toString()) as Payload;
  return { row, payload, logged };
}

function message(body: string | Buffer, header: string[] = []): Buffer {
  const head = ["From: ann@far.example", "To: x@inbound.mail.example", "Subject: Hello", "MIME-Version: 1.0"];
  return Buffer.concat([Buffer.from(`${[...head, ...header].join("\r\n")}\r\n\r\n`), Buffer.from(body)]);
}

function multipart(body: string): Buffer {
  return message(body, ["Content-Type: multipart/mixed; boundary=b"]);
}

/** The message is its own and only attachment; its header was read. */
async function isUnread(raw: Buffer, reason: string) {
  const { row, payload, logged } = await file(raw);
  expect(logged).toContainEqual({
    event: "inbound mail read in part",
    fields: { id: row.id, reason: expect.stringContaining(reason) },
  });
  const [only, ...others] = payload.Attachments;
  expect(others.length).toBe(0);
  // Never the whole in an assertion: to print what differs would take longer than all the rest.
  expect([only?.Name, only?.ContentType, only?.ContentLength]).toEqual([
    "message.eml",
    "message/rfc822",
    raw.length,
  ]);
  expect(Buffer.from(only?.Content ?? "", "base64").equals(raw)).toBe(true);
  expect([payload.From, payload.TextBody.length, payload.HtmlBody.length]).toEqual(["ann@far.example", 0, 0]);
  return payload;
}

describe("too much to be read", () => {
  it.each<[string, () => Buffer, string]>([
    ["10,000 parts", () => multipart("--b\r\n\r\nx\r\n".repeat(10_000)), "more than 1000 parts"],
    ["parts in parts, 101 deep", () => nested(101), "nesting depth"],
    ["a million lines", () => message("x\r\n".repeat(1_000_000)), "more than 25000 lines"],
    ["17 MB of text on one line", () => message(Buffer.alloc(17_000_000, "x")), "bytes that are not base64"],
    [
      "a flood of fields",
      () =>
        message(
          "x",
          Array.from({ length: 60_000 }, (_, i) => `X-${i}: y`),
        ),
      "a header of more than 524288 bytes",
    ],
    [
      "a flood of short lines of header",
      () =>
        message(
          "x",
          Array.from({ length: 60_000 }, (_, i) => (i % 2 ? "\ty" : "a:")),
        ),
      "more than 10000 lines of header",
    ],
    [
      "a header that is a megabyte long, and no body",
      () => Buffer.concat([Buffer.from("From: ann@far.example\r\nX: "), Buffer.alloc(1_000_000, "y")]),
      "a header of more than",
    ],
    [
      "base64 where the structure is not what it seems, with too much to parse it whole",
      () =>
        message(
          `--fake\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n${base64(2_000_000)}`,
        ),
      "parts that are not what they seem",
    ],
  ])("%s", async (_, raw, reason) => void (await isUnread(raw(), reason)), LIMIT_MS);
});

describe("a lot, and read", () => {
  it(
    "parts in parts, 99 deep",
    async () => {
      const { payload } = await file(nested(99));
      expect(payload.TextBody).toContain("innermost");
    },
    LIMIT_MS,
  );

  it(
    "messages in messages, 100 deep: the outermost is a file",
    async () => {
      let inner = "Subject: 0\r\n\r\ninnermost\r\n";
      for (let i = 1; i <= 100; i++) inner = `Subject: ${i}\r\nContent-Type: message/rfc822\r\n\r\n${inner}`;
      const { payload } = await file(
        multipart(`--b\r\nContent-Type: message/rfc822\r\n\r\n${inner}\r\n--b--\r\n`),
      );
      expect(payload.Attachments.map((a) => a.Name)).toEqual(["message.eml"]);
      expect(Buffer.from(payload.Attachments[0]?.Content ?? "", "base64").toString() === asLines(inner)).toBe(
        true,
      );
    },
    LIMIT_MS,
  );

  it(
    "900 files, each of them there",
    async () => {
      const parts = Array.from(
        { length: 900 },
        (_, i) => `--b\r\nContent-Type: application/x; name=${i}\r\n\r\nfile ${i}\r\n`,
      );
      const { payload } = await file(multipart(`${parts.join("")}--b--\r\n`));
      expect(payload.Attachments.map((a) => a.Name)).toEqual(parts.map((_, i) => String(i)));
    },
    LIMIT_MS,
  );

  it(
    "a file of 10 MB: byte for byte, in lines",
    async () => {
      const bytes = Buffer.alloc(
        35_000_000,
        Uint8Array.from({ length: 251 }, (_, i) => i),
      );
      const lines = bytes.toString("base64").replace(/.{76}/g, "$&\r\n");
      const head =
        "--b\r\nContent-Type: application/zip; name=a.zip\r\nContent-Transfer-Encoding: base64\r\n\r\n";
      const { payload } = await file(multipart(`--b\r\n\r\nSee the file.\r\n${head}${lines}\r\n--b--\r\n`));
      expect(payload.TextBody.includes("See the file.")).toBe(true);
      expect(Buffer.from(payload.Attachments[0]?.Content ?? "", "base64").equals(bytes)).toBe(true);
    },
    LIMIT_MS,
  );

  it(
    "base64 where the structure is not what it seems, but short: it is text",
    async () => {
      const text = base64(9_000);
      const fake = `--fake\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n${text}`;
      const { payload } = await file(message(fake));
      expect(payload.TextBody.replaceAll("\n", "\r\n").includes(text.trim())).toBe(true);
      expect(payload.Attachments.length).toBe(0);
    },
    LIMIT_MS,
  );

  it.each<[string, () => Buffer]>([
    ["one field of 400 KB", () => message("text", [`X-Long: ${"y".repeat(400_000)}`])],
    ["a field in 9,000 lines", () => message("text", [`X-Long: y${"\r\n y".repeat(9_000)}`])],
    ["20,000 recipients", () => message("text", [`Cc: ${"a@b.example,".repeat(20_000)}`])],
    ["comments in comments", () => message("text", [`Cc: ${"(".repeat(100_000)}`])],
    ["groups in groups", () => message("text", [`Cc: ${"a:".repeat(50_000)}`])],
    ["quotes without an end", () => message("text", [`Cc: ${'"<'.repeat(50_000)}`])],
    ["words upon words", () => message("text", [`X-Words: ${"=?utf-8?Q?=C3=BC?= ".repeat(20_000)}`])],
    ["words without an end", () => message("text", [`Cc: ${"=?utf-8?Q?".repeat(20_000)}`])],
    [
      "a boundary of 100 KB",
      () => message("text", [`Content-Type: text/plain; boundary="${"b".repeat(100_000)}"`]),
    ],
    [
      "a name in 10,000 sections",
      () => {
        const sections = Array.from({ length: 10_000 }, (_, i) => `name*${i}*=%41`).join("; ");
        return message("text", [`Content-Type: text/plain; ${sections}`]);
      },
    ],
    ["a line of a megabyte", () => message(`text ${"x".repeat(1_000_000)}`)],
    [
      "lines above quotes, over and over",
      () => message(`text\r\n${"On Mon, a wrote\r\n:\r\n".repeat(8_000)}`, ["In-Reply-To: <a@b>"]),
    ],
    [
      "fields of originals, over and over",
      () => message(`text\r\n${"From: \r\n".repeat(20_000)}`, ["In-Reply-To: <a@b>"]),
    ],
    [
      "spaces before a colon",
      () => message(`text\r\n${`On ${" ".repeat(390)}\r\n`.repeat(2_500)}`, ["In-Reply-To: <a@b>"]),
    ],
  ])("%s", async (_, raw) => expect((await file(raw())).payload.TextBody.slice(0, 4)).toBe("text"), LIMIT_MS);

  it.each<[string, string]>([
    ["open tags", "<a".repeat(500_000)],
    ["open comments", "<!--".repeat(250_000)],
    ["open scripts", "<script>".repeat(125_000)],
    ["ampersands", "&".repeat(1_000_000)],
    ["whitespace", " ".repeat(1_000_000)],
  ])(
    "a megabyte of HTML on one line that is made of %s",
    async (_, html) => {
      const both = `--b\r\nContent-Type: text/html\r\n\r\n${html}\r\n--b\r\n\r\ntext\r\n--b--\r\n`;
      const { payload } = await file(multipart(both));
      expect(payload.HtmlBody.length).toBeGreaterThan(990_000);
      expect(payload.TextBody).toContain("text");
    },
    LIMIT_MS,
  );

  it(
    "a megabyte of nothing that makes sense",
    async () => {
      const bytes = Buffer.alloc(1_000_000);
      for (let i = 0, n = 1; i < bytes.length; i++) {
        n = (n * 48_271) % 2_147_483_647;
        bytes[i] = n & 255;
      }
      const { row } = await file(bytes);
      expect(row.fromEmail).toBe("ann@far.example");
    },
    LIMIT_MS,
  );
});

/** As the parser gives a part that is not encoded: its lines end in LF, the one before the boundary too. */
function asLines(text: string): string {
  return `${text.replaceAll("\r\n", "\n")}\n`;
}

/** The text is that many multiparts deep. */
function nested(depth: number): Buffer {
  let body = "Content-Type: text/plain\r\n\r\ninnermost\r\n";
  for (let i = depth - 1; i >= 0; i--)
    body = `Content-Type: multipart/mixed; boundary=b${i}x\r\n\r\n--b${i}x\r\n${body}\r\n--b${i}x--\r\n`;
  return Buffer.from(`From: ann@far.example\r\nSubject: Hello\r\nMIME-Version: 1.0\r\n${body}`);
}

function base64(bytes: number): string {
  return Buffer.alloc(bytes, "base64 of nothing").toString("base64").replace(/.{76}/g, "$&\r\n");
}
