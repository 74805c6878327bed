/**
 * The endpoints that list opens and those that list clicks (§9.3 of the wire contract) are the same ones: all of a stream that fit a
 * filter, and those of one message.
 */
import * as z from "zod";
import type { SeenQuery } from "../archive/seen.ts";
import { cursorParameter, formatCursor } from "./cursor.ts";
import { type Endpoint, serverEndpoint } from "./endpoint.ts";
import { apiError } from "./error.ts";
import { pageParameters } from "./query.ts";
import { fromArchive, type ReadNeeds, readMessage } from "./read-needs.ts";
import { seenFilter, seenQuery } from "./seen-json.ts";

const BAD_QUERY = 700;
const NOT_FOUND = apiError(701, "This message was not found.");
const family = "Opens and clicks";

export interface SeenKind<T> {
  /** The key of the list, and in lower case the word in the path. */
  word: "Opens" | "Clicks";
  /** "the first open of each recipient" */
  what: string;
  /** Of one in the list. */
  schema: z.ZodType;
  toJson(row: T): unknown;
  list(
    archive: D1Database,
    serverId: number,
    query: SeenQuery,
  ): Promise<{ total: number; rows: T[]; more: boolean }>;
  /** By which the list is sorted: what a cursor holds. */
  keySchema: z.ZodType<(string | number)[]>;
  keyOf(row: T): (string | number)[];
}

export function seenEndpoints<T>(needs: ReadNeeds, kind: SeenKind<T>): Endpoint[] {
  const { word, what, schema, toJson, list, keySchema, keyOf } = kind;
  const path = `/messages/outbound/${word.toLowerCase()}`;
  const listed = z.object({ TotalCount: z.int(), [word]: z.array(schema) });
  return [
    serverEndpoint(
      {
        ...{ method: "GET", path, family, scope: "read" },
        summary: `Lists ${what}, newest first`,
        query: {
          schema: seenQuery.extend({ cursor: cursorParameter(keySchema).optional() }),
          code: BAD_QUERY,
        },
        response: listed.extend({ NextCursor: z.string().optional() }),
        errors: { [BAD_QUERY]: "A parameter has no value that it can have" },
      },
      async ({ policy: { serverId }, query }) => {
        const { count, offset, cursor: after } = query;
        const asked = { of: seenFilter(query), page: { count, offset, after } };
        const { total, rows, more } = await fromArchive(list(needs.archive(serverId), serverId, asked));
        const last = more ? rows.at(-1) : undefined;
        const next = last && { NextCursor: formatCursor(keyOf(last)) };
        return { ok: { TotalCount: total, [word]: rows.map(toJson), ...next } };
      },
    ),
    serverEndpoint(
      {
        ...{ method: "GET", path: `${path}/:messageid`, family, scope: "read" },
        summary: `Lists ${what} for one message, newest first`,
        query: { schema: z.object(pageParameters), code: BAD_QUERY },
        response: listed,
        errors: { [BAD_QUERY]: "A parameter has no value that it can have", 701: "There is no such message" },
      },
      async ({ policy: { serverId }, params, query: page }) => {
        const held = await readMessage(needs, serverId, params.messageid ?? "");
        if (!held) return { error: NOT_FOUND };
        const asked = { of: { messageId: held.record.id }, page };
        const { total, rows } = await fromArchive(list(needs.archive(serverId), serverId, asked));
        return { ok: { TotalCount: total, [word]: rows.map(toJson) } };
      },
    ),
  ];
}
