/**
 * `/webhooks` (§15 of the wire contract): who is told of a stream's events. Postmark tries each URL before it keeps it; we do where
 * `Verify` asks for it.
 */
import * as z from "zod";
import { webhookName } from "../accounts/hooks.ts";
import { findStream } from "../accounts/streams.ts";
import {
  changeWebhook,
  createWebhook,
  deleteWebhook,
  listWebhooks,
  MAX_WEBHOOKS,
  type Webhook,
  type WebhookSettings,
} from "../accounts/webhooks.ts";
import type { TriggerStatistics } from "../notify/hook-calls.ts";
import { type Endpoint, serverEndpoint } from "./endpoint.ts";
import { type ApiError, apiError, refused, Unavailable } from "./error.ts";
import { textParameter } from "./query.ts";
import { type SettingsNeeds, settled } from "./settings-needs.ts";
import { isStream, NO_STREAM, NO_STREAM_WHEN } from "./streams.ts";
import { formatTime } from "./time.ts";
import { FIELD_ERRORS, readSettings, shownWebhook, webhookBody, webhookJson } from "./webhook-fields.ts";
import {
  type HookStubs,
  hookAnswer,
  NOT_FOUND,
  NOT_FOUND_WHEN,
  webhookId,
  webhookOf,
} from "./webhook-found.ts";
import {
  failure,
  tryHook,
  type VerifyNeeds,
  verification,
  verificationJson,
} from "./webhook-verification.ts";

export type WebhookNeeds = SettingsNeeds & VerifyNeeds & HookStubs;

const family = "Webhooks";
const path = "/webhooks";
const NO_BODY = apiError(1355, "The request must have a body.");
const DEFAULT_STREAM = "outbound";

/** Of one trigger. */
const counted = z.object({
  TriggerType: z.string(),
  SuccessCount: z.int(),
  FailureCount: z.int(),
  SlowCount: z.int(),
  VerySlowCount: z.int(),
  WaitingCount: z.int(),
  Paused: z.object({ Since: z.string(), Reason: z.string(), NextTryAt: z.string().nullable() }).nullable(),
});

export function webhookEndpoints(needs: WebhookNeeds): Endpoint[] {
  return [
    ...readingEndpoints(needs),
    createEndpoint(needs),
    editEndpoint(needs),
    verifyEndpoint(needs),
    statisticsEndpoint(needs),
  ];
}

function readingEndpoints(needs: WebhookNeeds): Endpoint[] {
  return [
    serverEndpoint(
      {
        method: "GET",
        path,
        family,
        summary: "Lists the server's webhooks, or those of one stream",
        // It shows what proves us to each URL.
        scope: "full",
        query: { schema: z.object({ MessageStream: textParameter.optional() }), code: 1361 },
        response: z.object({ Webhooks: z.array(shownWebhook) }),
        errors: NO_STREAM_WHEN,
      },
      async ({ policy, query: { MessageStream } }) => {
        if (MessageStream && !(await isStream(needs.directory, policy, MessageStream)))
          return { error: NO_STREAM };
        const found = await settled(listWebhooks(needs, policy.serverId, MessageStream));
        return { ok: { Webhooks: found.map(webhookJson) } };
      },
    ),
    serverEndpoint(
      {
        method: "GET",
        path: `${path}/:id`,
        family,
        summary: "Shows a webhook",
        scope: "full",
        response: shownWebhook,
        errors: NOT_FOUND_WHEN,
      },
      async ({ policy, params }) => {
        const webhook = await webhookOf(needs, policy.serverId, params.id);
        return "error" in webhook ? webhook : { ok: webhookJson(webhook.ok) };
      },
    ),
    serverEndpoint(
      {
        method: "DELETE",
        path: `${path}/:id`,
        family,
        summary: "Removes a webhook",
        scope: "full",
        response: z.object({ ErrorCode: z.literal(0), Message: z.string() }),
        errors: NOT_FOUND_WHEN,
      },
      async ({ policy: { serverId }, params }) => {
        const id = webhookId(params.id);
        if (id === undefined || !(await settled(deleteWebhook(needs.directory, serverId, id))))
          return { error: NOT_FOUND };
        await forget(needs, serverId, id);
        return { ok: { ErrorCode: 0, Message: `Webhook ${id} removed.` } };
      },
    ),
  ];
}

function createEndpoint(needs: WebhookNeeds): Endpoint {
  return serverEndpoint(
    {
      method: "POST",
      path,
      family,
      summary: "Makes a webhook",
      description:
        "With `Verify` set to `true` each event that it asks for is tried with a sample first. Set to `false` it is told nothing until it is verified; left out, it is told of everything from now on.",
      scope: "full",
      body: { schema: webhookBody, empty: NO_BODY },
      response: shownWebhook,
      errors: {
        ...NO_STREAM_WHEN,
        ...FIELD_ERRORS,
        1350: "The stream is archived",
        1351: "The stream is an inbound stream",
        1356: "`ID` is given",
        1359: `The stream has ${MAX_WEBHOOKS} webhooks`,
        1364: "The URL was tried, and did not answer each sample with 200",
      },
    },
    async ({ policy: { serverId }, body }) => {
      if (body.ID && body.ID !== "0") return refused(1356, "The 'ID' of a new webhook cannot be set.");
      const stream = body.MessageStream || DEFAULT_STREAM;
      const unusable = await streamError(needs, serverId, stream);
      if (unusable) return { error: unusable };
      const settings = readSettings(body);
      if ("error" in settings) return settings;
      const failed = body.Verify && (await failure(needs, { id: 0, serverId, stream, ...settings.ok }));
      if (failed) return failed;
      const webhook = { serverId, stream, ...settings.ok };
      // Known before the webhook is: what happens from then on, it is told.
      const head = await settled(needs.logHead(serverId));
      const made = await settled(createWebhook(needs, webhook, head, needs.now()));
      if (!made) return refused(1359, `A message stream may have at most ${MAX_WEBHOOKS} webhooks.`);
      await needs.hooksChanged(serverId, [webhookName(serverId, made.id)]);
      return { ok: webhookJson(made) };
    },
  );
}

function editEndpoint(needs: WebhookNeeds): Endpoint {
  return serverEndpoint(
    {
      method: "PUT",
      path: `${path}/:id`,
      family,
      summary: "Changes a webhook; what is not named stays as it is",
      scope: "full",
      body: { schema: webhookBody, empty: NO_BODY },
      response: shownWebhook,
      errors: {
        ...NOT_FOUND_WHEN,
        ...FIELD_ERRORS,
        1357: "`ID` or `MessageStream` is another",
        1364: "The URL was tried, and did not answer each sample with 200",
      },
    },
    async ({ policy: { serverId }, params, body }) => {
      const found = await webhookOf(needs, serverId, params.id);
      if ("error" in found) return found;
      const { id, stream } = found.ok;
      if ((body.ID && body.ID !== String(id)) || (body.MessageStream && body.MessageStream !== stream))
        return refused(1357, "The 'ID' and the 'MessageStream' of a webhook cannot be changed.");
      const settings = readSettings(body, found.ok);
      if ("error" in settings) return settings;
      const failed = body.Verify && (await failure(needs, { id, serverId, stream, ...settings.ok }));
      if (failed) return failed;
      return { ok: webhookJson(await change(needs, found.ok, settings.ok)) };
    },
  );
}

function verifyEndpoint(needs: WebhookNeeds): Endpoint {
  return serverEndpoint(
    {
      method: "POST",
      path: `${path}/:id/verify`,
      family,
      summary: "Tries each event of a webhook with a sample; when all are taken, the webhook is verified",
      scope: "full",
      response: verification,
      errors: NOT_FOUND_WHEN,
    },
    async ({ policy, params }) => {
      const found = await webhookOf(needs, policy.serverId, params.id);
      if ("error" in found) return found;
      const result = verificationJson(found.ok, await tryHook(needs, found.ok));
      if (result.Success && found.ok.status !== "verified")
        await change(needs, found.ok, { ...found.ok, status: "verified" });
      return { ok: result };
    },
  );
}

function statisticsEndpoint(needs: WebhookNeeds): Endpoint {
  return serverEndpoint(
    {
      method: "GET",
      path: `${path}/:id/statistics`,
      family,
      summary: "Shows how a webhook took its events in the last day",
      scope: "read",
      response: z.object({ Id: z.int(), Statistics: z.array(counted) }),
      errors: NOT_FOUND_WHEN,
    },
    async ({ policy, params }) => {
      const found = await webhookOf(needs, policy.serverId, params.id);
      if ("error" in found) return found;
      const { id, serverId } = found.ok;
      const counts = await hookAnswer(needs.hook(webhookName(serverId, id)).statistics());
      return { ok: { Id: id, Statistics: counts.map(countedJson) } };
    },
  );
}

function countedJson(of: TriggerStatistics): z.infer<typeof counted> {
  const { paused } = of;
  return {
    TriggerType: of.type,
    SuccessCount: of.taken,
    FailureCount: of.failed,
    SlowCount: of.slow,
    VerySlowCount: of.verySlow,
    WaitingCount: of.waiting,
    Paused: paused
      ? {
          Since: formatTime(paused.since),
          Reason: paused.reason,
          NextTryAt: paused.nextTryAt === undefined ? null : formatTime(paused.nextTryAt),
        }
      : null,
  };
}

async function change(needs: WebhookNeeds, webhook: Webhook, settings: WebhookSettings): Promise<Webhook> {
  const { serverId, id } = webhook;
  const head = () => needs.logHead(serverId);
  const changed = await settled(changeWebhook(needs, webhook, settings, head, needs.now()));
  if (!changed)
    throw new Unavailable("The webhook was changed by another request at the same time. Please try again.");
  await needs.hooksChanged(serverId, [webhookName(serverId, id)]);
  return changed;
}

/** What its object keeps goes at once; if it cannot be told, by its own alarm. */
async function forget(needs: WebhookNeeds, serverId: number, id: number): Promise<void> {
  const name = webhookName(serverId, id);
  await needs.hooksChanged(serverId, []);
  await needs
    .hook(name)
    .destroy()
    .catch((error) => needs.log("hook not removed", { hook: name, error: String(error) }));
}

async function streamError(needs: WebhookNeeds, serverId: number, id: string): Promise<ApiError | undefined> {
  const stream = await settled(findStream(needs.directory, serverId, id));
  if (!stream) return NO_STREAM;
  if (stream.type === "Inbound")
    return apiError(1351, "A webhook cannot be created for an inbound message stream.");
  if (stream.archivedAt !== null)
    return apiError(1350, "A webhook cannot be created for an archived message stream.");
  return undefined;
}
