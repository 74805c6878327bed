/**
 * A server's API tokens, made and revoked through the API: with a scope, an allow-list and a limit each. Postmark has them in its web
 * pages only, so the paths are ours, in its manner, and so are the codes from 1481 on.
 */
import * as z from "zod";
import { parseRange } from "../accounts/allow-list.ts";
import { findServer } from "../accounts/servers.ts";
import {
  addToken,
  deleteToken,
  listTokens,
  MAX_TOKENS,
  type ServerToken,
  type TokenSettings,
} from "../accounts/tokens.ts";
import { CONTROL } from "../mail/text.ts";
import { accountEndpoint, type Endpoint, serverEndpoint } from "./endpoint.ts";
import { apiError, type Result, refused } from "./error.ts";
import { whole } from "./json-body.ts";
import { pathNumber } from "./path.ts";
import { type SettingsNeeds, settled } from "./settings-needs.ts";
import { formatSecond } from "./time.ts";

const family = "Server tokens";
const MAX_NAME = 100;
/** Each request of the token is held against all of them. */
const MAX_ALLOWED_IPS = 50;
const MAX_RATE = 10_000_000;
const SCOPES = ["full", "send", "read"] as const;

const NO_SERVER = apiError(601, "The server for the provided 'ID' was not found.");
const NOT_FOUND = apiError(1482, "The API token for the provided 'ID' was not found.");
const NO_SERVER_WHEN = { 601: "The account has no such server" };
const NOT_FOUND_WHEN = { 1482: "The server has no such token" };

const tokenJson = z.object({
  ID: z.int(),
  Name: z.string(),
  Token: z.string().nullable().describe("`null` when it was shown once, when it was made."),
  Scope: z.enum(SCOPES),
  AllowedIps: z.array(z.string()),
  RatePerMinute: z
    .int()
    .nullable()
    .describe("`null` for the deployment's own limit: 1,200,000 unless it is set."),
  CreatedAt: z.string(),
});
const listJson = z.object({ TotalCount: z.int(), Tokens: z.array(tokenJson) });
const goneJson = z.object({ ErrorCode: z.literal(0), Message: z.string() });

const newTokenFields = z.object({
  Name: z.string().default(""),
  Scope: z
    .string()
    .default("full")
    .describe("`full` for everything, `send` for sending, `read` for reading and nothing else.")
    .meta({ examples: SCOPES }),
  AllowedIps: z
    .array(z.string())
    .default([])
    .describe(
      "Addresses and CIDR ranges, IPv4 and IPv6, that requests to the API may come from; empty for any.",
    ),
  RatePerMinute: whole
    .optional()
    .describe("Requests to the API a minute; beyond it they are answered with 429 and `Retry-After`."),
});
const NEW_ERRORS = {
  1483: `The server has ${MAX_TOKENS} tokens`,
  1485: "`Name` is too long, or has line breaks",
  1486: "There is no such `Scope`",
  1487: "Something in `AllowedIps` is no address and no range, or there are too many",
  1488: "`RatePerMinute` is too small or too large",
};

export function serverTokenEndpoints(needs: SettingsNeeds): Endpoint[] {
  return [
    serverEndpoint(
      {
        method: "GET",
        path: "/server/tokens",
        family,
        summary: "Lists the server's tokens",
        scope: "full",
        response: listJson,
      },
      ({ policy }) => list(policy.serverId, needs),
    ),
    serverEndpoint(
      {
        method: "POST",
        path: "/server/tokens",
        family,
        summary: "Makes a token of the server",
        scope: "full",
        body: { schema: newTokenFields },
        response: tokenJson,
        errors: NEW_ERRORS,
      },
      ({ policy, body }) => create(policy, body, needs),
    ),
    serverEndpoint(
      {
        method: "DELETE",
        path: "/server/tokens/:id",
        family,
        summary: "Revokes a token of the server",
        description: "It stops working at once here, and within a minute everywhere.",
        scope: "full",
        response: goneJson,
        errors: { ...NOT_FOUND_WHEN, 1484: "It is the last token that may do everything" },
      },
      ({ policy, params }) => revoke({ serverId: policy.serverId, id: params.id, keepFull: true }, needs),
    ),
    accountEndpoint(
      {
        method: "GET",
        path: "/servers/:id/tokens",
        family,
        summary: "Lists the tokens of one of the account's servers",
        response: listJson,
        errors: NO_SERVER_WHEN,
      },
      async ({ accountId, params }) => {
        const server = await find(accountId, params.id, needs);
        return server ? list(server.id, needs) : { error: NO_SERVER };
      },
    ),
    accountEndpoint(
      {
        method: "POST",
        path: "/servers/:id/tokens",
        family,
        summary: "Makes a token of one of the account's servers",
        body: { schema: newTokenFields },
        response: tokenJson,
        errors: { ...NO_SERVER_WHEN, ...NEW_ERRORS },
      },
      async ({ accountId, params, body }) => {
        const server = await find(accountId, params.id, needs);
        return server ? create({ accountId, serverId: server.id }, body, needs) : { error: NO_SERVER };
      },
    ),
    accountEndpoint(
      {
        method: "DELETE",
        path: "/servers/:id/tokens/:token",
        family,
        summary: "Revokes a token of one of the account's servers",
        description: "It stops working at once here, and within a minute everywhere.",
        response: goneJson,
        errors: { ...NO_SERVER_WHEN, ...NOT_FOUND_WHEN },
      },
      async ({ accountId, params }) => {
        const server = await find(accountId, params.id, needs);
        if (!server) return { error: NO_SERVER };
        return revoke({ serverId: server.id, id: params.token, keepFull: false }, needs);
      },
    ),
  ];
}

async function find(accountId: number, id: string | undefined, { directory }: SettingsNeeds) {
  const serverId = pathNumber(id);
  return serverId === undefined ? undefined : settled(findServer(directory, serverId, accountId));
}

async function list(serverId: number, needs: SettingsNeeds) {
  const tokens = await settled(listTokens(needs, [serverId]));
  return { ok: { TotalCount: tokens.length, Tokens: tokens.map(shown) } };
}

async function create(
  { accountId, serverId }: { accountId: number; serverId: number },
  body: z.infer<typeof newTokenFields>,
  needs: SettingsNeeds,
) {
  const settings = readSettings(body);
  if ("error" in settings) return settings;
  const made = await settled(addToken(needs, { accountId, serverId, ...settings.ok }, needs.now()));
  if (!made) return refused(1483, `A server may have at most ${MAX_TOKENS} API tokens.`);
  await needs.policyChanged(serverId);
  return { ok: shown(made) };
}

function readSettings(body: z.infer<typeof newTokenFields>): Result<TokenSettings> {
  const name = body.Name.trim();
  if (name.length > MAX_NAME || CONTROL.test(name))
    return refused(1485, `Invalid 'Name'. It is limited to ${MAX_NAME} characters, without line breaks.`);
  const wanted = body.Scope.toLowerCase() || "full";
  const scope = SCOPES.find((known) => known === wanted);
  if (!scope) return refused(1486, `Invalid 'Scope'. It must be one of ${SCOPES.join(", ")}.`);
  if (body.AllowedIps.length > MAX_ALLOWED_IPS)
    return refused(1487, `'AllowedIps' is limited to ${MAX_ALLOWED_IPS} entries.`);
  const allowedIps = body.AllowedIps.map(parseRange);
  const wrong = allowedIps.indexOf(undefined);
  if (wrong >= 0)
    return refused(
      1487,
      `Invalid 'AllowedIps': entry ${wrong + 1} is not an IP address and not a range in CIDR notation.`,
    );
  const ratePerMinute = body.RatePerMinute ?? null;
  if (ratePerMinute !== null && !(ratePerMinute >= 1 && ratePerMinute <= MAX_RATE))
    return refused(1488, `'RatePerMinute' must be a number from 1 to ${MAX_RATE}.`);
  return { ok: { name, scope, allowedIps: allowedIps as string[], ratePerMinute } };
}

/** With a server's own token one that may do everything stays: who has none cannot make one. */
async function revoke(
  { serverId, id, keepFull }: { serverId: number; id: string | undefined; keepFull: boolean },
  needs: SettingsNeeds,
) {
  const tokenId = pathNumber(id);
  if (tokenId === undefined) return { error: NOT_FOUND };
  const result = await settled(deleteToken(needs.directory, { serverId, id: tokenId, keepFull }));
  if (result === "absent") return { error: NOT_FOUND };
  if (result === "last")
    return refused(
      1484,
      "The last token of a server that may do everything can be revoked by its account only.",
    );
  await needs.policyChanged(serverId);
  return { ok: { ErrorCode: 0, Message: `API token ${tokenId} removed.` } };
}

function shown({ id, name, token, scope, allowedIps, ratePerMinute, createdAt }: ServerToken) {
  return {
    ID: id,
    Name: name,
    Token: token,
    Scope: scope,
    AllowedIps: allowedIps,
    RatePerMinute: ratePerMinute,
    CreatedAt: formatSecond(createdAt),
  };
}
