/**
 * The gate for mail: the only way that a message comes to exist. Composes, chooses an Outbox near the caller, and answers what
 * that Outbox has on disk. An Outbox that fails or is full is passed over for the next one.
 */
import type { ServerPolicy } from "../accounts/policy.ts";
import { compose } from "../compose/compose.ts";
import type { Accepted } from "../mail/accepted.ts";
import type { DsnWish } from "../mail/dsn.ts";
import type { Submission } from "../mail/message.ts";
import { formatMessageId, parseMessageId, type Shard, shardName } from "../mail/message-id.ts";
import type { MessageSummary } from "../mail/record.ts";
import { shardsFor } from "../mail/shards.ts";
import type { Draft } from "./bulk-message.ts";
import type { AcceptReply, AcceptRequest } from "./needs.ts";
import type { Group, PackedMessage } from "./pack.ts";
import {
  clientMessageWishes,
  submissionWishes,
  type TrackingNeeds,
  trackClientMessage,
  trackSubmission,
} from "./tracking.ts";

/** A row holds 2 MB: what is larger than this lies in R2 before it is accepted. */
const LARGE_BYTES = 1_000_000;
const DEFAULT_GIVE_UP_MS = 72 * 3_600_000;

export interface AcceptNeeds {
  now(): number;
  randomBytes(count: number): Uint8Array;
  /** The Outbox of that name; its region is a hint for where to make it. */
  outbox(shard: string, region: Shard["region"]): { accept(request: AcceptRequest): Promise<AcceptReply> };
  putObject(key: string, bytes: Uint8Array): Promise<void>;
  /** Right side of Message-IDs, and of reverse-paths when a domain has none of its own. */
  mailDomain: string;
  shardsPerRegion: number;
  /** Without it no mail is tracked. */
  tracking?: TrackingNeeds;
  log(event: string, fields: Record<string, unknown>): void;
}

export interface AcceptOptions {
  region: Shard["region"];
  idempotency?: { key: string; bodyHash: string };
}

export type AcceptOutcome =
  | { kind: "accepted"; results: Accepted[] }
  | { kind: "conflict" }
  | { kind: "unavailable"; retryAfterSeconds: number };

/**
 * Accepts all of the submissions or none. When a shard fails without an answer it may have accepted them all the same: the caller is
 * better served by a second copy than by none, unless it gave an idempotency key; then it gets `unavailable`, and
 * its repeat asks the same shard again.
 */
export async function accept(
  policy: ServerPolicy,
  submissions: Submission[],
  options: AcceptOptions,
  needs: AcceptNeeds,
): Promise<AcceptOutcome> {
  for (const shard of shardsFor(options.region, needs.shardsPerRegion, options.idempotency?.key)) {
    const name = shardName(policy.serverId, shard);
    try {
      const messages = await Promise.all(
        submissions.map((s) => pack(policy, s, newIds(shard, needs), needs)),
      );
      const request: AcceptRequest = { shard: name, messages, idempotency: options.idempotency };
      const reply = await needs.outbox(name, shard.region).accept(request);
      if (reply.kind === "accepted" || reply.kind === "conflict") return reply;
    } catch (error) {
      needs.log("outbox passed over", { shard: name, error: String(error) });
      if (options.idempotency) break;
    }
  }
  return { kind: "unavailable", retryAfterSeconds: 2 };
}

/** A message as its client made it, by SMTP: its id, its bytes as they are to be sent, and what is known of it. */
export interface ClientMessage extends Described {
  /** Names the Outbox, which is the same for all of a batch. */
  messageId: string;
  bytes: Uint8Array;
  /** Bare addresses, as in the envelope. */
  recipients: string[];
  refusal?: string;
  dsn?: DsnWish;
}

/**
 * Accepts all of a batch, once for its key, in the Outbox that the MessageIDs name: no other is tried, since that one may have
 * them already. False when it is not known to have them: the same batch is to be sent again.
 */
export async function acceptBatch(
  policy: ServerPolicy,
  batch: { key: string; refuseInactive: string; messages: ClientMessage[] },
  needs: AcceptNeeds,
): Promise<boolean> {
  const { key, refuseInactive, messages } = batch;
  const first = messages[0]?.messageId ?? "";
  const place = parseMessageId(first);
  if (!place) throw new Error(`not a MessageID of ours: ${first}`);
  const shard = shardName(policy.serverId, place);
  try {
    const packed = await Promise.all(messages.map((m) => packClientMessage(policy, m, needs)));
    const idempotency = { key, bodyHash: `${messages.length}/${first}` };
    const request: AcceptRequest = { shard, messages: packed, idempotency, refuseInactive };
    const reply = await needs.outbox(shard, place.region).accept(request);
    if (reply.kind === "accepted") return true;
    needs.log("batch not accepted", { shard, key, why: reply.kind });
  } catch (error) {
    needs.log("outbox failed", { shard, key, error: String(error) });
  }
  return false;
}

/**
 * Accepts all of these, once for their key, in the Outbox that is named: no other is tried, since that one may have them already.
 * Throws when it is not known to have them.
 */
export async function acceptDrafts(
  policy: ServerPolicy,
  { place, key, drafts }: { place: Shard; key: string; drafts: Draft[] },
  needs: AcceptNeeds,
): Promise<Counted> {
  const shard = shardName(policy.serverId, place);
  const messages = await Promise.all(
    drafts.map(({ submission, refusal }) => {
      const refused = refusal === undefined ? {} : { refusal, refusalType: "TemplateRenderingFailed" };
      return pack(policy, submission, newIds(place, needs), needs, refused);
    }),
  );
  return counted({ shard, messages, idempotency: { key, bodyHash: String(drafts.length) } }, place, needs);
}

/** What was handed in before, under the id that its sender was given. */
export interface ReleasedMessage {
  id: string;
  submission: Submission;
  scheduled: MessageSummary["scheduled"];
  refusal?: string;
}

/**
 * Accepts messages whose time has come, as `acceptDrafts` does. Their senders were told that they are accepted, so all are taken: who
 * is suppressed by now is recorded so.
 */
export async function acceptReleased(
  policy: ServerPolicy,
  { place, key, released }: { place: Shard; key: string; released: ReleasedMessage[] },
  needs: AcceptNeeds,
): Promise<Counted> {
  const shard = shardName(policy.serverId, place);
  const messages = await Promise.all(
    released.map(async ({ id, submission, scheduled, refusal }) => {
      const refused = refusal === undefined ? {} : { refusal };
      const packed = await pack(policy, submission, { id, acceptedAt: needs.now() }, needs, refused);
      return { ...packed, message: { ...packed.message, summary: { ...packed.message.summary, scheduled } } };
    }),
  );
  const idempotency = { key, bodyHash: String(released.length) };
  return counted({ shard, messages, idempotency, takeInactive: true }, place, needs);
}

type Counted = Extract<AcceptReply, { kind: "tallied" | "overloaded" }>;

async function counted(request: AcceptRequest, place: Shard, needs: AcceptNeeds): Promise<Counted> {
  const reply = await needs.outbox(request.shard, place.region).accept({ ...request, tally: true });
  if (reply.kind === "tallied" || reply.kind === "overloaded") return reply;
  throw new Error(`the Outbox ${request.shard} answered ${reply.kind} to ${request.idempotency?.key}`);
}

async function packClientMessage(policy: ServerPolicy, message: ClientMessage, needs: AcceptNeeds) {
  const { messageId: id, bytes, refusal, dsn } = message;
  // The id has the time at which the gateway took it; the time that is left for delivery begins now.
  const acceptedAt = parseMessageId(id)?.acceptedAt ?? needs.now();
  const described = describe(policy, message, { id, acceptedAt, mailDomain: needs.mailDomain });
  const giveUpAt = described.giveUpAt + Math.max(0, needs.now() - acceptedAt);
  const wishes = { ...(refusal === undefined ? {} : { refusal }), ...(dsn ? { dsn } : {}) };
  const packed = { ...described, giveUpAt, ...wishes };
  const { tracking } = needs;
  // Who is refused gets nothing.
  const tracks = tracking && refusal === undefined ? clientMessageWishes(policy, message, bytes) : undefined;
  if (!tracking || !tracks) return stored(packed, bytes, needs);
  const asked = { bytes, asking: asking(packed), wishes: tracks };
  const tracked = await trackClientMessage(policy, asked, tracking);
  return stored(withFacts(packed, tracked.facts), tracked.bytes, needs);
}

export async function pack(
  policy: ServerPolicy,
  submission: Submission,
  { id, acceptedAt }: Ids,
  needs: AcceptNeeds,
  refused: Pick<PackedMessage, "refusal" | "refusalType"> = {},
): Promise<AcceptRequest["messages"][number]> {
  const composing = { messageId: id, acceptedAt, messageIdDomain: needs.mailDomain };
  const described = describeSubmission(policy, submission, { id, acceptedAt, mailDomain: needs.mailDomain });
  const { tracking } = needs;
  const wishes = tracking && refused.refusal === undefined ? submissionWishes(policy, submission) : undefined;
  if (!tracking || !wishes)
    return stored({ ...described, ...refused }, compose(submission, composing), needs);
  const asked = { submission, asking: asking(described), wishes };
  const tracked = await trackSubmission(policy, asked, tracking);
  const bytes = compose(tracked.submission, composing, tracked.whole);
  return stored(withFacts(described, tracked.facts), bytes, needs);
}

type Unstored = Omit<PackedMessage, "body">;

function asking({ id: messageId, stream, summary, fromDomain, returnPathDomain }: Unstored) {
  const { recipients, trackOpens, trackLinks } = summary;
  return { messageId, stream, recipients, trackOpens, trackLinks, fromDomain, returnPathDomain };
}

function withFacts(message: Unstored, facts: Partial<MessageSummary>): Unstored {
  return { ...message, summary: { ...message.summary, ...facts } };
}

interface Ids {
  id: string;
  acceptedAt: number;
}

export function newIds(shard: Shard, needs: AcceptNeeds): Ids {
  const acceptedAt = needs.now();
  return { id: formatMessageId({ ...shard, acceptedAt }, needs.randomBytes(8)), acceptedAt };
}

/** All that is known of a message before it is composed. */
export function describeSubmission(
  policy: ServerPolicy,
  submission: Submission,
  ids: Ids & { mailDomain: string },
): Omit<PackedMessage, "body"> {
  const { to, cc, bcc, headers } = submission;
  const described: Described & { recipients: string[] } = {
    ...submission,
    recipients: [...to, ...cc, ...bcc].map((m) => m.email),
    attachments: submission.attachments.map((a) => a.name),
    bounceType: headers.find((h) => h.name.toLowerCase() === "x-pm-bounce-type")?.value ?? "",
  };
  return describe(policy, described, ids);
}

/** What is too large for a row lies in R2 before it is accepted. */
async function stored(
  message: Omit<PackedMessage, "body">,
  bytes: Uint8Array,
  needs: AcceptNeeds,
): Promise<AcceptRequest["messages"][number]> {
  if (bytes.length <= LARGE_BYTES) return { message, body: bytes };
  const large = `large/${new Date(message.acceptedAt).toISOString().slice(0, 10)}/${message.id}`;
  await needs.putObject(large, bytes);
  return { message, body: { large, length: bytes.length } };
}

/** What is the same of every message, whoever composed it. */
export interface Described
  extends Pick<
    Submission,
    "from" | "to" | "cc" | "bcc" | "stream" | "subject" | "tag" | "metadata" | "trackOpens" | "trackLinks"
  > {
  /** File names. */
  attachments: string[];
  bounceType: string;
}

function describe(
  policy: ServerPolicy,
  described: Described & { recipients: string[] },
  ids: Ids & { mailDomain: string },
): Omit<PackedMessage, "body"> {
  const { from, to, cc, bcc, stream, subject, tag, metadata, trackOpens, trackLinks } = described;
  const { attachments, bounceType } = described;
  const recipients = [...new Set(described.recipients.map((r) => r.toLowerCase()))];
  const byDomain = Map.groupBy(recipients, (email) => email.slice(email.lastIndexOf("@") + 1));
  const groups: Group[] = [...byDomain].map(([domain, of]) => ({ domain, recipients: of }));
  const fromDomain = from.email.slice(from.email.lastIndexOf("@") + 1).toLowerCase();
  const giveUpAfterMs = policy.streams.find((s) => s.id === stream)?.giveUpAfterMs ?? DEFAULT_GIVE_UP_MS;
  const sandboxed = policy.sandbox;
  return {
    id: ids.id,
    acceptedAt: ids.acceptedAt,
    stream,
    subject,
    tag,
    summary: { from, to, cc, bcc, recipients, attachments, metadata, trackOpens, trackLinks, sandboxed },
    groups,
    fromDomain,
    returnPathDomain: policy.returnPathDomains[fromDomain] ?? `bounces.${ids.mailDomain}`,
    bounceType,
    giveUpAt: ids.acceptedAt + giveUpAfterMs,
  };
}
