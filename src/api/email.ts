/**
 * The HTTP door for mail: `POST /email` and `POST /email/batch`. A batch's valid messages are accepted together or not at all; the
 * others are refused one by one.
 */
import * as z from "zod";
import type { Endpoint } from "./endpoint.ts";
import { type Result, refused } from "./error.ts";
import {
  type Draft,
  MAX_BATCH,
  MAX_BATCH_BYTES,
  MAX_SINGLE_BYTES,
  MESSAGE_ERRORS,
  type SendNeeds,
  sendBatch,
  sendOne,
  sentBatch,
  sentMessage,
} from "./send.ts";
import { type Sender, sendEndpoint } from "./send-endpoint.ts";
import { messageFields, parseSubmission, readMessageFields } from "./submission.ts";

export function emailEndpoints(needs: SendNeeds): Endpoint[] {
  return [
    sendEndpoint(
      {
        path: "/email",
        summary: "Sends one message",
        body: { schema: messageFields, read: (value) => ({ ok: value }), maxBytes: MAX_SINGLE_BYTES },
        response: sentMessage,
        errors: MESSAGE_ERRORS,
      },
      (call) => sendOne(readDraft(call.body, call.sender), call, needs),
    ),
    sendEndpoint(
      {
        path: "/email/batch",
        summary: `Sends up to ${MAX_BATCH} messages`,
        description:
          "The answer has an item for each message, in order. The valid ones are accepted together or not at all; each of the others has its code and text in its place.",
        body: {
          schema: z.array(messageFields).max(MAX_BATCH),
          read: (value) =>
            Array.isArray(value)
              ? sizedBatch(value)
              : refused(402, "Invalid JSON: an array of messages was expected."),
          maxBytes: MAX_BATCH_BYTES,
        },
        response: sentBatch,
        errors: { 410: `There are more than ${MAX_BATCH} messages` },
      },
      (call) =>
        sendBatch(
          call.body.map((item) => readDraft(item, call.sender)),
          call,
          needs,
        ),
    ),
  ];
}

export function sizedBatch(messages: unknown[]): Result<unknown[]> {
  if (messages.length <= MAX_BATCH) return { ok: messages };
  return refused(410, `You may only send up to ${MAX_BATCH} messages in a single batched request.`);
}

function readDraft(value: unknown, sender: Sender): Result<Draft> {
  const fields = readMessageFields(value);
  if ("error" in fields) return fields;
  const submission = parseSubmission(fields.ok, sender);
  return "error" in submission ? submission : { ok: { to: fields.ok.To, submission: submission.ok } };
}
