/** What the inbound hook is sent, read by somebody else's eyes: Anymail's view of Postmark's inbound webhook. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { InboundWorld } from "./world.ts";

/** The one that Debian's packages are for: another may come first on the path. */
const PYTHON = "/usr/bin/python3";
const hasAnymail = spawnSync(PYTHON, ["-c", "import django, anymail"]).status === 0;
const VIEW = resolve(import.meta.dirname, "../../clients/anymail-inbound.py");
const CORPUS = resolve(import.meta.dirname, "../../corpus/inbound");

let world: InboundWorld;
beforeAll(async () => {
  world = await InboundWorld.start();
});
afterAll(() => world.stop());

/** Filed as it would be, with a scanner's word on it, and posted as it lies in R2. */
async function read(raw: Buffer) {
  world.scanner = () => Response.json({ score: 7.25, action: "add header", symbols: { ONE: {} } });
  world.zone.set("TXT far.example", [`"v=spf1 ip4:192.0.2.7 -all"`]);
  const { recipient } = await world.newServer();
  const { told } = await world.take(raw, { recipient, scanner: "" });
  const [event] = told[0]?.events ?? [];
  const bucket = await world.bucket();
  const object = await bucket.get(`inbound/${told[0]?.serverId}/${event?.messageId}.json`);
  const { stdout, stderr } = spawnSync(PYTHON, [VIEW], { input: await object?.text(), encoding: "utf8" });
  expect(stderr).toBe("");
  const { status, seen } = JSON.parse(stdout);
  expect(status).toBe(200);
  expect(seen).toHaveLength(1);
  expect(seen[0].id).toBe(event?.messageId);
  expect(seen[0].envelopeRecipient).toBe(recipient);
  return seen[0];
}

describe.runIf(hasAnymail)("Anymail, for Django", () => {
  it("understands an answer, with who sent it, what is said of it, and what was answered", async () => {
    const seen = await read(readFileSync(`${CORPUS}/gmail.eml`));
    expect(seen).toMatchObject({
      ...{ esp: "Postmark", from: ["Ann Far", "ann@far.example"], subject: "Re: Your order" },
      ...{ stripped: "Thanks, got it!", envelopeSender: "ann@far.example", isSpam: true, spamScore: 7.3 },
      date: "2026-02-17T13:05:00+01:00",
      html: expect.stringContaining("gmail_quote"),
      text: expect.stringContaining("> your order has been shipped."),
      results: [expect.stringMatching(/^inbound\.mail\.example; dkim=none .*spf=pass/)],
    });
  });

  it("finds the files, and the pictures by their Content-ID", async () => {
    const seen = await read(readFileSync(`${CORPUS}/outlook-inline-image.eml`));
    expect(seen.inline).toEqual({ "image001.png@01DCA000.1A2B3C40": "image/png" });
    expect(seen.attachments).toMatchObject([{ name: "order.pdf", type: "application/pdf" }]);
    expect(Buffer.from(seen.attachments[0].content, "base64").subarray(0, 5).toString()).toBe("%PDF-");
  });

  it("reads names of every kind as we wrote them", async () => {
    const seen = await read(readFileSync(`${CORPUS}/many-recipients.eml`));
    expect(seen.from).toEqual(["Far, Ann (Sales)", "ann+news@far.example"]);
    // Anymail encodes what is not ASCII.
    expect(seen.to.slice(0, 3)).toEqual([
      ["Last, First", "one@a.example"],
      ["Two", "two@b.example"],
      ["=?utf-8?b?RHJlw68=?=", "three@c.example"],
    ]);
    expect(seen.cc).toEqual([
      ["", "six@f.example"],
      ["", "seven@g.example"],
    ]);
  });
});
