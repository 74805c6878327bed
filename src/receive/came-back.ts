/**
 * A report that came back for a message of ours, to what is remembered of it. In this order: the report is kept, whom it concerns is not
 * mailed any more, the bounce is in the archive, Outboxes and the event log hear of it. Whatever ends in between is made good when the
 * same is read again. A bounce belongs to the report that brought it first: any other that says the same changes nothing, so a storm of
 * reports leaves one row for each recipient and type.
 */
import { type BounceMark, bouncesOfMessage } from "../archive/bounces.ts";
import type { NewBounce } from "../archive/write.ts";
import type { MailEvent } from "../mail/event.ts";
import { eventId } from "../mail/event-id.ts";
import { parseMessageId } from "../mail/message-id.ts";
import { parseComplaintAddress, parseReturnPath, type SignedFor } from "../mail/return-path.ts";
import { within } from "../mail/within.ts";
import type { NewSuppression, Suppressed } from "../suppress/list.ts";
import { recordBounces } from "../track/record.ts";
import { type Fact, factsOf } from "./facts.ts";
import { type FindNeeds, type Sought, seek } from "./find-message.ts";
import { dumpKey } from "./kept.ts";
import type { Original } from "./original.ts";
import { readReport } from "./read-report.ts";
import type { Received } from "./receive.ts";
import type { Report } from "./report.ts";

export interface CameBackNeeds extends FindNeeds {
  now(): number;
  log(event: string, fields: Record<string, unknown>): void;
  returnPathKey(): Promise<CryptoKey>;
  putObject(key: string, bytes: Uint8Array): Promise<void>;
  deleteObjects(keys: string[]): Promise<void>;
  /** Tells the server's Outboxes and its event log what the directory has. */
  announce(serverId: number, changes: { stream: string; email: string; removed: boolean }[]): Promise<void>;
  tellEvents(serverId: number, events: MailEvent[]): Promise<void>;
}

export interface CameBack {
  /** Of the object, without its folder: names this delivery. */
  name: string;
  received: Received;
  raw: Uint8Array;
}

/** It is beyond what is read, or breaks what reads it: another try would end the same. */
export class Unreadable extends Error {}

/** As long as messages are kept: one that is younger and that nobody has was removed on purpose. */
const MESSAGES_KEPT_MS = 45 * 86_400_000;
const DEFAULT_STREAM = "outbound";
/** An object's answer is a matter of milliseconds. */
const TELL_MS = 5_000;
/** Of a message that nobody knows any more, whose recipients are not known either. */
const MAX_OF_UNKNOWN = 50;

/** `of` is what the address names; undefined for the one where all complaints go. Throws `Unreadable`, or when something is away. */
export async function takeBack(
  needs: CameBackNeeds,
  mail: CameBack,
  of: SignedFor | undefined,
): Promise<void> {
  const { name, received, raw } = mail;
  const report = await read(raw, received, of?.messageId ?? "");
  const ignored = (why: string, fields: Record<string, unknown> = {}) =>
    needs.log("report changes nothing", { name, kind: report.kind, why, ...fields });
  if (report.kind === "unreadable") throw new Unreadable(report.reason);
  const signed = of ?? (await signedIn(report.original, needs));
  if (!signed) return ignored("nothing in it is signed by us");
  const sought = await seek(signed, needs);
  if (!sought) return ignored("its server is gone", { messageId: signed.messageId });
  const { serverId, messageId, message } = sought;
  const about = { serverId, messageId };
  const sentAt = parseMessageId(messageId)?.acceptedAt ?? 0;
  if (!message && received.receivedAt - sentAt < MESSAGES_KEPT_MS)
    return ignored("the message was removed", about);
  const { facts, why = "" } = factsOf(report, message && mayName(message.summary.recipients, signed.place));
  const before = await bouncesOfMessage(needs.archive(serverId), serverId, messageId);
  if (!message && before.length >= MAX_OF_UNKNOWN) return ignored("too many of an unknown message", about);
  const dump = dumpKey(serverId, received.receivedAt, name);
  // Who asks again for no more may have thought otherwise in between.
  const isNews = (fact: Fact) =>
    fact.unsubscribes || !before.some((row) => isOf(row, fact) && row.dump !== dump);
  const fresh = facts.filter(isNews);
  if (fresh.length === 0) return ignored(facts.length > 0 ? "it is known" : why, about);
  await remember(needs, { sought, facts: fresh, original: report.original, mail, dump });
}

/** Who has an address that was signed for one recipient can say nothing of the others. */
function mayName(recipients: string[], place: number | undefined): string[] {
  return place === undefined ? recipients : [recipients[place] ?? ""];
}

async function read(raw: Uint8Array, { envelope }: Received, messageId: string): Promise<Report> {
  try {
    return await readReport(raw, { reversePath: envelope.reversePath, messageId });
  } catch (error) {
    // Nothing was asked of anybody: it is a fault of ours, and would be the same at every try.
    throw new Unreadable(String(error), { cause: error });
  }
}

/** By what the returned message has in its header. */
async function signedIn(
  { complaintAddress, returnPath }: Original,
  { returnPathKey }: CameBackNeeds,
): Promise<SignedFor | undefined> {
  const key = await returnPathKey();
  return (await parseComplaintAddress(key, complaintAddress)) ?? (await parseReturnPath(key, returnPath));
}

interface Remembered {
  sought: Sought;
  facts: Fact[];
  original: Original;
  mail: CameBack;
  dump: string;
}

async function remember(
  needs: CameBackNeeds,
  { sought, facts, original, mail, dump }: Remembered,
): Promise<void> {
  const { serverId, messageId, message } = sought;
  const { receivedAt } = mail.received;
  const of = {
    serverId,
    messageId,
    stream: message?.stream ?? DEFAULT_STREAM,
    tag: message?.tag ?? "",
    fromEmail: message?.summary.from.email ?? original.from,
    subject: message?.subject ?? original.subject,
  };
  const bounces = facts.map(({ email, type, details, inactive }): NewBounce => {
    return { ...of, email, type, details, inactive, bouncedAt: receivedAt, dump };
  });
  await needs.putObject(dump, mail.raw);
  const archive = needs.archive(serverId);
  const metadata = message?.summary.metadata ?? {};
  const cause = { messageId, tag: of.tag, metadata };
  const unsubscribed = facts
    .filter((fact) => fact.unsubscribes)
    .map(({ email }) => ({ ...unsubscription(of, email, receivedAt), cause }));
  const suppressed = await recordBounces({ archive, directory: needs.directory, now: needs.now }, bounces, {
    metadata,
    unsubscribed,
  });
  const stored = await bouncesOfMessage(archive, serverId, messageId);
  const own = bounces.filter((bounce) => stored.some((row) => isOf(row, bounce) && row.dump === dump));
  // Another report that says the same was quicker, by a moment. Of mail to several addresses, what it says at another may be kept by it.
  if (own.length === 0 && mail.received.envelope.recipients.length === 1) await needs.deleteObjects([dump]);
  if (suppressed.length > 0) await announce(needs, serverId, suppressed);
  await needs.tellEvents(serverId, await Promise.all(own.map((bounce) => toEvent(bounce, metadata))));
  const told = own.map(({ type }) => type);
  needs.log("report read", { name: mail.name, serverId, messageId, types: told });
}

async function announce(needs: CameBackNeeds, serverId: number, suppressed: Suppressed[]): Promise<void> {
  try {
    const changes = suppressed.map(({ stream, email }) => ({ stream, email, removed: false }));
    await within(TELL_MS, needs.announce(serverId, changes));
  } catch (error) {
    // An Outbox that was not reached reads the change in the directory, within half a minute, and the log does by the next sweep.
    needs.log("suppressions not announced", { serverId, error: String(error) });
  }
}

function unsubscription(
  { serverId, stream }: { serverId: number; stream: string },
  email: string,
  since: number,
): NewSuppression {
  return { serverId, stream, email, reason: "ManualSuppression", origin: "Recipient", since };
}

function isOf(row: BounceMark, { email, type }: { email: string; type: string }): boolean {
  return row.email === email && row.type === type;
}

async function toEvent(bounce: NewBounce, metadata: Record<string, string>): Promise<MailEvent> {
  const { messageId, email, type, stream, tag, details, fromEmail: from, subject, bouncedAt: at } = bounce;
  const id = await eventId("came back", messageId, email, type);
  const of = { id, at, stream, messageId, email, tag, metadata, details, from, subject };
  return type === "SpamComplaint"
    ? { ...of, type: "SpamComplaint" }
    : { ...of, type: "Bounce", bounceType: type };
}
