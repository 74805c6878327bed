/**
 * The page where a recipient unsubscribes, and the POST of it and of mail programs (RFC 8058). To look at it changes nothing. What it says
 * is durable: in the directory, or while that is away, in the object that keeps it until it is.
 */
import type { LinkedRecipient } from "../mail/tracking-link.ts";
import { within } from "../mail/within.ts";
import type { SeenFact } from "../track/seen-fact.ts";
import {
  findSubscriber,
  resubscribe,
  type Subscriber,
  standing,
  type UnsubscribeNeeds,
  unsubscribe,
} from "../track/unsubscribe.ts";
import { pageResponse } from "./tracking-page.ts";

export interface UnsubscribeDoorNeeds extends UnsubscribeNeeds {
  /** Keeps it until it is recorded; durable when it returns. */
  see(serverId: number, fact: SeenFact): Promise<void>;
}

/** A mail program does not wait for long, and a person no longer. */
const PATIENCE_MS = 4_000;
/** "List-Unsubscribe=One-Click", in whichever form. */
const MAX_BODY_BYTES = 4_096;

const BUTTON = { action: "unsubscribe", label: "Unsubscribe", isWhyTheyCame: true } as const;

export async function showUnsubscribe(
  linked: LinkedRecipient,
  needs: UnsubscribeDoorNeeds,
): Promise<Response> {
  const known = await inTime(
    findSubscriber(needs, linked).then(async (who) => who && ([who, await standing(needs, who)] as const)),
  );
  if ("late" in known || "error" in known) {
    if ("error" in known) needs.log("subscriber not found", { error: String(known.error) });
    const text = "You will get no more mail of this kind at this address.";
    return pageResponse({ status: 200, title: "Unsubscribe?", paragraphs: [text], form: BUTTON });
  }
  if (!known.ok) return tooOld();
  const [who, state] = known.ok;
  if (state === "own") return unsubscribed(who);
  if (state === "other") return notMailed(who);
  const text = `${who.email} will get no more mail of this kind from ${senderOf(who)}.`;
  return pageResponse({ status: 200, title: "Unsubscribe?", paragraphs: [text], form: BUTTON });
}

/** A POST without a word is one that unsubscribes, as RFC 8058 has it: no cookie, no other page, no redirect. */
export async function unsubscribeOrNot(
  linked: LinkedRecipient,
  request: Request,
  needs: UnsubscribeDoorNeeds,
): Promise<Response> {
  return (await actionOf(request)) === "resubscribe" ? takeBack(linked, needs) : leave(linked, needs);
}

async function leave(linked: LinkedRecipient, needs: UnsubscribeDoorNeeds): Promise<Response> {
  const at = needs.now();
  const { serverId, messageId, index } = linked;
  const done = await inTime(
    findSubscriber(needs, linked).then(async (who) => {
      if (who) await unsubscribe(needs, who, at);
      return who && ([who, await standing(needs, who)] as const);
    }),
  );
  if ("ok" in done) {
    if (!done.ok) return tooOld();
    needs.log("unsubscribed", { serverId, messageId });
    const [who, state] = done.ok;
    return state === "other" ? notMailed(who) : unsubscribed(who);
  }
  needs.log("unsubscribing kept for later", {
    serverId,
    messageId,
    ...("error" in done && { error: String(done.error) }),
  });
  // It may have been done by now all the same: it is done once.
  await within(PATIENCE_MS, needs.see(serverId, { kind: "unsubscribe", messageId, index, at }));
  const text =
    "You will get no more mail of this kind at this address. It takes effect within a few minutes.";
  return pageResponse({ status: 200, title: "You are unsubscribed", paragraphs: [text] });
}

async function takeBack(linked: LinkedRecipient, needs: UnsubscribeDoorNeeds): Promise<Response> {
  // Nobody keeps this for later: who is told to try again may find it done.
  const done = await within(
    PATIENCE_MS,
    findSubscriber(needs, linked).then(async (who) => {
      if (who) await resubscribe(needs, who);
      return who && ([who, await standing(needs, who)] as const);
    }),
  );
  if (!done) return tooOld();
  const [who, state] = done;
  if (state !== "subscribed") return notMailed(who);
  const text = `${who.email} will get mail of this kind from ${senderOf(who)} again.`;
  return pageResponse({
    status: 200,
    title: "You are subscribed again",
    paragraphs: [text],
    form: { action: "unsubscribe", label: "Unsubscribe" },
  });
}

function unsubscribed(who: Subscriber): Promise<Response> {
  return pageResponse({
    status: 200,
    title: "You are unsubscribed",
    paragraphs: [
      `${who.email} will get no more mail of this kind from ${senderOf(who)}.`,
      "Was this a mistake?",
    ],
    form: { action: "resubscribe", label: "Subscribe again" },
  });
}

/** Because of a bounce, a complaint, or the sender's own wish: nothing to take back here. */
function notMailed(who: Subscriber): Promise<Response> {
  const text = `${who.email} gets no mail of this kind from ${senderOf(who)}.`;
  return pageResponse({ status: 200, title: "You are not subscribed", paragraphs: [text] });
}

function tooOld(): Promise<Response> {
  const text =
    "We no longer keep the message that it came with. Please use the link in a newer message from the same sender.";
  return pageResponse({ status: 410, title: "This link is too old", paragraphs: [text] });
}

function senderOf({ from }: Subscriber): string {
  return from.name === "" ? from.email : `${from.name} (${from.email})`;
}

/** Mail programs send a form in either encoding, or nothing; what is no form says nothing. */
async function actionOf(request: Request): Promise<string> {
  const reader = request.body?.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  while (reader) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    size += value.length;
    if (size > MAX_BODY_BYTES) {
      await reader.cancel();
      break;
    }
  }
  const text = new TextDecoder().decode(Buffer.concat(chunks).subarray(0, MAX_BODY_BYTES));
  return new URLSearchParams(text).get("action") ?? "";
}

/** What does not come in time goes on, and is not waited for. */
async function inTime<T>(work: Promise<T>): Promise<{ ok: T } | { error: unknown } | { late: true }> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<{ late: true }>((resolve) => {
    timer = setTimeout(() => resolve({ late: true }), PATIENCE_MS);
  });
  const settled = work.then(
    (ok) => ({ ok }),
    (error: unknown) => ({ error }),
  );
  const first = await Promise.race([settled, late]);
  clearTimeout(timer);
  return first;
}
