/**
 * The gate for facts: the only way that a fact about a recipient comes to be remembered and counted. Derives what follows from how
 * each recipient stands: a bounce, a suppression. Runs at least once, in any order: the same facts again change nothing, older ones
 * change nothing, and half a run is completed by the next. Opens and clicks have gates of their own (open.ts, click.ts).
 */
import { type NewBounce, writeRecords } from "../archive/write.ts";
import type { MessageRecord, RecipientRecord } from "../mail/record.ts";
import { replyText } from "../mail/reply.ts";
import { type NewSuppression, type Suppressed, suppress } from "../suppress/list.ts";

export interface RecordNeeds {
  archive: D1Database;
  directory: D1Database;
  now(): number;
}

/**
 * Takes messages as they stand. Returns whom the stream will not mail because of these facts, also when an earlier run suppressed them: that run may have
 * ended before it told anybody. Whom a person has reactivated since the bounce is not suppressed again, and not named.
 */
export function record(needs: RecordNeeds, records: MessageRecord[]): Promise<Suppressed[]> {
  const metadata = new Map(records.map(({ id, summary }) => [id, summary.metadata]));
  return remember(needs, records, records.flatMap(bouncesOf), {
    metadataOf: (messageId) => metadata.get(messageId) ?? {},
    unsubscribed: [],
  });
}

/** Takes what came back after a message had left: bounces by mail, complaints, and whom else that suppresses. Returns the same. */
export function recordBounces(
  needs: RecordNeeds,
  bounces: NewBounce[],
  {
    metadata = {},
    unsubscribed = [],
  }: { metadata?: Record<string, string>; unsubscribed?: NewSuppression[] } = {},
): Promise<Suppressed[]> {
  return remember(needs, [], bounces, { metadataOf: () => metadata, unsubscribed });
}

async function remember(
  needs: RecordNeeds,
  records: MessageRecord[],
  bounces: NewBounce[],
  {
    metadataOf,
    unsubscribed,
  }: { metadataOf(messageId: string): Record<string, string>; unsubscribed: NewSuppression[] },
): Promise<Suppressed[]> {
  const bounced = bounces
    .filter((bounce) => bounce.inactive)
    .map((bounce) => suppressionOf(bounce, metadataOf(bounce.messageId)));
  const inactive = [...bounced, ...unsubscribed];
  // First, so that whoever sees the bounce can rely on its effect, and reactivating finds what it takes back.
  const suppressed = await suppress(needs.directory, inactive, needs.now());
  // Who was reactivated before the archive came to hear of the bounce is mailed again, and nobody would take this back.
  const names = new Set(suppressed.map(nameOf));
  const told = bounces.map((bounce) => ({
    ...bounce,
    inactive: bounce.inactive && names.has(nameOf(bounce)),
  }));
  await writeRecords(needs.archive, records, told);
  return suppressed;
}

function nameOf({ serverId, stream, email }: Suppressed): string {
  return JSON.stringify([serverId, stream, email.toLowerCase()]);
}

function bouncesOf(message: MessageRecord): NewBounce[] {
  const { serverId, id: messageId, stream, tag, subject, summary } = message;
  const fromEmail = summary.from.email;
  return message.recipients
    .filter((r) => r.state === "bounced" || r.state === "expired")
    .map((recipient) => {
      const type = bounceTypeName(recipient);
      const details = bounceDetails(recipient);
      const { email, at: bouncedAt } = recipient;
      const inactive = type === "HardBounce";
      return {
        serverId,
        messageId,
        email,
        type,
        stream,
        tag,
        fromEmail,
        subject,
        details,
        bouncedAt,
        inactive,
      };
    });
}

/** What expired never had a final answer; what bounced without a type could not be classified. */
export function bounceTypeName({ bounceType, state }: Pick<RecipientRecord, "bounceType" | "state">): string {
  return bounceType ?? (state === "expired" ? "Transient" : "Unknown");
}

/** What was said last: "smtp;550 5.1.1 no such user", or why there was no reply. */
export function bounceDetails({ attempts, reason }: Pick<RecipientRecord, "attempts" | "reason">): string {
  const last = attempts.at(-1);
  if (last?.reply.code) return `smtp;${replyText(last.reply)}`;
  return last?.reason || reason || "";
}

function suppressionOf(bounce: NewBounce, metadata: Record<string, string>): NewSuppression {
  const { serverId, messageId, stream, tag, email, type, bouncedAt: since } = bounce;
  const reason = type === "SpamComplaint" ? "SpamComplaint" : "HardBounce";
  return { serverId, stream, email, reason, origin: "Recipient", since, cause: { messageId, tag, metadata } };
}
