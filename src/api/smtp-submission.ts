/**
 * From a message that came by SMTP to what is known of it: who it is from, which stream, its tag, metadata and tracking, out of the X-PM-*
 * headers (Postmark's SMTP guide). The rules are those of the API. Nobody is there to be told that one is broken, so a
 * message that breaks it has a `refusal`, and is accepted to become an SMTPApiError bounce.
 */
import PostalMime, { type Address, decodeWords, type Email } from "postal-mime";
import type { ServerPolicy } from "../accounts/policy.ts";
import { attachmentNames } from "../compose/read-content.ts";
import { skeleton } from "../compose/skeleton.ts";
import { parseAddressList, printable } from "../mail/address.ts";
import type { BatchMessage } from "../mail/ingress.ts";
import type { Mailbox, Tracking } from "../mail/message.ts";
import { MAX_SUBJECT, oneLine } from "../mail/text.ts";
import { checkFileType } from "./attachments.ts";
import { type Result, refused } from "./error.ts";
import { readMetadata } from "./message-extras.ts";
import {
  checkSender,
  checkStream,
  DEFAULT_STREAM,
  MAX_FROM,
  MAX_RECIPIENTS,
  MAX_TAG,
  TRACKING,
} from "./submission.ts";

/** Shown in lists; who gets the message is the envelope's to say. */
const MAX_SHOWN_ADDRESSES = 100;
const METADATA = "x-pm-metadata-";

export interface SmtpSubmission {
  from: Mailbox;
  to: Mailbox[];
  cc: Mailbox[];
  /** The envelope's recipients that neither To nor Cc names. */
  bcc: Mailbox[];
  /** Bare addresses, as in the envelope. */
  recipients: string[];
  stream: string;
  subject: string;
  tag: string;
  metadata: Record<string, string>;
  trackOpens: boolean;
  trackLinks: Tracking;
  /** File names. */
  attachments: string[];
  bounceType: string;
  keepMessageId: boolean;
  /** Why the API would not have taken it: "411 Attachment 'a.exe' has …". */
  refusal?: string;
}

/** `bytes` is the message as the client sent it. Never throws: what cannot be read is refused. */
export async function readSmtpSubmission(
  bytes: Uint8Array,
  { envelope, stream: bound }: Pick<BatchMessage, "envelope" | "stream">,
  policy: ServerPolicy,
): Promise<SmtpSubmission> {
  const recipients = envelope.recipients.map((r) => r.address);
  const read = await parse(bytes);
  const email = "ok" in read ? read.ok : undefined;
  const header = (name: string) => headerOf(email, name);
  const to = mailboxes(email?.to);
  const cc = mailboxes(email?.cc);
  const shown = new Set([...to, ...cc].map((m) => m.email.toLowerCase()));
  const from = senderOf(fieldOf(email, "from"));
  const stream = bound ?? (header("x-pm-message-stream").trim() || DEFAULT_STREAM);
  const metadata = readMetadata(metadataOf(email));
  const submission: SmtpSubmission = {
    from: "ok" in from ? from.ok : { email: "", name: "" },
    to,
    cc,
    bcc: recipients.filter((r) => !shown.has(r.toLowerCase())).map((r) => ({ email: r, name: "" })),
    recipients,
    stream,
    subject: oneLine(email?.subject ?? "").slice(0, MAX_SUBJECT),
    tag: oneLine(header("x-pm-tag")).trim().slice(0, MAX_TAG),
    metadata: "ok" in metadata ? metadata.ok : {},
    trackOpens: policy.trackOpens || isTrue(header("x-pm-trackopens") || header("x-pm-track-opens")),
    trackLinks: trackingOf(header("x-pm-tracklinks")) ?? policy.trackLinks,
    attachments: attachmentNames(email?.attachments ?? []),
    bounceType: header("x-pm-bounce-type").trim(),
    keepMessageId: isTrue(header("x-pm-keepid")),
  };
  const refusal =
    checkStream(stream, policy) ??
    problem(read) ??
    problem(from) ??
    checkCounts(recipients, header, email) ??
    problem(metadata) ??
    firstForbidden(submission.attachments) ??
    checkSender(submission.from, policy);
  if (!refusal) return submission;
  // A stream that does not exist has no place in the archive: its bounce is shown with the default one.
  const isKnown = policy.streams.some((s) => s.id === stream && s.type !== "Inbound");
  const { code, message } = refusal.error;
  return { ...submission, stream: isKnown ? stream : DEFAULT_STREAM, refusal: `${code} ${message}` };
}

async function parse(bytes: Uint8Array): Promise<Result<Email>> {
  const bones = skeleton(bytes);
  if ("error" in bones) return refused(300, "The message has too many parts.");
  try {
    return { ok: await PostalMime.parse(bones.bytes, { forceRfc822Attachments: true }) };
  } catch (error) {
    // Nested or headed beyond the parser's limits: no mail program makes such a thing.
    return refused(300, `The message could not be read: ${printable(String(error))}`);
  }
}

function problem(result: Result<unknown>): ReturnType<typeof refused> | undefined {
  return "error" in result ? result : undefined;
}

/** The field's text, decoded and unfolded; "" when there is none. The first of several. */
function headerOf(email: Email | undefined, name: string): string {
  return decodeWords(fieldOf(email, name));
}

/** As it is written, unfolded. */
function fieldOf(email: Email | undefined, name: string): string {
  return email?.headers.find((h) => h.key === name)?.value ?? "";
}

/**
 * Exactly one field with exactly one address, or what was checked might not be what is shown. It is parsed before words are decoded
 * (RFC 2047 §6.1): a name may hold a comma. Where that finds nothing, some programs have encoded the address as well.
 */
function senderOf(field: string): Result<Mailbox> {
  const text = decodeWords(field);
  const written = parseAddressList(field);
  const list = "ok" in written ? written : parseAddressList(text);
  const [from, ...others] = "ok" in list ? list.ok : [];
  if (!from || others.length > 0) return refused(300, `Invalid 'From' address: '${printable(text)}'.`);
  if (text.length > MAX_FROM) return refused(300, `Invalid 'From'. It is limited to ${MAX_FROM} characters.`);
  return { ok: from };
}

function checkCounts(recipients: string[], header: (name: string) => string, email: Email | undefined) {
  if (email && email.headers.filter((h) => h.key === "from").length > 1)
    return refused(300, "Invalid 'From' address: the message has more than one 'From' header.");
  if (recipients.length > MAX_RECIPIENTS)
    return refused(
      300,
      `Too many recipients: ${recipients.length}. A message may have at most ${MAX_RECIPIENTS}.`,
    );
  if ((email?.subject ?? "").length > MAX_SUBJECT)
    return refused(300, `Invalid 'Subject'. It is limited to ${MAX_SUBJECT} characters.`);
  if (header("x-pm-tag").trim().length > MAX_TAG)
    return refused(300, `Invalid 'Tag'. It is limited to ${MAX_TAG} characters.`);
  return undefined;
}

function firstForbidden(names: string[]) {
  for (const name of names) {
    const forbidden = checkFileType(name);
    if (forbidden) return forbidden;
  }
  return undefined;
}

/** "X-PM-Metadata-color" is `color`; the same again is `color1`, `color2` (Postmark gives a numeric suffix). */
function metadataOf(email: Email | undefined): Record<string, string> {
  const fields = new Map<string, string>();
  const counts = new Map<string, number>();
  for (const { key, originalKey, value } of email?.headers ?? []) {
    if (!key.startsWith(METADATA)) continue;
    const count = counts.get(key) ?? 0;
    counts.set(key, count + 1);
    const name = originalKey.slice(METADATA.length);
    fields.set(count === 0 ? name : `${name}${count}`, decodeWords(value).trim());
  }
  return Object.fromEntries(fields);
}

function mailboxes(list: Address[] | undefined): Mailbox[] {
  return (list ?? [])
    .flatMap((entry) => (entry.group ? entry.group : [entry]))
    .filter((entry) => entry.address)
    .slice(0, MAX_SHOWN_ADDRESSES)
    .map(({ address, name }) => ({ email: printable(address ?? ""), name: printable(name) }));
}

function isTrue(text: string): boolean {
  return text.trim().toLowerCase() === "true";
}

function trackingOf(text: string): Tracking | undefined {
  return TRACKING.find((t) => t.toLowerCase() === text.trim().toLowerCase());
}
