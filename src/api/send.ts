/**
 * What is the same for every endpoint that takes mail: drafts go to the gate for mail in one call, all or none, and each gets its
 * answer in Postmark's words. A 200 means that the gate has the message on disk.
 */
import * as z from "zod";
import type { ServerPolicy } from "../accounts/policy.ts";
import type { Accepted } from "../mail/accepted.ts";
import type { Submission } from "../mail/message.ts";
import { type ApiError, apiError, errorResponse, okResponse, type Result, refused } from "./error.ts";
import type { Idempotency } from "./idempotency.ts";
import { checkSendAt, SEND_AT_ERROR } from "./send-at.ts";
import type { SendCall } from "./send-endpoint.ts";
import { formatTime } from "./time.ts";

const MB = 1024 * 1024;
export const MAX_SINGLE_BYTES = 10 * MB;
export const MAX_BATCH_BYTES = 50 * MB;
export const MAX_BATCH = 500;

export type AcceptReply =
  | { kind: "accepted"; results: Accepted[] }
  /** The idempotency key was used with another body. */
  | { kind: "conflict" }
  | { kind: "unavailable"; retryAfterSeconds: number };

export interface SendNeeds {
  /**
   * Accepts all or none; what has a `sendAt` is sent then. A repeat of an idempotency key gives the results of the first time.
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

export interface Draft {
  /** As it was written: it is in the answer. */
  to: string;
  submission: Submission;
}

/** One message's place in an answer. */
type Sent = z.infer<typeof sentMessage>;

export const sentMessage = z.object({
  To: z.string().optional(),
  SubmittedAt: z.string(),
  MessageID: z.string(),
  ErrorCode: z.literal(0),
  Message: z.string(),
  SendAt: z.string().optional().describe("Ours: it is scheduled."),
});

/** A failed message of a batch: nothing but these, or a client reads an id from it. */
const failedMessage = z.object({ ErrorCode: z.int(), Message: z.string() });

export const sentBatch = z.array(z.union([sentMessage, failedMessage]));

/** Of one message, when and why; a batch has them in its items. */
export const MESSAGE_ERRORS: Record<number, string> = {
  300: `An address, a header, the metadata or an attachment is invalid, there is no body, or a limit is exceeded; or ${SEND_AT_ERROR}`,
  400: "`From` is neither a sender signature nor at a verified domain of the account",
  401: "The sender signature of `From` is not confirmed",
  406: "All recipients are inactive",
  411: "The type of an attachment is forbidden",
  1235: "There is no such message stream",
  1236: "The message stream cannot send: it is for inbound mail, or archived",
};

export async function sendOne(
  draft: Result<Draft>,
  call: SendCall<unknown>,
  needs: SendNeeds,
): Promise<Result<Sent> | Response> {
  if ("error" in draft) return draft;
  const sent = await send([draft], call, needs);
  return sent instanceof Response ? sent : (sent[0] ?? refused(101, "No result."));
}

export async function sendBatch(
  drafts: Result<Draft>[],
  call: SendCall<unknown>,
  needs: SendNeeds,
): Promise<Response> {
  const sent = await send(drafts, call, needs);
  if (sent instanceof Response) return sent;
  return okResponse(
    sent.map((answer) =>
      "ok" in answer ? answer.ok : { ErrorCode: answer.error.code, Message: answer.error.message },
    ),
  );
}

/** Hands the valid drafts over in one call, and gives each draft its answer, in order. */
async function send(
  given: Result<Draft>[],
  { sender, request, idempotency }: SendCall<unknown>,
  needs: SendNeeds,
): Promise<Result<Sent>[] | Response> {
  const drafts = given.map(
    (draft) => ("ok" in draft && checkSendAt(draft.ok.submission.sendAt, needs.now())) || draft,
  );
  const valid = drafts.flatMap((draft) => ("ok" in draft ? [draft.ok] : []));
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

function answerOf(draft: Draft, result: Accepted | undefined, fine: string): Result<Sent> {
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
  const { sendAt } = draft.submission;
  return {
    ok: {
      // Absent when the request had none.
      To: draft.to || undefined,
      SubmittedAt: formatTime(result.submittedAt),
      MessageID: result.messageId,
      ErrorCode: 0,
      Message: message,
      ...(sendAt !== undefined && { SendAt: formatTime(Math.max(sendAt, result.submittedAt)) }),
    },
  };
}
