/**
 * An Outbox's part of a removal. Who waits is cancelled, in the ledger too, so that it still sums; what is final, and in the archive
 * if it is to be removed from there, leaves its pack. An attempt that is under way is left to end, and so is a message that others
 * wait for: the caller asks again. Pure but for the shelf; each part may run twice.
 */
import type { Erasable, ToErase } from "../mail/erasure.ts";
import { awaitsDsn } from "./dsn.ts";
import { isWaiting, messageVersion, type Pack, type PackedMessage } from "./pack.ts";
import type { Found, Shelf } from "./shelf.ts";

const WHY = "It was removed.";

export function isMeant({ what, until }: ToErase, { stream, summary, acceptedAt }: PackedMessage): boolean {
  if (what.kind === "server") return true;
  if (acceptedAt > until) return false;
  return what.kind === "stream" ? stream === what.stream : summary.recipients.includes(what.email);
}

/** Cancels everyone meant whom no attempt is under way for. A row for each pack that changes. */
export function cancelMeant(shelf: Shelf, erase: ToErase, now: number): void {
  for (const id of packsOf(shelf, erase)) {
    const pack = shelf.pack(id);
    if (!pack) continue;
    let changed = false;
    for (let slot = 0; slot < pack.messages.length; slot++) {
      const found = shelf.at(pack, slot);
      if (found && isMeant(erase, found.message)) changed = cancel(found, shelf, erase.what, now) || changed;
    }
    if (changed) shelf.save(pack, now);
    // Told to the archive soon: what it does not have yet cannot be removed from there.
    if (shelf.dirty.has(id)) shelf.dirty.set(id, now);
  }
}

function cancel({ message, progress }: Found, shelf: Shelf, what: Erasable, now: number): boolean {
  let changed = false;
  message.groups.forEach((group, g) => {
    const at = progress.groups[g];
    const ref = { messageId: message.id, domain: group.domain };
    if (!at || !isWaiting(at) || shelf.lines.isClaimed(ref, now)) return;
    group.recipients.forEach((email, r) => {
      const recipient = at.recipients[r];
      if (recipient?.state !== "waiting" || (what.kind === "person" && email !== what.email)) return;
      recipient.state = "cancelled";
      recipient.at = now;
      recipient.reason = WHY;
      // Nobody is told of it by mail: that would write their address down anew.
      if (message.dsn) progress.notified = { ...progress.notified, [email]: ["SUCCESS", "FAILURE", "DELAY"] };
      changed = true;
    });
    if (isWaiting(at)) return;
    delete at.nextTryAt;
    shelf.lines.remove(ref);
  });
  return changed;
}

/** R2 objects that hold a final message each, and of which the archive need not know. */
export function largeObjects(shelf: Shelf, erase: ToErase): string[] {
  const keys: string[] = [];
  for (const { pack, slot, message } of shelf.newestFirst())
    if ("large" in message.body && isMeant(erase, message) && isFinal(pack, slot))
      keys.push(message.body.large);
  return keys;
}

/**
 * Lets go of the messages meant that are final and, unless their whole server goes, in the archive; returns the ids of those that are
 * left. Not while a flush runs, which may be about to write what it read before. Of a server, `deleted` are the large objects that are
 * gone: a message whose object is not stays.
 */
export function forgetMeant(
  shelf: Shelf,
  erase: ToErase,
  { now, deleted }: { now: number; deleted: ReadonlySet<string> },
): string[] {
  const left: string[] = [];
  const mayGo = (pack: Pack, slot: number, { body }: PackedMessage) => {
    if (!isFinal(pack, slot)) return false;
    if (erase.what.kind === "server") return !("large" in body) || deleted.has(body.large);
    return !pack.hasBody && isArchived(pack, slot, now);
  };
  for (const id of packsOf(shelf, erase)) {
    const pack = shelf.pack(id);
    if (!pack) continue;
    const going = new Set<number>();
    pack.messages.forEach((message, slot) => {
      if (!isMeant(erase, message)) return;
      if (mayGo(pack, slot, message)) going.add(slot);
      else left.push(message.id);
    });
    shelf.forget(pack, going);
  }
  return left;
}

function isFinal(pack: Pack, slot: number): boolean {
  return !pack.progress[slot]?.groups.some(isWaiting);
}

function isArchived({ messages, progress }: Pack, slot: number, now: number): boolean {
  const [message, at] = [messages[slot], progress[slot]];
  if (!message || !at || at.archived < messageVersion(at)) return false;
  return !awaitsDsn({ message, progress: at }, now);
}

function packsOf(shelf: Shelf, erase: ToErase): number[] {
  const ids = new Set<number>();
  for (const { pack, message } of shelf.newestFirst()) if (isMeant(erase, message)) ids.add(pack.id);
  return [...ids];
}
