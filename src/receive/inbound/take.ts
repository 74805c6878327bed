/**
 * A received message for one inbound address, to what is kept of it and to whoever waits for it. The raw message and the payload are in
 * R2 first, then comes the row, then the event: whatever ends in between is made good when the same is taken again, which is harmless.
 */

import type { DnsNeeds } from "../../accounts/dns.ts";
import { inboundHost } from "../../accounts/inbound-domain.ts";
import { blockingRule } from "../../accounts/inbound-rules.ts";
import { findInbound, type NewInbound, storeInbound } from "../../archive/inbound.ts";
import type { MailEvent } from "../../mail/event.ts";
import { formatMessageId } from "../../mail/message-id.ts";
import type { InboundSummary } from "../../schema/archive.ts";
import type { Received } from "../receive.ts";
import { authenticate } from "./authenticate.ts";
import { contentLength } from "./content.ts";
import { inboundEvent } from "./event.ts";
import { addressesIn, addressOf, type InboundMail, openMail } from "./open.ts";
import { type Payload, payloadOf } from "./payload.ts";
import { type SpamNeeds, type SpamScore, spamScore } from "./spam.ts";
import { clientOf, loopReason, shownHeaders } from "./trace.ts";
import { type InboundServer, mailboxHash, serverOf } from "./whose.ts";

export interface InboundNeeds extends DnsNeeds, SpamNeeds {
  directory: D1Database;
  archive(serverId: number): D1Database;
  putObject(key: string, bytes: Uint8Array): Promise<void>;
  /** `length` is that of all pieces together. */
  putPieces(key: string, length: number, pieces: Iterable<Uint8Array>): Promise<void>;
  tellEvents(serverId: number, events: MailEvent[]): Promise<void>;
  mailDomain: string;
}

export interface Taken {
  /** The object's key, which names this delivery. */
  key: string;
  received: Received;
  raw: Uint8Array;
  /** Of the envelope. */
  recipient: string;
}

/** D1 takes rows of 2 MB: texts and header of a row, in UTF-16 units, each of up to three bytes. */
const ROW_TEXT = 100_000;
const ROW_HEADERS = 64_000;
const ROW_ADDRESSES = 200;
const ROW_ATTACHMENTS = 200;

/** Throws when D1 or R2 is away: then it is worth another try. */
export async function takeInbound(needs: InboundNeeds, taken: Taken): Promise<void> {
  const { recipient, received } = taken;
  const server = await serverOf(needs.directory, recipient, needs.mailDomain);
  if (!server) {
    needs.log("inbound mail for nobody", { key: taken.key });
    return;
  }
  const id = await idOf(taken);
  const archive = needs.archive(server.id);
  const known = await findInbound(archive, server.id, id);
  const row = known ?? (await file(needs, taken, { server, id }));
  // Blocked mail is nobody's news until it is let through. One that is known may not have been told.
  if (row.status === "blocked") return;
  await needs.tellEvents(server.id, [inboundEvent(row, received.receivedAt)]);
}

async function file(
  needs: InboundNeeds,
  taken: Taken,
  { server, id }: { server: InboundServer; id: string },
): Promise<NewInbound> {
  const { raw, received, recipient } = taken;
  const key = `inbound/${server.id}/${id}`;
  const mail = await openMail(raw, id);
  if (mail.unread) needs.log("inbound mail read in part", { id, reason: mail.unread });
  const { blockedReason, headers } = await judge(needs, taken, { server, mail });
  const { reversePath } = received.envelope;
  const shown: InboundMail = {
    ...mail,
    headers,
    from: mail.from.email ? mail.from : addressOf(reversePath),
    bcc: bccOf(mail, recipient),
  };
  const hash = mailboxHash(recipient);
  const rawEmail = server.rawEmailEnabled ? { rawEmail: raw } : {};
  const payload = payloadOf({
    id,
    mail: shown,
    originalRecipient: recipient,
    mailboxHash: hash,
    ...rawEmail,
  });
  await needs.putObject(`${key}.eml`, raw);
  await needs.putPieces(`${key}.json`, payload.length, payload.pieces());
  const row: NewInbound = {
    serverId: server.id,
    id,
    receivedAt: received.receivedAt,
    status: blockedReason ? "blocked" : server.hookUrl ? "queued" : "processed",
    fromEmail: shown.from.email.toLowerCase(),
    originalRecipient: recipient,
    mailboxHash: hash,
    tag: shown.tag,
    subject: shown.subject,
    blockedReason: blockedReason ?? null,
    raw: `${key}.eml`,
    payload: `${key}.json`,
    summary: summaryOf(shown, payload),
  };
  const archive = needs.archive(server.id);
  if (await storeInbound(archive, row)) return row;
  // Another taking of the same was quicker, and may have heard otherwise of scanner and DNS: what it filed is what is told.
  return (await findInbound(archive, server.id, id)) ?? row;
}

/** What is said of a message by others than its sender, and whether it is stopped for it. */
async function judge(
  needs: InboundNeeds,
  { raw, received, recipient }: Taken,
  { server, mail }: { server: InboundServer; mail: InboundMail },
) {
  const { reversePath } = received.envelope;
  const client = clientOf(received, mail.headers);
  const host = inboundHost(needs.mailDomain);
  const signatures = mail.headers.filter((h) => h.name.toLowerCase() === "dkim-signature").length;
  const [auth, spam, rule] = await Promise.all([
    authenticate({ raw, reversePath, client, host, signatures }, needs),
    spamScore(needs, { raw, client, reversePath, recipient }),
    ruleAgainst(needs.directory, server.id, [mail.from.email, reversePath]),
  ]);
  const blockedReason =
    loopReason(mail.headers, recipient) ??
    (rule === undefined ? undefined : `Blocked by the inbound rule '${rule}'`) ??
    spamReason(spam, server.spamThreshold);
  return { blockedReason, headers: shownHeaders(mail.headers, { reversePath, auth, spam, host }) };
}

/** Of the author, and of who sent it. */
async function ruleAgainst(directory: D1Database, serverId: number, senders: string[]) {
  for (const sender of new Set(senders)) {
    const rule = await blockingRule(directory, serverId, sender);
    if (rule !== undefined) return rule;
  }
  return undefined;
}

function spamReason(spam: SpamScore | undefined, threshold: number): string | undefined {
  if (!spam || threshold <= 0 || spam.score <= threshold) return undefined;
  return `Spam score ${spam.score.toFixed(1)} is above the server's threshold of ${threshold}`;
}

/** Our address, where no field of the header has it: it was reached by Bcc. One that was forwarded here, or by a list, was not. */
function bccOf(mail: InboundMail, recipient: string): InboundMail["bcc"] {
  const email = recipient.toLowerCase();
  const isNamed = [...mail.to, ...mail.cc, ...mail.bcc].some((a) => a.email.toLowerCase() === email);
  const isForwarded = mail.headers.some(
    ({ name, value }) =>
      /^(?:list-id|x-forwarded-(?:to|for)|x-original-to|resent-from)$/i.test(name) ||
      (/^resent-(?:to|cc)$/i.test(name) && addressesIn(value).includes(email)),
  );
  return isNamed || isForwarded ? mail.bcc : [...mail.bcc, addressOf(recipient)];
}

/** A UUID that sorts by time, and is the same for the same delivery and recipient. */
async function idOf({ key, recipient, received }: Taken): Promise<string> {
  const text = new TextEncoder().encode(`${key}\n${recipient.toLowerCase()}`);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", text));
  return formatMessageId(
    { acceptedAt: received.receivedAt, region: "local", number: 0 },
    digest.subarray(0, 8),
  );
}

function summaryOf(mail: InboundMail, payload: Payload): InboundSummary {
  const { from, replyTo, date } = mail;
  let left = ROW_HEADERS;
  const headers = mail.headers.filter(({ name, value }) => {
    left -= name.length + value.length;
    return left >= 0;
  });
  const cut = (text: string) => text.slice(0, ROW_TEXT).toWellFormed();
  const texts = {
    textBody: cut(mail.textBody),
    htmlBody: cut(mail.htmlBody),
    strippedTextReply: cut(mail.strippedTextReply),
  };
  const isCut =
    headers.length < mail.headers.length ||
    [mail.textBody, mail.htmlBody, mail.strippedTextReply].some((text) => text.length > ROW_TEXT);
  return {
    ...{ from, replyTo: replyTo.slice(0, 2_000), date, headers, ...texts },
    to: mail.to.slice(0, ROW_ADDRESSES),
    cc: mail.cc.slice(0, ROW_ADDRESSES),
    bcc: mail.bcc.slice(0, ROW_ADDRESSES),
    attachments: mail.attachments
      .slice(0, ROW_ATTACHMENTS)
      .map(({ name, contentType, contentId, content }) => {
        return { name, contentType, contentLength: contentLength(content), contentId };
      }),
    ...(isCut && { whole: payload.whole }),
  };
}
