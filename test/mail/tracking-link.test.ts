/** Links of messages: what is read from them is what was put in, and nothing that was changed is read. */
import { beforeAll, describe, expect, it } from "vitest";
import { fillBlanks } from "../../src/compose/fill.ts";
import {
  clickPath,
  fillRecipient,
  isTarget,
  openPath,
  parseClick,
  parseOpen,
  parseUnsubscribe,
  parseUnsubscribeAddress,
  RECIPIENT_BLANK,
  trackingKey,
  unsubscribeAddress,
  unsubscribePath,
} from "../../src/mail/tracking-link.ts";

const message = { serverId: 70_000_123, messageId: "0a1b2c3d-4e5f-4061-8273-8495a6b7c8d9" };
const other = { serverId: 1, messageId: "ffffffff-4e5f-4061-8273-8495a6b7c8d9" };
const target = "https://example.com/a?b=c&d=é#f";
let key: CryptoKey;
let field: string;
beforeAll(async () => {
  key = await trackingKey("secret");
  field = await fillRecipient(key, message.messageId, 49);
});

const last = (path: string) => path.slice(path.lastIndexOf("/") + 1);
const clickParts = (path: string) => path.split("/").slice(2) as [string, string];
/** Every copy of a text with one of its characters changed. */
const changes = (text: string) =>
  Array.from(text, (c, i) => text.slice(0, i) + (c === "a" ? "b" : "a") + text.slice(i + 1));

describe("links of a message", () => {
  it("say whose they are", async () => {
    const whose = { ...message, index: 49 };
    expect(await parseOpen(key, last(await openPath(key, message, field)))).toEqual(whose);
    expect(await parseUnsubscribe(key, last(await unsubscribePath(key, message, field)))).toEqual(whose);
    const [token, written] = clickParts(await clickPath(key, message, field, target));
    expect(await parseClick(key, token, written)).toEqual({ ...whose, target, location: "HTML" });
    const [inText, same] = clickParts(await clickPath(key, message, field, target, "Text"));
    expect(await parseClick(key, inText, same)).toEqual({ ...whose, target, location: "Text" });
    expect(await parseClick(key, token, same)).toBeUndefined();
  });

  it("name the first and the last recipient that a link can", async () => {
    for (const index of [0, 1, 31, 32, 1023]) {
      const path = await unsubscribePath(key, message, await fillRecipient(key, message.messageId, index));
      expect(await parseUnsubscribe(key, last(path))).toEqual({ ...message, index });
    }
    for (const index of [-1, 1024, 0.5, Number.NaN])
      await expect(fillRecipient(key, message.messageId, index)).rejects.toThrow();
  });

  it("are filled for each recipient in bytes that are made", async () => {
    const blank = await openPath(key, message, RECIPIENT_BLANK);
    const filled = fillBlanks(new TextEncoder().encode(blank), RECIPIENT_BLANK, field);
    expect(new TextDecoder().decode(filled)).toBe(await openPath(key, message, field));
    expect(await parseOpen(key, last(blank))).toBeUndefined();
  });

  it("are nobody's when any character of the token is changed, or it is cut or grows", async () => {
    const token = last(await unsubscribePath(key, message, field));
    for (const changed of [...changes(token), token.slice(0, -1), `${token}a`, token.toUpperCase(), ""])
      expect(await parseUnsubscribe(key, changed), changed).toBeUndefined();
  });

  it("lead nowhere when the target is changed", async () => {
    const [token, written] = clickParts(await clickPath(key, message, field, target));
    const evil = Buffer.from("https://evil.example/").toString("base64url");
    for (const changed of [
      ...changes(written),
      evil,
      `h${evil}`,
      `${written}=`,
      "",
      written.slice(0, -2),
      "a".repeat(20_000),
    ])
      expect(await parseClick(key, token, changed), changed).toBeUndefined();
  });

  it("lead to the web only, and not to what is too long for a link", async () => {
    const long = (length: number) => `https://example.com/${"ä".repeat((length - 20) / 2)}`;
    for (const url of [target, long(12_000), "HTTP://a.b", "http://user@[::1]:80/?q=a b"]) {
      expect(isTarget(url), url).toBe(true);
      const [token, written] = clickParts(await clickPath(key, message, field, url));
      expect((await parseClick(key, token, written))?.target).toBe(url);
    }
    for (const url of [
      "",
      long(12_002),
      "javascript:alert(1)",
      "ftp://a.b/",
      "//a.b/",
      "/a",
      "http://",
      "https:///a",
      "http:a.b",
      "https://exa mple.com/",
      "http://a.b/\ud800",
      " http://a.b/",
    ]) {
      expect(isTarget(url), url).toBe(false);
      await expect(clickPath(key, message, field, url)).rejects.toThrow();
    }
  });

  it("are of use for their own purpose, message and deployment only", async () => {
    const open = last(await openPath(key, message, field)).slice(0, -4);
    expect(await parseUnsubscribe(key, open)).toBeUndefined();
    const foreign = last(await unsubscribePath(key, other, field));
    expect(await parseUnsubscribe(key, foreign)).toBeUndefined();
    const token = last(await unsubscribePath(key, message, field));
    expect(await parseUnsubscribe(await trackingKey("another"), token)).toBeUndefined();
  });
});

describe("the address that unsubscribes", () => {
  it("is short enough, and known in any case of its letters", async () => {
    const address = await unsubscribeAddress(key, message, field, "bounces.example.com");
    expect(address.indexOf("@")).toBe(64);
    expect(await parseUnsubscribeAddress(key, address)).toEqual({ ...message, index: 49 });
    expect(await parseUnsubscribeAddress(key, address.toUpperCase())).toEqual({ ...message, index: 49 });
  });

  it("is nobody's when it is another's or changed", async () => {
    const address = await unsubscribeAddress(key, message, field, "bounces.example.com");
    for (const changed of ["", "u-@bounces.example.com", address.replace("u-", "b-"), `x${address}`])
      expect(await parseUnsubscribeAddress(key, changed), changed).toBeUndefined();
    for (const changed of changes(address.slice(0, 64)).slice(2))
      expect(await parseUnsubscribeAddress(key, `${changed}@bounces.example.com`), changed).toBeUndefined();
  });
});
