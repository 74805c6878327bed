/** Servers: those of an account for its own token, and for a server's token itself (§11 of the wire contract). */
import * as z from "zod";
import type { Server } from "../accounts/create.ts";
import { DnsUnavailable } from "../accounts/dns.ts";
import { newHooks, SERVER_HOOKS, serverHookNames } from "../accounts/hooks.ts";
import { addServer, changeServer, deleteServer, findServer, listServers } from "../accounts/servers.ts";
import { NO_SERVER_TOKEN } from "./authenticate.ts";
import { cursorParameter, formatCursor } from "./cursor.ts";
import { accountEndpoint, type Endpoint, serverEndpoint } from "./endpoint.ts";
import { apiError, type Result, refused, Unavailable } from "./error.ts";
import { pathNumber } from "./path.ts";
import { pageParameters, textParameter } from "./query.ts";
import { serverJson, showServer, showServers } from "./server-json.ts";
import {
  NO_DATA,
  newServerFields,
  readInboundDomain,
  readServerFields,
  SERVER_ERRORS,
  serverFields,
  TAKEN,
} from "./server-settings.ts";
import { type SettingsNeeds, settled } from "./settings-needs.ts";

const family = "Servers";
const NOT_FOUND = apiError(601, "The server for the provided 'ID' was not found.");
const NOT_FOUND_WHEN = { 601: "The account has no such server" };
const MERGES =
  "Fields that are absent or `null` keep their value. `DeliveryType` is fixed when a server is made.";

export function serverEndpoints(needs: SettingsNeeds): Endpoint[] {
  return [
    serverEndpoint(
      {
        method: "GET",
        path: "/server",
        family,
        summary: "The server whose token it is",
        scope: "read",
        response: serverJson,
      },
      async ({ policy, token }) => {
        const server = await settled(findServer(needs.directory, policy.serverId));
        const answer = await show(server, needs, NO_SERVER_TOKEN);
        // Who may only read must not find a token here that may do more.
        if ("ok" in answer && token.scope !== "full") answer.ok.ApiTokens = [];
        return answer;
      },
    ),
    serverEndpoint(
      {
        method: "PUT",
        path: "/server",
        family,
        summary: "Changes the server whose token it is",
        description: MERGES,
        scope: "full",
        body: { schema: serverFields, empty: NO_DATA },
        response: serverJson,
        errors: SERVER_ERRORS,
      },
      async ({ policy, body }) =>
        change(await settled(findServer(needs.directory, policy.serverId)), body, needs, NO_SERVER_TOKEN),
    ),
    accountEndpoint(
      {
        method: "GET",
        path: "/servers",
        family,
        summary: "Lists the account's servers",
        query: {
          schema: z.object({
            ...pageParameters,
            name: textParameter.optional().describe("A part of the name, in any case"),
            cursor: cursorParameter(z.tuple([z.int()])).optional(),
          }),
          code: 600,
        },
        response: z.object({
          TotalCount: z.int(),
          Servers: z.array(serverJson),
          NextCursor: z.string().optional(),
        }),
        errors: { 600: "A parameter is wrong" },
      },
      async ({ accountId, query: { name, count, offset, cursor } }) => {
        const filter = { name, count, offset, after: cursor?.[0] };
        const { total, servers, isMore } = await settled(listServers(needs.directory, accountId, filter));
        const last = servers.at(-1);
        const next = isMore && last ? { NextCursor: formatCursor([last.id]) } : {};
        return { ok: { TotalCount: total, Servers: await settled(showServers(servers, needs)), ...next } };
      },
    ),
    accountEndpoint(
      {
        method: "POST",
        path: "/servers",
        family,
        summary: "Makes a server, with its streams and a token",
        description:
          "An account that shows tokens once finds this one in this answer's `ApiTokens` and nowhere else.",
        body: { schema: newServerFields, empty: NO_DATA },
        response: serverJson,
        errors: { ...SERVER_ERRORS, 613: "There is no such `DeliveryType`" },
      },
      ({ accountId, body }) => create(accountId, body, needs),
    ),
    accountEndpoint(
      {
        method: "GET",
        path: "/servers/:id",
        family,
        summary: "One of the account's servers",
        response: serverJson,
        errors: NOT_FOUND_WHEN,
      },
      async ({ accountId, params }) => show(await find(accountId, params.id, needs), needs),
    ),
    accountEndpoint(
      {
        method: "PUT",
        path: "/servers/:id",
        family,
        summary: "Changes one of the account's servers",
        description: MERGES,
        body: { schema: serverFields, empty: NO_DATA },
        response: serverJson,
        errors: { ...NOT_FOUND_WHEN, ...SERVER_ERRORS },
      },
      async ({ accountId, params, body }) => change(await find(accountId, params.id, needs), body, needs),
    ),
    accountEndpoint(
      {
        method: "DELETE",
        path: "/servers/:id",
        family,
        summary: "Deletes a server",
        description:
          "Its tokens stop working and it is listed nowhere at once; its data goes in the background.",
        response: z.object({ ErrorCode: z.literal(0), Message: z.string() }),
        errors: { ...NOT_FOUND_WHEN, 604: "The account may not delete servers through the API" },
      },
      async ({ accountId, params }) => {
        const serverId = pathNumber(params.id);
        if (serverId === undefined) return { error: NOT_FOUND };
        const gone = await settled(deleteServer(needs.directory, { accountId, serverId }, needs.now()));
        if (gone === "not permitted")
          return refused(604, "This account may not delete servers through the API.");
        if (!gone) return { error: NOT_FOUND };
        await needs.policyChanged(serverId);
        return { ok: { ErrorCode: 0, Message: `Server ${gone.name} removed.` } };
      },
    ),
  ];
}

async function find(accountId: number, id: string | undefined, { directory }: SettingsNeeds) {
  const serverId = pathNumber(id);
  return serverId === undefined ? undefined : settled(findServer(directory, serverId, accountId));
}

/** A server that was deleted a moment ago is `absent`: to its own token, one that is valid no more. */
async function show(
  server: Server | undefined,
  needs: SettingsNeeds,
  absent = NOT_FOUND,
): Promise<Result<z.infer<typeof serverJson>>> {
  const [shown] = server ? await settled(showServers([server], needs)) : [];
  return shown ? { ok: shown } : { error: absent };
}

async function create(accountId: number, body: z.infer<typeof newServerFields>, needs: SettingsNeeds) {
  const fields = readServerFields(body);
  if ("error" in fields) return fields;
  const { name } = fields.ok;
  if (name === undefined) return refused(608, "The server's 'Name' is missing.");
  const inboundDomain = await checkInboundDomain(body.InboundDomain, "", needs);
  if ("error" in inboundDomain) return inboundDomain;
  // Nothing is in the log of a server that is not there yet.
  const hookStarts = Object.fromEntries(newHooks(fields.ok).map((type) => [type, 0]));
  const settings = { ...fields.ok, name, inboundDomain: inboundDomain.ok, hookStarts };
  const made = await settled(addServer(needs, { accountId, ...settings }, needs.now()));
  if ("taken" in made) return { error: TAKEN[made.taken] };
  const { server, token } = made;
  // Who asked for the number before it existed may have left word that there is no such server.
  await needs.policyChanged(server.id);
  return { ok: showServer(server, [{ scope: "full", token }], needs) };
}

async function change(
  server: Server | undefined,
  body: z.infer<typeof serverFields>,
  needs: SettingsNeeds,
  absent = NOT_FOUND,
) {
  if (!server) return { error: absent };
  const fields = readServerFields(body);
  if ("error" in fields) return fields;
  const inboundDomain = await checkInboundDomain(body.InboundDomain, server.inboundDomain, needs);
  if ("error" in inboundDomain) return inboundDomain;
  const begun = newHooks(fields.ok, server);
  const head = begun.length > 0 ? await settled(needs.logHead(server.id)) : 0;
  const starts = Object.fromEntries(begun.map((type) => [type, head]));
  const settings = {
    ...{ ...fields.ok, inboundDomain: inboundDomain.ok },
    ...(begun.length > 0 && { hookStarts: { ...server.hookStarts, ...starts } }),
  };
  const changed = await settled(changeServer(needs.directory, server.id, settings));
  if (changed && "taken" in changed) return { error: TAKEN[changed.taken] };
  await needs.policyChanged(server.id);
  if (changed && SERVER_HOOKS.some(([field]) => fields.ok[field] !== undefined))
    await needs.hooksChanged(server.id, serverHookNames(changed));
  return show(changed, needs, absent);
}

async function checkInboundDomain(given: string | undefined, before: string, needs: SettingsNeeds) {
  try {
    return await readInboundDomain(given, before, needs);
  } catch (cause) {
    if (!(cause instanceof DnsUnavailable)) throw cause;
    throw new Unavailable("The DNS cannot be asked at the moment. Please try again.", { cause });
  }
}
