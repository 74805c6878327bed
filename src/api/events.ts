/** `GET /events`, ours: the server's event log from a place on, as pages, and followed live by Server-Sent Events. */

import { Hono } from "hono";
import * as z from "zod";
import { EVENT_TYPES, type EventType, type LoggedEvent } from "../mail/event.ts";
import type { ReadReply, ReadRequest } from "../notify/log-store.ts";
import { type AuthenticateNeeds, authenticateServer } from "./authenticate.ts";
import { type Endpoint, serverEndpoint } from "./endpoint.ts";
import { errorResponse, type Result, refused, Unavailable } from "./error.ts";
import { eventJson, eventSchema } from "./event-json.ts";
import { apiPath } from "./path.ts";
import { countParameter, queryReader, readQuery, textParameter } from "./query.ts";

export interface EventsNeeds {
  events(serverId: number): {
    read(request: ReadRequest): Promise<ReadReply>;
    head(): Promise<number>;
    follow(request: ReadRequest, options: { idleMs: number }): Promise<ReadableStream<Uint8Array>>;
  };
}

const BAD_QUERY = 700;
/** Proxies end connections on which nothing comes for a minute. */
const HEARTBEAT_MS = 15_000;
const EVENTS_PER_PIECE = 200;
/** A page is read in steps, each through so many packs; a filter that fits nearly nothing must not make one request endless. */
const STEPS_PER_PAGE = 40;
const family = "Events";

const filters = {
  after: textParameter.optional(),
  types: textParameter.optional(),
  messagestream: textParameter.optional(),
  recipient: textParameter.optional(),
  messageid: textParameter.optional(),
};
const pageQuery = z.object({ ...filters, count: countParameter });
const streamQuery = z.object(filters);

const DESCRIPTION = `In the order in which the service heard of them. \`after\` is a \`Cursor\`: what came behind that event is given;
without it, what is kept from the beginning; \`now\` begins with what happens next. \`types\` has words of ${EVENT_TYPES.join(", ")},
with commas between them. All filters hold together. An event may come twice, with the same \`ID\`. Kept for 45 days.

\`GET /events/stream\` gives the same as they happen, as Server-Sent Events: the \`id\` of each is its cursor, and a comment comes when
nothing has happened for 15 seconds. It begins at \`Last-Event-ID\`, else at \`after\`, else with what happens next.`;

export function eventEndpoints(needs: EventsNeeds): Endpoint[] {
  return [
    serverEndpoint(
      {
        ...{ method: "GET", path: "/events", family, scope: "read" },
        summary: "Lists what happened to the server's messages",
        description: DESCRIPTION,
        query: { schema: pageQuery, code: BAD_QUERY },
        response: z.object({ Events: z.array(eventSchema), NextCursor: z.string(), HasMore: z.boolean() }),
        errors: { [BAD_QUERY]: "A parameter has no value that it can have" },
      },
      async ({ policy: { serverId }, query }) => {
        const log = needs.events(serverId);
        const asked = await toRequest(log, query, query.count);
        if ("error" in asked) return asked;
        const events: LoggedEvent[] = [];
        let { after } = asked.ok;
        let more = true;
        for (let step = 0; more && events.length < query.count && step < STEPS_PER_PAGE; step++) {
          const read = await fromLog(log.read({ ...asked.ok, after, limit: query.count - events.length }));
          events.push(...read.events);
          ({ next: after, more } = read);
        }
        const shown = events.map((event) => eventJson(event, serverId));
        return { ok: { Events: shown, NextCursor: String(after), HasMore: more } };
      },
    ),
  ];
}

/**
 * `GET /events/stream`: Server-Sent Events (HTML standard §9.2) with the filters of the list. Not declared as an endpoint, for an answer
 * that does not end has no schema. Each event's `id` is its cursor, so that `Last-Event-ID` goes on where a connection was cut off.
 */
export function eventStreamRoutes(needs: EventsNeeds & AuthenticateNeeds): Hono {
  const app = new Hono({ getPath: apiPath });
  const readParameters = queryReader(streamQuery, BAD_QUERY);
  app.get("/events/stream", async ({ req: { raw: request } }) => {
    const caller = await authenticateServer(request, needs, "read");
    if ("error" in caller) return errorResponse(caller.error);
    const query = readParameters(readQuery(request.url));
    if ("error" in query) return errorResponse(query.error);
    const { serverId } = caller.ok.policy;
    const log = needs.events(serverId);
    const after = request.headers.get("Last-Event-ID") ?? query.ok.after ?? "now";
    const asked = await toRequest(log, { ...query.ok, after }, EVENTS_PER_PIECE);
    if ("error" in asked) return errorResponse(asked.error);
    const body = await fromLog(log.follow(asked.ok, { idleMs: HEARTBEAT_MS }));
    const headers = { "Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store" };
    return new Response(body.pipeThrough(serverSentEvents(serverId)), { headers });
  });
  return app;
}

type Asked = z.infer<typeof streamQuery>;

async function toRequest(
  log: ReturnType<EventsNeeds["events"]>,
  { after = "0", types, messagestream: stream, recipient, messageid }: Asked,
  limit: number,
): Promise<Result<ReadRequest>> {
  const words = types?.split(",").map((word) => word.trim().toLowerCase());
  const known = words?.map((word) => EVENT_TYPES.find((type) => type.toLowerCase() === word));
  if (known?.includes(undefined))
    return refused(BAD_QUERY, `Parameter 'types' must be some of ${EVENT_TYPES.join(", ")}.`);
  if (after !== "now" && !/^\d{1,15}$/.test(after))
    return refused(BAD_QUERY, "Parameter 'after' must be a cursor, or 'now'.");
  const place = after === "now" ? await fromLog(log.head()) : Number(after);
  return {
    ok: {
      ...{ after: place, limit, stream },
      types: known as EventType[] | undefined,
      email: recipient?.trim().toLowerCase(),
      messageId: messageid?.toLowerCase(),
    },
  };
}

async function fromLog<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (cause) {
    throw new Unavailable("The event log cannot be read at the moment. Please try again.", { cause });
  }
}

/** Lines of JSON, each some events or none, to the form of the HTML standard §9.2. */
function serverSentEvents(serverId: number): TransformStream<Uint8Array, Uint8Array> {
  const decoder = new TextDecoder();
  const encoder = new TextEncoder();
  let rest = "";
  return new TransformStream({
    transform(bytes, controller) {
      const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        const { events } = JSON.parse(line) as { events: LoggedEvent[] };
        const text = events.map(
          (e) => `id: ${e.seq}\nevent: ${e.type}\ndata: ${JSON.stringify(eventJson(e, serverId))}\n\n`,
        );
        controller.enqueue(encoder.encode(text.join("") || ": nothing happened\n\n"));
      }
    },
  });
}
