/** Whatever is posted: an answer of ours with a documented code, and nothing handed over that is not whole. */
import fc from "fast-check";
import { expect, it } from "vitest";
import type { TemplateRef } from "../../src/accounts/templates.ts";
import { mount } from "../../src/api/endpoint.ts";
import { templatedEndpoints } from "../../src/api/templated.ts";
import { compileMessage } from "../../src/template/message.ts";
import { MESSAGE, post, recorder, TOKEN } from "./sending.ts";

const CODES = [0, 300, 400, 401, 402, 403, 406, 409, 410, 411, 1235, 1236];
/** A string of what lines, headers and addresses are made of. */
const nasty = fc
  .array(
    fc.constantFrom(
      "a",
      "@",
      "b.com",
      ",",
      "<",
      ">",
      '"',
      "\\",
      "\r\n",
      "\0",
      "\u2028",
      "ü",
      "\ud800",
      ":",
      ";",
      " ",
      "=?utf-8?q?",
      "?=",
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join(""));
const value = fc.oneof(
  fc.jsonValue({ maxDepth: 4 }),
  nasty,
  fc.constantFrom(null, "", 0, true, [], {}, "a@example.com"),
);
const keys = Object.keys({
  ...MESSAGE,
  Cc: 1,
  Bcc: 1,
  ReplyTo: 1,
  HtmlBody: 1,
  Tag: 1,
  TrackOpens: 1,
  TrackLinks: 1,
  MessageStream: 1,
  Metadata: 1,
  Headers: 1,
  Attachments: 1,
  ["__proto__"]: 1,
  constructor: 1,
});
const cased = fc
  .tuple(fc.constantFrom(...keys), fc.constantFrom("as", "low", "up"))
  .map(([key, how]) => (how === "as" ? key : how === "low" ? key.toLowerCase() : key.toUpperCase()));
const lists = fc.oneof(
  fc.record({
    Headers: fc.array(fc.record({ Name: nasty, Value: fc.oneof(nasty, fc.integer()) }), { maxLength: 3 }),
  }),
  fc.record({ Metadata: fc.dictionary(nasty, value, { maxKeys: 12 }) }),
  fc.record({
    Attachments: fc.array(
      fc.record({
        Name: nasty,
        Content: fc.oneof(nasty, fc.base64String()),
        ContentType: nasty,
        ContentID: nasty,
      }),
      { maxLength: 3 },
    ),
  }),
);
const message = fc
  .tuple(fc.array(fc.tuple(cased, value), { maxLength: 6 }), lists)
  .map(([pairs, list]) => ({ ...MESSAGE, ...list, ...Object.fromEntries(pairs) }));

function check(status: number, body: unknown): void {
  expect(body).toMatchObject({ ErrorCode: expect.any(Number), Message: expect.any(String) });
  const { ErrorCode, Message } = body as { ErrorCode: number; Message: string };
  expect(CODES).toContain(ErrorCode);
  expect(Message).not.toBe("");
  expect(status === 200).toBe(ErrorCode === 0);
}

it("one random message", async () => {
  await fc.assert(
    fc.asyncProperty(message, async (sent) => {
      const made = recorder();
      const { status, body } = await post(made, "/email", sent);
      check(status, body);
      const [submission] = made.calls.flatMap((c) => c.submissions);
      if (!submission) return;
      const { from, to, cc, bcc, replyTo, headers, attachments, subject, tag } = submission;
      for (const { email } of [from, ...to, ...cc, ...bcc, ...replyTo])
        expect(email).toMatch(/^[^\s@<>,;:"\\]+@[A-Za-z0-9.-]+$/);
      expect(to.length + cc.length + bcc.length).toBeGreaterThan(0);
      const lines = [
        subject,
        tag,
        ...headers.flatMap((h) => [h.name, h.value]),
        ...attachments.flatMap((a) => [a.name, a.contentType, a.contentId]),
        ...[from, ...to].map((m) => m.name),
      ];
      for (const line of lines) expect(line).not.toMatch(/[\r\n\0\u2028]/);
      expect(JSON.parse(JSON.stringify(submission))).toEqual(submission);
    }),
    { numRuns: 1500 },
  );
});

it("random batches: one answer for each item, and as many handed over as were answered with an id", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(message, value), { maxLength: 6 }), async (sent) => {
      const made = recorder();
      const { status, body } = await post(made, "/email/batch", sent);
      expect(status).toBe(200);
      const answers = body as { ErrorCode: number; MessageID?: string }[];
      expect(answers).toHaveLength(sent.length);
      for (const answer of answers) {
        check(answer.ErrorCode === 0 ? 200 : 422, answer);
        expect("MessageID" in answer).toBe(answer.ErrorCode === 0);
      }
      const handed = made.calls.flatMap((c) => c.submissions).length;
      expect(handed).toBe(answers.filter((a) => a.ErrorCode === 0 || a.ErrorCode === 406).length);
    }),
    { numRuns: 500 },
  );
});

it("random text", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(fc.string(), fc.json()),
      fc.constantFrom("/email", "/email/batch"),
      async (text, path) => {
        const { status, body } = await post(recorder(), path, text);
        if (Array.isArray(body)) expect(status).toBe(200);
        else check(status, body);
      },
    ),
    { numRuns: 1000 },
  );
});

it("random messages of a template", async () => {
  const source = { subject: "{{a}}", htmlBody: "<b>{{#each a}}{{.}}{{/each}}</b>", textBody: "{{a.b}}" };
  const model = fc.oneof(
    value,
    fc.dictionary(fc.constantFrom("a", "pm", "@x", "__proto__"), value),
    fc.json(),
  );
  const fields = fc.record(
    {
      TemplateId: fc.oneof(fc.constant(1), value),
      TemplateAlias: value,
      TemplateModel: model,
      InlineCss: value,
    },
    { requiredKeys: [] },
  );
  const templated = fc
    .tuple(fc.record({ Subject: value, HtmlBody: value }, { requiredKeys: [] }), fields, cased, value)
    .map(([content, own, key, given]) => ({
      From: MESSAGE.From,
      To: MESSAGE.To,
      ...content,
      ...own,
      [key]: given,
    }));
  await fc.assert(
    fc.asyncProperty(templated, async (sent) => {
      const made = recorder();
      const template = async (_server: number, ref: TemplateRef) =>
        "id" in ref && ref.id === 1 ? compileMessage(source) : undefined;
      const app = mount(templatedEndpoints({ ...made.needs, template }), made.needs);
      const headers = { "Content-Type": "application/json", "X-Postmark-Server-Token": TOKEN };
      const body = JSON.stringify(sent);
      const response = await app.request("/email/withTemplate", { method: "POST", headers, body });
      const answer = await response.json();
      expect([...CODES, 1101, 1120, 1122, 1123]).toContain((answer as { ErrorCode: number }).ErrorCode);
      expect(made.calls.length).toBe(response.status === 200 ? 1 : 0);
    }),
    { numRuns: 1000 },
  );
});
