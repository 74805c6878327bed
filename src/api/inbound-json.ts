/** Received mail as Postmark's API shows it (§9.2 and §18.2 of the wire contract), and the schemas that say so. */
import * as z from "zod";
import type { InboundMessage, InboundStatus, ListedInbound } from "../archive/inbound.ts";
import { fullJson, listText } from "../receive/inbound/payload.ts";

const STREAM = "inbound";
const STATUS = {
  queued: "Queued",
  scheduled: "Scheduled",
  processed: "Processed",
  blocked: "Blocked",
  failed: "Failed",
} as const satisfies Record<InboundStatus, string>;

const full = z.object({ Email: z.string(), Name: z.string(), MailboxHash: z.string() });
export const listedInbound = z.object({
  MessageStream: z.literal(STREAM),
  MessageID: z.string(),
  From: z.string(),
  FromName: z.string(),
  FromFull: full,
  To: z.string(),
  ToFull: z.array(full),
  Cc: z.string(),
  CcFull: z.array(full),
  Bcc: z.string(),
  BccFull: z.array(full),
  OriginalRecipient: z.string(),
  ReplyTo: z.string(),
  Subject: z.string(),
  Date: z.string(),
  MailboxHash: z.string(),
  Tag: z.string(),
  Status: z.enum(Object.values(STATUS)),
  Attachments: z.array(
    z.object({ Name: z.string(), ContentType: z.string(), ContentLength: z.int(), ContentID: z.string() }),
  ),
});
export const inboundDetails = listedInbound.extend({
  TextBody: z.string(),
  HtmlBody: z.string(),
  StrippedTextReply: z.string(),
  Headers: z.array(z.object({ Name: z.string(), Value: z.string() })),
  BlockedReason: z.string().nullable(),
});

export function inboundJson({ id, status, summary, ...row }: ListedInbound): z.infer<typeof listedInbound> {
  const { from, to, cc, bcc } = summary;
  return {
    MessageStream: STREAM,
    MessageID: id,
    From: from.email,
    FromName: from.name,
    FromFull: fullJson(from),
    To: listText(to),
    ToFull: to.map(fullJson),
    Cc: listText(cc),
    CcFull: cc.map(fullJson),
    Bcc: listText(bcc),
    BccFull: bcc.map(fullJson),
    OriginalRecipient: row.originalRecipient,
    ReplyTo: summary.replyTo,
    Subject: row.subject,
    Date: summary.date,
    MailboxHash: row.mailboxHash,
    Tag: row.tag,
    Status: STATUS[status],
    Attachments: summary.attachments.map(({ name, contentType, contentLength, contentId }) => {
      return { Name: name, ContentType: contentType, ContentLength: contentLength, ContentID: contentId };
    }),
  };
}

export function inboundDetailsJson(message: InboundMessage): z.infer<typeof inboundDetails> {
  const { textBody, htmlBody, strippedTextReply, headers } = message.summary;
  return {
    ...inboundJson(message),
    TextBody: textBody,
    HtmlBody: htmlBody,
    StrippedTextReply: strippedTextReply,
    Headers: headers.map(({ name, value }) => ({ Name: name, Value: value })),
    BlockedReason: message.blockedReason,
  };
}
