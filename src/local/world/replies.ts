/**
 * What comes back by mail for a message that was accepted: a DSN (RFC 3464), a feedback report (RFC 5965), an automatic reply (RFC
 * 3834), a person's answer. It only composes them; post.ts sends.
 */
import MimeNode from "nodemailer/lib/mime-node";
import PostalMime, { addressParser } from "postal-mime";
import { behaviourOf, domainOf } from "./behaviours.ts";
import { fieldOf, headerOf, textOf } from "./header.ts";
import type { Arrival } from "./inbox.ts";
import { MX_HOST } from "./zone.ts";

export interface Outgoing {
  envelope: { from: string; to: string };
  raw: Buffer;
}

/** One for each recipient whose local part asks for it. */
export async function repliesTo(arrival: Arrival): Promise<Outgoing[]> {
  const replies: Outgoing[] = [];
  for (const recipient of arrival.envelope.to) {
    const made = await replyFrom(recipient, arrival);
    if (made) replies.push({ ...made, raw: await made.message.build() });
  }
  return replies;
}

type Made = { envelope: Outgoing["envelope"]; message: MimeNode };

async function replyFrom(recipient: string, arrival: Arrival): Promise<Made | undefined> {
  const header = headerOf(arrival.raw);
  const reversePath = arrival.envelope.from;
  const to = (address: string, from: string, message: MimeNode): Made | undefined =>
    // Nothing answers the null reverse-path (RFC 5321 §4.5.5), and nothing can be sent to an address that is not there.
    address ? { envelope: { from, to: address }, message } : undefined;
  switch (behaviourOf(recipient)) {
    case "late-bounce":
      return to(reversePath, "", deliveryStatus(recipient, arrival, header));
    case "complain": {
      const address = complaintAddress(header) || reversePath;
      return to(
        address,
        `feedback@${domainOf(recipient)}`,
        feedbackReport(recipient, address, arrival, header),
      );
    }
    case "out-of-office":
      // RFC 3834 §2: never to what was sent automatically.
      if (!/^(no)?$/i.test(fieldOf(header, "Auto-Submitted"))) return undefined;
      return to(reversePath, "", automaticReply(recipient, reversePath, header));
    case "reply": {
      const address = firstAddress(fieldOf(header, "Reply-To") || fieldOf(header, "From"));
      return to(address, recipient, await answer(recipient, address, arrival.raw, header));
    }
    default:
      return undefined;
  }
}

function deliveryStatus(recipient: string, { envelope, receivedAt, raw }: Arrival, header: string): MimeNode {
  const message = report("delivery-status", {
    From: `Mail Delivery System <mailer-daemon@${domainOf(recipient)}>`,
    To: envelope.from,
    Subject: "Undelivered Mail Returned to Sender",
    "Auto-Submitted": "auto-replied",
    "In-Reply-To": fieldOf(header, "Message-ID"),
  });
  text(
    message,
    `Your message to <${recipient}> was taken, and could not be delivered:\r\n\r\n550 5.1.1 No such user here\r\n`,
  );
  fields(message, "message/delivery-status", [
    `Reporting-MTA: dns; ${MX_HOST}`,
    `Arrival-Date: ${rfc5322Date(receivedAt)}`,
    "",
    `Final-Recipient: rfc822; ${recipient}`,
    "Action: failed",
    "Status: 5.1.1",
    "Diagnostic-Code: smtp; 550 5.1.1 No such user here",
    `Last-Attempt-Date: ${rfc5322Date(Date.now())}`,
  ]);
  fields(message, "text/rfc822-headers", [headerBytes(raw)]);
  return message;
}

function feedbackReport(
  recipient: string,
  address: string,
  { envelope, receivedAt, raw }: Arrival,
  header: string,
): MimeNode {
  const message = report("feedback-report", {
    From: `Feedback <feedback@${domainOf(recipient)}>`,
    To: address,
    Subject: `FW: ${textOf(header, "Subject")}`,
  });
  text(
    message,
    `This is a complaint of a recipient about a message that came from you at ${rfc5322Date(receivedAt)}.\r\n`,
  );
  fields(message, "message/feedback-report", [
    "Feedback-Type: abuse",
    "User-Agent: Edgepost-World/1.0",
    "Version: 1",
    `Original-Mail-From: <${envelope.from}>`,
    `Original-Rcpt-To: <${recipient}>`,
    `Arrival-Date: ${rfc5322Date(receivedAt)}`,
    `Reporting-MTA: dns; ${MX_HOST}`,
  ]);
  // The copy has to be the message as it came: its return path and Message-ID are how a sender knows it again.
  message.createChild("message/rfc822").setHeader("Content-Transfer-Encoding", "8bit").setContent(raw);
  return message;
}

function automaticReply(recipient: string, address: string, header: string): MimeNode {
  return new MimeNode("text/plain; charset=utf-8")
    .setHeader({
      From: recipient,
      To: address,
      Subject: `Automatic reply: ${textOf(header, "Subject")}`,
      "Auto-Submitted": "auto-replied",
      ...threadOf(header),
    })
    .setContent("I am out of the office until Monday.\r\n");
}

async function answer(recipient: string, address: string, raw: Buffer, header: string): Promise<MimeNode> {
  const original = await PostalMime.parse(raw);
  const said = (original.text ?? "").trimEnd().split(/\r?\n/);
  const author = textOf(header, "From");
  const subject = textOf(header, "Subject");
  const quoted = [`On ${fieldOf(header, "Date")}, ${author} wrote:`, ...said.map((line) => `> ${line}`)];
  return new MimeNode("text/plain; charset=utf-8")
    .setHeader({
      From: recipient,
      To: address,
      Subject: /^re:/i.test(subject) ? subject : `Re: ${subject}`,
      ...threadOf(header),
    })
    .setContent(["Thank you, that works for me.", "", ...quoted, ""].join("\r\n"));
}

function report(type: string, headers: Record<string, string>): MimeNode {
  return new MimeNode(`multipart/report; report-type=${type}`).setHeader(headers);
}

function text(parent: MimeNode, content: string): void {
  parent.createChild("text/plain; charset=utf-8").setContent(content);
}

function fields(parent: MimeNode, type: string, lines: string[]): void {
  parent
    .createChild(type)
    .setHeader("Content-Transfer-Encoding", "8bit")
    .setContent(`${lines.join("\r\n")}\r\n`);
}

/** RFC 5322 §3.6.4. */
function threadOf(header: string): Record<string, string> {
  const messageId = fieldOf(header, "Message-ID");
  const references = `${fieldOf(header, "References")} ${messageId}`.trim();
  return messageId ? { "In-Reply-To": messageId, References: references } : {};
}

/** Where complaints are wanted; a feedback loop knows it from its contract, and this world from the message. */
function complaintAddress(header: string): string {
  return firstAddress(fieldOf(header, "X-Complaints-To") || fieldOf(header, "Complaints-To"));
}

function firstAddress(value: string): string {
  return addressParser(value.replace(/^mailto:/i, ""), { flatten: true })[0]?.address ?? "";
}

function headerBytes(raw: Buffer): string {
  const end = raw.indexOf("\r\n\r\n");
  return (end < 0 ? raw : raw.subarray(0, end)).toString("utf8");
}

function rfc5322Date(at: number): string {
  return new Date(at).toUTCString().replace("GMT", "+0000");
}
