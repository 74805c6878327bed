/**
 * A delivery status notification (RFC 3464): what became of a message's recipients, for people and for programs. Pure; the same
 * report gives the same bytes.
 */
import { addressValue, oneLine } from "./header.ts";
import { join } from "./join.ts";
import { headerEnd } from "./skeleton.ts";

export interface DsnReport {
  /** Of the DSN itself. */
  messageId: string;
  messageIdDomain: string;
  /** Milliseconds since the epoch. */
  at: number;
  from: string;
  to: string;
  reportingMta: string;
  /** Of the message that is reported on. */
  about: { id: string; subject: string; acceptedAt: number; envid?: string };
  recipients: DsnRecipient[];
  /** The message as it was sent; undefined when it cannot be read any more. */
  original?: Uint8Array;
  /** RFC 3461 §4.3: the whole of it, or its header alone. */
  returnFull: boolean;
}

export interface DsnRecipient {
  address: string;
  /** RFC 3461 §4.2: as the client gave it, "rfc822;user@example.com". */
  orcpt?: string;
  /** `relayed`: the next hop took it, and tells no more. */
  action: "failed" | "delayed" | "relayed";
  /** RFC 3463. */
  status: string;
  /** "550 5.1.1 no such user", or why there was no reply. */
  diagnostic: string;
  isReply: boolean;
  remoteMta: string;
  lastAttemptAt?: number;
  willRetryUntil?: number;
}

/** A message that is quoted whole is not larger than this: reports must get through where the message did not. */
const MAX_RETURNED = 1_000_000;
const MAX_DIAGNOSTIC = 900;
const SAYS: Record<DsnRecipient["action"], { subject: string; text: string }> = {
  failed: { subject: "Undelivered", text: "could not be delivered to:" },
  delayed: {
    subject: "Delayed",
    text: "has not been delivered yet, and is still being tried. You need not send it again:",
  },
  relayed: {
    subject: "Delivered",
    text: "was taken by the recipient's mail server, which is asked to say no more:",
  },
};

export function composeDsn(report: DsnReport): Uint8Array {
  const { messageId, about, recipients } = report;
  const boundary = `=_dsn-${messageId}`;
  const action = recipients[0]?.action ?? "failed";
  const head = lines(
    `Date: ${date(report.at)}`,
    `From: ${addressValue("From", [{ email: report.from, name: "Mail Delivery System" }])}`,
    `To: ${addressValue("To", [{ email: report.to, name: "" }])}`,
    `Message-ID: <${messageId}@${report.messageIdDomain}>`,
    `Subject: ${SAYS[action].subject} Mail: your message ${about.id}`,
    // RFC 3834 §5: no robot answers this.
    "Auto-Submitted: auto-replied",
    "MIME-Version: 1.0",
    "Content-Type: multipart/report; report-type=delivery-status;",
    ` boundary="${boundary}"`,
    "",
    `--${boundary}`,
    "Content-Type: text/plain; charset=utf-8",
    "Content-Transfer-Encoding: 8bit",
    "",
    `Your message of ${date(about.acceptedAt)}`,
    ...(about.subject ? [`  Subject: ${oneLine(about.subject).slice(0, 200)}`] : []),
    SAYS[action].text,
    "",
    ...recipients.map((r) => `  ${r.address}: ${oneLine(r.diagnostic).slice(0, MAX_DIAGNOSTIC)}`),
    "",
    `--${boundary}`,
    "Content-Type: message/delivery-status",
    "",
    `Reporting-MTA: dns; ${report.reportingMta}`,
    ...(about.envid === undefined ? [] : [`Original-Envelope-Id: ${xtext(about.envid)}`]),
    `Arrival-Date: ${date(about.acceptedAt)}`,
    ...recipients.flatMap((r) => ["", ...statusOf(r)]),
    "",
    `--${boundary}`,
  );
  return join([encode(head), ...returned(report), encode(`\r\n--${boundary}--\r\n`)]);
}

/** RFC 3464 §2.3. */
function statusOf(recipient: DsnRecipient): string[] {
  const { address, orcpt, action, status, diagnostic, isReply, remoteMta } = recipient;
  const fields = [`Final-Recipient: rfc822; ${address}`, `Action: ${action}`, `Status: ${status}`];
  if (orcpt !== undefined) fields.unshift(`Original-Recipient: ${oneLine(orcpt).replace(";", "; ")}`);
  if (remoteMta) fields.push(`Remote-MTA: dns; ${oneLine(remoteMta)}`);
  const said = ascii(oneLine(diagnostic)).slice(0, MAX_DIAGNOSTIC);
  // RFC 3464 §2.3.6: the type says who words it so.
  if (said) fields.push(`Diagnostic-Code: ${isReply ? "smtp" : "x-edgepost"}; ${said}`);
  if (recipient.lastAttemptAt !== undefined)
    fields.push(`Last-Attempt-Date: ${date(recipient.lastAttemptAt)}`);
  if (recipient.willRetryUntil !== undefined)
    fields.push(`Will-Retry-Until: ${date(recipient.willRetryUntil)}`);
  return fields;
}

/** RFC 3461 §6.2: of a failure the whole when that was asked for; of the rest the header. */
function returned({ original, returnFull, about }: DsnReport): Uint8Array[] {
  const isWhole = original !== undefined && returnFull && original.length <= MAX_RETURNED;
  if (isWhole)
    return [encode("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"), original];
  const header = original
    ? original.subarray(0, headerEnd(original, 0))
    : encode(`X-PM-Message-Id: ${about.id}\r\n\r\n`);
  return [encode("Content-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"), header];
}

/** RFC 3461 §4. */
function xtext(text: string): string {
  return text.replace(/[^\x21-\x2a\x2c-\x3c\x3e-\x7e]/g, (c) => {
    const code = c.charCodeAt(0);
    return code < 256 ? `+${code.toString(16).toUpperCase().padStart(2, "0")}` : "";
  });
}

function ascii(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?");
}

function date(at: number): string {
  return new Date(at).toUTCString().replace("GMT", "+0000");
}

function lines(...all: string[]): string {
  return all.map((line) => `${line}\r\n`).join("");
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
