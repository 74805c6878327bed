/**
 * From the fields of a message, as Postmark's callers write them, to a submission. Every rule about one message is here, in the
 * order in which it is checked; pure, so that each door for mail (one message, batches, templates, bulk) has the same rules.
 */
import * as z from "zod";
import type { ServerPolicy } from "../accounts/policy.ts";
import { domainOf, parseAddressList, printable } from "../mail/address.ts";
import type { Mailbox, Submission, Tracking } from "../mail/message.ts";
import {
  CONTROL,
  MAX_BODY_BYTES,
  MAX_MESSAGE_BYTES,
  MAX_SUBJECT,
  oneLine,
  utf8Length,
} from "../mail/text.ts";
import { attachmentFields, readAttachments } from "./attachments.ts";
import { type Result, refused } from "./error.ts";
import { fieldsReader, flag, scalar } from "./json-body.ts";
import { readHeaders, readMetadata } from "./message-extras.ts";
import { parseSendAt, sendAtField } from "./send-at.ts";

export const MAX_RECIPIENTS = 50;
export const MAX_FROM = 255;
export const MAX_TAG = 1000;
export const DEFAULT_STREAM = "outbound";

export const TRACKING = ["None", "HtmlAndText", "HtmlOnly", "TextOnly"] as const satisfies Tracking[];

/** Exported so that templated messages can add theirs: `messageFields.extend({…})`. */
export const messageFields = z.object({
  From: z.string().default(""),
  To: z.string().default(""),
  Cc: z.string().default(""),
  Bcc: z.string().default(""),
  ReplyTo: z.string().default(""),
  Subject: z.string().default(""),
  HtmlBody: z.string().default(""),
  TextBody: z.string().default(""),
  Tag: z.string().default(""),
  Headers: z.array(z.object({ Name: scalar.default(""), Value: scalar.default("") })).default([]),
  TrackOpens: flag.optional(),
  TrackLinks: z
    .preprocess(
      (value) => TRACKING.find((t) => t.toLowerCase() === String(value).toLowerCase()),
      z.enum(TRACKING),
    )
    .optional(),
  Metadata: z.record(z.string(), z.unknown()).default({}),
  Attachments: z.array(attachmentFields).default([]),
  MessageStream: z.string().default(""),
  SendAt: sendAtField,
});

export type MessageFields = z.infer<typeof messageFields>;

/** Keys in any case, types checked: code 402 or 403. */
export const readMessageFields = fieldsReader(messageFields);

export type Content = Pick<MessageFields, "Subject" | "HtmlBody" | "TextBody">;

/**
 * Checks one message against every rule but suppression, which the Outbox knows best. Without a policy (the test token)
 * no sender needs to be known and any stream will do. What is made of a template is made by `render`, at its place in the order,
 * and held to the limits of any message; it is undefined where there is nothing to render.
 */
export function parseSubmission(
  fields: MessageFields,
  policy: ServerPolicy | undefined,
  render?: () => Result<Content | undefined>,
): Result<Submission> {
  const stream = fields.MessageStream || DEFAULT_STREAM;
  const unfit = policy && checkStream(stream, policy);
  if (unfit) return unfit;
  const addresses = readAddresses(fields);
  if ("error" in addresses) return addresses;
  const limits = (render ? undefined : checkContent(fields, fields)) ?? checkLimits(fields);
  if (limits) return limits;
  const metadata = readMetadata(fields.Metadata);
  if ("error" in metadata) return metadata;
  const headers = readHeaders(fields.Headers);
  if ("error" in headers) return headers;
  const attachments = readAttachments(fields.Attachments);
  if ("error" in attachments) return attachments;
  const sendAt = parseSendAt(fields.SendAt);
  if ("error" in sendAt) return sendAt;
  const content = render ? render() : { ok: fields };
  if ("error" in content) return content;
  const unsendable = render && content.ok && checkContent(content.ok, fields);
  if (unsendable) return unsendable;
  const { Subject = "", HtmlBody = "", TextBody = "" } = content.ok ?? {};
  const unknown = policy && checkSender(addresses.ok.from, policy);
  if (unknown) return unknown;
  const replyTo = addresses.ok.replyTo;
  return {
    ok: {
      ...addresses.ok,
      replyTo: replyTo.length > 0 || !policy ? replyTo : signatureReplyTo(addresses.ok.from, policy),
      subject: oneLine(Subject),
      htmlBody: HtmlBody.toWellFormed(),
      textBody: TextBody.toWellFormed(),
      tag: fields.Tag.trim().toWellFormed(),
      headers: headers.ok,
      metadata: metadata.ok,
      attachments: attachments.ok,
      // A server's TrackOpens cannot be turned off by a message; its TrackLinks can.
      trackOpens: (policy?.trackOpens ?? false) || (fields.TrackOpens ?? false),
      trackLinks: fields.TrackLinks ?? policy?.trackLinks ?? "None",
      stream,
      ...(sendAt.ok !== undefined && { sendAt: sendAt.ok }),
    },
  };
}

export function checkStream(id: string, policy: ServerPolicy): Refusal | undefined {
  const stream = policy.streams.find((s) => s.id === id);
  if (!stream) return refused(1235, `The stream provided: '${printable(id)}' does not exist on this server.`);
  if (stream.type === "Inbound")
    return refused(1236, `The stream provided: '${id}' is for inbound messages and cannot send.`);
  if (stream.archived) return refused(1236, `The stream provided: '${id}' is archived and cannot send.`);
  return undefined;
}

type Addresses = Pick<Submission, "from" | "to" | "cc" | "bcc" | "replyTo">;

function readAddresses(fields: MessageFields): Result<Addresses> {
  const senders = parseAddressList(fields.From);
  const from = "ok" in senders ? senders.ok[0] : undefined;
  if (!from) return invalidAddress("From", fields.From);
  const lists: Mailbox[][] = [];
  for (const [name, text] of [
    ["To", fields.To],
    ["Cc", fields.Cc],
    ["Bcc", fields.Bcc],
    ["Reply-To", fields.ReplyTo],
  ] as const) {
    const list = parseAddressList(text);
    if ("ok" in list) lists.push(list.ok);
    else if (name === "To" && !text.includes(",")) return invalidAddress(name, text);
    else return refused(300, `Error parsing '${name}': ${list.error}`);
  }
  const [to = [], cc = [], bcc = [], replyTo = []] = lists;
  const count = to.length + cc.length + bcc.length;
  if (count === 0) return invalidAddress("To", fields.To);
  if (count > MAX_RECIPIENTS)
    return refused(
      300,
      `Too many recipients: ${count}. A message may have at most ${MAX_RECIPIENTS} in To, Cc and Bcc together.`,
    );
  return { ok: { from, to, cc, bcc, replyTo } };
}

function checkLimits({ From, Tag }: MessageFields): Refusal | undefined {
  if (From.length > MAX_FROM) return tooLong("From", `${MAX_FROM} characters`);
  if (Tag.length > MAX_TAG) return tooLong("Tag", `${MAX_TAG} characters`);
  if (CONTROL.test(Tag.trim())) return refused(300, "Invalid 'Tag'. It may not contain control characters.");
  return undefined;
}

function checkContent(
  { Subject, HtmlBody, TextBody }: Content,
  { Attachments }: MessageFields,
): Refusal | undefined {
  if (!HtmlBody && !TextBody) return refused(300, "Provide either email TextBody or HtmlBody or both.");
  if (Subject.length > MAX_SUBJECT) return tooLong("Subject", `${MAX_SUBJECT} characters`);
  const html = utf8Length(HtmlBody, MAX_BODY_BYTES);
  if (html > MAX_BODY_BYTES) return tooLong("HtmlBody", "5 MB");
  const text = utf8Length(TextBody, MAX_BODY_BYTES);
  if (text > MAX_BODY_BYTES) return tooLong("TextBody", "5 MB");
  const attached = Attachments.reduce((sum, a) => sum + (a.Content?.length ?? 0), 0);
  if (html + text + attached > MAX_MESSAGE_BYTES) return refused(300, "The message is larger than 10 MB.");
  return undefined;
}

export function checkSender(from: Mailbox, policy: ServerPolicy): Refusal | undefined {
  if (policy.domains.includes(domainOf(from.email))) return undefined;
  const sender = senderOf(from, policy);
  if (sender?.confirmed) return undefined;
  const supplied = `The 'From' address you supplied (${from.email})`;
  if (sender) return refused(401, `${supplied} is a Sender Signature that has not been confirmed yet.`);
  return refused(
    400,
    `${supplied} is not a Sender Signature on your account. Please add and confirm this address, or verify its domain, to be able to use it in the 'From' field of your messages.`,
  );
}

function senderOf(from: Mailbox, policy: ServerPolicy) {
  const email = from.email.toLowerCase();
  return policy.senders.find((s) => s.email === email);
}

function signatureReplyTo(from: Mailbox, policy: ServerPolicy): Mailbox[] {
  const list = parseAddressList(senderOf(from, policy)?.replyTo ?? "");
  return "ok" in list ? list.ok : [];
}

export type Refusal = ReturnType<typeof refused>;

function invalidAddress(field: string, text: string): Refusal {
  return refused(300, `Invalid '${field}' address: '${printable(text)}'.`);
}

function tooLong(field: string, limit: string): Refusal {
  return refused(300, `Invalid '${field}'. It is limited to ${limit}.`);
}
