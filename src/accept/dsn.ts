/**
 * Makes DSNs out of what became of messages: each is a message of its own in this Outbox, committed in the same turn as the mark
 * that it was made. So a crash loses none and makes none twice.
 */
import { composeDsn } from "../compose/dsn.ts";
import { domainOf } from "../mail/address.ts";
import { formatMessageId, parseShardName } from "../mail/message-id.ts";
import type { KnownServer } from "./known-server.ts";
import type { OutboxNeeds } from "./needs.ts";
import { dueNotices, markNotified, type Notice } from "./notices.ts";
import { newProgress, type PackedMessage } from "./pack.ts";
import type { Found, Shelf } from "./shelf.ts";
import type { Store } from "./store.ts";

const GIVE_UP_AFTER_MS = 72 * 3_600_000;

interface Context {
  store: Store;
  shelf: Shelf;
  server: KnownServer;
  needs: OutboxNeeds;
}

/** Whether a notice is still to be made: its message must stay until it is. */
export function awaitsDsn({ message, progress }: Pick<Found, "message" | "progress">, now: number): boolean {
  return dueNotices(message, progress, now).length > 0;
}

export async function makeDsns(messageIds: string[], context: Context): Promise<void> {
  const { shelf, needs } = context;
  for (const id of messageIds) {
    const before = shelf.find(id);
    if (!before || !awaitsDsn(before, needs.now())) continue;
    const original = await originalOf(before, context);
    // While R2 answered, the pack may have left memory and come back.
    const found = shelf.find(id);
    if (!found) continue;
    for (const notice of dueNotices(found.message, found.progress, needs.now()))
      commit(found, { notice, original }, context);
  }
}

/** One turn: the DSN's row and the mark are written together. */
function commit(
  { message, progress, pack }: Found,
  { notice, original }: { notice: Notice; original: Uint8Array | undefined },
  { store, shelf, server, needs }: Context,
): void {
  const at = needs.now();
  const id = formatMessageId({ ...parseShardName(server.shard), acceptedAt: at }, needs.randomBytes(8));
  const { dsn, stream } = message;
  if (!dsn) return;
  // The address of a domain that has our keys, so that the report is signed by who sent the message.
  const fromDomain = message.refusal === undefined ? message.fromDomain : needs.mailDomain;
  const from = `mailer-daemon@${fromDomain}`;
  const to = dsn.reversePath.toLowerCase();
  const { envid } = dsn;
  const body = composeDsn({
    messageId: id,
    messageIdDomain: needs.mailDomain,
    at,
    from,
    to,
    reportingMta: needs.mailDomain,
    about: {
      id: message.id,
      subject: message.subject,
      acceptedAt: message.acceptedAt,
      ...(envid === undefined ? {} : { envid }),
    },
    recipients: notice.recipients,
    ...(original ? { original } : {}),
    returnFull: dsn.ret === "FULL" && notice.kind === "FAILURE",
  });
  const report: PackedMessage = {
    id,
    acceptedAt: at,
    stream,
    subject: `Delivery status of ${message.id}`,
    tag: "",
    summary: {
      from: { email: from, name: "Mail Delivery System" },
      to: [{ email: to, name: "" }],
      cc: [],
      bcc: [],
      recipients: [to],
      attachments: [],
      metadata: {},
      trackOpens: false,
      trackLinks: "None",
      sandboxed: message.summary.sandboxed,
    },
    groups: [{ domain: domainOf(to), recipients: [to] }],
    fromDomain,
    returnPathDomain: message.returnPathDomain,
    bounceType: "",
    giveUpAt: at + GIVE_UP_AFTER_MS,
    isDsn: true,
    body: { offset: 0, length: body.length },
  };
  const inactive = new Set(store.isSuppressed(stream, to) ? [to] : []);
  shelf.add(store.insertPack([report], [newProgress(report, inactive)], body), at);
  markNotified(progress, notice);
  shelf.save(pack, at);
}

/** As it was sent; undefined when it cannot be read now: a report without the quotation is better than none. */
async function originalOf(found: Found, context: Context): Promise<Uint8Array | undefined> {
  const { needs } = context;
  const { id, summary } = found.message;
  try {
    const bytes = await bytesOf(found, context);
    if (!bytes || !summary.personal) return bytes;
    // Of those whom the report is about, the first.
    const [address = ""] = dueNotices(found.message, found.progress, needs.now())[0]?.addresses ?? [];
    return await needs.copyFor({ id, bytes }, Math.max(0, summary.recipients.indexOf(address)));
  } catch (error) {
    needs.log("original not read for its DSN", { id, error: String(error) });
    return undefined;
  }
}

async function bytesOf(found: Found, { shelf, needs }: Context): Promise<Uint8Array | undefined> {
  const { segment } = found.progress;
  const { body } = found.message;
  if (segment) return needs.getObject(segment.key, segment);
  return "large" in body ? needs.getObject(body.large) : shelf.bytes(found);
}
