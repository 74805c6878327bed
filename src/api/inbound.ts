/** `/messages/inbound` and what hangs below it (§9.2 of the wire contract). */
import * as z from "zod";
import { findServer } from "../accounts/servers.ts";
import { findInbound, type InboundMessage, listInbound, moveInbound } from "../archive/inbound.ts";
import { type AgainNeeds, tellAgain } from "../receive/inbound/again.ts";
import { cursorParameter, formatCursor } from "./cursor.ts";
import { type Endpoint, serverEndpoint } from "./endpoint.ts";
import { apiError, type Result } from "./error.ts";
import { inboundDetails, inboundDetailsJson, inboundJson, listedInbound } from "./inbound-json.ts";
import { fromDateParameter, pageParameters, textParameter, toDateParameter, wordParameter } from "./query.ts";
import { fromArchive, type ReadNeeds } from "./read-needs.ts";

export interface InboundNeeds extends Pick<ReadNeeds, "archive">, AgainNeeds {
  /** A whole object of R2; undefined when it is not there any more. */
  object(key: string): Promise<Uint8Array | undefined>;
  /** A range of one. */
  segment(key: string, offset: number, length: number): Promise<Uint8Array | undefined>;
  directory: D1Database;
}

const family = "Inbound messages";
const path = "/messages/inbound";
const STATUSES = ["processed", "blocked", "queued", "failed", "scheduled"] as const;
const NOT_FOUND = apiError(701, "This message was not found.");
const NOT_FOUND_WHEN = { 701: "There is no such message" };
/** What scanner and DNS say in a payload's header: another taking of the same message, which heard otherwise, may have written it. */
const LONGER_BYTES = 64 * 1024;
/** Behind what is short in a payload; within a string its quotes would be escaped. */
const ATTACHMENTS = ',"Attachments":[';
/** A UUID, in any case. */
const ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export function inboundEndpoints(needs: InboundNeeds): Endpoint[] {
  return [
    listEndpoint(needs),
    serverEndpoint(
      {
        method: "GET",
        path: `${path}/:id/details`,
        family,
        summary: "Shows a received message",
        scope: "read",
        response: inboundDetails,
        errors: NOT_FOUND_WHEN,
      },
      async ({ policy, params }) => {
        const message = await messageOf(needs, policy.serverId, params.id);
        if ("error" in message) return message;
        const { whole } = message.ok.summary;
        // Long texts were cut in the row; the payload has them, while it is kept.
        const length = whole && whole + LONGER_BYTES;
        const begins = length ? await fromArchive(needs.segment(message.ok.payload, 0, length)) : undefined;
        return { ok: { ...inboundDetailsJson(message.ok), ...(begins && wholeTexts(begins)) } };
      },
    ),
    serverEndpoint(
      {
        method: "GET",
        path: `${path}/:id/dump`,
        family,
        summary: "Shows a received message as it came",
        scope: "read",
        response: z.object({ Body: z.string() }),
        errors: NOT_FOUND_WHEN,
      },
      async ({ policy, params }) => {
        const message = await messageOf(needs, policy.serverId, params.id);
        if ("error" in message) return message;
        const raw = await fromArchive(needs.object(message.ok.raw));
        // Bytes of other charsets have no better place in JSON than as replacement characters.
        return { ok: { Body: raw ? new TextDecoder().decode(raw) : "" } };
      },
    ),
    againEndpoint(needs, {
      word: "bypass",
      from: "blocked",
      summary: "Lets a blocked message through to the inbound hook",
      absent: "This message was not found or cannot be bypassed.",
      done: "Successfully bypassed message",
    }),
    againEndpoint(needs, {
      word: "retry",
      from: "failed",
      summary: "Sends a message that the inbound hook did not take to it once more",
      absent: "This message was not found or cannot be retried.",
      done: "Successfully rescheduled failed message",
    }),
  ];
}

function listEndpoint(needs: InboundNeeds): Endpoint {
  return serverEndpoint(
    {
      method: "GET",
      path,
      family,
      summary: "Lists received messages of one status, newest first",
      scope: "read",
      query: {
        schema: z.object({
          ...pageParameters,
          cursor: cursorParameter(z.tuple([z.string()])).optional(),
          status: wordParameter(STATUSES).default("processed"),
          recipient: textParameter.optional(),
          fromemail: textParameter.optional(),
          subject: textParameter.optional(),
          mailboxhash: textParameter.optional(),
          tag: textParameter.optional(),
          fromdate: fromDateParameter.optional(),
          todate: toDateParameter.optional(),
        }),
        code: 700,
      },
      response: z.object({
        TotalCount: z.int(),
        InboundMessages: z.array(listedInbound),
        NextCursor: z.string().optional(),
      }),
      errors: { 700: "A parameter is not valid" },
    },
    async ({ policy: { serverId }, query }) => {
      const { count, offset, cursor } = query;
      const filter = {
        status: query.status,
        recipient: query.recipient?.trim().toLowerCase(),
        fromEmail: query.fromemail?.trim().toLowerCase(),
        subject: query.subject,
        mailboxHash: query.mailboxhash,
        tag: query.tag,
        from: query.fromdate,
        to: query.todate,
      };
      const asked = { filter, page: { count, offset, before: cursor?.[0] } };
      const { total, messages } = await fromArchive(listInbound(needs.archive(serverId), serverId, asked));
      const page = messages.slice(0, count);
      const last = messages.length > count ? page.at(-1) : undefined;
      return {
        ok: {
          TotalCount: total,
          InboundMessages: page.map(inboundJson),
          ...(last && { NextCursor: formatCursor([last.id]) }),
        },
      };
    },
  );
}

interface Again {
  word: "bypass" | "retry";
  from: "blocked" | "failed";
  summary: string;
  absent: string;
  done: string;
}

/** What stands still goes back in line; what takes it up from there is the same that takes up all others. */
function againEndpoint(needs: InboundNeeds, { word, from, summary, absent, done }: Again): Endpoint {
  return serverEndpoint(
    {
      method: "PUT",
      path: `${path}/:id/${word}`,
      family,
      summary,
      scope: "full",
      response: z.object({ ErrorCode: z.literal(0), Message: z.string() }),
      errors: { 701: `There is no such message, or it is not ${from}` },
    },
    async ({ policy: { serverId }, params }) => {
      const id = idOf(params.id);
      if (id === undefined) return { error: apiError(701, absent) };
      const archive = needs.archive(serverId);
      // Without a hook nothing waits for it any more.
      const hook = (await fromArchive(findServer(needs.directory, serverId)))?.inboundHookUrl;
      const to = hook ? "scheduled" : "processed";
      const untoldSince = needs.now();
      const moved = await fromArchive(moveInbound(archive, { serverId, id }, { from, to, untoldSince }));
      if (!moved) return { error: apiError(701, absent) };
      await tellAgain(archive, serverId, { messages: [moved], needs });
      return { ok: { ErrorCode: 0, Message: `${done}: ${id}.` } };
    },
  );
}

/** Of the payload up to its attachments; nothing when these are further away. */
function wholeTexts(begins: Uint8Array) {
  const text = new TextDecoder().decode(begins);
  const end = text.indexOf(ATTACHMENTS);
  if (end < 0) return {};
  const { TextBody, HtmlBody, StrippedTextReply, Headers } = JSON.parse(`${text.slice(0, end)}}`) as z.infer<
    typeof inboundDetails
  >;
  return { TextBody, HtmlBody, StrippedTextReply, Headers };
}

function idOf(text = ""): string | undefined {
  const id = text.toLowerCase();
  return ID.test(id) ? id : undefined;
}

async function messageOf(
  { archive }: InboundNeeds,
  serverId: number,
  text: string | undefined,
): Promise<Result<InboundMessage>> {
  const id = idOf(text);
  const found =
    id === undefined ? undefined : await fromArchive(findInbound(archive(serverId), serverId, id));
  return found ? { ok: found } : { error: NOT_FOUND };
}
