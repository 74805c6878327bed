/** `/message-streams` (§6 of the wire contract). What sends on a stream knows of a change at once. */
import * as z from "zod";
import type { ServerPolicy } from "../accounts/policy.ts";
import {
  archiveStream,
  changeStream,
  createStream,
  findStream,
  listStreams,
  MAX_STREAMS,
  PURGE_AFTER_DAYS,
  type Stream,
  unarchiveStream,
} from "../accounts/streams.ts";
import { type Endpoint, serverEndpoint } from "./endpoint.ts";
import { apiError, refused } from "./error.ts";
import { flagParameter, wordParameter } from "./query.ts";
import { type SettingsNeeds, settled } from "./settings-needs.ts";
import {
  changeable,
  HANDLINGS,
  idError,
  MAX_DESCRIPTION,
  MAX_NAME,
  readFields,
  TYPES,
  word,
} from "./stream-fields.ts";
import { formatSecond } from "./time.ts";

const family = "Message streams";
const path = "/message-streams";
export const NO_STREAM = apiError(1226, "The message stream for the provided 'ID' was not found.");
export const NO_STREAM_WHEN = { 1226: "There is no such stream" };

const shownStream = z.object({
  ID: z.string(),
  ServerID: z.int(),
  Name: z.string(),
  Description: z.string().nullable(),
  MessageStreamType: z.enum(TYPES),
  CreatedAt: z.string(),
  UpdatedAt: z.string().nullable(),
  ArchivedAt: z.string().nullable(),
  ExpectedPurgeDate: z.string().nullable(),
  SubscriptionManagementConfiguration: z.object({ UnsubscribeHandlingType: z.enum(HANDLINGS) }),
});

const FIELD_ERRORS = {
  1223: "`Name` is missing",
  1224: `\`Name\` has more than ${MAX_NAME} characters`,
  1231: `\`Description\` has more than ${MAX_DESCRIPTION} characters`,
  1234: "`Description` has HTML in it",
  1239: "The handling of unsubscribes is not possible on a stream of this type",
  1240: "The handling of unsubscribes is none that there is",
};

export function streamEndpoints(needs: SettingsNeeds): Endpoint[] {
  const { directory } = needs;
  return [
    serverEndpoint(
      {
        method: "GET",
        path,
        family,
        summary: "Lists the server's streams",
        scope: "read",
        query: {
          schema: z.object({
            MessageStreamType: wordParameter(["All", ...TYPES]).default("All"),
            IncludeArchivedStreams: flagParameter.default(false),
          }),
          code: 1221,
        },
        response: z.object({ MessageStreams: z.array(shownStream), TotalCount: z.int() }),
        errors: { 1221: "A parameter is not valid" },
      },
      async ({ policy, query: { MessageStreamType, IncludeArchivedStreams } }) => {
        const type = MessageStreamType === "All" ? undefined : MessageStreamType;
        const asked = { type, withArchived: IncludeArchivedStreams };
        const found = await settled(listStreams(directory, policy.serverId, asked));
        return { ok: { MessageStreams: found.map(shown), TotalCount: found.length } };
      },
    ),
    serverEndpoint(
      {
        method: "GET",
        path: `${path}/:stream`,
        family,
        summary: "Shows a stream, also an archived one",
        scope: "read",
        response: shownStream,
        errors: NO_STREAM_WHEN,
      },
      async ({ policy, params }) => {
        const found = await settled(findStream(directory, policy.serverId, params.stream ?? ""));
        return found ? { ok: shown(found) } : { error: NO_STREAM };
      },
    ),
    serverEndpoint(
      {
        method: "POST",
        path,
        family,
        summary: "Makes a stream",
        scope: "full",
        body: {
          schema: z.object({
            ID: z.string().default(""),
            ...changeable.shape,
            Name: z.string().default(""),
            MessageStreamType: z.string().default(""),
          }),
        },
        response: shownStream,
        errors: {
          ...FIELD_ERRORS,
          1221: "`MessageStreamType` is missing or none that there is",
          1222: "`ID` is missing",
          1225: `The server has ${MAX_STREAMS} streams`,
          1227: "`ID` is not made as an ID must be",
          1228: "The server has an inbound stream",
          1230: "There is a stream of this ID, perhaps an archived one",
          1233: "`ID` begins with `pm-`",
          1237: "`ID` is reserved",
        },
      },
      async ({ policy: { serverId }, body }) => {
        const badId = idError(body.ID);
        if (badId) return badId;
        const type = word(TYPES, body.MessageStreamType);
        if (!type)
          return refused(1221, `Invalid 'MessageStreamType'. It must be one of ${TYPES.join(", ")}.`);
        const fields = readFields(body, type);
        if ("error" in fields) return fields;
        const { name = "", description = null } = fields.ok;
        const unsubscribeHandling =
          fields.ok.unsubscribeHandling ?? (type === "Broadcasts" ? "Postmark" : "None");
        const stream = { id: body.ID, name, description, type, unsubscribeHandling };
        const made = await settled(createStream(directory, serverId, stream, needs.now()));
        if (made === "exists")
          return refused(1230, `A message stream with the ID '${body.ID}' exists already.`);
        if (made === "second inbound") return refused(1228, "A server may have only one inbound stream.");
        if (made === "too many")
          return refused(1225, `A server may have at most ${MAX_STREAMS} message streams.`);
        await needs.policyChanged(serverId);
        return { ok: shown(made) };
      },
    ),
    serverEndpoint(
      {
        method: "PATCH",
        path: `${path}/:stream`,
        family,
        summary: "Changes a stream's name, description or handling of unsubscribes",
        scope: "full",
        body: { schema: changeable },
        response: shownStream,
        errors: { ...NO_STREAM_WHEN, ...FIELD_ERRORS },
      },
      async ({ policy: { serverId }, params, body }) => {
        const key = { serverId, id: params.stream ?? "" };
        const found = await settled(findStream(directory, serverId, key.id));
        if (!found) return { error: NO_STREAM };
        const fields = readFields(body, found.type);
        if ("error" in fields) return fields;
        const changed = await settled(changeStream(directory, key, fields.ok, needs.now()));
        if (!changed) return { error: NO_STREAM };
        await needs.policyChanged(serverId);
        return { ok: shown(changed) };
      },
    ),
    ...archiveEndpoints(needs),
  ];
}

function archiveEndpoints(needs: SettingsNeeds): Endpoint[] {
  const { directory } = needs;
  return [
    serverEndpoint(
      {
        method: "POST",
        path: `${path}/:stream/archive`,
        family,
        summary: `Archives a stream: it sends no more, and ${PURGE_AFTER_DAYS} days later what is left of it goes`,
        scope: "full",
        response: z.object({ ID: z.string(), ServerID: z.int(), ExpectedPurgeDate: z.string() }),
        errors: { ...NO_STREAM_WHEN, 1229: "The stream is one that each server must have" },
      },
      async ({ policy: { serverId }, params }) => {
        const key = { serverId, id: params.stream ?? "" };
        if (key.id === "outbound" || key.id === "inbound")
          return refused(1229, "The default transactional and inbound streams cannot be archived.");
        const archived = await settled(archiveStream(directory, key, needs.now()));
        if (!archived) return { error: NO_STREAM };
        await needs.policyChanged(serverId);
        const ExpectedPurgeDate = formatSecond(archived.purgeAt ?? needs.now());
        return { ok: { ID: archived.id, ServerID: serverId, ExpectedPurgeDate } };
      },
    ),
    serverEndpoint(
      {
        method: "POST",
        path: `${path}/:stream/unarchive`,
        family,
        summary: "Takes a stream out of the archive",
        scope: "full",
        response: shownStream,
        errors: {
          ...NO_STREAM_WHEN,
          1225: `The server has ${MAX_STREAMS} streams beside it`,
          1232: `It was archived more than ${PURGE_AFTER_DAYS} days ago`,
        },
      },
      async ({ policy: { serverId }, params }) => {
        const key = { serverId, id: params.stream ?? "" };
        const stream = await settled(unarchiveStream(directory, key, needs.now()));
        if (stream === "absent") return { error: NO_STREAM };
        if (stream === "too late")
          return refused(1232, "The message stream is being deleted and cannot be unarchived.");
        if (stream === "too many")
          return refused(1225, `A server may have at most ${MAX_STREAMS} message streams.`);
        await needs.policyChanged(serverId);
        return { ok: shown(stream) };
      },
    ),
  ];
}

/** For what belongs to a stream: the policy may be a minute old, so a stream that it does not have is looked up. */
export async function isStream(
  directory: D1Database,
  { serverId, streams }: Pick<ServerPolicy, "serverId" | "streams">,
  id: string,
): Promise<boolean> {
  if (streams.some((stream) => stream.id === id)) return true;
  return (await settled(findStream(directory, serverId, id))) !== undefined;
}

function shown(stream: Stream) {
  const when = (at: number | null) => (at === null ? null : formatSecond(at));
  return {
    ID: stream.id,
    ServerID: stream.serverId,
    Name: stream.name,
    Description: stream.description,
    MessageStreamType: stream.type,
    CreatedAt: formatSecond(stream.createdAt),
    UpdatedAt: when(stream.updatedAt),
    ArchivedAt: when(stream.archivedAt),
    ExpectedPurgeDate: when(stream.purgeAt),
    SubscriptionManagementConfiguration: { UnsubscribeHandlingType: stream.unsubscribeHandling },
  };
}
