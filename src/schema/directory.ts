/**
 * The directory: accounts, servers and what belongs to them. Small, read often, its own database.
 * Each table names its one writer.
 */
import { index, integer, primaryKey, sqliteTable, text } from "drizzle-orm/sqlite-core";
import type { TransportName } from "../mail/outcome.ts";

/** Writer: accounts/. */
export const accounts = sqliteTable("accounts", {
  id: integer().primaryKey({ autoIncrement: true }),
  name: text().notNull(),
  createdAt: integer("created_at").notNull(),
});

/** Writer: accounts/. */
export const servers = sqliteTable("servers", {
  id: integer().primaryKey({ autoIncrement: true }),
  accountId: integer("account_id").notNull(),
  name: text().notNull(),
  deliveryType: text("delivery_type", { enum: ["Live", "Sandbox"] }).notNull(),
  trackOpens: integer("track_opens", { mode: "boolean" }).notNull(),
  trackLinks: text("track_links", { enum: ["None", "HtmlAndText", "HtmlOnly", "TextOnly"] }).notNull(),
  /** Transports in the order to try them. */
  transports: text({ mode: "json" }).$type<TransportName[]>().notNull(),
  /** Whether SMTP takes its tokens. */
  smtpActivated: integer("smtp_activated", { mode: "boolean" }).notNull().default(true),
  /** The local part of its inbound address. */
  inboundHash: text("inbound_hash").notNull(),
  createdAt: integer("created_at").notNull(),
});

/** API tokens, known by their hash alone. Writer: accounts/. */
export const tokens = sqliteTable("tokens", {
  /** SHA-256 of the lower-case token, hex. */
  hash: text().primaryKey(),
  kind: text({ enum: ["server", "account"] }).notNull(),
  accountId: integer("account_id").notNull(),
  serverId: integer("server_id"),
  createdAt: integer("created_at").notNull(),
});

/** Credentials for SMTP that are bound to one stream; of the secret only its hash is known. Writer: accounts/. */
export const smtpTokens = sqliteTable(
  "smtp_tokens",
  {
    id: integer().primaryKey({ autoIncrement: true }),
    serverId: integer("server_id").notNull(),
    stream: text().notNull(),
    name: text().notNull(),
    /** A UUID like a token, whose bits name the server. */
    accessKey: text("access_key").notNull().unique(),
    /** SHA-256, hex. */
    secretHash: text("secret_hash").notNull(),
    createdAt: integer("created_at").notNull(),
  },
  (t) => [index("smtp_tokens_server").on(t.serverId, t.stream)],
);

/** Writer: accounts/. */
export const streams = sqliteTable(
  "streams",
  {
    serverId: integer("server_id").notNull(),
    id: text().notNull(),
    name: text().notNull(),
    description: text(),
    type: text({ enum: ["Transactional", "Broadcasts", "Inbound"] }).notNull(),
    giveUpAfterHours: integer("give_up_after_hours").notNull(),
    createdAt: integer("created_at").notNull(),
    archivedAt: integer("archived_at"),
  },
  (t) => [primaryKey({ columns: [t.serverId, t.id] })],
);

/** Writer: accounts/. */
export const domains = sqliteTable("domains", {
  id: integer().primaryKey({ autoIncrement: true }),
  accountId: integer("account_id").notNull(),
  /** Lower-case A-labels. */
  name: text().notNull(),
  returnPathDomain: text("return_path_domain"),
  verifiedAt: integer("verified_at"),
  createdAt: integer("created_at").notNull(),
});

/** Writer: accounts/. */
export const dkimKeys = sqliteTable("dkim_keys", {
  id: integer().primaryKey({ autoIncrement: true }),
  domainId: integer("domain_id").notNull(),
  selector: text().notNull(),
  algorithm: text({ enum: ["rsa-sha256", "ed25519-sha256"] }).notNull(),
  /** PKCS#8, encrypted with the deployment's secret (accounts/secret.ts). */
  privateKey: text("private_key").notNull(),
  dnsRecord: text("dns_record").notNull(),
  state: text({ enum: ["pending", "active", "revoked"] }).notNull(),
  createdAt: integer("created_at").notNull(),
});

/** Sender signatures. Writer: accounts/. */
export const senders = sqliteTable("senders", {
  id: integer().primaryKey({ autoIncrement: true }),
  accountId: integer("account_id").notNull(),
  /** Lower case. */
  email: text().notNull(),
  name: text().notNull(),
  replyTo: text("reply_to").notNull(),
  confirmedAt: integer("confirmed_at"),
  createdAt: integer("created_at").notNull(),
});

/**
 * Whom a stream will not mail. A removed row stays as a tombstone, so that an Outbox that pages changes by
 * `changedAt` learns of removals too. Writer: suppress/.
 */
export const suppressions = sqliteTable(
  "suppressions",
  {
    serverId: integer("server_id").notNull(),
    stream: text().notNull(),
    /** Lower case. */
    email: text().notNull(),
    reason: text({ enum: ["HardBounce", "SpamComplaint", "ManualSuppression"] }).notNull(),
    origin: text({ enum: ["Recipient", "Customer", "Admin"] }).notNull(),
    createdAt: integer("created_at").notNull(),
    changedAt: integer("changed_at").notNull(),
    removedAt: integer("removed_at"),
  },
  (t) => [
    primaryKey({ columns: [t.serverId, t.stream, t.email] }),
    index("suppressions_changed").on(t.serverId, t.changedAt),
  ],
);

/** Every Outbox that ever accepted: for the ledger, the sweep and lists. Writer: accept/. */
export const shards = sqliteTable("shards", {
  /** "7/weur/0". */
  name: text().primaryKey(),
  serverId: integer("server_id").notNull(),
  createdAt: integer("created_at").notNull(),
});
