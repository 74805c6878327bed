/** What details show of a message: what was submitted, cut to 1 MB, and nothing worse than emptiness of what can't be read. */
import { describe, expect, it } from "vitest";
import { compose } from "../../src/compose/compose.ts";
import { readContent } from "../../src/compose/read-content.ts";
import { IDS, sample } from "./samples.ts";

const read = (name: string) => readContent(compose(sample(name), IDS));

describe("readContent", () => {
  it("gives the texts and the names of attachments", async () => {
    const content = await read("inline images and attachments");
    expect(content.textBody.trim()).toBe("see");
    expect(content.htmlBody.trim()).toBe('<img src="cid:logo.png">');
    expect(content.attachments.toSorted()).toEqual(["attachment.pdf", "inline.png"]);
  });

  it("leaves a forwarded message an attachment", async () => {
    const content = await read("forwarded messages");
    expect(content.textBody).not.toContain("within");
    expect(content.attachments).toEqual(["plain.eml", "utf8.eml", "parts.mht"]);
  });

  it("cuts what is shown at 1 MB", async () => {
    const content = await read("5 MB of text");
    expect(content.textBody.length).toBe(1024 * 1024);
    expect(sample("5 MB of text").textBody.startsWith(content.textBody)).toBe(true);
  });

  it("shows nothing of a message that is nested beyond reason, and does not fail", async () => {
    let message = "Subject: deep\r\n";
    for (let i = 0; i < 300; i++)
      message += `Content-Type: multipart/mixed; boundary=b${i}\r\n\r\n--b${i}\r\n`;
    expect(await readContent(Buffer.from(message))).toEqual({ textBody: "", htmlBody: "", attachments: [] });
  });

  it("reads any bytes", async () => {
    const bytes = new Uint8Array(5000).map((_, i) => (i * 7919) % 256);
    expect(await readContent(bytes)).toHaveProperty("textBody");
    expect(await readContent(new Uint8Array(0))).toEqual({ textBody: "", htmlBody: "", attachments: [] });
  });
});
