/** Signatures hold for those who verify mail, break with any change that matters, and are the same each time. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { dkimVerify } from "mailauth/lib/dkim/verify.js";
import { describe, expect, it } from "vitest";
import { cut, relaxBody } from "../../src/compose/canonical.ts";
import { compose } from "../../src/compose/compose.ts";
import { newKeyPair, type SigningKey } from "../../src/compose/keys.ts";
import { sign } from "../../src/compose/sign.ts";
import { BASE, IDS, SAMPLES, sample } from "./samples.ts";

const has = (program: string) => spawnSync("which", [program]).status === 0;

const rsa = await newKeyPair("rsa-sha256");
const ed25519 = await newKeyPair("ed25519-sha256");
const KEYS: SigningKey[] = [
  { domain: "example.com", selector: "r1", algorithm: "rsa-sha256", privateKey: rsa.privateKey },
  { domain: "example.com", selector: "e1", algorithm: "ed25519-sha256", privateKey: ed25519.privateKey },
];
const DNS: Record<string, string> = {
  "r1._domainkey.example.com": rsa.dnsRecord,
  "e1._domainkey.example.com": ed25519.dnsRecord,
};
/** Verifiers look at the clock for x=. */
const NOW = Date.now() - 60_000;

async function signed(message: Uint8Array): Promise<Buffer> {
  return Buffer.concat([Buffer.from(await sign(message, KEYS, NOW)), message]);
}

async function verify(message: Buffer): Promise<string[]> {
  const resolver = async (name: string) => [[DNS[name] ?? ""]];
  const { results } = await dkimVerify(message, { resolver });
  return results.map((r) => r.status.result);
}

const change = (message: Buffer, from: string | RegExp, to: string) =>
  Buffer.from(message.toString("latin1").replace(from, to), "latin1");

describe("a signature", () => {
  it.each(Object.keys(SAMPLES))("%s: verifies in mailauth with both keys", async (name) => {
    expect(await verify(await signed(compose(sample(name), IDS)))).toEqual(["pass", "pass"]);
  });

  it("is the same each time, and another for another time", async () => {
    const message = compose(BASE, IDS);
    const first = await sign(message, KEYS, NOW);
    expect(await sign(message, KEYS, NOW)).toBe(first);
    expect(await sign(message, KEYS, NOW + 1000)).not.toBe(first);
    expect(await sign(message, [], NOW)).toBe("");
  });

  it("says when, until when, and never how much", async () => {
    const fields = await sign(compose(BASE, IDS), KEYS, 1_700_000_000_999);
    expect(fields.match(/ t=1700000000; x=1700604800;/g)).toHaveLength(2);
    expect(fields).not.toMatch(/\bl=/);
    expect(fields.split("\r\n").filter((line) => line.length > 78)).toEqual([]);
    expect(fields.endsWith("\r\n") && !fields.includes("\r\n\r\n")).toBe(true);
  });

  const more = {
    htmlBody: "<p>Hi",
    headers: [{ name: "List-Unsubscribe", value: "<https://example.com/u>" }],
  };
  it.each([
    "From: evil@example.com",
    "To: other@example.org",
    "Cc: other@example.org",
    "Subject: other",
    "Date: Tue, 17 Feb 2026 12:25:01 +0000",
    "Message-ID: <other@example.com>",
    "Reply-To: evil@example.org",
    "Content-Type: text/html",
    "MIME-Version: 1.0",
    "List-Unsubscribe: <https://example.org/>",
    "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
  ])("breaks when somebody adds %s", async (field) => {
    const message = await signed(compose({ ...BASE, ...more }, IDS));
    for (const changed of [
      Buffer.concat([Buffer.from(`${field}\r\n`), message]),
      change(message, "\r\nMIME-Version", `\r\n${field}\r\nMIME-Version`),
    ])
      expect(await verify(changed)).toEqual(["fail", "fail"]);
  });

  it("breaks when the body goes on, and when a word of it changes", async () => {
    const message = await signed(compose(BASE, IDS));
    expect(await verify(Buffer.concat([message, Buffer.from("more\r\n")]))).toEqual(["neutral", "neutral"]);
    expect(await verify(change(message, "shipped", "shopped"))).toEqual(["neutral", "neutral"]);
  });

  it("holds when relays fold fields and change white space at the ends of lines", async () => {
    const message = await signed(compose(sample("50 recipients"), IDS));
    expect(await verify(change(message, /,\r\n /g, ",\r\n\t  "))).toEqual(["pass", "pass"]);
    expect(await verify(change(message, /today\.\r\n/, "today. \t\r\n\r\n\r\n"))).toEqual(["pass", "pass"]);
  });

  it.each([
    ["no body", "From: a@example.com\r\nSubject: x\r\n\r\n"],
    ["no empty line", "From: a@example.com\r\nSubject: x\r\n"],
    ["a body of empty lines", "From: a@example.com\r\n\r\n\r\n\r\n"],
    ["no last line end", "From: a@example.com\r\n\r\nend"],
    [
      "odd white space",
      "FROM : a@example.com \t\r\nSubject:\t a \r\n\t b\t\r\nX:\r\n\r\n \t a\t\t b \r\n\t\r\n",
    ],
    ["two fields of a name", "From: a@example.com\r\nTo: a@b.example\r\nTo: c@d.example\r\n\r\nx\r\n"],
    [
      "Latin-1 in fields",
      Buffer.from("From: a@example.com\r\nSubject: \xe9t\xe9 \x80\r\n\r\nx\r\n", "latin1"),
    ],
    ["UTF-8 in fields", "From: é@example.com\r\nSubject: été 🎉\r\n\r\né\r\n"],
  ])("verifies for messages of others: %s", async (_, message) => {
    const bytes = typeof message === "string" ? Buffer.from(message) : message;
    expect(await verify(await signed(bytes))).toEqual(["pass", "pass"]);
  });

  it("verifies whatever the message", async () => {
    const piece = fc.constantFrom(" ", "\t", "\r\n", "a", "b: c", "é", "\r\n\r\n", ".", "\r\n ", "=", "\0");
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 60 }), async (pieces) => {
        const message = Buffer.from(`From: a@example.com\r\nSubject: x\r\n\r\n${pieces.join("")}`);
        expect(await verify(await signed(message))).toEqual(["pass", "pass"]);
      }),
      { numRuns: 100 },
    );
  });

  it.skipIf(!has("opendkim"))(
    "verifies in OpenDKIM with both keys, for every sample, and breaks when changed",
    async () => {
      const folder = mkdtempSync(join(tmpdir(), "edgepost-dkim-"));
      try {
        const data = Object.entries(DNS).map(([name, record]) => `${name} ${record}\n`);
        writeFileSync(join(folder, "dns"), data.join(""));
        writeFileSync(
          join(folder, "conf"),
          `Mode v\nTestDNSData file:${folder}/dns\nAlwaysAddARHeader yes\n`,
        );
        const results = (messages: Buffer[]) => {
          const files = messages.map((message, i) => {
            const path = join(folder, `${i}.eml`);
            writeFileSync(path, message);
            return path;
          });
          const run = spawnSync("opendkim", ["-x", join(folder, "conf"), "-vvv", "-t", files.join(",")], {
            encoding: "utf8",
            maxBuffer: 64 * 1024 * 1024,
          });
          const verdicts = run.stdout.split("### INSHEADER").slice(1);
          return verdicts.map((verdict) => [...verdict.matchAll(/dkim=(\w+)/g)].map((m) => m[1]));
        };
        const messages: Buffer[] = [];
        for (const name of Object.keys(SAMPLES)) messages.push(await signed(compose(sample(name), IDS)));
        expect(results(messages)).toEqual(messages.map(() => ["pass", "pass"]));
        const [message] = messages;
        if (!message) throw new Error("no samples");
        const changed = [
          Buffer.concat([message, Buffer.from("more\r\n")]),
          Buffer.concat([Buffer.from("Subject: other\r\n"), message]),
          Buffer.concat([Buffer.from("From: evil@example.com\r\n"), message]),
        ];
        expect(results(changed).flat()).not.toContain("pass");
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  );
});

describe("relaxed forms", () => {
  it("are those of RFC 6376 §3.4.5", () => {
    const message = Buffer.from("A: X\r\nB : Y\t\r\n\tZ  \r\n\r\n C \r\nD \t E\r\n\r\n\r\n");
    const { fields, body } = cut(message);
    expect(fields.map((f) => f.relaxed)).toEqual(["a:X", "b:Y Z"]);
    expect(Buffer.from(relaxBody(body)).toString()).toBe(" C\r\nD E\r\n");
  });
});

describe("keys", () => {
  it("are published as RFC 6376 and RFC 8463 have it", () => {
    expect(rsa.dnsRecord).toMatch(/^v=DKIM1; k=rsa; p=MIIBIjAN[A-Za-z0-9+/]+AQAB$/);
    expect(Buffer.from(ed25519.dnsRecord.replace("v=DKIM1; k=ed25519; p=", ""), "base64")).toHaveLength(32);
  });
});
