/**
 * SMTP tokens of a stream: made, listed and revoked through the API. Postmark has them in its web pages only, so the paths are ours, in
 * its manner; the codes are those that it documents (1450 to 1460).
 */
import * as z from "zod";
import type { ServerPolicy, StreamPolicy } from "../accounts/policy.ts";
import {
  createSmtpToken,
  deleteSmtpToken,
  listSmtpTokens,
  MAX_SMTP_TOKENS,
  type SmtpToken,
} from "../accounts/smtp-tokens.ts";
import { type Endpoint, serverEndpoint } from "./endpoint.ts";
import { apiError, type Result, refused } from "./error.ts";
import { pathNumber } from "./path.ts";
import { type SettingsNeeds, settled } from "./settings-needs.ts";
import { formatSecond } from "./time.ts";

const MAX_NAME = 100;
const family = "SMTP tokens";
const path = "/message-streams/:stream/smtp-tokens";

const NOT_FOUND = apiError(1450, "The SMTP token for the provided 'ID' was not found.");
const NO_STREAM = apiError(1226, "The message stream for the provided 'ID' was not found.");
const NO_STREAM_WHEN = { 1226: "There is no such stream" };

const smtpToken = z.object({
  ID: z.int(),
  Name: z.string(),
  AccessKey: z.string(),
  MessageStream: z.string(),
  CreatedAt: z.string(),
});

export function smtpTokenEndpoints(needs: SettingsNeeds): Endpoint[] {
  return [
    serverEndpoint(
      {
        method: "POST",
        path,
        family,
        summary: "Makes an SMTP token; its secret is in this answer and nowhere else",
        scope: "full",
        body: { schema: z.object({ Name: z.string().default("") }) },
        response: smtpToken.extend({ SecretKey: z.string() }),
        errors: {
          ...NO_STREAM_WHEN,
          1451: "`Name` is too long",
          1457: "The stream is an inbound stream",
          1458: `The stream has ${MAX_SMTP_TOKENS} SMTP tokens`,
          1459: "The stream is archived",
          1460: "SMTP is not activated for the server",
        },
      },
      async ({ policy, params, body }) => {
        const stream = usableStream(policy, params.stream);
        if ("error" in stream) return stream;
        const name = body.Name.trim();
        if (name.length > MAX_NAME)
          return refused(1451, `Invalid 'Name'. It is limited to ${MAX_NAME} characters.`);
        const { serverId } = policy;
        const token = { serverId, stream: stream.ok.id, name };
        const made = await settled(createSmtpToken(needs.directory, token, needs.now()));
        if (!made) return refused(1458, `A message stream may have at most ${MAX_SMTP_TOKENS} SMTP tokens.`);
        await needs.policyChanged(serverId);
        return { ok: { ...shown(made), SecretKey: made.secret } };
      },
    ),
    serverEndpoint(
      {
        method: "GET",
        path,
        family,
        summary: "Lists the SMTP tokens of a stream",
        scope: "full",
        response: z.object({ TotalCount: z.int(), SmtpTokens: z.array(smtpToken) }),
        errors: NO_STREAM_WHEN,
      },
      async ({ policy: { serverId, streams }, params }) => {
        const stream = streams.find((s) => s.id === params.stream);
        if (!stream) return { error: NO_STREAM };
        const found = await settled(listSmtpTokens(needs.directory, serverId, stream.id));
        return { ok: { TotalCount: found.length, SmtpTokens: found.map(shown) } };
      },
    ),
    serverEndpoint(
      {
        method: "DELETE",
        path: `${path}/:id`,
        family,
        summary: "Revokes an SMTP token",
        scope: "full",
        response: z.object({ ErrorCode: z.literal(0), Message: z.string() }),
        errors: { ...NO_STREAM_WHEN, 1450: "There is no such token on this stream" },
      },
      async ({ policy: { serverId, streams }, params }) => {
        const stream = streams.find((s) => s.id === params.stream);
        if (!stream) return { error: NO_STREAM };
        const id = pathNumber(params.id);
        const isGone =
          id !== undefined &&
          (await settled(deleteSmtpToken(needs.directory, { serverId, stream: stream.id, id })));
        if (!isGone) return { error: NOT_FOUND };
        await needs.policyChanged(serverId);
        return { ok: { ErrorCode: 0, Message: `SMTP token ${id} removed.` } };
      },
    ),
  ];
}

function usableStream(
  { streams, smtpActivated }: ServerPolicy,
  id: string | undefined,
): Result<StreamPolicy> {
  const stream = streams.find((s) => s.id === id);
  if (!stream) return { error: NO_STREAM };
  if (stream.type === "Inbound")
    return refused(1457, "SMTP tokens cannot be created for an inbound message stream.");
  if (stream.archived) return refused(1459, "SMTP tokens cannot be created for an archived message stream.");
  if (!smtpActivated) return refused(1460, "SMTP is not activated for this server.");
  return { ok: stream };
}

function shown({ id, name, accessKey, stream, createdAt }: SmtpToken) {
  return {
    ID: id,
    Name: name,
    AccessKey: accessKey,
    MessageStream: stream,
    CreatedAt: formatSecond(createdAt),
  };
}
