/**
 * Says what a message is that came to a return path or to a complaint address. Pure: it reads, and decides nothing about anybody's
 * address. Certain signs come first (the parts of reports), then those of programs, then words; what is left is "other".
 */
import { fieldOf, type Opened, openMessage } from "./open-message.ts";
import { findOriginal, type Original } from "./original.ts";
import {
  ADDRESS_CHANGE,
  AUTOMATIC_SUBJECT,
  CHALLENGE,
  DAEMON,
  FAILURE_SUBJECT,
  FAILURE_TEXT,
  SUBSCRIBE,
  UNSUBSCRIBE,
} from "./phrases.ts";
import { isShown, readComplaint } from "./read-complaint.ts";
import { type ReadDsn, readDsn } from "./read-dsn.ts";
import { isDelay, readExplanations } from "./read-explanation.ts";
import type { Report } from "./report.ts";
import { plainAddress } from "./report-fields.ts";

export interface Arrived {
  /** The envelope's; "" or "<>" when null. */
  reversePath: string;
  /** The MessageID of the signed address that it came to; "" when it came to another. */
  messageId: string;
}

/** Words are looked for in the beginning of a text only. */
const MAX_WORDS = 4_000;

export async function readReport(raw: Uint8Array, arrived: Arrived): Promise<Report> {
  const opening = await openMessage(raw);
  if ("unreadable" in opening) return { kind: "unreadable", reason: opening.unreadable };
  const opened = opening.ok;
  if (opened.fields.size === 0 && opened.text.trim() === "")
    return { kind: "unreadable", reason: "no message" };
  const original = findOriginal(opened, arrived.messageId);
  return (
    complaint(opened, original) ??
    deliveryStatus(readDsn(opened), opened, original) ??
    explainedFailure(opened, original, arrived) ??
    request(opened, original) ??
    automatic(opened, original) ??
    other("neither a report nor automatic", opened, original)
  );
}

function other(reason: string, { from }: Opened, original: Original): Report {
  return { kind: "other", reason, from, original };
}

function complaint(opened: Opened, original: Original): Report | undefined {
  const read = readComplaint(opened);
  if (!read) return undefined;
  const { feedbackType, recipients } = read;
  switch (feedbackType) {
    case "auth-failure": // RFC 6591: a receiver tells a domain's owner, and no person complained
    case "dmarc":
      return other("report of failed authentication", opened, original);
    case "not-spam":
      return other("report that a message is not spam", opened, original);
    case "opt-out":
    case "opt-out-list":
      return { kind: "unsubscribe", from: recipients[0] ?? original.to, original };
  }
  const hidden = isShown(original.to) ? [plainAddress(original.to)].filter(Boolean) : [];
  return {
    kind: "complaint",
    feedbackType,
    recipients: recipients.length > 0 ? recipients : hidden,
    original,
  };
}

function deliveryStatus(read: ReadDsn | undefined, opened: Opened, original: Original): Report | undefined {
  if (!read) return undefined;
  const recipients = read.recipients.map((r) => (r.address ? r : { ...r, address: original.to }));
  const late =
    recipients.some((r) => r.action === "delayed") && !recipients.some((r) => r.action === "failed");
  if (recipients.length === 0) return other("DSN that names nobody", opened, original);
  return { kind: late ? "delay" : "dsn", recipients, reportingMta: read.reportingMta, original };
}

/** A DSN without fields: a program wrote it, and says that something did not arrive. */
function explainedFailure(opened: Opened, original: Original, { reversePath }: Arrived): Report | undefined {
  const { subject, text, from, fields } = opened;
  const isNull = reversePath === "" || reversePath === "<>";
  const isDaemon = DAEMON.test(from) || DAEMON.test(reversePath.replace(/^<|>$/g, ""));
  const saysSubject = FAILURE_SUBJECT.test(subject.trim());
  const saysText = FAILURE_TEXT.test(text.slice(0, MAX_WORDS));
  const isAutomaticSubject = AUTOMATIC_SUBJECT.test(subject.trim()) || CHALLENGE.test(subject);
  const is =
    fields.has("x-failed-recipients") ||
    (saysSubject && (saysText || isDaemon || isNull) && !isAutomaticSubject) ||
    (saysText && (isDaemon || isNull) && !isAutomaticSubject);
  if (!is) return undefined;
  const recipients = readExplanations(opened).map((r) => (r.address ? r : { ...r, address: original.to }));
  return { kind: isDelay(opened) ? "delay" : "dsn", recipients, reportingMta: "", original };
}

function request(opened: Opened, original: Original): Report | undefined {
  const { from } = opened;
  const subject = opened.subject.trim();
  const line = firstLine(opened.text);
  if (UNSUBSCRIBE.test(subject) || (line.length <= 60 && UNSUBSCRIBE.test(line)))
    return { kind: "unsubscribe", from, original };
  if (SUBSCRIBE.test(subject) || (subject === "" && SUBSCRIBE.test(line)))
    return { kind: "subscribe", from, original };
  return undefined;
}

function automatic(opened: Opened, original: Original): Report | undefined {
  const { from, subject } = opened;
  const words = `${subject}\n${opened.text.slice(0, MAX_WORDS)}`;
  const isAutomatic = isSentByProgram(opened) || AUTOMATIC_SUBJECT.test(subject.trim());
  // A person may write "please confirm your address": a challenge is from a program, or speaks of our message.
  if (CHALLENGE.test(words) && (isAutomatic || /^re:/i.test(subject) || original.by !== ""))
    return { kind: "challenge", from, original };
  if (!isAutomatic) return undefined;
  const change = ADDRESS_CHANGE.exec(words);
  if (!change) return { kind: "auto-reply", from, original };
  return { kind: "address-change", newAddress: addressAfter(words, change.index, from), from, original };
}

/** RFC 3834 §5, and what programs did before it and still do. */
function isSentByProgram(opened: Opened): boolean {
  const { fields, parts } = opened;
  const submitted = fieldOf(opened, "auto-submitted");
  if (submitted !== "" && !/^no\b/i.test(submitted)) return true;
  if (/auto[_-]?reply|autoresponse/i.test(fieldOf(opened, "precedence"))) return true;
  if (/^(?:oof|autoreply|auto-?reply)/i.test(fieldOf(opened, "x-precedence"))) return true;
  if (parts.some((p) => p.type === "message/disposition-notification")) return true;
  const names = [
    "x-autoreply",
    "x-autorespond",
    "x-autoresponder",
    "x-autoreply-from",
    "x-mail-autoreply",
    "x-autogenerated",
    "x-vacation",
    "x-ms-exchange-inbox-rules-loop",
  ];
  return names.some((name) => fields.has(name) && !/^no$/i.test(fieldOf(opened, name)));
}

/** The first address that comes after the words and is not the old one. */
function addressAfter(text: string, at: number, old: string): string {
  let rest = text.slice(at, at + 1_000);
  for (let i = 0; i < 5; i++) {
    const address = plainAddress(rest);
    if (address === "" || address.toLowerCase() !== old.toLowerCase()) return address;
    rest = rest.slice(rest.indexOf(address) + address.length);
  }
  return "";
}

function firstLine(text: string): string {
  return (
    text
      .slice(0, 2_000)
      .split("\n")
      .map((line) => line.trim())
      .find(Boolean) ?? ""
  );
}
