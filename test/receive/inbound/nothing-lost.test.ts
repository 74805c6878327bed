/**
 * Whatever a message is, its payload is JSON of the length that was said, with the message whole in it; and of one that is well-formed,
 * every file byte for byte and every text.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { authenticate } from "../../../src/receive/inbound/authenticate.ts";
import { openMail } from "../../../src/receive/inbound/open.ts";
import { payloadOf } from "../../../src/receive/inbound/payload.ts";
import { asText, type Payload } from "./world.ts";

type Encoding = "base64" | "quoted-printable";
interface File {
  file: Uint8Array;
  encoding: Encoding;
  lineLength: number;
}
type Part = { text: string } | File | { parts: Part[] };

const LF = 0x0a;

const text = fc.array(fc.string({ unit: "grapheme", maxLength: 40 }), { maxLength: 5 }).map((lines) => ({
  // What a mail program writes as a line; a space at its end is not the reader's to keep.
  text: lines.map((line) => line.replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, "").trimEnd()).join("\n"),
}));
const smallFile = fc.record({
  file: fc.uint8Array({ maxLength: 200 }),
  encoding: fc.constantFrom<Encoding>("base64", "quoted-printable"),
  lineLength: fc.constantFrom(4, 60, 76),
});
const largeFile = fc.record({
  file: fc.uint8Array({ minLength: 4_000, maxLength: 9_000, size: "max" }),
  encoding: fc.constant<Encoding>("base64"),
  lineLength: fc.constantFrom(76, 998),
});
const { tree } = fc.letrec<{ tree: Part }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4, depthSize: "small" },
    text,
    smallFile,
    largeFile,
    fc.record({ parts: fc.array(tie("tree"), { minLength: 1, maxLength: 4 }) }),
  ),
}));

let made = 0;

function written(part: Part): string {
  if ("text" in part) {
    const bytes = Buffer.from(part.text.replaceAll("\n", "\r\n"));
    const lines = bytes.toString("base64").replace(/.{76}/g, "$&\r\n");
    return `Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n${lines}\r\n`;
  }
  if ("file" in part) {
    const { file, encoding, lineLength } = part;
    const head = `Content-Type: application/octet-stream; name=f.bin\r\nContent-Transfer-Encoding: ${encoding}\r\n\r\n`;
    const lines = new RegExp(`.{${lineLength}}`, "g");
    if (encoding === "base64")
      return `${head}${Buffer.from(file).toString("base64").replace(lines, "$&\r\n")}\r\n`;
    const codes = Array.from(file, (byte) => `=${byte.toString(16).toUpperCase().padStart(2, "0")}`);
    return `${head}${codes.join("").replace(/.{72}/g, "$&=\r\n")}\r\n`;
  }
  const boundary = `=_b${++made}x`;
  const inside = part.parts.map((p) => `--${boundary}\r\n${written(p)}`).join("\r\n");
  return `Content-Type: multipart/mixed; boundary="${boundary}"\r\n\r\n${inside}\r\n--${boundary}--\r\n`;
}

function leaves(part: Part): Exclude<Part, { parts: Part[] }>[] {
  return "parts" in part ? part.parts.flatMap(leaves) : [part];
}

const message = (part: Part) =>
  Buffer.from(`From: a@b.example\r\nSubject: x\r\nMIME-Version: 1.0\r\n${written(part)}`);

async function opened(raw: Uint8Array): Promise<{ payload: Payload; unread: string }> {
  const mail = await openMail(raw, "019360aa-1c00-8123-8410-5af03c9d7e21");
  const payload = payloadOf({
    id: "i",
    mail,
    originalRecipient: "r@x.example",
    mailboxHash: "",
    rawEmail: raw,
  });
  const bytes = Buffer.concat([...payload.pieces()]);
  expect(bytes.length).toBe(payload.length);
  expect(JSON.parse(`${bytes.subarray(0, payload.whole)}}`)).toHaveProperty("TextBody");
  return { payload: JSON.parse(bytes.toString()) as Payload, unread: mail.unread };
}

describe("nothing is lost", () => {
  it("of a well-formed message: every file and every text", async () => {
    await fc.assert(
      fc.asyncProperty(tree, async (part) => {
        const raw = message(part);
        const { payload, unread } = await opened(raw);
        expect(unread).toBe("");
        const files = leaves(part).filter((leaf) => "file" in leaf && leaf.file.length > 0) as File[];
        // An empty part is nothing that anybody attached.
        const got = payload.Attachments.map((a) => Buffer.from(a.Content, "base64"));
        const full = got.filter((bytes) => bytes.some((byte) => byte !== LF));
        expect(full.length).toBe(files.filter(({ file }) => file.some((byte) => byte !== LF)).length);
        for (const [i, leaf] of files.filter(({ file }) => file.some((byte) => byte !== LF)).entries()) {
          const bytes = full[i] ?? Buffer.of();
          // The parser ends what is quoted-printable with line breaks of its own.
          const extra = leaf.encoding === "base64" ? 0 : bytes.length - leaf.file.length;
          expect(bytes.subarray(leaf.file.length).every((byte) => byte === LF) && extra <= 2).toBe(true);
          expect(bytes.subarray(0, bytes.length - extra).equals(leaf.file)).toBe(true);
        }
        expect(payload.Attachments.map((a) => a.ContentLength)).toEqual(got.map((b) => b.length));
        for (const leaf of leaves(part)) if ("text" in leaf) expect(payload.TextBody).toContain(leaf.text);
        expect(payload.RawEmail).toBe(asText(raw));
      }),
      { numRuns: 300, endOnFailure: true },
    );
  });

  it("of one that was damaged anywhere: the whole is there, and what was not read is its own attachment", async () => {
    const damage = fc.oneof(
      fc.record({ cutAt: fc.nat() }),
      fc.record({ at: fc.nat(), insert: fc.uint8Array({ minLength: 1, maxLength: 50 }) }),
      fc.record({ at: fc.nat(), remove: fc.integer({ min: 1, max: 500 }) }),
      fc.record({
        at: fc.nat(),
        insert: fc
          .constantFrom(
            "\r\n\r\n",
            "--",
            "\r\n--=_b1x--\r\n",
            "Content-Transfer-Encoding: base64\r\n",
            "=\r\n",
            "\0",
          )
          .map((s) => Buffer.from(s)),
      }),
    );
    await fc.assert(
      fc.asyncProperty(tree, fc.array(damage, { minLength: 1, maxLength: 4 }), async (part, damages) => {
        let raw: Buffer = message(part);
        for (const d of damages) {
          if (raw.length === 0) break;
          if ("cutAt" in d) raw = raw.subarray(0, d.cutAt % raw.length);
          else {
            const at = d.at % raw.length;
            const rest = "remove" in d ? at + d.remove : at;
            raw = Buffer.concat([
              raw.subarray(0, at),
              "insert" in d ? d.insert : Buffer.of(),
              raw.subarray(rest),
            ]);
          }
        }
        const { payload, unread } = await opened(raw);
        expect(payload.RawEmail).toBe(asText(raw));
        if (unread)
          expect(Buffer.from(payload.Attachments[0]?.Content ?? "", "base64").equals(raw)).toBe(true);
      }),
      { numRuns: 300, endOnFailure: true },
    );
  });

  it("of what is no message at all", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 5_000 }), async (raw) => {
        const { payload } = await opened(raw);
        expect(payload.RawEmail).toBe(asText(raw));
      }),
      { numRuns: 300, endOnFailure: true },
    );
  });
});

it("there is a result for whatever a message is, and none of it passes for nothing", async () => {
  const logged: unknown[] = [];
  const needs = {
    dnsUrl: "https://dns.example/dns-query",
    fetchDns: async () => Response.json({ Status: 0, Answer: [{ type: 16, data: '"v=spf1 -all"' }] }),
    log: (event: string, fields: object) => void logged.push({ event, ...fields }),
  };
  const field = fc.constantFrom(
    ..."From DKIM-Signature ARC-Seal ARC-Message-Signature ARC-Authentication-Results Content-Type".split(
      " ",
    ),
  );
  const value = fc.oneof(
    fc.string({ unit: "binary", maxLength: 60 }),
    fc.constantFrom(
      "v=1; a=rsa-sha256; d=b.example; s=s; h=from; bh=AAAA; b=AAAA",
      "i=1; a=rsa-sha256; cv=none; d=b.example; s=s; b=AAAA",
      "i=1; b.example; spf=pass",
      "a@b.example",
      "v=1; a=ed25519-sha256; d=..; s=; h=:::; l=99999999999; bh==; b=",
    ),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(field, value), { maxLength: 8 }),
      fc.string(),
      async (fields, body) => {
        const raw = Buffer.from(`${fields.map(([n, v]) => `${n}: ${v}\r\n`).join("")}\r\n${body}`);
        const found = await authenticate(
          {
            raw,
            reversePath: "a@b.example",
            client: { address: "192.0.2.1", helo: "h" },
            host: "h.example",
            signatures: 1,
          },
          needs,
        );
        expect(found.authenticationResults).toMatch(/^h\.example; dkim=/);
        expect(found.authenticationResults).not.toMatch(/(?:dkim|dmarc|spf)=pass|[\r\n]/);
        expect(found.receivedSpf).toMatch(/^fail /);
      },
    ),
    { numRuns: 150 },
  );
  expect(logged).toEqual([]);
});
