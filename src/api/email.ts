/**
 * The HTTP door for mail: `POST /email` and `POST /email/batch`. It answers 200 for a message only when the gate for mail has it
 * on disk. A batch's valid messages are accepted together or not at all; the others are refused one by one.
 */
import { Hono } from "hono";
import type { ServerPolicy } from "../accounts/policy.ts";
import type { Accepted } from "../mail/accepted.ts";
import type { Submission } from "../mail/message.ts";
import { type AuthenticateNeeds, authenticateServer, serverToken } from "./authenticate.ts";
import { type ApiError, apiError, errorResponse, okResponse, type Result, refused } from "./error.ts";
import { type Idempotency, idempotencyKey, requestHash } from "./idempotency.ts";
import { parseJson, readBody } from "./json-body.ts";
import { apiPath } from "./path.ts";
import { parseSubmission, readMessageFields } from "./submission.ts";
import { formatTime } from "./time.ts";

const MB = 1024 * 1024;
const MAX_SINGLE_BYTES = 10 * MB;
const MAX_BATCH_BYTES = 50 * MB;
const MAX_BATCH = 500;
const TEST_TOKEN = "POSTMARK_API_TEST";

export type AcceptReply =
  | { kind: "accepted"; results: Accepted[] }
  /** The idempotency key was used with another body. */
  | { kind: "conflict" }
  | { kind: "unavailable"; retryAfterSeconds: number };

export interface SendNeeds extends AuthenticateNeeds {
  /**
   * Accepts all or none. A repeat of an idempotency key gives the results of the first time.
   */
  accept(
    policy: ServerPolicy,
    submissions: Submission[],
    options: { idempotency?: Idempotency; request: Request },
  ): Promise<AcceptReply>;
  now(): number;
  /** A UUID: only for the test token, whose messages do not come to exist. */
  newId(): string;
}

/** Who sends: a server, or nobody (the test token), whose messages are checked and dropped. */
type Sender = ServerPolicy | undefined;

interface Draft {
  to: string;
  submission: Submission;
}

/** One message's place in a response. */
type Answer = Record<string, unknown>;

export function emailRoutes(needs: SendNeeds): Hono {
  const app = new Hono({ getPath: apiPath });

  app.post("/email", async (c) => {
    const call = await readCall(c.req.raw, MAX_SINGLE_BYTES, needs);
    if ("error" in call) return errorResponse(call.error);
    const draft = readDraft(call.ok.value, call.ok.sender);
    if ("error" in draft) return errorResponse(draft.error);
    const sent = await send([draft], call.ok, needs);
    if (sent instanceof Response) return sent;
    const [answer] = sent;
    if (!answer || "error" in answer) return errorResponse(answer?.error ?? apiError(101, "No result."));
    return okResponse(answer.ok);
  });

  app.post("/email/batch", async (c) => {
    const call = await readCall(c.req.raw, MAX_BATCH_BYTES, needs);
    if ("error" in call) return errorResponse(call.error);
    const { value, sender } = call.ok;
    if (!Array.isArray(value))
      return errorResponse(apiError(402, "Invalid JSON: an array of messages was expected."));
    if (value.length > MAX_BATCH)
      return errorResponse(
        apiError(410, "You may only send up to 500 messages in a single batched request."),
      );
    const sent = await send(
      value.map((item) => readDraft(item, sender)),
      call.ok,
      needs,
    );
    if (sent instanceof Response) return sent;
    return okResponse(sent.map((answer) => ("ok" in answer ? answer.ok : errorItem(answer.error))));
  });

  return app;
}

interface Call {
  request: Request;
  sender: Sender;
  value: unknown;
  idempotency?: Idempotency;
}

/** What is the same for every way to send: who asks, and what the body says. */
async function readCall(request: Request, maxBytes: number, needs: SendNeeds): Promise<Result<Call>> {
  let sender: Sender;
  if (serverToken(request).toUpperCase() !== TEST_TOKEN) {
    const server = await authenticateServer(request, needs);
    if ("error" in server) return server;
    sender = server.ok;
  }
  const body = await readBody(request, maxBytes);
  if ("error" in body) return body;
  const key = idempotencyKey(request);
  if ("error" in key) return key;
  const value = parseJson(body.ok);
  if ("error" in value) return value;
  if (key.ok === undefined || !sender) return { ok: { request, sender, value: value.ok } };
  const bodyHash = await requestHash(apiPath(request), body.ok);
  return { ok: { request, sender, value: value.ok, idempotency: { key: key.ok, bodyHash } } };
}

function readDraft(value: unknown, sender: Sender): Result<Draft> {
  const fields = readMessageFields(value);
  if ("error" in fields) return fields;
  const submission = parseSubmission(fields.ok, sender);
  return "error" in submission ? submission : { ok: { to: fields.ok.To, submission: submission.ok } };
}

/** Hands the valid drafts over in one call, and gives each draft its answer, in order. */
async function send(
  drafts: Result<Draft>[],
  call: Call,
  needs: SendNeeds,
): Promise<Result<Answer>[] | Response> {
  const valid = drafts.flatMap((draft) => ("ok" in draft ? [draft.ok] : []));
  const { sender, request, idempotency } = call;
  let results: Accepted[] = [];
  if (!sender)
    results = valid.map(() => ({
      ok: true,
      messageId: needs.newId(),
      submittedAt: needs.now(),
      inactive: [],
    }));
  else if (valid.length > 0) {
    const submissions = valid.map((draft) => draft.submission);
    const reply = await needs.accept(sender, submissions, { idempotency, request });
    if (reply.kind === "unavailable") {
      const error = apiError(100, "The service cannot accept messages at the moment. Please try again.");
      return errorResponse(error, {}, reply.retryAfterSeconds);
    }
    if (reply.kind === "conflict")
      return errorResponse(conflict("The 'Idempotency-Key' was used for a different request."));
    results = reply.results;
  }
  if (results.length !== valid.length) {
    if (!idempotency) return errorResponse(apiError(101, "Some messages have no result."));
    // The sender's domain was removed since, say: what was valid then and now differs, and a guess would send twice.
    return errorResponse(
      conflict("The 'Idempotency-Key' was used before, and what is allowed has changed since."),
    );
  }
  let next = 0;
  return drafts.map((draft) => {
    if ("error" in draft) return draft;
    return answerOf(draft.ok, results[next++], sender ? "OK" : "Test job accepted");
  });
}

/** HTTP 409 is ours: Postmark has no such key. The code is that of a request which cannot be right. */
function conflict(message: string): ApiError {
  return apiError(300, message, 409);
}

function answerOf(draft: Draft, result: Accepted | undefined, fine: string): Result<Answer> {
  if (!result) return refused(101, "No result.");
  const addresses = result.inactive.map((email) => email.toLowerCase()).join(", ");
  if (!result.ok)
    return refused(
      406,
      `You tried to send to recipient(s) that have been marked as inactive. Found inactive addresses: ${addresses}. Inactive recipients are ones that have generated a hard bounce, a spam complaint, or a manual suppression.`,
    );
  const message = addresses
    ? `Message OK, but will not deliver to these inactive addresses: ${addresses}. Inactive recipients are ones that have generated a hard bounce or a spam complaint.`
    : fine;
  return {
    ok: {
      // Absent when the request had none.
      To: draft.to || undefined,
      SubmittedAt: formatTime(result.submittedAt),
      MessageID: result.messageId,
      ErrorCode: 0,
      Message: message,
    },
  };
}

/** A failed message of a batch: nothing but these, or a client reads an id from it. */
function errorItem(error: ApiError): Answer {
  return { ErrorCode: error.code, Message: error.message };
}
