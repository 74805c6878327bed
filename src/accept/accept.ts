/**
 * The gate for mail: the only way that a message comes to exist. Composes, chooses an Outbox near the caller, and answers what
 * that Outbox has on disk. An Outbox that fails or is full is passed over for the next one.
 */
import type { ServerPolicy } from "../accounts/policy.ts";
import { compose } from "../compose/compose.ts";
import type { Accepted } from "../mail/accepted.ts";
import type { Submission } from "../mail/message.ts";
import { formatMessageId, type Shard, shardName } from "../mail/message-id.ts";
import { shardsFor } from "../mail/shards.ts";
import type { AcceptReply, AcceptRequest } from "./needs.ts";
import type { Group, PackedMessage } from "./pack.ts";

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
      const messages = await Promise.all(submissions.map((s) => pack(policy, s, shard, needs)));
      const request: AcceptRequest = { shard: name, messages, idempotency: options.idempotency };
      const reply = await needs.outbox(name, shard.region).accept(request);
      if (reply.kind !== "overloaded") return reply;
    } catch (error) {
      needs.log("outbox passed over", { shard: name, error: String(error) });
      if (options.idempotency) break;
    }
  }
  return { kind: "unavailable", retryAfterSeconds: 2 };
}

async function pack(
  policy: ServerPolicy,
  submission: Submission,
  shard: Shard,
  needs: AcceptNeeds,
): Promise<AcceptRequest["messages"][number]> {
  const acceptedAt = needs.now();
  const id = formatMessageId({ ...shard, acceptedAt }, needs.randomBytes(8));
  const bytes = compose(submission, { messageId: id, acceptedAt, messageIdDomain: needs.mailDomain });
  const message = describe(policy, submission, { id, acceptedAt, mailDomain: needs.mailDomain });
  if (bytes.length <= LARGE_BYTES) return { message, body: bytes };
  const large = `large/${new Date(acceptedAt).toISOString().slice(0, 10)}/${id}`;
  await needs.putObject(large, bytes);
  return { message, body: { large, length: bytes.length } };
}

function describe(
  policy: ServerPolicy,
  submission: Submission,
  ids: { id: string; acceptedAt: number; mailDomain: string },
): Omit<PackedMessage, "body"> {
  const { from, to, cc, bcc, stream, subject, tag, metadata, trackOpens, trackLinks } = submission;
  const recipients = [...new Set([...to, ...cc, ...bcc].map((m) => m.email.toLowerCase()))];
  const byDomain = Map.groupBy(recipients, (email) => email.slice(email.lastIndexOf("@") + 1));
  const groups: Group[] = [...byDomain].map(([domain, of]) => ({ domain, recipients: of }));
  const fromDomain = from.email.slice(from.email.lastIndexOf("@") + 1).toLowerCase();
  const bounceType = submission.headers.find((h) => h.name.toLowerCase() === "x-pm-bounce-type")?.value ?? "";
  const attachments = submission.attachments.map((a) => a.name);
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
