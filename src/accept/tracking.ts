/**
 * What tracking and unsubscribing change in a message when it is accepted, whichever way it came: links and the picture in its texts,
 * a footer, two fields of its header. Most mail asks for nothing of this, and no work is done for it. Nothing here fails a message:
 * what cannot be changed goes as it came, and its record says why.
 */
import type { ServerPolicy } from "../accounts/policy.ts";
import { replaceFields } from "../compose/client-header.ts";
import { customValue } from "../compose/header.ts";
import { isInLeaves, rewriteLeaves } from "../compose/rewrite-leaves.ts";
import { PLACEHOLDER } from "../compose/unsubscribe.ts";
import type { Submission, Tracking } from "../mail/message.ts";
import type { MessageSummary } from "../mail/record.ts";

export interface Wishes {
  opens: boolean;
  links: Tracking;
  /** `add`: to every message. `fill`: only where a placeholder stands. */
  unsubscribe: "add" | "fill" | "none";
}

/** Changes the texts of one message: those of HTML first, where an author says which links are not to be tracked in any. */
export interface Tracker {
  /** A footer where it is due and no placeholder stands: in the first of a message's texts of each type. */
  html(html: string, isFirst: boolean): Promise<string>;
  text(text: string, isFirst: boolean): Promise<string>;
  /** Of the links that lead through us by now: where to. */
  links: ReadonlySet<string>;
  /** Values of List-Unsubscribe and List-Unsubscribe-Post. */
  listUnsubscribe: string;
  listUnsubscribePost: string;
}

export interface TrackedMessage {
  serverId: number;
  messageId: string;
  /** "https://track.example.com": what its links begin with. */
  baseUrl: string;
  /** Right side of its unsubscribe address. */
  mailHost: string;
  /** "" for a message to one recipient; else what stands in links in the place of the recipient. */
  blank: string;
}

export interface TrackingNeeds {
  /** Where people reach this deployment. */
  publicUrl: string;
  /** What stands in the links of a message to several, to be filled for each. */
  recipientBlank: string;
  tracker(message: TrackedMessage, wishes: Wishes): Promise<Tracker>;
  log(event: string, fields: Record<string, unknown>): void;
}

interface Asking extends Pick<Submission, "stream" | "trackOpens" | "trackLinks"> {
  messageId: string;
  recipients: string[];
  /** Of the From address, lower case. */
  fromDomain: string;
  /** Right side of its reverse-path. */
  returnPathDomain: string;
}

type Facts = Pick<MessageSummary, "trackedLinks" | "notTracked" | "personal">;

/** undefined when there is nothing to do. `hasPlaceholder` is asked last. */
export function wishesOf(
  policy: ServerPolicy,
  { stream, trackOpens: opens, trackLinks: links }: Pick<Asking, "stream" | "trackOpens" | "trackLinks">,
  hasPlaceholder: () => boolean,
): Wishes | undefined {
  const handling = policy.streams.find((s) => s.id === stream)?.unsubscribe ?? "None";
  if (handling === "Postmark") return { opens, links, unsubscribe: "add" };
  if (handling === "None" && hasPlaceholder()) return { opens, links, unsubscribe: "fill" };
  return opens || links !== "None" ? { opens, links, unsubscribe: "none" } : undefined;
}

/** For what comes by the API: before it is composed. */
export function submissionWishes(policy: ServerPolicy, submission: Submission): Wishes | undefined {
  const { htmlBody, textBody } = submission;
  return wishesOf(policy, submission, () => htmlBody.includes(PLACEHOLDER) || textBody.includes(PLACEHOLDER));
}

export interface TrackedSubmission {
  submission: Submission;
  facts: Facts;
  /** What compose() is to keep whole. */
  whole: string;
}

export async function trackSubmission(
  policy: ServerPolicy,
  { submission, asking, wishes }: { submission: Submission; asking: Asking; wishes: Wishes },
  needs: TrackingNeeds,
): Promise<TrackedSubmission> {
  try {
    const blank = asking.recipients.length > 1 ? needs.recipientBlank : "";
    const tracker = await needs.tracker(tracked(policy, asking, blank, needs), wishes);
    const { htmlBody, textBody, headers } = submission;
    const changed = {
      ...submission,
      htmlBody: htmlBody === "" ? "" : await tracker.html(htmlBody, true),
      textBody: textBody === "" ? "" : await tracker.text(textBody, true),
      headers: wishes.unsubscribe === "add" ? withListHeaders(headers, tracker) : headers,
    };
    const isPersonal =
      blank !== "" &&
      (wishes.unsubscribe === "add" || changed.htmlBody.includes(blank) || changed.textBody.includes(blank));
    return { submission: changed, facts: factsOf(tracker, isPersonal), whole: isPersonal ? blank : "" };
  } catch (error) {
    needs.log("message not tracked", { messageId: asking.messageId, error: String(error) });
    return { submission, facts: { notTracked: "failed" }, whole: "" };
  }
}

/** For what a client made. */
export function clientMessageWishes(
  policy: ServerPolicy,
  asking: Pick<Asking, "stream" | "trackOpens" | "trackLinks">,
  bytes: Uint8Array,
): Wishes | undefined {
  return wishesOf(policy, asking, () => hasPlaceholder(bytes));
}

/** `bytes` have their header as it is to be sent. */
export async function trackClientMessage(
  policy: ServerPolicy,
  { bytes, asking, wishes }: { bytes: Uint8Array; asking: Asking; wishes: Wishes },
  needs: TrackingNeeds,
): Promise<{ bytes: Uint8Array; facts: Facts }> {
  try {
    const blank = asking.recipients.length > 1 ? needs.recipientBlank : "";
    const tracker = await needs.tracker(tracked(policy, asking, blank, needs), wishes);
    let hasBlank = wishes.unsubscribe === "add";
    const change = async (leaf: { type: string; text: string; isFirst: boolean }) => {
      const { text, isFirst } = leaf;
      const changed = await (leaf.type === "text/html"
        ? tracker.html(text, isFirst)
        : tracker.text(text, isFirst));
      hasBlank ||= blank !== "" && changed.includes(blank);
      return changed;
    };
    const { bytes: rewritten, left } = await rewriteLeaves(bytes, change, blank);
    const headed = wishes.unsubscribe === "add" ? withListFields(rewritten, tracker) : rewritten;
    const facts = factsOf(tracker, hasBlank && blank !== "");
    return { bytes: headed, facts: left === undefined ? facts : { ...facts, notTracked: left } };
  } catch (error) {
    needs.log("message not tracked", { messageId: asking.messageId, error: String(error) });
    return { bytes, facts: { notTracked: "failed" } };
  }
}

function tracked(
  policy: ServerPolicy,
  { messageId, fromDomain, returnPathDomain }: Asking,
  blank: string,
  { publicUrl }: TrackingNeeds,
): TrackedMessage {
  const own = policy.trackingDomains[fromDomain];
  const baseUrl = own === undefined ? publicUrl.replace(/\/+$/, "") : `https://${own}`;
  return { serverId: policy.serverId, messageId, baseUrl, mailHost: returnPathDomain, blank };
}

function factsOf({ links }: Tracker, isPersonal: boolean): Facts {
  return {
    ...(links.size > 0 && { trackedLinks: links.size }),
    ...(isPersonal && { personal: true as const }),
  };
}

/** The caller's own give way to ours. */
function withListHeaders(
  headers: Submission["headers"],
  { listUnsubscribe, listUnsubscribePost }: Tracker,
): Submission["headers"] {
  const others = headers.filter(({ name }) => !/^list-unsubscribe(-post)?$/i.test(name));
  return [
    ...others,
    { name: "List-Unsubscribe", value: listUnsubscribe },
    { name: "List-Unsubscribe-Post", value: listUnsubscribePost },
  ];
}

function withListFields(message: Uint8Array, { listUnsubscribe, listUnsubscribePost }: Tracker): Uint8Array {
  return replaceFields(message, [
    ["List-Unsubscribe", customValue("List-Unsubscribe", listUnsubscribe)],
    ["List-Unsubscribe-Post", listUnsubscribePost],
  ]);
}

/** Only what has two braces side by side, or an encoding that hides them, is looked into: a soft line break leaves two of three together. */
function hasPlaceholder(message: Uint8Array): boolean {
  const whole = Buffer.from(message.buffer, message.byteOffset, message.length);
  const may = ["{{", "=7B", "=7b", "base64", "BASE64", "Base64"].some((hint) => whole.includes(hint));
  return may && isInLeaves(message, PLACEHOLDER);
}
