import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { prepare } from "../../src/deliver/transport/cloudflare-message.ts";
import { readLines } from "../../src/deliver/transport/ndjson.ts";
import { parseReply } from "../../src/deliver/transport/reply-line.ts";
import { answerTest, isTestDomain } from "../../src/deliver/transport/test-addresses.ts";
import type { Parcel } from "../../src/deliver/transport/transport.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

describe("parseReply", () => {
  it("reads code, enhanced status and text", () => {
    expect(parseReply("550 5.1.1 no such user")).toEqual({
      code: 550,
      enhanced: "5.1.1",
      text: "no such user",
    });
    expect(parseReply("250 ok")).toEqual({ code: 250, enhanced: "", text: "ok" });
    expect(parseReply("250")).toEqual({ code: 250, enhanced: "", text: "" });
    expect(parseReply("550-5.7.1 one\r\n550 5.7.1 two")).toEqual({
      code: 550,
      enhanced: "5.7.1",
      text: "one two",
    });
  });
  it("says 0 when it is no reply", () => {
    for (const text of ["", "connect ECONNREFUSED", "5501 x", "999 x"]) expect(parseReply(text).code).toBe(0);
  });
  it("lets nothing through that could break a log line, and no more than 1,000 characters", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 5_000 }), (text) => {
        const reply = parseReply(`550 ${text}`);
        // biome-ignore lint/suspicious/noControlCharactersInRegex: these must not be there
        expect(reply.text).not.toMatch(/[\x00-\x1f\x7f-\x9f\u2028\u2029]/);
        expect(reply.text.length).toBeLessThanOrEqual(1_000);
      }),
    );
  });
});

describe("test addresses", () => {
  const parcel = (domain: string, ...locals: string[]): Parcel => ({
    key: "k",
    domain,
    reversePath: "",
    recipients: locals.map((l) => `${l}@${domain}`),
    message: new Uint8Array(0),
    tls: "opportunistic",
    connections: 1,
  });
  const BOUNCES = "bounce-testing.postmarkapp.com";

  it("are these two domains only", () => {
    expect(
      ["blackhole.postmarkapp.com", BOUNCES, "postmarkapp.com", "x.blackhole.postmarkapp.com"].map(
        isTestDomain,
      ),
    ).toEqual([true, true, false, false]);
  });
  it("takes everything into the black hole", () => {
    const [outcome] = answerTest(parcel("blackhole.postmarkapp.com", "HardBounce"), "", 5);
    expect(outcome).toMatchObject({ result: "delivered", at: 5 });
    expect(outcome?.bounceType).toBeUndefined();
  });
  it("bounces by the local part, in any case and with or without underscores", () => {
    const locals = [
      "HardBounce",
      "hard_bounce",
      "SOFTBOUNCE",
      "soft-bounce",
      "DmarcPolicy",
      "smtp_api_error",
    ];
    const types = answerTest(parcel(BOUNCES, ...locals), "", 0).map((o) => o.bounceType);
    expect(types).toEqual([
      "HardBounce",
      "HardBounce",
      "SoftBounce",
      "SoftBounce",
      "DMARCPolicy",
      "SMTPApiError",
    ]);
  });
  it("bounces hard for what it does not know, and for complaints", () => {
    const locals = ["whatever", "SpamComplaint", "constructor", "__proto__"];
    for (const outcome of answerTest(parcel(BOUNCES, ...locals), "", 0))
      expect(outcome).toMatchObject({ result: "bounced", bounceType: "HardBounce", reply: { code: 550 } });
  });
  it("lets X-PM-Bounce-Type win", () => {
    expect(answerTest(parcel(BOUNCES, "hardbounce"), "Blocked", 0)[0]?.bounceType).toBe("Blocked");
  });
});

describe("a message for Cloudflare", () => {
  it("loses the fields that are theirs, folded ones whole, and keeps the body to the byte", () => {
    const text =
      'Received: from a\r\n\tby b\r\nDKIM-Signature: v=1;\r\n b=x\r\nFrom: "A, B"\r\n <a@example.com>\r\nSubject: Received: x\r\n\r\nReceived: body\r\n';
    expect(prepare(bytes(text))).toEqual({
      from: "a@example.com",
      message: 'From: "A, B"\r\n <a@example.com>\r\nSubject: Received: x\r\n\r\nReceived: body\r\n',
    });
  });
  it("has no sender when there is no From", () => {
    expect(prepare(bytes("Subject: x\r\n\r\nFrom: a@b.test\r\n")).from).toBe("");
    expect(prepare(bytes("")).from).toBe("");
  });
});

describe("readLines", () => {
  const stream = (...chunks: string[]) => new Response(chunks.length ? new Blob(chunks).stream() : null).body;
  async function lines(body: ReadableStream<Uint8Array> | null) {
    const all: string[] = [];
    for await (const line of readLines(body)) all.push(line);
    return all;
  }
  it("reads lines however they are cut into chunks, and drops a last one without its end", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ minLength: 1 }).map((s) => JSON.stringify(s))),
        fc.nat(7),
        async (all, n) => {
          const text = bytes(`${all.map((l) => `${l}\n`).join("")}{"cut`);
          const body = new ReadableStream<Uint8Array>({
            start(controller) {
              for (let i = 0; i < text.length; i += n + 1) controller.enqueue(text.slice(i, i + n + 1));
              controller.close();
            },
          });
          expect(await lines(body)).toEqual(all);
        },
      ),
    );
  });
  it("has none without a body, and refuses a line without end", async () => {
    expect(await lines(null)).toEqual([]);
    await expect(lines(stream("x".repeat(4_100_000)))).rejects.toThrow("line too long");
  });
});
