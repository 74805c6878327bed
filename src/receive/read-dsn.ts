/**
 * Reads the fields of a DSN (RFC 3464, 6533), also where servers got them wrong: without Final-Recipient, without the blank line between
 * recipients, with a diagnostic that is broken over lines, with the fields in the text instead of a part of their own.
 */
import { type Reply, replyText } from "../mail/reply.ts";
import { cleanText } from "../smtp/reply-text.ts";
import type { Opened } from "./open-message.ts";
import { COPY_MARKER, DELAY } from "./phrases.ts";
import { readExplanations } from "./read-explanation.ts";
import type { Action, ReportedRecipient } from "./report.ts";
import { addressIn, parseFields } from "./report-fields.ts";
import { replyIn, typed } from "./reported-reply.ts";

/** Postmark's and our own limit of a message's recipients is 50; a list's expansion can name more. */
const MAX_RECIPIENTS = 200;
const MAX_GROUPS = 1_000;
const STATUS_PART = /^message\/(?:global-)?delivery-status$/;
const RECIPIENT_FIELDS = ["final-recipient", "original-recipient", "action", "status", "diagnostic-code"];
const IN_TEXT = /^(?:Final-Recipient|Original-Recipient)[ \t]*:/im;

export interface ReadDsn {
  recipients: ReportedRecipient[];
  reportingMta: string;
}

/** Undefined when the message has no such fields. */
export function readDsn(opened: Opened): ReadDsn | undefined {
  const texts = opened.parts.filter((p) => STATUS_PART.test(p.type)).map((p) => p.text);
  if (texts.length === 0 && IN_TEXT.test(opened.text)) texts.push(fieldsIn(opened.text));
  if (texts.length === 0) return undefined;
  const groups = texts.flatMap(groupsOf).map(parseFields);
  const about = groups.find((g) => g.has("reporting-mta") || g.has("arrival-date"));
  const failed = groups.filter((g) => RECIPIENT_FIELDS.some((name) => g.has(name))).slice(0, MAX_RECIPIENTS);
  if (failed.length === 0 && !about) return undefined;
  // Told in the text alone: some servers leave the recipient, and others the reply, out of the fields.
  const explained = readExplanations(opened);
  const read = failed.map((group, i) => {
    const address = addressIn(group.get("final-recipient") ?? "");
    // In the order of the fields only where they name nobody: one recipient's reason is not another's.
    const unnamed = address === "" || failed.length === 1 ? explained[i] : undefined;
    const explanation = explained.find((e) => same(e.address, address)) ?? unnamed;
    return readGroup(group, { opened, explanation });
  });
  return {
    recipients: read.length > 0 ? merged(read) : explained,
    reportingMta: mtaIn(about?.get("reporting-mta") ?? ""),
  };
}

function readGroup(
  group: Map<string, string>,
  { opened, explanation }: { opened: Opened; explanation?: ReportedRecipient },
): ReportedRecipient {
  const value = (name: string) => group.get(name) ?? "";
  const diagnostic = value("diagnostic-code").replace(/^[A-Za-z0-9-]{1,20}[ \t]*;[ \t]*/, "");
  const status = /[245]\.\d{1,3}\.\d{1,3}/.exec(value("status"))?.[0] ?? "";
  let reply = replyIn(diagnostic);
  if (reply.text === "" && reply.code === 0 && explanation) reply = explanation.reply;
  if (reply.enhanced === "" || isVague(reply.enhanced, status))
    reply = { ...reply, enhanced: status || reply.enhanced };
  const original = addressIn(value("original-recipient"));
  const action = actionOf(value("action"), reply, opened);
  const details = cleanText(value("diagnostic-code")) || explanation?.details || replyText(reply);
  const recipient: ReportedRecipient = {
    address: addressIn(value("final-recipient")) || original || explanation?.address || "",
    original,
    action,
    status: status || reply.enhanced,
    reply,
    details,
    remoteMta: mtaIn(value("remote-mta")),
  };
  return typed(recipient);
}

/** "5.0.0" of a server beside "5.1.1" of the report, and the other way round. */
function isVague(enhanced: string, status: string): boolean {
  return /\.0\.0$/.test(enhanced) && status !== "" && !/\.0\.0$/.test(status);
}

function actionOf(said: string, reply: Reply, { subject, text }: Opened): Action {
  const [, word] = /^\s*([a-z]+)/i.exec(said) ?? [];
  switch (word?.toLowerCase()) {
    case "failed":
    case "failure":
    case "delivery-failed":
      return "failed";
    case "delayed":
    case "delivered":
    case "relayed":
    case "expanded":
      return word.toLowerCase() as Action;
  }
  if (reply.enhanced.startsWith("2")) return "delivered";
  const isDelay =
    !reply.enhanced.startsWith("5") && reply.code < 500 && DELAY.test(`${subject}\n${text.slice(0, 4_000)}`);
  return isDelay ? "delayed" : "failed";
}

function mtaIn(value: string): string {
  return cleanText(value.replace(/^\s*[A-Za-z0-9-]{1,20}\s*;/, "")).slice(0, 255);
}

/** Blank lines part the groups; where there is none, the next field that names a recipient, and that the group has, does. */
function groupsOf(text: string): string[] {
  const groups: string[] = [];
  let group: string[] = [];
  let named = new Set<string>();
  for (const line of [...text.split("\n"), ""]) {
    const [, name] = /^((?:Final|Original)-Recipient)[ \t]*:/i.exec(line) ?? [];
    const key = name?.toLowerCase() ?? "";
    if (line.trim() === "" || named.has(key)) {
      if (group.length > 0) groups.push(group.join("\n"));
      if (groups.length >= MAX_GROUPS) break;
      group = [];
      named = new Set();
    }
    if (key) named.add(key);
    if (line.trim() !== "") group.push(line);
  }
  return groups;
}

/** From the first line that looks like a field of such a report, to where the returned message begins. */
function fieldsIn(text: string): string {
  const start = text.search(
    /^(?:Reporting-MTA|Final-Recipient|Original-Recipient|X-Postfix-Queue-ID)[ \t]*:/im,
  );
  const rest = text.slice(Math.max(start, 0));
  const end = rest.search(COPY_MARKER);
  return end < 0 ? rest : rest.slice(0, end);
}

/** A recipient that is reported twice, by two servers or in two parts, is one: the first that failed tells. */
function merged(recipients: ReportedRecipient[]): ReportedRecipient[] {
  const kept = new Map<string, ReportedRecipient>();
  for (const recipient of recipients) {
    const key = recipient.address.toLowerCase();
    const before = kept.get(key);
    if (!before || (before.action !== "failed" && recipient.action === "failed")) kept.set(key, recipient);
  }
  return [...kept.values()];
}

function same(a: string, b: string): boolean {
  return a !== "" && a.toLowerCase() === b.toLowerCase();
}
