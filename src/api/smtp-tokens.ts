/**
 * SMTP tokens of a stream: made, listed and revoked through the API. Postmark has them in its web pages only, so the paths are ours, in
 * its manner; the codes are those that it documents (1450 to 1460).
 */
import { type Context, Hono } from "hono";
import * as z from "zod";
import type { ServerPolicy } from "../accounts/policy.ts";
import {
  createSmtpToken,
  deleteSmtpToken,
  listSmtpTokens,
  MAX_SMTP_TOKENS,
  type SmtpToken,
} from "../accounts/smtp-tokens.ts";
import { apiError, errorResponse, okResponse } from "./error.ts";
import { fieldsReader, parseJson, readBody } from "./json-body.ts";
import { apiPath } from "./path.ts";
import { fromDirectory, type ReadNeeds, serverRoute } from "./read-needs.ts";
import { formatSecond } from "./time.ts";

export interface SmtpTokenNeeds extends ReadNeeds {
  /** Makes every Outbox of the server read its policy anew; what cannot be told finds out within a minute. */
  policyChanged(serverId: number): Promise<void>;
}

const MAX_NAME = 100;
const MAX_BODY_BYTES = 64 * 1024;
const readFields = fieldsReader(z.object({ Name: z.string().default("") }));

const NOT_FOUND = apiError(1450, "The SMTP token for the provided 'ID' was not found.");
const NO_STREAM = apiError(1226, "The message stream for the provided 'ID' was not found.");

export function smtpTokenRoutes(needs: SmtpTokenNeeds): Hono {
  const app = new Hono({ getPath: apiPath });
  const path = "/message-streams/:stream/smtp-tokens";

  app.post(
    path,
    serverRoute(needs, async (policy, c) => {
      const stream = usableStream(policy, c);
      if ("code" in stream) return errorResponse(stream);
      const name = await readName(c);
      if (typeof name !== "string") return name;
      const { serverId } = policy;
      const made = await fromDirectory(
        createSmtpToken(needs.directory, { serverId, stream: stream.id, name }, needs.now()),
      );
      if (!made)
        return errorResponse(
          apiError(1458, `A message stream may have at most ${MAX_SMTP_TOKENS} SMTP tokens.`),
        );
      await needs.policyChanged(serverId);
      return okResponse({ ...shown(made), SecretKey: made.secret });
    }),
  );

  app.get(
    path,
    serverRoute(needs, async ({ serverId, streams }, c) => {
      const stream = c.req.param("stream") ?? "";
      if (!streams.some((s) => s.id === stream)) return errorResponse(NO_STREAM);
      const found = await fromDirectory(listSmtpTokens(needs.directory, serverId, stream));
      return okResponse({ TotalCount: found.length, SmtpTokens: found.map(shown) });
    }),
  );

  app.delete(
    `${path}/:id`,
    serverRoute(needs, async ({ serverId, streams }, c) => {
      const stream = c.req.param("stream") ?? "";
      if (!streams.some((s) => s.id === stream)) return errorResponse(NO_STREAM);
      const id = Number(c.req.param("id"));
      const isGone =
        Number.isSafeInteger(id) &&
        (await fromDirectory(deleteSmtpToken(needs.directory, { serverId, stream, id })));
      if (!isGone) return errorResponse(NOT_FOUND);
      await needs.policyChanged(serverId);
      return okResponse({ ErrorCode: 0, Message: `SMTP token ${id} removed.` });
    }),
  );
  return app;
}

function usableStream({ streams, smtpActivated }: ServerPolicy, c: Context) {
  const stream = streams.find((s) => s.id === c.req.param("stream"));
  if (!stream) return NO_STREAM;
  if (stream.type === "Inbound")
    return apiError(1457, "SMTP tokens cannot be created for an inbound message stream.");
  if (stream.archived) return apiError(1459, "SMTP tokens cannot be created for an archived message stream.");
  if (!smtpActivated) return apiError(1460, "SMTP is not activated for this server.");
  return stream;
}

/** The body may be absent: a token needs no name. */
async function readName(c: Context): Promise<string | Response> {
  const body = await readBody(c.req.raw, MAX_BODY_BYTES);
  if ("error" in body) return errorResponse(body.error);
  if (body.ok.trim() === "") return "";
  const value = parseJson(body.ok);
  if ("error" in value) return errorResponse(value.error);
  const fields = readFields(value.ok);
  if ("error" in fields) return errorResponse(fields.error);
  const name = fields.ok.Name.trim();
  if (name.length > MAX_NAME)
    return errorResponse(apiError(1451, `Invalid 'Name'. It is limited to ${MAX_NAME} characters.`));
  return name;
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
