/** A webhook by the id in a path, and the object that tells it. */
import { webhookName } from "../accounts/hooks.ts";
import { findWebhook, type Webhook, type WebhookStore } from "../accounts/webhooks.ts";
import type { EventType } from "../mail/event.ts";
import type { CallFilter, NumberedCall, TriggerStatistics } from "../notify/hook-calls.ts";
import type { LoggedCall } from "../notify/hook-store.ts";
import { apiError, type Result, Unavailable } from "./error.ts";
import { pathNumber } from "./path.ts";
import { settled } from "./settings-needs.ts";

/** A hook's object, as the API sees it. */
export interface HookStub {
  statistics(): Promise<TriggerStatistics[]>;
  calls(
    filter: CallFilter,
    page: { before?: number; count: number },
  ): Promise<{ calls: NumberedCall[]; more?: number }>;
  call(number: number): Promise<LoggedCall | undefined>;
  replayCall(number: number): Promise<boolean>;
  replay(range: { from: number; to: number; types?: EventType[] }): Promise<boolean>;
  resume(types?: EventType[]): Promise<void>;
  destroy(): Promise<void>;
}

export interface HookStubs {
  hook(name: string): HookStub;
}

export const NOT_FOUND = apiError(1352, "The webhook for the provided 'ID' was not found.");
export const NOT_FOUND_WHEN = { 1352: "There is no such webhook" };

export const webhookId = pathNumber;

export async function webhookOf(
  needs: WebhookStore,
  serverId: number,
  text: string | undefined,
): Promise<Result<Webhook>> {
  const id = webhookId(text);
  const found = id === undefined ? undefined : await settled(findWebhook(needs, serverId, id));
  return found ? { ok: found } : { error: NOT_FOUND };
}

/** With the object that tells it. */
export async function hookOf(
  needs: WebhookStore & HookStubs,
  serverId: number,
  text: string | undefined,
): Promise<Result<{ webhook: Webhook; hook: HookStub }>> {
  const found = await webhookOf(needs, serverId, text);
  if ("error" in found) return found;
  return { ok: { webhook: found.ok, hook: needs.hook(webhookName(serverId, found.ok.id)) } };
}

export async function hookAnswer<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (cause) {
    throw new Unavailable("The webhook's log cannot be read at the moment. Please try again.", { cause });
  }
}
