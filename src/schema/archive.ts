/**
 * The archive: what is searched of messages. A server is assigned to one archive database; what is sent once and
 * read often lies in R2. Rows written are what D1 bills, so a message costs one row here, one in the index and each recipient one more,
 * with no secondary index: ids sort by time, and both keys begin with the server. Writer: archive/write.ts, called by track/record.ts.
 *
 * The index of messages is the virtual table `search` (FTS5, one column `words`, no text kept), which drizzle has no words for: a
 * migration makes it, its rowids are `messages.key`, and archive/search.ts says what is in it.
 */
import { isNotNull, sql } from "drizzle-orm";
import { index, integer, primaryKey, sqliteTable, text, uniqueIndex } from "drizzle-orm/sqlite-core";
import type { Reader } from "../mail/reader.ts";
import type { MessageSummary, RecipientRecord } from "../mail/record.ts";

export const messages = sqliteTable(
  "messages",
  {
    serverId: integer("server_id").notNull(),
    id: text().notNull(),
    /** In `search`. Sorts as ids do, and may be more than a JavaScript number holds. */
    key: integer().notNull(),
    stream: text().notNull(),
    receivedAt: integer("received_at").notNull(),
    /** Lower case, for the filter. */
    fromEmail: text("from_email").notNull(),
    tag: text(),
    subject: text().notNull(),
    /** Of the subject, as they are searched. */
    words: text().notNull(),
    /** All else that the lists and details show. */
    summary: text({ mode: "json" }).$type<MessageSummary>().notNull(),
    /** The R2 object that holds the bytes, and where in it; null until R2 has them. */
    segment: text(),
    segmentOffset: integer("segment_offset"),
    segmentLength: integer("segment_length"),
  },
  (t) => [primaryKey({ columns: [t.serverId, t.id] })],
);

/** How many messages there are, by hour of acceptance: a sum of these is what a list says that it has. */
export const messageCounts = sqliteTable(
  "message_counts",
  {
    serverId: integer("server_id").notNull(),
    stream: text().notNull(),
    /** Since the epoch. */
    hour: integer().notNull(),
    count: integer().notNull(),
  },
  (t) => [primaryKey({ columns: [t.serverId, t.stream, t.hour] })],
);

export const recipients = sqliteTable(
  "recipients",
  {
    serverId: integer("server_id").notNull(),
    messageId: text("message_id").notNull(),
    /** Lower case. */
    email: text().notNull(),
    state: text().$type<RecipientRecord["state"]>().notNull(),
    /** How many facts the record holds: a row is only ever replaced by one that knows more. */
    version: integer().notNull(),
    record: text({ mode: "json" }).$type<RecipientRecord>().notNull(),
  },
  (t) => [
    // By message, so that what is written together lies together; by address the index finds them.
    primaryKey({ columns: [t.serverId, t.messageId, t.email] }),
    // Who waits for a first attempt: few, and a row for no other.
    index("recipients_untried").on(t.serverId, t.messageId).where(sql`${t.version} = 0`),
  ],
);

export const bounces = sqliteTable(
  "bounces",
  {
    id: integer().primaryKey({ autoIncrement: true }),
    serverId: integer("server_id").notNull(),
    messageId: text("message_id").notNull(),
    /** Lower case. */
    email: text().notNull(),
    type: text().notNull(),
    stream: text().notNull(),
    tag: text(),
    fromEmail: text("from_email").notNull(),
    subject: text().notNull(),
    details: text().notNull(),
    bouncedAt: integer("bounced_at").notNull(),
    inactive: integer({ mode: "boolean" }).notNull(),
    /** The R2 object with the report that brought it; null for what was said at delivery. */
    dump: text(),
  },
  (t) => [
    uniqueIndex("bounces_once").on(t.serverId, t.messageId, t.email, t.type),
    // What is counted of a stream most often is all in the index.
    index("bounces_newest").on(t.serverId, t.stream, t.id, t.type, t.inactive),
    index("bounces_inactive").on(t.serverId, t.email).where(sql`inactive = 1`),
  ],
);

/**
 * Statistics, counted in the transaction that stores the facts, so that they are exact. A row for each Eastern day, stream, tag and
 * name; those of the tag "" count every message, tagged or not. Writer: archive/count.ts, whose table says what each name counts.
 */
export const counters = sqliteTable(
  "counters",
  {
    serverId: integer("server_id").notNull(),
    /** "2026-02-17". */
    day: text().notNull(),
    stream: text().notNull(),
    tag: text().notNull(),
    /** "Sent/none", "Bounce/HardBounce", "Open/first/WebMail/Gmail/unknown". */
    name: text().notNull(),
    count: integer().notNull(),
  },
  (t) => [primaryKey({ columns: [t.serverId, t.tag, t.day, t.stream, t.name] })],
);

/** The first open of each recipient. Writer: track/. */
export const opens = sqliteTable(
  "opens",
  {
    serverId: integer("server_id").notNull(),
    messageId: text("message_id").notNull(),
    /** Lower case. */
    email: text().notNull(),
    at: integer().notNull(),
    stream: text().notNull(),
    tag: text(),
    readSeconds: integer("read_seconds").notNull(),
    reader: text({ mode: "json" }).$type<Reader>().notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.serverId, t.messageId, t.email] }),
    index("opens_newest").on(t.serverId, t.stream, t.at),
  ],
);

/** The first click of each recipient on each link. Writer: track/. */
export const clicks = sqliteTable(
  "clicks",
  {
    serverId: integer("server_id").notNull(),
    messageId: text("message_id").notNull(),
    /** Lower case. */
    email: text().notNull(),
    link: text().notNull(),
    at: integer().notNull(),
    stream: text().notNull(),
    tag: text(),
    location: text({ enum: ["HTML", "Text"] }).notNull(),
    reader: text({ mode: "json" }).$type<Reader>().notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.serverId, t.messageId, t.email, t.link] }),
    index("clicks_newest").on(t.serverId, t.stream, t.at),
  ],
);

/**
 * Up to which number a server's opens and clicks are counted: who tells them does so at least once, and one that is no first leaves no
 * other trace. Writer: archive/count.ts.
 */
export const seenMarks = sqliteTable(
  "seen_marks",
  {
    serverId: integer("server_id").notNull(),
    kind: text({ enum: ["Open", "Click"] }).notNull(),
    upto: integer().notNull(),
  },
  (t) => [primaryKey({ columns: [t.serverId, t.kind] })],
);

/** What the lists and details of received mail show, beside its columns. */
export interface InboundSummary {
  from: { email: string; name: string; mailboxHash: string };
  to: { email: string; name: string; mailboxHash: string }[];
  cc: { email: string; name: string; mailboxHash: string }[];
  bcc: { email: string; name: string; mailboxHash: string }[];
  replyTo: string;
  date: string;
  headers: { name: string; value: string }[];
  attachments: { name: string; contentType: string; contentLength: number; contentId: string }[];
  textBody: string;
  htmlBody: string;
  strippedTextReply: string;
  /** Of a message whose texts or header were cut here: how many bytes of the payload come before its attachments, whole. */
  whole?: number;
}

/** Mail received for a server. Writer: receive/. */
export const inbound = sqliteTable(
  "inbound",
  {
    serverId: integer("server_id").notNull(),
    /** UUIDs that sort by time. */
    id: text().notNull(),
    receivedAt: integer("received_at").notNull(),
    status: text({ enum: ["queued", "scheduled", "processed", "blocked", "failed"] }).notNull(),
    /** Lower case. */
    fromEmail: text("from_email").notNull(),
    originalRecipient: text("original_recipient").notNull(),
    mailboxHash: text("mailbox_hash").notNull(),
    tag: text().notNull(),
    subject: text().notNull(),
    blockedReason: text("blocked_reason"),
    /** The R2 object with the message as it came. */
    raw: text().notNull(),
    /** The R2 object with what the inbound hook is sent; "" when there is none. */
    payload: text().notNull().default(""),
    summary: text({ mode: "json" }).$type<InboundSummary>().notNull(),
    /** When it was put back in line, for as long as the event log is not known to have heard of that. */
    untoldSince: integer("untold_since"),
  },
  (t) => [
    primaryKey({ columns: [t.serverId, t.id] }),
    // A row here has all of a text: to count them without this, each would be read.
    index("inbound_newest").on(t.serverId, t.status, t.id),
    index("inbound_untold").on(t.untoldSince).where(isNotNull(t.untoldSince)),
  ],
);

/** What a report's list shows, beside its columns. */
export interface ReportSummary {
  email: string;
  extraContact: string;
  /** Of an aggregate report, as it was published: "" for what the report does not say. */
  policy?: { domain: string; adkim: string; aspf: string; p: string; sp: string; pct: string };
  /** How many there are. */
  records: number;
  /** Messages of an aggregate report, sessions of one of TLS. */
  total: number;
}

/**
 * DMARC aggregate reports and SMTP TLS reports, each once however often it comes. Their records stay in the R2 object, as they were
 * sent: here is only what is listed, and the sums below. Writer: archive/dmarc.ts.
 */
export const reports = sqliteTable(
  "reports",
  {
    id: integer().primaryKey({ autoIncrement: true }),
    /** Of the directory's report_monitors. */
    monitorId: integer("monitor_id").notNull(),
    kind: text({ enum: ["aggregate", "tls"] }).notNull(),
    organization: text().notNull(),
    /** What its sender calls it. */
    externalId: text("external_id").notNull(),
    domain: text().notNull(),
    beginsAt: integer("begins_at").notNull(),
    endsAt: integer("ends_at").notNull(),
    receivedAt: integer("received_at").notNull(),
    /** Whose transaction stored it: only that one adds to the sums. */
    claim: text().notNull(),
    /** The R2 object with the attachment as it came. */
    object: text().notNull(),
    summary: text({ mode: "json" }).$type<ReportSummary>().notNull(),
  },
  (t) => [uniqueIndex("reports_once").on(t.monitorId, t.kind, t.organization, t.externalId)],
);

/** Messages by day and source, counted in the transaction that stores the report. Writer: archive/dmarc.ts. */
export const dmarcDaily = sqliteTable(
  "dmarc_daily",
  {
    monitorId: integer("monitor_id").notNull(),
    /** UTC, days since the epoch: where most of the report's time lies. */
    day: integer().notNull(),
    /** "" for the many small sources of one report that are summed. */
    sourceIp: text("source_ip").notNull(),
    /** The domain that signed, and what came of it; "" where none did. */
    dkimDomain: text("dkim_domain").notNull(),
    dkimResult: text("dkim_result").notNull(),
    spfDomain: text("spf_domain").notNull(),
    spfResult: text("spf_result").notNull(),
    /** Whether it passed for the domain of the From header. */
    dkimAligned: integer("dkim_aligned", { mode: "boolean" }).notNull(),
    spfAligned: integer("spf_aligned", { mode: "boolean" }).notNull(),
    /** What was done with them: "none", "quarantine", "reject". */
    disposition: text().notNull(),
    /** Why that is not what the policy asks for: "forwarded", "mailing_list"; mostly "". */
    reason: text().notNull(),
    count: integer().notNull(),
  },
  (t) => [
    primaryKey({
      columns: [
        t.monitorId,
        t.day,
        t.sourceIp,
        t.dkimDomain,
        t.dkimResult,
        t.spfDomain,
        t.spfResult,
        t.dkimAligned,
        t.spfAligned,
        t.disposition,
        t.reason,
      ],
    }),
  ],
);

/** TLS sessions by day, counted like `dmarc_daily`. Writer: archive/dmarc.ts. */
export const tlsDaily = sqliteTable(
  "tls_daily",
  {
    monitorId: integer("monitor_id").notNull(),
    day: integer().notNull(),
    /** RFC 8460 §4.2: "sts", "tlsa", "no-policy-found". */
    policyType: text("policy_type").notNull(),
    /** Of a failure; "" where the report does not say, or nothing failed. */
    mxHost: text("mx_host").notNull(),
    /** RFC 8460 §4.3, or "success". */
    result: text().notNull(),
    count: integer().notNull(),
  },
  (t) => [primaryKey({ columns: [t.monitorId, t.day, t.policyType, t.mxHost, t.result] })],
);
