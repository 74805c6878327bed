/** `POST /email` and `POST /email/batch` as a client sees them, before a gate for mail that records what it is handed. */
import { describe, expect, it } from "vitest";
import type { AcceptReply } from "../../src/api/send.ts";
import { MESSAGE, POLICY, post, recorder, TOKEN } from "./sending.ts";

const OK = {
  To: "bob@far.org",
  SubmittedAt: "2026-02-17T07:25:01.4170000-05:00",
  MessageID: expect.stringMatching(/^[0-9a-f-]{36}$/),
  ErrorCode: 0,
  Message: "OK",
};
const TEST = { "X-Postmark-Server-Token": "POSTMARK_API_TEST" };
const INVALID_TO = { ErrorCode: 300, Message: "Invalid 'To' address: 'x'." };

describe("one message", () => {
  it("is accepted, and answered in Postmark's words", async () => {
    const made = recorder();
    const { status, body, headers } = await post(made, "/email", MESSAGE);
    expect(status).toBe(200);
    expect(body).toEqual(OK);
    expect(Object.keys(body as object)).toEqual(["To", "SubmittedAt", "MessageID", "ErrorCode", "Message"]);
    expect(headers.get("Content-Type")).toBe("application/json; charset=utf-8");
    expect(headers.get("Cache-Control")).toBe("no-store");
    expect(headers.get("X-PM-ApiErrorCode")).toBeNull();
    expect(made.calls).toMatchObject([{ submissions: [{ subject: "Hello", stream: "outbound" }] }]);
  });

  it("has its To given back as it was written", async () => {
    const To = '"Last, First"<b@far.org>, c@FAR.org,';
    expect((await post(recorder(), "/email", { ...MESSAGE, To })).body).toEqual({ ...OK, To });
  });

  it("has no To in the answer when it had none", async () => {
    const { body } = await post(recorder(), "/email", {
      ...MESSAGE,
      To: undefined,
      Cc: "c@far.org",
      Bcc: "d@far.org",
    });
    expect(Object.keys(body as object)).toEqual(["SubmittedAt", "MessageID", "ErrorCode", "Message"]);
  });

  it.each(["/email/", "/EMAIL", "/Email?x=1", "/email/?x=1"])("is taken at %s", async (path) => {
    expect((await post(recorder(), path, MESSAGE)).body).toEqual(OK);
  });

  it.each<[string, Record<string, string>]>([
    ["the token in upper case", { "X-Postmark-Server-Token": TOKEN.toUpperCase() }],
    ["a charset", { "Content-Type": "application/json; charset=utf-8" }],
    ["another JSON type", { "Content-Type": "text/json" }],
    ["unknown headers", { "X-Agent-Label": "x", "X-Postmark-Correlation-Id": "1", Accept: "text/html" }],
  ])("is taken with %s", async (_name, headers) => {
    expect((await post(recorder(), "/email", MESSAGE, headers)).status).toBe(200);
  });

  it("is refused with its code in the status, the body and the header", async () => {
    const made = recorder();
    const { status, body, headers } = await post(made, "/email", { ...MESSAGE, To: "x" });
    expect(status).toBe(422);
    expect(body).toEqual(INVALID_TO);
    expect(headers.get("X-PM-ApiErrorCode")).toBe("300");
    expect(headers.get("Retry-After")).toBeNull();
    expect(made.calls).toEqual([]);
  });
});

describe("a request is refused as a whole", () => {
  const big = `{"From":"${"x".repeat(10 * 1024 * 1024)}"}`;
  it.each<[string, string, unknown, Record<string, string>, number, number]>([
    ["no token", "/email", MESSAGE, { "X-Postmark-Server-Token": "" }, 401, 10],
    ["an unknown token", "/email", MESSAGE, { "X-Postmark-Server-Token": "nope" }, 401, 10],
    [
      "a token that is far too long",
      "/email",
      MESSAGE,
      { "X-Postmark-Server-Token": "n".repeat(5000) },
      401,
      10,
    ],
    [
      "a server's token as an account's",
      "/email",
      MESSAGE,
      { "X-Postmark-Server-Token": "", "X-Postmark-Account-Token": TOKEN },
      401,
      10,
    ],
    ["an unknown token, a batch", "/email/batch", [MESSAGE], { "X-Postmark-Server-Token": "nope" }, 401, 10],
    [
      "an unknown token and no JSON: the token is first",
      "/email",
      "{",
      { "X-Postmark-Server-Token": "nope" },
      401,
      10,
    ],
    ["no JSON", "/email", "{", {}, 422, 402],
    ["no JSON, a batch", "/email/batch", "[{]", {}, 422, 402],
    ["no JSON with the test token", "/email", "From=a", TEST, 422, 402],
    ["an empty body", "/email", "", {}, 422, 402],
    ["null", "/email", "null", {}, 422, 402],
    ["a list for one message", "/email", [MESSAGE], {}, 422, 402],
    ["a number", "/email", "5", {}, 422, 402],
    ["an object for a batch", "/email/batch", MESSAGE, {}, 422, 402],
    ["deep nesting", "/email", "[".repeat(100_000), {}, 422, 402],
    ["nesting of 33", "/email", `{"Metadata":${"[".repeat(32)}${"]".repeat(32)}}`, {}, 422, 402],
    ["501 messages", "/email/batch", Array(501).fill({}), {}, 422, 410],
    ["a form", "/email", "From=a", { "Content-Type": "application/x-www-form-urlencoded" }, 415, 409],
    ["a compressed body", "/email", MESSAGE, { "Content-Encoding": "gzip" }, 415, 409],
    ["over 10 MB", "/email", big, {}, 413, 300],
    ["over 10 MB, as announced", "/email", big, { "Content-Length": String(big.length) }, 413, 300],
    ["an Idempotency-Key of 257", "/email", MESSAGE, { "Idempotency-Key": "k".repeat(257) }, 422, 300],
    ["an Idempotency-Key with a space", "/email", MESSAGE, { "Idempotency-Key": "a b" }, 422, 300],
  ])("%s", async (_name, path, sent, headers, status, code) => {
    const made = recorder();
    const answer = await post(made, path, sent, headers);
    expect([answer.status, answer.body]).toEqual([status, { ErrorCode: code, Message: expect.any(String) }]);
    expect(answer.headers.get("X-PM-ApiErrorCode")).toBe(String(code));
    expect(made.calls).toEqual([]);
  });

  it("with texts that clients look for", async () => {
    const bad = await post(recorder(), "/email", MESSAGE, { "X-Postmark-Server-Token": "nope" });
    expect((bad.body as { Message: string }).Message).toMatch(/valid.*token/i);
    const many = await post(recorder(), "/email/batch", Array(501).fill(MESSAGE));
    expect(many.body).toEqual({
      ErrorCode: 410,
      Message: "You may only send up to 500 messages in a single batched request.",
    });
  });

  it("with 503 and a time to wait when the gate for mail cannot take it", async () => {
    const made = recorder();
    made.reply = { kind: "unavailable", retryAfterSeconds: 7 };
    for (const [path, body] of [
      ["/email", MESSAGE],
      ["/email/batch", [MESSAGE]],
    ] as const) {
      const answer = await post(made, path, body);
      expect([answer.status, answer.body]).toEqual([503, { ErrorCode: 100, Message: expect.any(String) }]);
      expect(answer.headers.get("Retry-After")).toBe("7");
    }
  });
});

describe("a batch", () => {
  it("answers each message in order; failed ones have a code and a text and nothing else", async () => {
    const made = recorder();
    const { status, body } = await post(made, "/email/batch", [
      MESSAGE,
      { ...MESSAGE, To: "x" },
      { ...MESSAGE, To: "gone@far.org" },
      { ...MESSAGE, From: 5 },
      null,
      { ...MESSAGE, MessageStream: "unknown-stream" },
      { ...MESSAGE, To: "carl@far.org" },
    ]);
    expect(status).toBe(200);
    expect(body).toEqual([
      OK,
      INVALID_TO,
      {
        ErrorCode: 406,
        Message: expect.stringContaining("Found inactive addresses: gone@far.org. Inactive"),
      },
      { ErrorCode: 403, Message: "Invalid request field(s): 'From'." },
      { ErrorCode: 402, Message: expect.any(String) },
      { ErrorCode: 1235, Message: "The stream provided: 'unknown-stream' does not exist on this server." },
      { ...OK, To: "carl@far.org" },
    ]);
    // In one call, and only what is valid.
    expect(made.calls.map((c) => c.submissions.map((s) => s.to[0]?.email))).toEqual([
      ["bob@far.org", "gone@far.org", "carl@far.org"],
    ]);
  });

  it("asks nothing of the gate when no message is valid", async () => {
    const made = recorder();
    expect((await post(made, "/email/batch", [{}, { ...MESSAGE, To: "x" }])).status).toBe(200);
    expect(made.calls).toEqual([]);
  });

  it("may be empty", async () => {
    expect(await post(recorder(), "/email/batch", [])).toMatchObject({ status: 200, body: [] });
  });

  it("may have 500 messages and more than 10 MB", async () => {
    const batch = Array.from({ length: 500 }, () => ({ ...MESSAGE, TextBody: "x".repeat(25_000) }));
    const { body } = await post(recorder(), "/Email/Batch/", batch);
    expect(body).toHaveLength(500);
    expect(new Set((body as { MessageID: string }[]).map((r) => r.MessageID)).size).toBe(500);
  });
});

describe("the test token", () => {
  it("answers a message that is fine, and hands nothing over", async () => {
    const made = recorder();
    const { status, body } = await post(made, "/email", { ...MESSAGE, From: "a@anywhere.org" }, TEST);
    expect([status, body]).toEqual([200, { ...OK, Message: "Test job accepted" }]);
    expect(made.calls).toEqual([]);
  });

  it("refuses what a real token does", async () => {
    const { status, body } = await post(
      recorder(),
      "/email",
      { ...MESSAGE, From: "webmaster@localhost" },
      TEST,
    );
    expect([status, body]).toEqual([
      422,
      { ErrorCode: 300, Message: "Invalid 'From' address: 'webmaster@localhost'." },
    ]);
    expect((await post(recorder(), "/email", { ...MESSAGE, TextBody: "" }, TEST)).body).toMatchObject({
      ErrorCode: 300,
    });
  });

  it("answers a batch message by message", async () => {
    const made = recorder();
    const { body } = await post(made, "/email/batch", [MESSAGE, { ...MESSAGE, To: "x" }], {
      ...TEST,
      "Idempotency-Key": "k",
    });
    expect(body).toEqual([{ ...OK, Message: "Test job accepted" }, INVALID_TO]);
    expect(made.calls).toEqual([]);
  });
});

describe("inactive recipients", () => {
  const everybody =
    "You tried to send to recipient(s) that have been marked as inactive. Found inactive addresses: gone@far.org, gone2@far.org. Inactive recipients are ones that have generated a hard bounce, a spam complaint, or a manual suppression.";
  const some =
    "Message OK, but will not deliver to these inactive addresses: gone@far.org. Inactive recipients are ones that have generated a hard bounce or a spam complaint.";

  it("are all of them: refused with their addresses", async () => {
    const { status, body } = await post(recorder(), "/email", {
      ...MESSAGE,
      To: "Gone@far.org, gone2@far.org",
    });
    expect([status, body]).toEqual([422, { ErrorCode: 406, Message: everybody }]);
  });

  it("are some of them: accepted for the others", async () => {
    const { status, body } = await post(recorder(), "/email", { ...MESSAGE, Cc: "gone@far.org" });
    expect([status, body]).toEqual([200, { ...OK, Message: some }]);
  });

  it("are found by the patterns of Ruby's and Python's clients", () => {
    expect(/Found inactive addresses: (.+?)\. Inactive/.exec(everybody)?.[1]?.split(", ")).toEqual([
      "gone@far.org",
      "gone2@far.org",
    ]);
    expect(/Found inactive addresses:\s*(.+?)\.(?:\s|$)/.exec(everybody)?.[1]).toBe(
      "gone@far.org, gone2@far.org",
    );
    expect(/these inactive addresses: (.+?)\.?$/.exec(some)?.[1]).toMatch(/^gone@far\.org\. /);
  });
});

describe("an idempotency key", () => {
  const key = { "Idempotency-Key": "order-17" };

  it("gives the first answer again, of a batch with failed messages too", async () => {
    const made = recorder();
    const batch = [MESSAGE, { ...MESSAGE, To: "x" }, { ...MESSAGE, To: "gone@far.org" }, MESSAGE];
    const first = await post(made, "/email/batch", batch, key);
    const second = await post(made, "/email/batch", batch, key);
    expect(second.body).toEqual(first.body);
    expect(made.calls).toHaveLength(2);
    expect(made.calls[0]?.idempotency).toEqual({
      key: "order-17",
      bodyHash: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    expect(made.calls[1]?.idempotency).toEqual(made.calls[0]?.idempotency);
  });

  it("is 409 with another body, and with the same body on the other route", async () => {
    const made = recorder();
    await post(made, "/email", MESSAGE, key);
    const other = await post(made, "/email", { ...MESSAGE, Subject: "Other" }, key);
    expect([other.status, other.body]).toEqual([
      409,
      { ErrorCode: 300, Message: expect.stringContaining("Idempotency-Key") },
    ]);
    const hashes = [];
    for (const path of ["/email", "/email/batch"]) {
      const fresh = recorder();
      await post(fresh, path, path === "/email" ? MESSAGE : [MESSAGE], key);
      hashes.push(fresh.calls[0]?.idempotency?.bodyHash);
    }
    expect(hashes[0]).not.toBe(hashes[1]);
  });

  it("is 409, not a second copy, when fewer messages are allowed than the first time", async () => {
    const policy = { ...POLICY, domains: ["example.com", "second.org"] };
    const made = recorder(policy);
    const batch = [MESSAGE, { ...MESSAGE, From: "a@second.org" }];
    await post(made, "/email/batch", batch, key);
    policy.domains = ["example.com"];
    const answer = await post(made, "/email/batch", batch, key);
    expect([answer.status, answer.body]).toEqual([409, { ErrorCode: 300, Message: expect.any(String) }]);
  });

  it("is not looked for when there is none", async () => {
    const made = recorder();
    await post(made, "/email", MESSAGE);
    expect(made.calls[0]?.idempotency).toBeUndefined();
  });
});

it("an answer that has no result for a message is an error, never a success", async () => {
  const made = recorder();
  const broken: AcceptReply = { kind: "accepted", results: [] };
  made.reply = broken;
  expect(await post(made, "/email", MESSAGE)).toMatchObject({ status: 500, body: { ErrorCode: 101 } });
});
