/** Outbound messages as Postmark's API shows them (§9.1 of the wire contract). */
import * as z from "zod";
import { isQueued } from "../archive/filter.ts";
import type { ListedMessage } from "../archive/read.ts";
import type { Mailbox } from "../mail/message.ts";
import type { MessageRecord } from "../mail/record.ts";
import { eventSchema } from "./message-events.ts";
import { formatTime } from "./time.ts";

const mailbox = z.object({ Email: z.string(), Name: z.string() });

export const messageSchema = z.object({
  Tag: z.string().optional(),
  MessageID: z.string(),
  MessageStream: z.string(),
  To: z.array(mailbox),
  Cc: z.array(mailbox),
  Bcc: z.array(mailbox),
  Recipients: z.array(z.string()),
  ReceivedAt: z.string(),
  From: z.string(),
  Subject: z.string(),
  Attachments: z.array(z.string()),
  Status: z.enum(["Queued", "Sent", "Scheduled"]),
  TrackOpens: z.boolean(),
  TrackLinks: z.enum(["None", "HtmlAndText", "HtmlOnly", "TextOnly"]),
  Metadata: z.record(z.string(), z.string()),
  Sandboxed: z.boolean(),
});

export const detailsSchema = messageSchema.extend({
  TextBody: z.string(),
  HtmlBody: z.string(),
  Body: z.string(),
  MessageEvents: z.array(eventSchema),
});

/** `Sent` once somebody's first attempt was made for all; Postmark's `Processed` means the same. */
export function statusOf(record: Pick<MessageRecord, "recipients" | "sendAt">) {
  return statusWord({ queued: isQueued(record), sendAt: record.sendAt });
}

/** `Scheduled` is ours: in details, while the time of a message has not come. */
function statusWord({ queued, sendAt }: Pick<ListedMessage, "queued" | "sendAt">) {
  if (sendAt !== undefined) return "Scheduled";
  return queued ? "Queued" : "Sent";
}

export function messageJson(message: ListedMessage): z.infer<typeof messageSchema> {
  const { summary } = message;
  return {
    ...(message.tag && { Tag: message.tag }),
    MessageID: message.id,
    MessageStream: message.stream,
    To: summary.to.map(mailboxJson),
    Cc: summary.cc.map(mailboxJson),
    Bcc: summary.bcc.map(mailboxJson),
    Recipients: summary.recipients.filter((email) => email !== ""),
    ReceivedAt: formatTime(message.receivedAt),
    From: fromText(summary.from),
    Subject: message.subject,
    Attachments: summary.attachments,
    Status: statusWord(message),
    TrackOpens: summary.trackOpens,
    TrackLinks: summary.trackLinks,
    Metadata: summary.metadata,
    Sandboxed: summary.sandboxed,
  };
}

const mailboxJson = ({ email, name }: Mailbox) => ({ Email: email, Name: name });

/** `"Joe" <joe@example.com>`, with the quoting of RFC 5322 §3.2.4; the bare address without a name. */
function fromText({ email, name }: Mailbox): string {
  return name ? `"${name.replace(/["\\]/g, "\\$&")}" <${email}>` : email;
}
