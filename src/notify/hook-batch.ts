/** Events are told to a hook, several at once: what became of each. Nothing is stored here. */
import type { HookSettings, HookTrigger } from "../accounts/hook-settings.ts";
import type { LoggedEvent } from "../mail/event.ts";
import { within } from "../mail/within.ts";
import { callHook, type HookAnswer, hookRequest } from "./call.ts";
import { AGAIN_MS } from "./hook-alarm.ts";
import { type HookNeeds, OWN_MS } from "./hook-needs.ts";
import type { LoggedCall } from "./hook-store.ts";
import { hasPayload, payloadOf } from "./payload.ts";
import { retriesRemaining, verdictOf } from "./retry.ts";

/** Postmark waits two minutes for an inbound hook, and does not say how long for others. */
const TIME_LIMIT_MS = { outbound: 15_000, inbound: 120_000 };
/** No more are begun after that, so that a crash repeats no more than this. */
const BATCH_MS = 5_000;
/** With what is asked of our own before and after a call, and room to spare. */
export const LONGEST_BATCH_MS = BATCH_MS + TIME_LIMIT_MS.inbound + 6 * OWN_MS;
/** A bounce may be in the event log before the archive has its number. */
const ARCHIVE_LATE_MS = 10 * 60_000;
const LOOK_AGAIN_MS = 5_000;
const MAX_LOGGED_BODY = 16_000;
const HIDDEN = "(hidden)";

export interface Telling {
  event: LoggedEvent;
  retries: number;
}

export type Told =
  /** What nobody wants to be told: the event is done. */
  | { next: "unwanted" }
  /** What is needed for it is not there yet: no call was made. */
  | { next: "later"; at: number }
  | { next: "done" | "dropped"; call: LoggedCall }
  | { next: "retry"; at: number; call: LoggedCall };

export interface Batch {
  serverId: number;
  settings: HookSettings;
  trigger: HookTrigger;
  tellings: Telling[];
  /** Calls at once. */
  slots: number;
}

/**
 * In the order of the tellings, as far as it came: what was not begun in time is not in it. Never rejects, since what was told is to be
 * kept: an event whose own telling fails on our side is told later, and ends the batch, as `error` says.
 */
export async function tellBatch(batch: Batch, needs: HookNeeds): Promise<{ told: Told[]; error?: unknown }> {
  const { tellings, slots } = batch;
  const told: Told[] = [];
  const end = needs.now() + BATCH_MS;
  let next = 0;
  let isStuck = false;
  let error: unknown;
  const work = async () => {
    while (next < tellings.length && !isStuck && needs.now() < end) {
      const place = next++;
      const telling = tellings[place];
      if (!telling) return;
      try {
        const one = await tell(batch, telling, needs);
        told[place] = one;
        // One that hangs will hang for the next as well: those that have begun are enough to see it.
        if ("call" in one && one.call.status === undefined) isStuck = true;
      } catch (cause) {
        told[place] = { next: "later", at: needs.now() + AGAIN_MS };
        isStuck = true;
        error = cause;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(slots, tellings.length) }, work));
  return { told, error };
}

async function tell(batch: Batch, { event, retries }: Telling, needs: HookNeeds): Promise<Told> {
  const { settings, trigger, serverId } = batch;
  if (!isWanted(event, trigger)) return { next: "unwanted" };
  const body = await bodyOf(batch, event, needs);
  if (body === undefined) return { next: "unwanted" };
  if (body === "not yet") return { next: "later", at: needs.now() + LOOK_AGAIN_MS };
  const { kind, retryFor, secrets, url, auth, headers } = settings;
  const call = {
    hook: { url, auth, headers },
    ...{ body: body.body, secrets, traceId: event.id },
    retriesRemaining: retriesRemaining(kind, retries, retryFor),
    timeLimitMs: TIME_LIMIT_MS[kind],
  };
  const at = needs.now();
  const answer = await callHook(call, needs);
  const now = needs.now();
  const verdict = verdictOf(answer, { kind, retryFor, retries, now });
  const logged: LoggedCall = {
    ...{ at, type: trigger.type, seq: event.seq, eventId: event.id, eventAt: event.at },
    ...{ stream: event.stream, messageId: event.messageId, email: event.email },
    ...{ retries, ms: now - at, next: verdict.next },
    ...shownRequest(call),
    ...answerOf(answer),
    ...(verdict.next === "retry" && { nextAt: verdict.at }),
  };
  if (kind === "inbound" && verdict.next !== "retry")
    await within(
      OWN_MS,
      needs.inboundTold(serverId, event.messageId, verdict.next === "done" ? "processed" : "failed"),
    );
  return verdict.next === "retry"
    ? { next: "retry", at: verdict.at, call: logged }
    : { next: verdict.next, call: logged };
}

/** Of clicks, a hook is told the first of each recipient on each link. */
function isWanted(event: LoggedEvent, { firstOnly, withSmtpApiErrors }: HookTrigger): boolean {
  if (event.type === "Click") return event.isFirst;
  if (event.type === "Open") return event.isFirst || !firstOnly;
  if (event.type === "Bounce") return event.bounceType !== "SMTPApiError" || withSmtpApiErrors;
  return true;
}

/** undefined when there is nothing to tell any more. */
async function bodyOf(
  { serverId, trigger }: Batch,
  event: LoggedEvent,
  needs: HookNeeds,
): Promise<{ body: string | (() => Promise<ReadableStream<Uint8Array>>) } | "not yet" | undefined> {
  if (event.type === "Inbound") {
    const payload = await within(OWN_MS, needs.inboundPayload(serverId, event.messageId));
    return payload && { body: payload };
  }
  if (!hasPayload(event)) return undefined;
  if (event.type !== "Bounce" && event.type !== "SpamComplaint")
    return { body: JSON.stringify(payloadOf(event, { serverId })) };
  const { messageId, email } = event;
  const type = event.type === "Bounce" ? event.bounceType : event.type;
  const bounce = await within(OWN_MS, needs.bounce(serverId, { messageId, email, type }));
  if (!bounce && needs.now() - event.at < ARCHIVE_LATE_MS) return "not yet";
  const content = trigger.withContent
    ? ((bounce && (await within(OWN_MS, needs.bounceContent(serverId, bounce.id)))) ?? "")
    : undefined;
  return { body: JSON.stringify(payloadOf(event, { serverId, bounce, content })) };
}

/** The request as a person may see it who may not see what proves us to the hook. */
function shownRequest(call: Parameters<typeof callHook>[0]): Pick<LoggedCall, "url" | "headers" | "body"> {
  const { url, headers } = hookRequest(call);
  const customers = new Set(call.hook.headers.map(({ name }) => name.toLowerCase()));
  const shown = Object.entries(headers).map(([name, value]) => [
    name,
    name === "authorization" || customers.has(name) ? HIDDEN : value,
  ]);
  const isKept = typeof call.body === "string" && call.body.length <= MAX_LOGGED_BODY;
  return { url, headers: Object.fromEntries(shown), ...(isKept && { body: String(call.body) }) };
}

function answerOf(answer: HookAnswer): Pick<LoggedCall, "status" | "failure" | "reply"> {
  if ("failure" in answer) return { failure: answer.failure };
  const { status, headers, body } = answer;
  return { status, reply: { headers, body } };
}
