/**
 * Opens a message that came to an inbound address. One beyond the bounds is not read further than its header, and is then its own
 * attachment, so that nothing of it is lost to whoever gets the payload.
 */
import PostalMime, { type Address, addressParser, decodeWords, type Email } from "postal-mime";
import { collapse, endOfHeader, isParsable, MAX_HEADER_BYTES, markerOf, type Run } from "./collapse.ts";
import type { Content } from "./content.ts";
import { strippedReply } from "./stripped-reply.ts";
import { mailboxHash } from "./whose.ts";

/** As deep as open-message.ts goes. */
const MAX_NESTING = 100;
const MAX_HEADER_FIELDS = 2_000;
/** UTF-16 units of each body that is shown; RawEmail and the raw message have the rest. */
const MAX_BODY = 5 * 1024 * 1024;
/** A message to more is a list that nobody reads. */
const MAX_ADDRESSES = 500;
/** As many parts as collapse.ts lets a message have. */
const MAX_ATTACHMENTS = 1_000;
const MAX_SUBJECT = 2_000;
/** As the API has it. */
const MAX_TAG = 1_000;
const MAX_NAME = 500;
const MAX_ADDRESS = 320;

export interface InboundAddress {
  email: string;
  name: string;
  mailboxHash: string;
}

export interface InboundAttachment {
  name: string;
  contentType: string;
  /** Without its angle brackets; "" when it has none. */
  contentId: string;
  content: Content;
}

export interface InboundMail {
  from: InboundAddress;
  to: InboundAddress[];
  cc: InboundAddress[];
  bcc: InboundAddress[];
  replyTo: string;
  subject: string;
  date: string;
  tag: string;
  /** All of them, in their order. */
  headers: { name: string; value: string }[];
  textBody: string;
  htmlBody: string;
  strippedTextReply: string;
  attachments: InboundAttachment[];
  /** Why only its header was read; "" when all of it was. */
  unread: string;
}

export async function openMail(raw: Uint8Array, nonce: string): Promise<InboundMail> {
  const collapsed = collapse(raw, nonce);
  if ("tooMuch" in collapsed) return headerOnly(raw, collapsed.tooMuch);
  try {
    const { bytes, runs } = collapsed.ok;
    const email = await parse(bytes);
    const attachments = attachmentsOf(email, { raw, runs, nonce });
    if (attachments) return mailOf(email, attachments, "");
    // The parser sees another structure than the runs were taken from: rare, odd, and no way past the bounds.
    if (!isParsable(raw))
      return headerOnly(raw, "parts that are not what they seem, and too much to parse whole");
    return mailOf(await parse(raw.slice()), undefined, "");
  } catch (error) {
    // The parser refuses what exceeds its limits, and nothing else.
    return headerOnly(raw, error instanceof Error ? error.message.slice(0, 200) : "cannot be parsed");
  }
}

function parse(bytes: Uint8Array): Promise<Email> {
  return PostalMime.parse(bytes, {
    // What was forwarded whole is somebody else's words.
    forceRfc822Attachments: true,
    maxNestingDepth: MAX_NESTING,
    maxHeadersSize: MAX_HEADER_BYTES,
  });
}

/** `message.eml` is the whole of it. */
async function headerOnly(raw: Uint8Array, unread: string): Promise<InboundMail> {
  const all = raw.subarray(0, Math.min(endOfHeader(raw), MAX_HEADER_BYTES / 2));
  // To the end of a line; the type says what the body is, which is left out here.
  const header = all.subarray(0, all.lastIndexOf(0x0a) + 1);
  const lines = new TextDecoder("latin1").decode(header).split("\n").slice(0, MAX_HEADER_FIELDS);
  const text = `${lines.join("\n").replace(/^content-(?:type|transfer-encoding):/gim, "X-$&")}\r\n`;
  const email = await parse(Uint8Array.from(text, (c) => c.charCodeAt(0)));
  const whole = {
    name: "message.eml",
    contentType: "message/rfc822",
    contentId: "",
    content: { bytes: raw },
  };
  return mailOf({ ...email, text: "", html: "" }, [whole], unread);
}

/** undefined when some run is not an attachment's whole content. */
function attachmentsOf(
  email: Email,
  { raw, runs, nonce }: { raw: Uint8Array; runs: Run[]; nonce: string },
): InboundAttachment[] | undefined {
  const byMarker = new Map(runs.map((run, i) => [markerOf(nonce, i), run]));
  let found = 0;
  const attachments = email.attachments.map((attachment) => {
    const bytes = bytesOf(attachment.content);
    const text = bytes.length < 100 ? new TextDecoder("latin1").decode(bytes) : "";
    const run = byMarker.get(text);
    if (run) found++;
    const content: Content = run ? { raw, run } : { bytes };
    return attachmentOf(attachment, content);
  });
  return found === runs.length ? attachments : undefined;
}

function attachmentOf(
  { filename, mimeType, contentId }: Email["attachments"][number],
  content: Content,
): InboundAttachment {
  const contentType = mimeType.slice(0, MAX_NAME).toWellFormed() || "application/octet-stream";
  return {
    name: clean(filename ?? "").slice(0, MAX_NAME) || nameless(contentType),
    contentType,
    contentId: (contentId ?? "").trim().replace(/^<|>$/g, "").slice(0, MAX_NAME).toWellFormed(),
    content,
  };
}

function nameless(contentType: string): string {
  if (contentType === "message/rfc822") return "message.eml";
  return contentType === "text/calendar" ? "invite.ics" : "attachment";
}

function bytesOf(content: ArrayBuffer | Uint8Array | string): Uint8Array {
  if (typeof content === "string") return new TextEncoder().encode(content);
  return content instanceof Uint8Array ? content : new Uint8Array(content);
}

function mailOf(email: Email, known: InboundAttachment[] | undefined, unread: string): InboundMail {
  const headers = email.headers.slice(0, MAX_HEADER_FIELDS).map(({ originalKey, value }) => {
    return { name: originalKey.toWellFormed(), value: value.toWellFormed() };
  });
  const value = (name: string) => headers.find((h) => h.name.toLowerCase() === name)?.value ?? "";
  const textBody = bodyOf(email.text);
  const isReply = value("in-reply-to") !== "" || value("references") !== "";
  const attachments = known ?? email.attachments.map((a) => attachmentOf(a, { bytes: bytesOf(a.content) }));
  return {
    from: flat(email.from ? [email.from] : [])[0] ?? { email: "", name: "", mailboxHash: "" },
    to: flat(email.to),
    cc: flat(email.cc),
    bcc: flat(email.bcc),
    replyTo: flat(email.replyTo)
      .map((a) => a.email)
      .join(", "),
    subject: clean(email.subject ?? "")
      .slice(0, MAX_SUBJECT)
      .toWellFormed(),
    date: value("date").slice(0, 200),
    tag: clean(decodeWords(value("x-pm-tag").slice(0, 4 * MAX_TAG))).slice(0, MAX_TAG),
    headers,
    textBody,
    htmlBody: bodyOf(email.html),
    strippedTextReply: isReply ? strippedReply(textBody) : "",
    attachments: attachments.slice(0, MAX_ATTACHMENTS),
    unread,
  };
}

/** Lines end in LF, in whatever encoding they came. */
function bodyOf(text = ""): string {
  return text.slice(0, MAX_BODY).replaceAll("\r\n", "\n").toWellFormed();
}

/** Groups are the addresses in them. */
function flat(addresses: Address[] | undefined): InboundAddress[] {
  return (addresses ?? [])
    .slice(0, MAX_ADDRESSES)
    .flatMap((a) => a.group ?? [a])
    .filter((a) => a.address !== "" && a.address.length <= MAX_ADDRESS)
    .slice(0, MAX_ADDRESSES)
    .map(({ address, name }) => addressOf(address, name));
}

export function addressOf(address: string, name = ""): InboundAddress {
  const email = clean(address);
  return { email, name: clean(name).slice(0, MAX_NAME).toWellFormed(), mailboxHash: mailboxHash(email) };
}

/** The addresses of a header field's text. */
export function addressesIn(text: string): string[] {
  return addressParser(text.slice(0, 10_000), { flatten: true }).flatMap((a) =>
    a.address ? [a.address.toLowerCase()] : [],
  );
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: replacing them is the point.
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g;

/** One line: a name with a line break in it is an attack on whoever writes it into a header. */
function clean(text: string): string {
  return text.replace(CONTROLS, " ").trim().toWellFormed();
}
