/**
 * Every message of test/corpus/inbound becomes the payload that its index says, in workerd: real shapes, made by hand, each with its
 * origin. What the index has for a message: fields of the payload, pieces of its texts, fields of its header, and all of its files.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { asText, InboundWorld } from "./world.ts";

const CORPUS = resolve(import.meta.dirname, "../../corpus/inbound");
/** The hash is that of the corpus's server; the part behind "+" is what a shop would put there. */
const RECIPIENT = "8f3b2c1d4e5f60718293a4b5c6d7e8f9+ticket-42@inbound.mail.example";

interface Expected {
  origin: string;
  /** Of the envelope, where it is not RECIPIENT. */
  recipient?: string;
  payload: Record<string, unknown>;
  text?: string[];
  html?: string[];
  headers?: Record<string, string>;
  attachments: {
    Name: string;
    ContentType: string;
    ContentID: string;
    ContentLength: number;
    sha256: string;
  }[];
}

const INDEX: Record<string, Expected> = JSON.parse(readFileSync(join(CORPUS, "index.json"), "utf8"));

let world: InboundWorld;
beforeAll(async () => {
  world = await InboundWorld.start();
});
afterAll(() => world.stop());

describe("test/corpus/inbound", () => {
  it("names every file, and there are many", () => {
    const files = readdirSync(CORPUS).filter((f) => f.endsWith(".eml"));
    expect(Object.keys(INDEX).sort()).toEqual(files.sort());
    expect(files.length).toBeGreaterThanOrEqual(40);
  });

  it.each(Object.entries(INDEX))("%s", async (file, expected) => {
    expect(expected.origin).not.toBe("");
    const raw = readFileSync(join(CORPUS, file));
    const { payload, unread } = await world.open(raw, {
      recipient: expected.recipient ?? RECIPIENT,
      rawEmail: true,
    });
    expect(unread).toBe("");
    expect(payload).toMatchObject(expected.payload);
    for (const text of expected.text ?? []) expect(payload.TextBody).toContain(text);
    for (const html of expected.html ?? []) expect(payload.HtmlBody).toContain(html);
    for (const [name, value] of Object.entries(expected.headers ?? {}))
      expect(payload.Headers).toContainEqual({ Name: name, Value: value });
    expect(
      payload.Attachments.map(({ Content, ...file }) => {
        const sha256 = createHash("sha256").update(Buffer.from(Content, "base64")).digest("hex");
        return { ...file, sha256 };
      }),
    ).toEqual(expected.attachments);
    expect(payload.RawEmail).toBe(asText(raw));
  });
});
