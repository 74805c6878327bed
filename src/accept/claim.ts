/** Grants claims, and gives with each all that an attempt needs. Who is suppressed by now is not attempted. */
import type { ServerPolicy } from "../accounts/policy.ts";
import type { Claim, JobRef, MessageSource } from "../mail/job.ts";
import type { OutboxNeeds } from "./needs.ts";
import { isWaiting } from "./pack.ts";
import type { Found, Shelf } from "./shelf.ts";
import type { Store } from "./store.ts";

/** Bytes in one answer: a call between Workers carries 32 MiB at most, and a consumer has 128 MB for all it does. */
const MAX_BYTES = 6_000_000;

export interface ClaimContext {
  policy: ServerPolicy;
  store: Store;
  shelf: Shelf;
  needs: OutboxNeeds;
}

export async function claimGroups(
  refs: JobRef[],
  claimer: string,
  context: ClaimContext,
): Promise<{ claims: Claim[]; gone: JobRef[] }> {
  const { policy, shelf, needs } = context;
  const granted: {
    ref: JobRef;
    found: Found;
    attempt: number;
    recipients: string[];
    message: MessageSource;
  }[] = [];
  const gone: JobRef[] = [];
  let size = 0;
  for (const ref of refs) {
    const found = shelf.find(ref.messageId);
    const index = found?.message.groups.findIndex((g) => g.domain === ref.domain) ?? -1;
    const group = found?.progress.groups[index];
    if (!found || !group || !isWaiting(group)) {
      gone.push(ref);
      continue;
    }
    if (size > 0 && size + found.message.body.length > MAX_BYTES) continue;
    // In this order: whom an attempt is under way to is not suppressed any more.
    if (!shelf.lines.claim(ref, claimer, needs.now()) || !suppressNow(found, index, context)) {
      gone.push(ref);
      continue;
    }
    size += found.message.body.length;
    const emails = found.message.groups[index]?.recipients ?? [];
    const recipients = emails.filter((_, r) => group.recipients[r]?.state === "waiting");
    granted.push({ ref, found, attempt: group.attempts + 1, recipients, message: source(found, shelf) });
  }
  if (granted.length > 0) context.store.claimsBegin();
  const claims = await Promise.all(
    granted.map(async ({ ref, found, attempt, recipients, message }): Promise<Claim> => {
      const { stream, acceptedAt, fromDomain, bounceType, returnPathDomain, isDsn, summary } = found.message;
      const of = { serverId: policy.serverId, messageId: ref.messageId };
      const places = recipients.map((email) => summary.recipients.indexOf(email));
      const pathFor = (place?: number) =>
        isDsn ? "" : needs.returnPath({ ...of, ...(place !== undefined && { place }) }, returnPathDomain);
      // Of a message to several, who alone gets this copy is to have an address that is good for nobody else.
      const isOfOne = summary.recipients.length > 1 && recipients.length === 1;
      const reversePath = await pathFor(isOfOne ? places[0] : undefined);
      const own = found.message.transports ?? policy.transports;
      const transports = policy.sandbox ? (["sandbox"] as const) : own;
      return {
        ...ref,
        serverId: policy.serverId,
        stream,
        attempt,
        recipients,
        ...(summary.personal && { places, reversePaths: await Promise.all(places.map(pathFor)) }),
        reversePath,
        acceptedAt,
        fromDomain,
        transports: [...transports],
        bounceType,
        message,
      };
    }),
  );
  return { claims, gone };
}

/** Suppressions since acceptance count: their recipients become `suppressed`. False when nobody is left. */
function suppressNow(found: Found, index: number, { store, shelf, needs }: ClaimContext): boolean {
  const group = found.progress.groups[index];
  const emails = found.message.groups[index]?.recipients ?? [];
  let changed = false;
  group?.recipients.forEach((recipient, r) => {
    if (recipient.state !== "waiting" || !store.isSuppressed(found.message.stream, emails[r] ?? "")) return;
    recipient.state = "suppressed";
    recipient.at = needs.now();
    delete recipient.reason;
    changed = true;
  });
  if (!changed || !group) return true;
  const left = isWaiting(group);
  if (!left)
    shelf.lines.remove({ messageId: found.message.id, domain: found.message.groups[index]?.domain ?? "" });
  shelf.save(found.pack, needs.now());
  return left;
}

function source(found: Found, shelf: Shelf): MessageSource {
  const { segment, signature } = found.progress;
  // What each recipient gets of a personal message is signed when it is sent.
  if (segment) return { kind: "segment", ...segment, signed: !found.message.summary.personal };
  const { body } = found.message;
  if ("large" in body)
    return { kind: "segment", key: body.large, offset: 0, length: body.length, signed: false };
  const bytes = shelf.bytes(found);
  if (!bytes) throw new Error(`message ${found.message.id} has neither bytes nor a segment`);
  return { kind: "bytes", bytes, signed: signature !== undefined };
}
