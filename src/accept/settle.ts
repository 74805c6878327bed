/**
 * What an attempt's outcomes do to a message: each recipient becomes final, or waits for its next try with the reason.
 * Pure, and harmless when it runs twice: an attempt that is counted already changes nothing.
 */
import type { JobRef, Settlement } from "../mail/job.ts";
import type { Outcome } from "../mail/outcome.ts";
import type { Attempt } from "../mail/record.ts";
import { replyText } from "../mail/reply.ts";
import { nextTry, nextTryOfOurs } from "../mail/schedule.ts";
import { bounceType } from "../smtp/bounce-type.ts";
import {
  type GroupProgress,
  isWaiting,
  type MessageProgress,
  type Pack,
  type PackedMessage,
} from "./pack.ts";
import type { Shelf } from "./shelf.ts";
import type { Store } from "./store.ts";

/** More of an attempt than this is not worth its bytes: the last attempts tell the story. */
const MAX_ATTEMPTS_KEPT = 24;

export interface Settled {
  /** Whether anything changed. */
  changed: boolean;
  /** Recipients that hard-bounced: the stream must not mail them again. */
  hardBounced: string[];
}

/** Applies a settlement to the progress in place. `random` is in [0, 1). */
export function settle(
  message: PackedMessage,
  progress: MessageProgress,
  settlement: Settlement,
  context: { now: number; random: number },
): Settled {
  const index = message.groups.findIndex((g) => g.domain === settlement.domain);
  const group = message.groups[index];
  const at = progress.groups[index];
  if (!group || !at || settlement.attempt !== at.attempts + 1) return { changed: false, hardBounced: [] };
  if (settlement.signature !== "") progress.signature ??= settlement.signature;

  const ours = isOurs(settlement);
  if (!ours) at.attempts = settlement.attempt;
  const { acceptedAt, giveUpAt } = message;
  const { now, random } = context;
  const scheduled = nextTry(Math.max(at.attempts, 1), acceptedAt, giveUpAt - acceptedAt, now, random);
  const due = ours && scheduled !== "give up" ? nextTryOfOurs(acceptedAt, now, random) : scheduled;
  const hardBounced: string[] = [];
  for (const outcome of settlement.outcomes) {
    const recipient = at.recipients[group.recipients.indexOf(outcome.recipient.toLowerCase())];
    if (recipient?.state !== "waiting") continue;
    if (!ours || due === "give up")
      recipient.attempts = [...recipient.attempts, toAttempt(settlement, outcome)].slice(-MAX_ATTEMPTS_KEPT);
    recipient.at = outcome.at;
    if (outcome.result === "delivered") {
      recipient.state = "delivered";
      delete recipient.reason;
    } else if (outcome.result === "bounced" || due === "give up") {
      recipient.state = outcome.result === "bounced" ? "bounced" : "expired";
      recipient.reason = why(outcome);
      recipient.bounceType = typeOf(outcome);
      if (recipient.bounceType === "HardBounce") hardBounced.push(outcome.recipient.toLowerCase());
    } else {
      recipient.reason = why(outcome);
    }
  }
  if (isWaiting(at) && due !== "give up") at.nextTryAt = due;
  else delete at.nextTryAt;
  return { changed: true, hardBounced };
}

/**
 * Our own side failed before anything was sent: no attempt at the recipient, and the same key again. An earlier try under this key may have
 * succeeded without our hearing of it, and then its gateway's journal is to be asked, not the MX.
 */
function isOurs({ outcomes }: Settlement): boolean {
  return outcomes.every((o) => o.concerns === "transport" && o.result === "deferred" && !o.uncertain);
}

/** Applies settlements to their packs and lines: one row a pack. Returns when the soonest next try is due. */
export function settleAll(
  settlements: Settlement[],
  { store, shelf, now, random }: { store: Store; shelf: Shelf; now: number; random(): number },
): number | undefined {
  // Pack by pack, each saved before the next is looked at: a pack that is not saved may leave memory.
  const byPack = Map.groupBy(settlements, (s) => shelf.packOf(s.messageId));
  let soonest: number | undefined;
  for (const [packId, ofPack] of byPack) {
    if (packId === undefined) continue;
    let changes = false;
    let pack: Pack | undefined;
    for (const settlement of ofPack) {
      const found = shelf.find(settlement.messageId);
      if (!found) continue;
      pack = found.pack;
      // Said twice, and the second time late: the try that came of the first, which has its number, is under way.
      const { claimer } = settlement;
      if (claimer !== undefined && isOurs(settlement) && shelf.lines.isOthers(settlement, claimer, now))
        continue;
      const { changed, hardBounced } = settle(found.message, found.progress, settlement, {
        now,
        random: random(),
      });
      if (!changed) continue;
      changes = true;
      // Changed and not written: who says it again, since this failed, has it written then.
      shelf.touch(pack);
      const group =
        found.progress.groups[found.message.groups.findIndex((g) => g.domain === settlement.domain)];
      if (group?.nextTryAt !== undefined) {
        shelf.lines.wait(settlement, group.nextTryAt);
        soonest = Math.min(soonest ?? group.nextTryAt, group.nextTryAt);
      } else {
        shelf.lines.remove(settlement);
      }
      if (settlement.outcomes.some(isAnswer)) shelf.lines.release(settlement.domain, now);
      const { stream } = found.message;
      store.changeSuppressions(hardBounced.map((email) => ({ stream, email, removed: false })));
    }
    if (pack && (changes || shelf.isUnsaved(pack))) shelf.save(pack, now);
  }
  return soonest;
}

/** It took the message, or said something of the recipient, whoever that is: the domain's mail need not wait for it. */
function isAnswer({ result, concerns, reply }: Outcome): boolean {
  return result === "delivered" || (concerns === "recipient" && reply.code > 0);
}

/**
 * Ends groups that have waited past their messages' time, with the reason each last waited for. One row a pack: what came together
 * ends together.
 */
export function expireGroups(refs: JobRef[], shelf: Shelf, now: number): void {
  for (const ofPack of Map.groupBy(refs, (ref) => shelf.packOf(ref.messageId)).values()) {
    let pack: Pack | undefined;
    for (const ref of ofPack) {
      const found = shelf.find(ref.messageId);
      const group = found?.progress.groups[found.message.groups.findIndex((g) => g.domain === ref.domain)];
      if (!found || !group) continue;
      pack = found.pack;
      shelf.touch(pack);
      expire(group, shelf.lines.heldBecause(ref.domain) ?? "waited too long", now);
    }
    if (pack) shelf.save(pack, now);
    for (const ref of ofPack) shelf.lines.remove(ref);
  }
}

/** Ends what has waited too long without an attempt that could end it: a held or never tried group. */
export function expire(at: GroupProgress, reason: string, now: number): void {
  for (const recipient of at.recipients) {
    if (recipient.state !== "waiting") continue;
    recipient.state = "expired";
    recipient.at = now;
    recipient.reason ??= reason;
    recipient.bounceType = "Transient";
  }
  delete at.nextTryAt;
}

function typeOf(outcome: Outcome): string {
  const type = outcome.bounceType || bounceType(outcome.reply, outcome.reason);
  // A 5xx that was no answer about the recipient (at the greeting; a relay's, to us) is given up like any other wait: the address is good.
  return type === "HardBounce" && outcome.result === "deferred" ? "SoftBounce" : type;
}

/** What was said and by whom: "mx1.example: 451 4.7.1 greylisted"; without a reply, what happened: "4.4.3 DNS did not answer". */
function why({ reply, reason, hop }: Outcome): string {
  const said = reply.code > 0 ? replyText(reply) : `${reply.enhanced} ${reason || reply.text}`.trim();
  const whole = reply.code > 0 && reason ? `${said} (${reason})` : said;
  return hop.host ? `${hop.host}: ${whole}` : whole;
}

function toAttempt(settlement: Settlement, outcome: Outcome): Attempt {
  const { reply, hop, reason, uncertain, transcript, at, result } = outcome;
  return {
    number: settlement.attempt,
    transport: settlement.transport,
    at,
    result,
    reply,
    hop,
    reason,
    uncertain,
    transcript,
  };
}
