/** `GET /messages/outbound` and what hangs below it (§9.1 of the wire contract); the timeline is ours. */
import { type Context, Hono } from "hono";
import { type Bounce, bouncesOfMessage } from "../archive/bounces.ts";
import { isQueued, type MessageFilter } from "../archive/filter.ts";
import { listMessages } from "../archive/read.ts";
import { type Content, readContent } from "../compose/read-content.ts";
import { apiError, errorResponse, okResponse, type Result, refused } from "./error.ts";
import { eventsJson, messageJson } from "./message-json.ts";
import { apiPath } from "./path.ts";
import { dateRange, paging, type RawQuery, readQuery } from "./query.ts";
import { fromArchive, type Held, type ReadNeeds, readMessage, readRaw, serverRoute } from "./read-needs.ts";
import { timelineJson } from "./timeline.ts";

/** Of messages' lists: paging, or any other parameter. */
const BAD_QUERY = 700;
const NOT_FOUND = apiError(701, "This message was not found.");
const DEFAULT_STREAM = "outbound";

export function messageRoutes(needs: ReadNeeds): Hono {
  const app = new Hono({ getPath: apiPath });

  app.get(
    "/messages/outbound",
    serverRoute(needs, async ({ serverId }, c) => {
      const query = readQuery(c.req.url);
      const page = paging(query, BAD_QUERY);
      if ("error" in page) return errorResponse(page.error);
      const filter = messageFilter(query);
      if ("error" in filter) return errorResponse(filter.error);
      // Before the archive is asked, as listMessages wants it.
      const pending = await fromArchive(needs.pending(serverId));
      const asked = { filter: filter.ok, page: page.ok, pending };
      const { total, messages } = await fromArchive(listMessages(needs.archive(serverId), serverId, asked));
      return okResponse({ TotalCount: total, Messages: messages.map(messageJson) });
    }),
  );

  const one = (path: string, answer: (held: Held) => unknown) =>
    app.get(
      `/messages/outbound/:id/${path}`,
      serverRoute(needs, async ({ serverId }, c: Context) => {
        const held = await readMessage(needs, serverId, c.req.param("id") ?? "");
        return held ? okResponse(await answer(held)) : errorResponse(NOT_FOUND);
      }),
    );

  one("details", async (held) => {
    const { record } = held;
    const [raw, bounces] = await Promise.all([readRaw(needs, held), bouncesFor(needs, held)]);
    const content = raw && (await contentOf(raw));
    return {
      ...messageJson({ ...record, queued: isQueued(record) }),
      TextBody: content?.textBody ?? "",
      HtmlBody: content?.htmlBody ?? "",
      Body: sourceOf(raw),
      MessageEvents: eventsJson(record, bounces),
    };
  });
  one("dump", async (held) => ({ Body: sourceOf(await readRaw(needs, held)) }));
  one("timeline", ({ record }) => timelineJson(record));
  return app;
}

function messageFilter(query: RawQuery): Result<MessageFilter> {
  const { values, metadata } = query;
  const status = values.get("status")?.toLowerCase();
  if (status !== undefined && !["queued", "sent", "processed"].includes(status))
    return refused(BAD_QUERY, "Parameter 'status' must be 'queued', 'sent' or 'processed'.");
  if (metadata.size > 1) return refused(BAD_QUERY, "A search may name one metadata field only.");
  const dates = dateRange(query, BAD_QUERY);
  if ("error" in dates) return dates;
  const [pair] = metadata;
  return {
    ok: {
      ...dates.ok,
      stream: values.get("messagestream") ?? DEFAULT_STREAM,
      recipient: values.get("recipient")?.trim().toLowerCase(),
      fromEmail: values.get("fromemail")?.trim().toLowerCase(),
      tag: values.get("tag"),
      subject: values.get("subject"),
      queued: status === undefined ? undefined : status === "queued",
      metadata: pair && { key: pair[0], value: pair[1] },
    },
  };
}

async function bouncesFor(needs: ReadNeeds, { record }: Held): Promise<Bounce[]> {
  const { serverId, id, recipients } = record;
  if (!recipients.some((r) => r.state === "bounced" || r.state === "expired")) return [];
  try {
    return await bouncesOfMessage(needs.archive(serverId), serverId, id);
  } catch {
    // The archive is away, and only the bounces' numbers are there: what the Outbox knows is worth showing without.
    return [];
  }
}

async function contentOf(raw: Uint8Array): Promise<Content | undefined> {
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
