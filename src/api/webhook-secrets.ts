/**
 * Secrets that sign what a webhook is told (Standard Webhooks), which is ours beyond Postmark. Two hold at once, so that a receiver can
 * be given the new one before the old one goes. Each is shown when it is made and never again.
 */
import * as z from "zod";
import { webhookName } from "../accounts/hooks.ts";
import { changeWebhook, type SigningSecret, type Webhook } from "../accounts/webhooks.ts";
import { newSecret } from "../notify/signature.ts";
import { type Endpoint, serverEndpoint } from "./endpoint.ts";
import { apiError, refused, Unavailable } from "./error.ts";
import { settled } from "./settings-needs.ts";
import { formatSecond } from "./time.ts";
import { NOT_FOUND_WHEN, webhookOf } from "./webhook-found.ts";
import type { WebhookNeeds } from "./webhooks.ts";

const family = "Webhooks";
const path = "/webhooks/:id/secrets";
const MAX_SECRETS = 2;
/** Enough to know it by, and to guess nothing. */
const SHOWN_CHARACTERS = 10;
const NO_SECRET = apiError(1352, "The secret for the provided 'ID' was not found.");

const shown = z.object({ ID: z.string(), Prefix: z.string(), CreatedAt: z.string() });

export function webhookSecretEndpoints(needs: WebhookNeeds): Endpoint[] {
  return [
    serverEndpoint(
      {
        method: "GET",
        path,
        family,
        summary: "Lists the secrets that sign what a webhook is told",
        scope: "full",
        response: z.object({ Secrets: z.array(shown) }),
        errors: NOT_FOUND_WHEN,
      },
      async ({ policy, params }) => {
        const found = await webhookOf(needs, policy.serverId, params.id);
        return "error" in found ? found : { ok: { Secrets: found.ok.secrets.map(secretJson) } };
      },
    ),
    serverEndpoint(
      {
        method: "POST",
        path,
        family,
        summary: "Makes a secret that signs what a webhook is told; it is in this answer and nowhere else",
        description: `By Standard Webhooks: \`webhook-id\`, \`webhook-timestamp\`, \`webhook-signature\`. A webhook has ${MAX_SECRETS} at most, and each signs.`,
        scope: "full",
        response: shown.extend({ Secret: z.string() }),
        errors: { ...NOT_FOUND_WHEN, 1359: `The webhook has ${MAX_SECRETS} secrets` },
      },
      async ({ policy, params }) => {
        const found = await webhookOf(needs, policy.serverId, params.id);
        if ("error" in found) return found;
        const { secrets } = found.ok;
        if (secrets.length >= MAX_SECRETS)
          return refused(1359, `A webhook may have at most ${MAX_SECRETS} secrets.`);
        const made = { id: needs.newId(), secret: newSecret(), createdAt: needs.now() };
        await keep(needs, found.ok, [made, ...secrets]);
        return { ok: { ...secretJson(made), Secret: made.secret } };
      },
    ),
    serverEndpoint(
      {
        method: "DELETE",
        path: `${path}/:secret`,
        family,
        summary: "Revokes a secret",
        scope: "full",
        response: z.object({ ErrorCode: z.literal(0), Message: z.string() }),
        errors: { 1352: "There is no such webhook, or no such secret of it" },
      },
      async ({ policy, params }) => {
        const found = await webhookOf(needs, policy.serverId, params.id);
        if ("error" in found) return found;
        const { secrets } = found.ok;
        const left = secrets.filter(({ id }) => id !== params.secret);
        if (left.length === secrets.length) return { error: NO_SECRET };
        await keep(needs, found.ok, left);
        return { ok: { ErrorCode: 0, Message: `Secret ${params.secret} removed.` } };
      },
    ),
  ];
}

async function keep(needs: WebhookNeeds, webhook: Webhook, secrets: SigningSecret[]): Promise<void> {
  const { serverId, id } = webhook;
  const head = () => needs.logHead(serverId);
  const changed = await settled(changeWebhook(needs, webhook, { ...webhook, secrets }, head, needs.now()));
  if (!changed)
    throw new Unavailable("The webhook was changed by another request at the same time. Please try again.");
  await needs.hooksChanged(serverId, [webhookName(serverId, id)]);
}

function secretJson({ id, secret, createdAt }: SigningSecret): z.infer<typeof shown> {
  return { ID: id, Prefix: secret.slice(0, SHOWN_CHARACTERS), CreatedAt: formatSecond(createdAt) };
}
