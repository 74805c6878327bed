/**
 * Reads what a DSN says in words for people: who failed, and why. For old servers that give nothing else (qmail, Exim, Exchange 5.5,
 * Domino, GroupWise, sendmail before 8.8), and for what others leave out of their fields.
 */
import { replyText } from "../mail/reply.ts";
import { RETURN_PATH_PATTERN } from "../mail/return-path.ts";
import { cleanText, toReply } from "../smtp/reply-text.ts";
import { fieldOf, type Opened } from "./open-message.ts";
import { COPY_MARKER, DAEMON, DELAY } from "./phrases.ts";
import type { Action, ReportedRecipient } from "./report.ts";
import { plainAddress } from "./report-fields.ts";
import { replyIn, typed } from "./reported-reply.ts";

/** Explanations are short; what comes after is the returned message, however it is marked. */
const MAX_EXPLANATION = 16 * 1024;
const MAX_LINES = 400;
const MAX_RECIPIENTS = 100;
/** Lines after a recipient's that may be about it. */
const MAX_ABOUT = 14;

const AT = '[^\\s<>@"(),:;]{1,64}@[^\\s<>@"(),:;]{1,250}';
/** A line that is about one recipient, by its beginning: "<ann@x.example>:", "ann@x.example (no such user)", "Failed address: ann@…". */
const HEADS = [
  new RegExp(
    `^[ \\t>*|-]{0,40}['"]?<?(${AT})>?['"]?[ \\t]*(?::|$|\\(|\\.\\.\\.|-|<mailto:| on [A-Z][a-z]{2},)`,
  ),
  new RegExp(
    `^[ \\t>*|]{0,40}[^:\\n<>@]{0,60}(?:recipient|address|user|empfänger|destinataire|destinatario|получател|адрес|宛先|收件人)[^:\\n<>@]{0,40}[ \\t]?[:：][ \\t]*['"]?<?(${AT})`,
    "i",
  ),
  new RegExp(`^[ \\t>*|]{0,40}["']?[^"'<>@\\n:]{1,80}["']?[ \\t]<(?:mailto:)?(${AT})>[ \\t]*$`),
  new RegExp(`RCPT TO: ?<(${AT})>`, "i"),
];
const OWN_PATH = new RegExp(`^${RETURN_PATH_PATTERN}@`, "i");

/** One for each recipient that the text names; one without an address when it names none. */
export function readExplanations(opened: Opened): ReportedRecipient[] {
  const lines = explanationOf(opened.text);
  const named = (fieldOf(opened, "x-failed-recipients") || "")
    .split(/[,\s]+/, MAX_RECIPIENTS)
    .map(plainAddress)
    .filter(Boolean);
  const addresses = named.length > 0 ? unique(named) : recipientsIn(lines, opened);
  const action = isDelay(opened) ? "delayed" : "failed";
  if (addresses.length === 0) return [explained("", lines, action)];
  return addresses.map((address) => explained(address, aboutOf(address, { lines, addresses }), action));
}

/** Whether the text only warns. */
export function isDelay({ subject, text }: Pick<Opened, "subject" | "text">): boolean {
  const said = explanationOf(text).join("\n");
  if (/permanent|giv(?:en?|ing) up|returned to sender|undeliver|fail(?:ed|ure)/i.test(subject)) return false;
  return (
    DELAY.test(subject) ||
    (DELAY.test(said) && !/permanent|giv(?:en?|ing) up|has been returned|failed/i.test(said))
  );
}

function explanationOf(text: string): string[] {
  const start = text.slice(0, MAX_EXPLANATION);
  const end = start.search(COPY_MARKER);
  return (end < 0 ? start : start.slice(0, end)).split("\n").slice(0, MAX_LINES);
}

function recipientsIn(lines: string[], opened: Opened): string[] {
  const not = new Set(
    [opened.from, plainAddress(fieldOf(opened, "to")), plainAddress(fieldOf(opened, "delivered-to"))].map(
      (a) => a.toLowerCase(),
    ),
  );
  const isOther = (address: string) =>
    plainAddress(address) !== "" &&
    !not.has(address.toLowerCase()) &&
    !OWN_PATH.test(address) &&
    !DAEMON.test(address);
  for (const head of HEADS) {
    const found = lines
      .flatMap((line) => plainAddress(head.exec(line.slice(0, 1_000))?.[1] ?? "") || [])
      .filter(isOther);
    if (found.length > 0) return unique(found);
  }
  const any = lines.flatMap((line) => plainAddress(line.slice(0, 1_000)) || []).filter(isOther);
  return unique(any).slice(0, 1);
}

/** The lines that name a recipient, and those that follow until another is named. */
function aboutOf(address: string, { lines, addresses }: { lines: string[]; addresses: string[] }): string[] {
  const others = addresses.filter((a) => a !== address).map((a) => a.toLowerCase());
  const own = address.toLowerCase();
  const about: string[] = [];
  let left = 0;
  for (const line of lines) {
    const lower = line.toLowerCase();
    if (lower.includes(own)) left = MAX_ABOUT;
    else if (others.some((a) => lower.includes(a))) left = 0;
    if (left-- > 0) about.push(line);
  }
  // One recipient: what stands before it ("because: …", "Unknown user: ann@…") is about it too.
  if (others.length > 0) return about;
  return about.some((line) => /[45]\d\d[ -]/.test(line)) || about.length > 3 ? about : lines;
}

function explained(address: string, lines: string[], action: Action): ReportedRecipient {
  const text = lines.join("\n").trim();
  const found = replyIn(text);
  const reply = found.code ? found : toReply([`${text.replace(/\s+/g, " ")}`]);
  // "Status: 5.1.1", "#5.1.1": servers that put it in words put it anywhere.
  const enhanced =
    reply.enhanced || (/(?:^|[\s#(<[:])([45]\.[0-7]\.\d{1,3})(?=$|[\s)\]>,;:])/.exec(text)?.[1] ?? "");
  const whole = { ...reply, enhanced };
  const details = found.code ? replyText(found) : cleanText(text);
  return typed({ address, original: "", action, status: enhanced, reply: whole, details, remoteMta: "" });
}

function unique(addresses: string[]): string[] {
  const seen = new Map(addresses.map((a) => [a.toLowerCase(), a]));
  return [...seen.values()].slice(0, MAX_RECIPIENTS);
}
