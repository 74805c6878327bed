/**
 * What a webhook was told and what it answered, which is ours beyond Postmark: its log of calls, one event or a range of time told
 * again, and a paused trigger tried at once.
 */
import * as z from "zod";
import { TRIGGERS } from "../accounts/hooks.ts";
import type { NumberedCall } from "../notify/hook-calls.ts";
import { cursorParameter, formatCursor } from "./cursor.ts";
import { type Endpoint, serverEndpoint } from "./endpoint.ts";
import { apiError, type Result, refused } from "./error.ts";
import { pathNumber } from "./path.ts";
import {
  countParameter,
  fromDateParameter,
  parseDate,
  textParameter,
  toDateParameter,
  wordParameter,
} from "./query.ts";
import { formatTime } from "./time.ts";
import { hookAnswer, hookOf, NOT_FOUND_WHEN } from "./webhook-found.ts";
import type { WebhookNeeds } from "./webhooks.ts";

const family = "Webhooks";
const path = "/webhooks/:id";
const NO_DELIVERY = apiError(1352, "The delivery for the provided 'ID' was not found.");
const NO_DELIVERY_WHEN = { 1352: "There is no such webhook, or no such delivery of it" };

const OUTCOMES = { done: "Delivered", dropped: "Dropped", retry: "WillRetry", paused: "Paused" } as const;
const trigger = z.enum(TRIGGERS);
const headers = z.record(z.string(), z.string());

const listed = z.object({
  ID: z.int(),
  TriggerType: z.string(),
  EventID: z.string(),
  MessageID: z.string().nullable(),
  Recipient: z.string(),
  AttemptedAt: z.string(),
  /** 0 when there was no answer. */
  StatusCode: z.int(),
  /** Why there was none. */
  Failure: z.string(),
  DurationMs: z.int(),
  RetryCount: z.int(),
  Outcome: z.enum(["Delivered", "Dropped", "WillRetry", "Paused"]),
  NextTryAt: z.string().nullable(),
});
const shown = listed.extend({
  Request: z.object({ Url: z.string(), Headers: headers, Body: z.string().nullable() }),
  Response: z.object({ StatusCode: z.int(), Headers: headers, Body: z.string() }).nullable(),
});
const done = z.object({ ErrorCode: z.literal(0), Message: z.string() });

export function webhookDeliveryEndpoints(needs: WebhookNeeds): Endpoint[] {
  return [...readingEndpoints(needs), ...replayEndpoints(needs), resumeEndpoint(needs)];
}

function readingEndpoints(needs: WebhookNeeds): Endpoint[] {
  return [
    serverEndpoint(
      {
        method: "GET",
        path: `${path}/deliveries`,
        family,
        summary: "Lists what a webhook was told, newest first",
        description: "Kept for 7 days, and no more than the last 10,000 calls.",
        scope: "full",
        query: {
          schema: z.object({
            count: countParameter,
            cursor: cursorParameter(z.tuple([z.int()])).optional(),
            trigger: wordParameter(TRIGGERS).optional(),
            status: wordParameter(["delivered", "failed"]).optional(),
            messageID: textParameter.optional(),
            fromdate: fromDateParameter.optional(),
            todate: toDateParameter.optional(),
          }),
          code: 1361,
        },
        response: z.object({ Deliveries: z.array(listed), NextCursor: z.string().optional() }),
        errors: { ...NOT_FOUND_WHEN, 1361: "A parameter has no value that it can have" },
      },
      async ({ policy: { serverId }, params, query }) => {
        const found = await hookOf(needs, serverId, params.id);
        if ("error" in found) return found;
        const filter = {
          ...{ type: query.trigger, from: query.fromdate, to: query.todate },
          succeeded: query.status && query.status === "delivered",
          messageId: query.messageID?.toLowerCase(),
        };
        const page = { before: query.cursor?.[0], count: query.count };
        const { calls, more } = await hookAnswer(found.ok.hook.calls(filter, page));
        const cursor = more === undefined ? {} : { NextCursor: formatCursor([more]) };
        return { ok: { Deliveries: calls.map(listedJson), ...cursor } };
      },
    ),
    serverEndpoint(
      {
        method: "GET",
        path: `${path}/deliveries/:delivery`,
        family,
        summary: "Shows a call of a webhook, with its request and the reply",
        description:
          "What proves us to the webhook is not shown, nor is a body of more than 16,000 characters.",
        scope: "full",
        response: shown,
        errors: NO_DELIVERY_WHEN,
      },
      async ({ policy: { serverId }, params }) => {
        const found = await hookOf(needs, serverId, params.id);
        if ("error" in found) return found;
        const number = pathNumber(params.delivery);
        const call = number === undefined ? undefined : await hookAnswer(found.ok.hook.call(number));
        if (number === undefined || !call) return { error: NO_DELIVERY };
        const { url, headers, body, status = 0, reply } = call;
        return {
          ok: {
            ...listedJson({ number, call }),
            Request: { Url: url, Headers: headers, Body: body ?? null },
            Response: reply ? { StatusCode: status, Headers: reply.headers, Body: reply.body } : null,
          },
        };
      },
    ),
  ];
}

function replayEndpoints(needs: WebhookNeeds): Endpoint[] {
  return [
    serverEndpoint(
      {
        method: "POST",
        path: `${path}/deliveries/:delivery/replay`,
        family,
        summary: "Tells a webhook once more what it was told in one call",
        scope: "full",
        response: done,
        errors: NO_DELIVERY_WHEN,
      },
      async ({ policy: { serverId }, params }) => {
        const found = await hookOf(needs, serverId, params.id);
        if ("error" in found) return found;
        const number = pathNumber(params.delivery);
        if (number === undefined || !(await hookAnswer(found.ok.hook.replayCall(number))))
          return { error: NO_DELIVERY };
        return { ok: { ErrorCode: 0, Message: `Delivery ${number} will be repeated.` } };
      },
    ),
    serverEndpoint(
      {
        method: "POST",
        path: `${path}/replay`,
        family,
        summary: "Tells a webhook again what happened within a range of time",
        description:
          "`From` and `To` are times, inclusive; without `To`, until now. Of events that the event log still has, 45 days. `Triggers` names those that are meant; all without it.",
        scope: "full",
        body: {
          schema: z.object({
            From: z.string(),
            To: z.string().optional(),
            Triggers: z.array(trigger).optional(),
          }),
        },
        response: done,
        errors: {
          ...NOT_FOUND_WHEN,
          1361: "`From` or `To` is no time, or `To` is before `From`",
          1359: "10 replays are under way",
        },
      },
      async ({ policy: { serverId }, params, body }) => {
        const found = await hookOf(needs, serverId, params.id);
        if ("error" in found) return found;
        const range = readRange(body, needs.now());
        if ("error" in range) return range;
        const isBegun = await hookAnswer(found.ok.hook.replay({ ...range.ok, types: body.Triggers }));
        if (!isBegun) return refused(1359, "Too many replays of this webhook are under way.");
        return { ok: { ErrorCode: 0, Message: "The replay has begun." } };
      },
    ),
  ];
}

function resumeEndpoint(needs: WebhookNeeds): Endpoint {
  return serverEndpoint(
    {
      method: "POST",
      path: `${path}/resume`,
      family,
      summary: "Tries the paused triggers of a webhook at once",
      description: "Or the one that `Trigger` names.",
      scope: "full",
      body: { schema: z.object({ Trigger: trigger.optional() }) },
      response: done,
      errors: NOT_FOUND_WHEN,
    },
    async ({ policy: { serverId }, params, body }) => {
      const found = await hookOf(needs, serverId, params.id);
      if ("error" in found) return found;
      await hookAnswer(found.ok.hook.resume(body.Trigger && [body.Trigger]));
      return { ok: { ErrorCode: 0, Message: "OK" } };
    },
  );
}

function readRange(
  { From, To }: { From: string; To?: string },
  now: number,
): Result<{ from: number; to: number }> {
  const from = parseDate(From, "start");
  const to = To === undefined ? now : parseDate(To, "end");
  if (from === undefined || to === undefined || to < from)
    return refused(1361, "'From' and 'To' must be times, the first before the second.");
  return { ok: { from, to } };
}

function listedJson({ number, call }: NumberedCall): z.infer<typeof listed> {
  return {
    ID: number,
    TriggerType: call.type,
    EventID: call.eventId,
    MessageID: call.messageId || null,
    Recipient: call.email,
    AttemptedAt: formatTime(call.at),
    StatusCode: call.status ?? 0,
    Failure: call.failure ?? "",
    DurationMs: call.ms,
    RetryCount: call.retries,
    Outcome: OUTCOMES[call.next],
    NextTryAt: call.nextAt === undefined ? null : formatTime(call.nextAt),
  };
}
