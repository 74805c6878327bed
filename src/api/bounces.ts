/** `/bounces` and `/deliverystats` (§8 of the wire contract). No bounce mail is kept yet, so dumps are empty. */
import { type Context, Hono } from "hono";
import type { ServerPolicy } from "../accounts/policy.ts";
import {
  type Bounce,
  type BounceFilter,
  bounceTags,
  countBounces,
  findBounce,
  listBounces,
  markActive,
} from "../archive/bounces.ts";
import { reactivate } from "../suppress/list.ts";
import { BOUNCE_TYPES, bounceTypeNamed, bounceTypeOf } from "./bounce-types.ts";
import { apiError, errorResponse, okResponse, type Result, refused } from "./error.ts";
import { apiPath } from "./path.ts";
import { dateRange, paging, queryFlag, type RawQuery, readQuery } from "./query.ts";
import { announce, fromArchive, fromDirectory, type ReadNeeds, serverRoute } from "./read-needs.ts";
import { formatTime } from "./time.ts";

const BAD_QUERY = 1000;
const NOT_FOUND = apiError(1001, "The bounce you requested was not found.");
const CANNOT_ACTIVATE = apiError(1003, "Due to the type of bounce, this address cannot be reactivated.");
const DEFAULT_STREAM = "outbound";

export function bounceRoutes(needs: ReadNeeds): Hono {
  const app = new Hono({ getPath: apiPath });

  app.get(
    "/deliverystats",
    serverRoute(needs, async ({ serverId }) => {
      const types = await fromArchive(countBounces(needs.archive(serverId), serverId));
      const sum = (of: "count" | "inactive") => types.reduce((n, type) => n + type[of], 0);
      const order = Object.keys(BOUNCE_TYPES);
      const rows = types
        .sort((a, b) => order.indexOf(a.type) - order.indexOf(b.type))
        .map(({ type, count }) => {
          const { code, name } = bounceTypeOf(type);
          return { Type: type, TypeCode: code, Name: name, Count: count };
        });
      return okResponse({
        InactiveMails: sum("inactive"),
        Bounces: [{ Name: "All", Count: sum("count") }, ...rows],
      });
    }),
  );

  app.get(
    "/bounces",
    serverRoute(needs, async ({ serverId }, c) => {
      const query = readQuery(c.req.url);
      const page = paging(query, BAD_QUERY);
      if ("error" in page) return errorResponse(page.error);
      const filter = bounceFilter(query);
      if ("error" in filter) return errorResponse(filter.error);
      const asked = { filter: filter.ok, page: page.ok };
      const { total, bounces } = await fromArchive(listBounces(needs.archive(serverId), serverId, asked));
      return okResponse({ TotalCount: total, Bounces: bounces.map(bounceJson) });
    }),
  );

  app.get(
    "/bounces/tags",
    serverRoute(needs, async ({ serverId }) =>
      okResponse(await fromArchive(bounceTags(needs.archive(serverId), serverId))),
    ),
  );

  app.get(
    "/bounces/:id",
    bounceRoute(needs, (bounce) => okResponse({ ...bounceJson(bounce), Content: "" })),
  );
  app.get(
    "/bounces/:id/dump",
    bounceRoute(needs, () => okResponse({ Body: "" })),
  );
  app.put(
    "/bounces/:id/activate",
    bounceRoute(needs, (bounce) => activate(needs, bounce)),
  );
  return app;
}

function bounceRoute(needs: ReadNeeds, answer: (bounce: Bounce) => Response | Promise<Response>) {
  return serverRoute(needs, async ({ serverId }: ServerPolicy, c: Context) => {
    const id = c.req.param("id") ?? "";
    if (!/^\d{1,15}$/.test(id)) return errorResponse(NOT_FOUND);
    const bounce = await fromArchive(findBounce(needs.archive(serverId), serverId, Number(id)));
    return bounce ? answer(bounce) : errorResponse(NOT_FOUND);
  });
}

/** The address gets mail again, on the bounce's stream; harmless to repeat, also when it ended half done. */
async function activate(needs: ReadNeeds, bounce: Bounce): Promise<Response> {
  if (!canActivate(bounce)) return errorResponse(CANNOT_ACTIVATE);
  const { serverId, stream, email } = bounce;
  if (bounce.inactive) {
    const removed = await fromDirectory(reactivate(needs.directory, serverId, stream, email, needs.now()));
    // Since the bounce, the recipient has complained or unsubscribed.
    if (removed === "kept") return errorResponse(CANNOT_ACTIVATE);
    await announce(needs, serverId, [{ stream, email, removed: true }]);
    await fromArchive(markActive(needs.archive(serverId), serverId, stream, [email]));
  }
  const active = { ...bounceJson({ ...bounce, inactive: false }), Content: "" };
  return okResponse({ Message: "OK", Bounce: active });
}

function bounceFilter(query: RawQuery): Result<BounceFilter> {
  const { values } = query;
  const given = values.get("type");
  const type = given === undefined ? undefined : bounceTypeNamed(given);
  if (given !== undefined && type === undefined)
    return refused(BAD_QUERY, "Parameter 'type' is not a type of bounce.");
  const inactive = queryFlag(query, "inactive");
  if (inactive === "invalid") return refused(BAD_QUERY, "Parameter 'inactive' must be true or false.");
  const dates = dateRange(query, BAD_QUERY);
  if ("error" in dates) return dates;
  return {
    ok: {
      ...dates.ok,
      stream: values.get("messagestream") ?? DEFAULT_STREAM,
      type,
      inactive,
      email: values.get("emailfilter"),
      tag: values.get("tag"),
      messageId: values.get("messageid")?.toLowerCase(),
    },
  };
}

/** All but a complaint: what the recipient said themselves is not ours to take back. */
function canActivate({ type }: Bounce): boolean {
  return type !== "SpamComplaint";
}

function bounceJson(bounce: Bounce) {
  const { code, name, description } = bounceTypeOf(bounce.type);
  return {
    RecordType: "Bounce",
    ID: bounce.id,
    Type: bounce.type,
    TypeCode: code,
    Name: name,
    ...(bounce.tag && { Tag: bounce.tag }),
    MessageID: bounce.messageId,
    ServerID: bounce.serverId,
    MessageStream: bounce.stream,
    Description: description,
    Details: bounce.details,
    Email: bounce.email,
    From: bounce.fromEmail,
    BouncedAt: formatTime(bounce.bouncedAt),
    DumpAvailable: false,
    Inactive: bounce.inactive,
    CanActivate: canActivate(bounce),
    Subject: bounce.subject,
  };
}
