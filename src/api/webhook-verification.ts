/** What is said of a webhook that was tried with a sample of each event (§15.4 of the wire contract). */
import * as z from "zod";
import type { Webhook, WebhookSettings } from "../accounts/webhooks.ts";
import type { CallNeeds } from "../notify/call.ts";
import { type Trial, verifyHook } from "../notify/verify.ts";
import { apiError, errorResponse } from "./error.ts";

export interface VerifyNeeds {
  /** How webhooks are reached. */
  hooks: CallNeeds;
  now(): number;
  newId(): string;
}

const trial = z.object({
  TriggerType: z.string(),
  Success: z.boolean(),
  StatusCode: z.int(),
  Message: z.string(),
});
export const verification = z.object({
  Id: z.int(),
  Url: z.string(),
  Success: z.boolean(),
  Results: z.array(trial),
  Message: z.string(),
});

type Tried = WebhookSettings & Pick<Webhook, "id" | "serverId" | "stream">;

export function tryHook(needs: VerifyNeeds, { url, auth, headers, ...of }: Tried): Promise<Trial[]> {
  const { now, newId, hooks } = needs;
  return verifyHook({ ...of, hook: { url, auth, headers } }, { ...hooks, now, newId });
}

/** The refusal of a webhook that did not pass; it says of each event how it went. */
export async function failure(needs: VerifyNeeds, tried: Tried): Promise<Response | undefined> {
  const { Message, Success, ...rest } = verificationJson(tried, await tryHook(needs, tried));
  return Success ? undefined : errorResponse(apiError(1364, Message), { ...rest, Success });
}

export function verificationJson({ id, url }: Pick<Webhook, "id" | "url">, trials: Trial[]) {
  const good = trials.filter((t) => t.succeeded).length;
  return {
    Id: id,
    Url: url,
    Success: good === trials.length,
    Results: trials.map(({ trigger, succeeded, status, message }) => {
      return { TriggerType: trigger, Success: succeeded, StatusCode: status, Message: message };
    }),
    Message: `${good}/${trials.length} triggers verified successfully`,
  };
}
