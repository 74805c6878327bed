/**
 * Which DSNs are due (RFC 3461 §5): for recipients whose submission asked for one, once for each fate. Without an explicit NOTIFY
 * nobody is told by mail, as at Postmark: bounces are in the API and in webhooks. Pure.
 */
import type { DsnRecipient } from "../compose/dsn.ts";
import type { RecipientState } from "../mail/record.ts";
import { replyText } from "../mail/reply.ts";
import type { MessageProgress, PackedMessage, RecipientProgress } from "./pack.ts";

export type NoticeKind = "SUCCESS" | "FAILURE" | "DELAY";

export interface Notice {
  kind: NoticeKind;
  /** Bare lower-case addresses: those that `notified` is to hold. */
  addresses: string[];
  recipients: DsnRecipient[];
}

/** A wait that nobody wonders about is not worth a mail. */
const DELAY_MS = 3_600_000;
const FATES: Record<RecipientState, NoticeKind> = {
  waiting: "DELAY",
  delivered: "SUCCESS",
  bounced: "FAILURE",
  expired: "FAILURE",
  suppressed: "FAILURE",
  cancelled: "FAILURE",
};

export function dueNotices(message: PackedMessage, progress: MessageProgress, now: number): Notice[] {
  const { dsn } = message;
  if (!dsn) return [];
  const due: Record<NoticeKind, Notice> = {
    SUCCESS: { kind: "SUCCESS", addresses: [], recipients: [] },
    FAILURE: { kind: "FAILURE", addresses: [], recipients: [] },
    DELAY: { kind: "DELAY", addresses: [], recipients: [] },
  };
  message.groups.forEach((group, g) => {
    group.recipients.forEach((address, r) => {
      const wish = dsn.recipients[address];
      const recipient = progress.groups[g]?.recipients[r];
      if (!wish || !recipient) return;
      const kind = FATES[recipient.state];
      if (!wish.notify.includes(kind) || progress.notified?.[address]?.includes(kind)) return;
      if (kind === "DELAY" && (recipient.attempts.length === 0 || now - message.acceptedAt < DELAY_MS))
        return;
      due[kind].addresses.push(address);
      due[kind].recipients.push(describe(recipient, { address, kind, orcpt: wish.orcpt }, message));
    });
  });
  return Object.values(due).filter((notice) => notice.addresses.length > 0);
}

/** Marks in place what a notice tells, so that it is told once. */
export function markNotified(progress: MessageProgress, { kind, addresses }: Notice): void {
  const notified = { ...progress.notified };
  for (const address of addresses) notified[address] = [...(notified[address] ?? []), kind];
  progress.notified = notified;
}

function describe(
  { attempts, state, reason }: RecipientProgress,
  { address, kind, orcpt }: { address: string; kind: NoticeKind; orcpt: string | undefined },
  message: PackedMessage,
): DsnRecipient {
  const last = attempts.at(-1);
  const isReply = (last?.reply.code ?? 0) > 0;
  const actions = { SUCCESS: "relayed", FAILURE: "failed", DELAY: "delayed" } as const;
  return {
    address,
    ...(orcpt === undefined ? {} : { orcpt }),
    action: actions[kind],
    status: statusOf(state, last?.reply.enhanced ?? ""),
    diagnostic: last && isReply ? replyText(last.reply) : reason || last?.reason || state,
    isReply,
    remoteMta: last?.hop.host ?? "",
    ...(last ? { lastAttemptAt: last.at } : {}),
    ...(kind === "DELAY" ? { willRetryUntil: message.giveUpAt } : {}),
  };
}

/** RFC 3463: the remote's own where its class fits; else what the state says. */
function statusOf(state: RecipientState, enhanced: string): string {
  const classes: Record<RecipientState, string> = {
    waiting: "4",
    delivered: "2",
    bounced: "5",
    expired: "5",
    suppressed: "5",
    cancelled: "5",
  };
  if (enhanced.startsWith(`${classes[state]}.`)) return enhanced;
  if (state === "expired") return "5.4.7";
  if (state === "suppressed") return "5.7.1";
  return `${classes[state]}.0.0`;
}
