/**
 * The archive: what is searched of messages. A server is assigned to one archive database; what is sent once and
 * read often lies in R2. Rows written are what D1 bills, so a message costs one row here and each recipient one more, with no
 * secondary index: ids sort by time, and both keys begin with the server. Writer: archive/write.ts, called by track/record.ts.
 */
import { index, integer, primaryKey, sqliteTable, text, uniqueIndex } from "drizzle-orm/sqlite-core";
import type { MessageSummary, RecipientRecord } from "../mail/record.ts";

export const messages = sqliteTable(
  "messages",
  {
    serverId: integer("server_id").notNull(),
    id: text().notNull(),
    stream: text().notNull(),
    receivedAt: integer("received_at").notNull(),
    /** Lower case, for the filter. */
    fromEmail: text("from_email").notNull(),
    subject: text().notNull(),
    tag: text(),
    /** All else that the lists and details show. */
    summary: text({ mode: "json" }).$type<MessageSummary>().notNull(),
    /** The R2 object that holds the bytes, and where in it; null until R2 has them. */
    segment: text(),
    segmentOffset: integer("segment_offset"),
    segmentLength: integer("segment_length"),
  },
  (t) => [primaryKey({ columns: [t.serverId, t.id] })],
);

export const recipients = sqliteTable(
  "recipients",
  {
    serverId: integer("server_id").notNull(),
    /** Lower case. */
    email: text().notNull(),
    messageId: text("message_id").notNull(),
    state: text().$type<RecipientRecord["state"]>().notNull(),
    /** How many facts the record holds: a row is only ever replaced by one that knows more. */
    version: integer().notNull(),
    record: text({ mode: "json" }).$type<RecipientRecord>().notNull(),
  },
  (t) => [primaryKey({ columns: [t.serverId, t.email, t.messageId] })],
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
  },
  (t) => [
    uniqueIndex("bounces_once").on(t.serverId, t.messageId, t.email, t.type),
    index("bounces_newest").on(t.serverId, t.id),
  ],
);
