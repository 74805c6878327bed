/** `/bounces` and `/deliverystats` (§8 of the wire contract). */
import * as z from "zod";
import {
  bounceTags,
  countBounces,
  findBounce,
  type ListedBounce,
  listBounces,
  markActive,
} from "../archive/bounces.ts";
import { BOUNCE_TYPES, bounceTypeOf } from "../smtp/bounce-types.ts";
import { reactivate } from "../suppress/list.ts";
import { contentOf, hasDump } from "./bounce-dump.ts";
import { bounceJson, bounceType, canActivate, listedBounce, shownBounce } from "./bounce-json.ts";
import { cursorParameter, formatCursor } from "./cursor.ts";
import { type Endpoint, serverEndpoint } from "./endpoint.ts";
import { apiError, type Result } from "./error.ts";
import {
  flagParameter,
  fromDateParameter,
  pageParameters,
  textParameter,
  toDateParameter,
  wordParameter,
} from "./query.ts";
import { announce, fromArchive, fromDirectory, type ReadNeeds } from "./read-needs.ts";

const NOT_FOUND = apiError(1001, "The bounce you requested was not found.");
const NOT_FOUND_WHEN = { 1001: "There is no such bounce" };
const CANNOT_ACTIVATE = apiError(1003, "Due to the type of bounce, this address cannot be reactivated.");
const DEFAULT_STREAM = "outbound";

const family = "Bounces";
export function bounceEndpoints(needs: ReadNeeds): Endpoint[] {
  return [
    statsEndpoint(needs),
    listEndpoint(needs),
    tagsEndpoint(needs),
    ...oneEndpoints(needs),
    activateEndpoint(needs),
  ];
}

function statsEndpoint(needs: ReadNeeds): Endpoint {
  return serverEndpoint(
    {
      method: "GET",
      path: "/deliverystats",
      family,
      summary: "Counts the server's bounces by type",
      scope: "read",
      response: z.object({
        InactiveMails: z.int(),
        Bounces: z.array(
          z.object({
            Type: bounceType.optional(),
            TypeCode: z.int().optional(),
            Name: z.string(),
            Count: z.int(),
          }),
        ),
      }),
    },
    async ({ policy: { serverId } }) => {
      const types = await fromArchive(countBounces(needs.archive(serverId), serverId));
      const sum = (of: "count" | "inactive") => types.reduce((n, each) => n + each[of], 0);
      const order = Object.keys(BOUNCE_TYPES);
      const rows = types
        .sort((a, b) => order.indexOf(a.type) - order.indexOf(b.type))
        .map((each) => {
          const { code, name } = bounceTypeOf(each.type);
          return { Type: each.type, TypeCode: code, Name: name, Count: each.count };
        });
      const all = { Name: "All", Count: sum("count") };
      return { ok: { InactiveMails: sum("inactive"), Bounces: [all, ...rows] } };
    },
  );
}

function listEndpoint(needs: ReadNeeds): Endpoint {
  return serverEndpoint(
    {
      method: "GET",
      path: "/bounces",
      family,
      summary: "Lists bounces, newest first",
      scope: "read",
      query: {
        schema: z.object({
          ...pageParameters,
          cursor: cursorParameter(z.tuple([z.int()])).optional(),
          type: wordParameter(Object.keys(BOUNCE_TYPES)).optional(),
          inactive: flagParameter.optional(),
          emailFilter: textParameter.optional(),
          tag: textParameter.optional(),
          messageID: textParameter.optional(),
          fromdate: fromDateParameter.optional(),
          todate: toDateParameter.optional(),
          messagestream: textParameter.default(DEFAULT_STREAM),
        }),
        code: 1000,
      },
      response: z.object({
        TotalCount: z.int(),
        Bounces: z.array(listedBounce),
        NextCursor: z.string().optional(),
      }),
      errors: { 1000: "A parameter is not valid" },
    },
    async ({ policy: { serverId }, query }) => {
      const { count, offset, cursor } = query;
      const filter = {
        stream: query.messagestream,
        type: query.type,
        inactive: query.inactive,
        email: query.emailFilter,
        tag: query.tag,
        messageId: query.messageID?.toLowerCase(),
        from: query.fromdate,
        to: query.todate,
      };
      const asked = { filter, page: { count, offset, before: cursor?.[0] } };
      const { total, bounces } = await fromArchive(listBounces(needs.archive(serverId), serverId, asked));
      const page = bounces.slice(0, count);
      const last = bounces.length > count ? page.at(-1) : undefined;
      return {
        ok: {
          TotalCount: total,
          Bounces: page.map((bounce) => shown(needs, bounce)),
          ...(last && { NextCursor: formatCursor([last.id]) }),
        },
      };
    },
  );
}

function tagsEndpoint(needs: ReadNeeds): Endpoint {
  return serverEndpoint(
    {
      method: "GET",
      path: "/bounces/tags",
      family,
      summary: "Lists the tags of messages that bounced",
      scope: "read",
      response: z.array(z.string()),
    },
    async ({ policy: { serverId } }) => ({
      ok: await fromArchive(bounceTags(needs.archive(serverId), serverId)),
    }),
  );
}

function oneEndpoints(needs: ReadNeeds): Endpoint[] {
  return [
    serverEndpoint(
      {
        method: "GET",
        path: "/bounces/:id",
        family,
        summary: "Shows a bounce",
        scope: "read",
        response: shownBounce,
        errors: NOT_FOUND_WHEN,
      },
      async ({ policy, params }) => {
        const bounce = await bounceOf(needs, policy.serverId, params.id);
        if ("error" in bounce) return bounce;
        return { ok: { ...shown(needs, bounce.ok), Content: await dumpOf(needs, bounce.ok) } };
      },
    ),
    serverEndpoint(
      {
        method: "GET",
        path: "/bounces/:id/dump",
        family,
        summary: "Shows what the other side said; kept for 30 days",
        scope: "read",
        response: z.object({ Body: z.string() }),
        errors: NOT_FOUND_WHEN,
      },
      async ({ policy, params }) => {
        const bounce = await bounceOf(needs, policy.serverId, params.id);
        return "error" in bounce ? bounce : { ok: { Body: await dumpOf(needs, bounce.ok) } };
      },
    ),
  ];
}

/** The address gets mail again, on the bounce's stream; harmless to repeat, also when it ended half done. */
function activateEndpoint(needs: ReadNeeds): Endpoint {
  return serverEndpoint(
    {
      method: "PUT",
      path: "/bounces/:id/activate",
      family,
      summary: "Lets the stream mail the address again",
      scope: "full",
      response: z.object({ Message: z.literal("OK"), Bounce: shownBounce }),
      errors: {
        ...NOT_FOUND_WHEN,
        1003: "The recipient complained or unsubscribed, which is theirs to take back",
      },
    },
    async ({ policy, params }) => {
      const found = await bounceOf(needs, policy.serverId, params.id);
      if ("error" in found) return found;
      const bounce = found.ok;
      if (!canActivate(bounce)) return { error: CANNOT_ACTIVATE };
      const { serverId, stream, email } = bounce;
      if (bounce.inactive) {
        const removed = await fromDirectory(
          reactivate(needs.directory, serverId, stream, email, needs.now()),
        );
        // Since the bounce, the recipient has complained or unsubscribed.
        if (removed === "kept") return { error: CANNOT_ACTIVATE };
        await announce(needs, serverId, [{ stream, email, removed: true }]);
        await fromArchive(markActive(needs.archive(serverId), serverId, stream, [email]));
      }
      const Content = await dumpOf(needs, bounce);
      return {
        ok: { Message: "OK", Bounce: { ...shown(needs, { ...bounce, inactive: false }), Content } },
      };
    },
  );
}

async function bounceOf(needs: ReadNeeds, serverId: number, id = ""): Promise<Result<ListedBounce>> {
  if (!/^\d{1,15}$/.test(id)) return { error: NOT_FOUND };
  const bounce = await fromArchive(findBounce(needs.archive(serverId), serverId, Number(id)));
  return bounce ? { ok: bounce } : { error: NOT_FOUND };
}

function shown(needs: ReadNeeds, bounce: ListedBounce) {
  return bounceJson(bounce, hasDump(bounce, needs.now()));
}

/** "" when nothing is kept. */
async function dumpOf(needs: ReadNeeds, bounce: ListedBounce): Promise<string> {
  if (!hasDump(bounce, needs.now())) return "";
  const { segment } = needs;
  return fromArchive(contentOf({ archive: needs.archive(bounce.serverId), segment }, bounce));
}
