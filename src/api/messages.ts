/** `GET /messages/outbound` and what hangs below it (§9.1 of the wire contract); the timeline is ours. */
import * as z from "zod";
import { isQueued, type MessageFilter } from "../archive/filter.ts";
import { readContent } from "../compose/read-content.ts";
import { cursorParameter, formatCursor } from "./cursor.ts";
import { type Endpoint, serverEndpoint } from "./endpoint.ts";
import { apiError, type Result, refused } from "./error.ts";
import { eventsJson } from "./message-events.ts";
import { detailsSchema, messageJson, messageSchema } from "./message-json.ts";
import { messageLists } from "./message-lists.ts";
import {
  fromDateParameter,
  pageParameters,
  type RawQuery,
  textParameter,
  toDateParameter,
  wordParameter,
} from "./query.ts";
import { fromArchive, type Held, type ReadNeeds, readFacts, readMessage, readRaw } from "./read-needs.ts";
import { timelineJson, timelineSchema } from "./timeline.ts";

/** Of messages' lists: paging, or any other parameter. */
const BAD_QUERY = 700;
const NOT_FOUND = apiError(701, "This message was not found.");
const NOT_FOUND_WHEN = { 701: "There is no such message" };
const DEFAULT_STREAM = "outbound";
const family = "Messages";
const path = "/messages/outbound";

const address = textParameter.transform((text) => text.trim().toLowerCase());
/** Where a page ended; a key has 57 bits. */
const place = z.tuple([z.string().regex(/^\d{1,18}$/), z.string()]);

const listQuery = z.object({
  ...pageParameters,
  cursor: cursorParameter(place).optional(),
  recipient: address.optional(),
  fromemail: address.optional(),
  tag: textParameter.optional(),
  status: wordParameter(["queued", "sent", "processed"]).optional(),
  fromdate: fromDateParameter.optional(),
  todate: toDateParameter.optional(),
  subject: textParameter.optional(),
  messagestream: textParameter.default(DEFAULT_STREAM),
});

const LIST_DESCRIPTION = `Newest first. All filters hold together.

- \`subject\` is contained in the subject: each of its words, or parts of words, in any order and case. What is no letter or digit does
  not count, and a part of one or two letters must be a whole word.
- \`metadata_<key>\` has exactly this value; one key a search.
- \`sent\` and \`processed\` mean the same: everything but \`queued\`, which nothing was tried for yet.
- \`fromdate\` and \`todate\` are inclusive, and Eastern time without a zone.`;

export function messageEndpoints(needs: ReadNeeds): Endpoint[] {
  const list = messageLists(needs);
  const one = (what: string, summary: string, response: z.ZodType, answer: (held: Held) => unknown) =>
    serverEndpoint(
      {
        ...{ method: "GET", path: `${path}/:id/${what}`, family, summary, scope: "read", response },
        errors: NOT_FOUND_WHEN,
      },
      async ({ policy: { serverId }, params }) => {
        const held = await readMessage(needs, serverId, params.id ?? "");
        return held ? { ok: await answer(held) } : { error: NOT_FOUND };
      },
    );
  return [
    serverEndpoint(
      {
        ...{ method: "GET", path, family, scope: "read" },
        summary: "Lists sent messages, and those that are about to be",
        description: LIST_DESCRIPTION,
        query: { schema: listQuery, code: BAD_QUERY },
        response: z.object({
          TotalCount: z.int(),
          Messages: z.array(messageSchema),
          NextCursor: z.string().optional(),
        }),
        errors: { [BAD_QUERY]: "A parameter has no value that it can have" },
      },
      async ({ policy: { serverId }, query, rawQuery, request }) => {
        const filter = messageFilter(query, rawQuery);
        if ("error" in filter) return filter;
        const { count, offset, cursor } = query;
        const after = cursor && { key: cursor[0], id: cursor[1] };
        const asked = { filter: filter.ok, page: { count, offset, after } };
        const found = await fromArchive(list(serverId, asked, request));
        const next = found.next && { NextCursor: formatCursor([found.next.key, found.next.id]) };
        return { ok: { TotalCount: found.total, Messages: found.messages.map(messageJson), ...next } };
      },
    ),
    one("details", "Shows a message, its content and what happened", detailsSchema, async (held) => {
      const { record } = held;
      const [raw, facts] = await Promise.all([readRaw(needs, held), readFacts(needs, held)]);
      const content = raw && (await contentOf(raw));
      return {
        ...messageJson({ ...record, queued: isQueued(record) }),
        TextBody: content?.textBody ?? "",
        HtmlBody: content?.htmlBody ?? "",
        Body: sourceOf(raw),
        MessageEvents: eventsJson(record, facts),
      };
    }),
    one("dump", "Gives the source of a message", z.object({ Body: z.string() }), async (held) => ({
      Body: sourceOf(await readRaw(needs, held)),
    })),
    one("timeline", "Tells a message's story, each attempt with its session", timelineSchema, ({ record }) =>
      timelineJson(record),
    ),
  ];
}

function messageFilter(query: z.infer<typeof listQuery>, { metadata }: RawQuery): Result<MessageFilter> {
  if (metadata.size > 1) return refused(BAD_QUERY, "A search may name one metadata field only.");
  const [pair] = metadata;
  return {
    ok: {
      stream: query.messagestream,
      recipient: query.recipient,
      fromEmail: query.fromemail,
      tag: query.tag,
      queued: query.status && query.status === "queued",
      from: query.fromdate,
      to: query.todate,
      subject: query.subject,
      metadata: pair && { key: pair[0], value: pair[1] },
    },
  };
}

async function contentOf(raw: Uint8Array) {
  try {
    return await readContent(raw);
  } catch {
    // Bytes that came by SMTP may be no MIME that can be read; the source is shown all the same.
    return undefined;
  }
}

/** Bytes of other charsets have no better place in JSON than as replacement characters. */
function sourceOf(raw: Uint8Array | undefined): string {
  return raw ? new TextDecoder().decode(raw) : "";
}
