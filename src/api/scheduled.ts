/** `/email/scheduled`, which is ours: the messages that were sent with a `SendAt` and whose time has not come, soonest first. */
import * as z from "zod";
import type { SchedulePort } from "../accept/schedule.ts";
import type { ScheduledMessage } from "../accept/schedule-store.ts";
import { cursorParameter, formatCursor } from "./cursor.ts";
import { type Endpoint, serverEndpoint } from "./endpoint.ts";
import { apiError, type Result, Unavailable } from "./error.ts";
import { messageJson, messageSchema } from "./message-json.ts";
import { countParameter, textParameter } from "./query.ts";
import { checkSendAt, parseSendAt, SEND_AT_ERROR, sendAtField } from "./send-at.ts";
import { formatTime } from "./time.ts";

export interface ScheduledNeeds {
  now(): number;
  /** The messages that the server has scheduled. */
  schedule(serverId: number): SchedulePort;
}

const family = "Scheduled";
const path = "/email/scheduled";
const BAD_QUERY = 700;
const NOT_FOUND = apiError(701, "This message is not scheduled: it was sent, cancelled, or never existed.");
const NOT_FOUND_WHEN = { 701: "No such message is scheduled: it was sent or cancelled, or there is none" };

const scheduledSchema = messageSchema
  .omit({ ReceivedAt: true, Status: true })
  .extend({ Status: z.enum(["Scheduled", "Cancelled"]), SubmittedAt: z.string(), SendAt: z.string() });

export function scheduledEndpoints(needs: ScheduledNeeds): Endpoint[] {
  return [
    serverEndpoint(
      {
        ...{ method: "GET", path, family, scope: "read" },
        summary: "Lists the messages that are scheduled, soonest first",
        query: {
          schema: z.object({
            count: countParameter,
            cursor: cursorParameter(z.tuple([z.int(), z.string()])).optional(),
            messagestream: textParameter.optional(),
          }),
          code: BAD_QUERY,
        },
        response: z.object({
          TotalCount: z.int(),
          Messages: z.array(scheduledSchema),
          NextCursor: z.string().optional(),
        }),
        errors: { [BAD_QUERY]: "A parameter has no value that it can have" },
      },
      async ({ policy: { serverId }, query: { count, cursor, messagestream } }) => {
        const after = cursor && { sendAt: cursor[0], id: cursor[1] };
        const query = { limit: count + 1, after, stream: messagestream };
        const { total, messages } = await asked(needs.schedule(serverId).list(query));
        const page = messages.slice(0, count);
        const last = messages.length > count ? page.at(-1) : undefined;
        const more = last && { NextCursor: formatCursor([last.sendAt, last.head.id]) };
        return {
          ok: { TotalCount: total, Messages: page.map((m) => shown(m, serverId, "Scheduled")), ...more },
        };
      },
    ),
    serverEndpoint(
      {
        ...{ method: "GET", path: `${path}/:id`, family, scope: "read" },
        summary: "Shows a message that is scheduled",
        description: "Its content is in `/messages/outbound/{id}/details`, as that of any message.",
        response: scheduledSchema,
        errors: NOT_FOUND_WHEN,
      },
      async ({ policy: { serverId }, params }) =>
        answered(await asked(needs.schedule(serverId).get(idOf(params))), serverId, "Scheduled"),
    ),
    serverEndpoint(
      {
        ...{ method: "PATCH", path: `${path}/:id`, family, scope: "send" },
        summary: "Sends a scheduled message at another time",
        description:
          "The message keeps its `MessageID`. A time in the past is at once. Lists of sent messages, and their dates, have it where it was to be at first.",
        body: { schema: z.object({ SendAt: sendAtField }) },
        response: scheduledSchema,
        errors: { ...NOT_FOUND_WHEN, 300: `${SEND_AT_ERROR}, or is missing` },
      },
      async ({ policy: { serverId }, params, body }) => {
        const sendAt = parseSendAt(body.SendAt);
        if ("error" in sendAt) return sendAt;
        if (sendAt.ok === undefined) return { error: apiError(300, "Provide a 'SendAt'.") };
        const tooFar = checkSendAt(sendAt.ok, needs.now());
        if (tooFar) return tooFar;
        const at = Math.max(sendAt.ok, needs.now());
        return answered(
          await asked(needs.schedule(serverId).change(idOf(params), at)),
          serverId,
          "Scheduled",
        );
      },
    ),
    serverEndpoint(
      {
        ...{ method: "DELETE", path: `${path}/:id`, family, scope: "send" },
        summary: "Cancels a scheduled message",
        description:
          "With this answer it is certain that nobody gets it. When its release has begun it cannot be cancelled any more, which is 701.",
        response: scheduledSchema,
        errors: NOT_FOUND_WHEN,
      },
      async ({ policy: { serverId }, params }) =>
        answered(await asked(needs.schedule(serverId).cancel(idOf(params))), serverId, "Cancelled"),
    ),
  ];
}

async function asked<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (cause) {
    throw new Unavailable("Scheduled messages cannot be reached at the moment. Please try again.", { cause });
  }
}

function idOf({ id = "" }: Record<string, string>): string {
  return id.toLowerCase();
}

type Shown = z.infer<typeof scheduledSchema>;

function answered(
  found: ScheduledMessage | undefined,
  serverId: number,
  status: Shown["Status"],
): Result<Shown> {
  return found ? { ok: shown(found, serverId, status) } : { error: NOT_FOUND };
}

function shown({ head, sendAt }: ScheduledMessage, serverId: number, status: Shown["Status"]): Shown {
  const { id, stream, subject, tag, summary } = head;
  const { ReceivedAt: _, ...message } = messageJson({
    ...{ serverId, id, stream, subject, tag, summary, receivedAt: sendAt, queued: true },
  });
  const submittedAt = summary.scheduled?.at ?? sendAt;
  return { ...message, Status: status, SubmittedAt: formatTime(submittedAt), SendAt: formatTime(sendAt) };
}
