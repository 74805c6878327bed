/** Postmark's official client for Node, unchanged, against our routes behind a real HTTP server. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Errors, Models, ServerClient } from "postmark";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { emailEndpoints } from "../../src/api/email.ts";
import { mount } from "../../src/api/endpoint.ts";
import { type Recorder, recorder, TOKEN } from "./sending.ts";

let made: Recorder;
let server: Server;
let requestHost: string;

beforeAll(async () => {
  server = createServer(async (incoming, outgoing) => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const request = new Request(`http://${requestHost}${incoming.url}`, {
      method: incoming.method,
      headers: incoming.headers as Record<string, string>,
      body: chunks.length > 0 ? Buffer.concat(chunks) : undefined,
    });
    const response = await mount(emailEndpoints(made.needs), made.needs).fetch(request);
    outgoing.writeHead(response.status, Object.fromEntries(response.headers));
    outgoing.end(await response.text());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  requestHost = `127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(() => {
  server.close();
  server.closeAllConnections();
});

beforeEach(() => {
  made = recorder();
});

const client = (token = TOKEN) => new ServerClient(token, { requestHost, useHttps: false });
const MESSAGE = { From: "Ann <ann@example.com>", To: "bob@far.org", Subject: "Hello", TextBody: "Hi" };

/** What a call is rejected with. */
async function rejection(call: Promise<unknown>): Promise<Errors.PostmarkError> {
  try {
    await call;
  } catch (error) {
    return error as Errors.PostmarkError;
  }
  throw new Error("was not rejected");
}

describe("postmark.js sends", () => {
  it("a message with everything in it", async () => {
    const answer = await client().sendEmail({
      ...MESSAGE,
      Cc: "cc@far.org",
      Bcc: "bcc@far.org",
      ReplyTo: "desk@example.com",
      HtmlBody: "<b>Hi</b>",
      Tag: "welcome",
      Headers: [{ Name: "X-Order", Value: "17" }],
      Metadata: { order: "17" },
      TrackOpens: true,
      TrackLinks: Models.LinkTrackingOptions.HtmlOnly,
      MessageStream: "outbound",
      Attachments: [new Models.Attachment("a.txt", "aGVsbG8=", "text/plain", "cid:a.txt")],
    });
    expect(answer).toMatchObject({ To: "bob@far.org", ErrorCode: 0, Message: "OK" });
    expect(Number.isNaN(Date.parse(answer.SubmittedAt))).toBe(false);
    expect(made.calls[0]?.submissions[0]).toMatchObject({
      cc: [{ email: "cc@far.org" }],
      tag: "welcome",
      trackOpens: true,
      trackLinks: "HtmlOnly",
      metadata: { order: "17" },
      attachments: [{ name: "a.txt", contentId: "a.txt" }],
    });
  });

  it("a batch in which one message is refused", async () => {
    const answers = await client().sendEmailBatch([MESSAGE, { ...MESSAGE, To: "x" }]);
    expect(answers.map((a) => [a.ErrorCode, a.Message])).toEqual([
      [0, "OK"],
      [300, "Invalid 'To' address: 'x'."],
    ]);
  });

  it("with the test token", async () => {
    const answer = await client("POSTMARK_API_TEST").sendEmail({ ...MESSAGE, From: "a@anywhere.org" });
    expect(answer.Message).toBe("Test job accepted");
  });
});

describe("postmark.js rejects with its own errors", () => {
  it("InvalidAPIKeyError", async () => {
    const error = await rejection(client("nope").sendEmail(MESSAGE));
    expect(error).toBeInstanceOf(Errors.InvalidAPIKeyError);
    expect([error.statusCode, error.code]).toEqual([401, 10]);
  });

  it("InactiveRecipientsError, with the recipients", async () => {
    const error = await rejection(client().sendEmail({ ...MESSAGE, To: "gone@far.org, Gone.Too@far.org" }));
    expect(error).toBeInstanceOf(Errors.InactiveRecipientsError);
    expect((error as Errors.InactiveRecipientsError).recipients).toEqual([
      "gone@far.org",
      "gone.too@far.org",
    ]);
  });

  it("InvalidEmailRequestError", async () => {
    const error = await rejection(client().sendEmail({ ...MESSAGE, From: "webmaster@localhost" }));
    expect(error).toBeInstanceOf(Errors.InvalidEmailRequestError);
    expect([error.code, error.message]).toEqual([300, "Invalid 'From' address: 'webmaster@localhost'."]);
  });

  it("ApiInputError, for other codes of 422", async () => {
    const error = await rejection(client().sendEmail({ ...MESSAGE, MessageStream: "unknown-stream" }));
    expect(error).toBeInstanceOf(Errors.ApiInputError);
    expect([error.statusCode, error.code]).toEqual([422, 1235]);
  });

  it("its error for 503", async () => {
    made.reply = { kind: "unavailable", retryAfterSeconds: 2 };
    const error = await rejection(client().sendEmail(MESSAGE));
    expect(error).toBeInstanceOf(Errors.ServiceUnavailablerError);
    expect(error.code).toBe(100);
  });

  it("when a message is too large, with the answer and not with a closed connection", async () => {
    const error = await rejection(client().sendEmail({ ...MESSAGE, TextBody: "x".repeat(11 * 1024 * 1024) }));
    expect([error.statusCode, error.code]).toEqual([413, 300]);
  });
});
