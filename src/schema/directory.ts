/**
 * The directory: accounts, servers and what belongs to them. Small, read often, its own database.
 * Each table names its one writer.
 */
import { sql } from "drizzle-orm";
import { index, integer, primaryKey, sqliteTable, text, uniqueIndex } from "drizzle-orm/sqlite-core";
import type { EventType } from "../mail/event.ts";
import type { TransportName } from "../mail/outcome.ts";

/** Writer: accounts/. */
export const accounts = sqliteTable("accounts", {
  id: integer().primaryKey({ autoIncrement: true }),
  name: text().notNull(),
  /** The API shows a token when it is made and never again; of such a token only the hash is kept. */
  showTokensOnce: integer("show_tokens_once", { mode: "boolean" }).notNull().default(false),
  /** Whether the API may delete servers. */
  serverDeletion: integer("server_deletion", { mode: "boolean" }).notNull().default(true),
  createdAt: integer("created_at").notNull(),
});

/** Writer: accounts/. */
export const servers = sqliteTable(
  "servers",
  {
    id: integer().primaryKey({ autoIncrement: true }),
    accountId: integer("account_id").notNull(),
    name: text().notNull(),
    /** As its caller spelt it. */
    color: text().notNull().default("Blue"),
    deliveryType: text("delivery_type", { enum: ["Live", "Sandbox"] }).notNull(),
    trackOpens: integer("track_opens", { mode: "boolean" }).notNull(),
    trackLinks: text("track_links", { enum: ["None", "HtmlAndText", "HtmlOnly", "TextOnly"] }).notNull(),
    /** Transports in the order to try them. */
    transports: text({ mode: "json" }).$type<TransportName[]>().notNull(),
    /** Whether SMTP takes its tokens. */
    smtpActivated: integer("smtp_activated", { mode: "boolean" }).notNull().default(true),
    /** The local part of its inbound address. */
    inboundHash: text("inbound_hash").notNull(),
    /** Lower case; "" when there is none. */
    inboundDomain: text("inbound_domain").notNull().default(""),
    inboundSpamThreshold: integer("inbound_spam_threshold").notNull().default(0),
    rawEmailEnabled: integer("raw_email_enabled", { mode: "boolean" }).notNull().default(false),
    inboundHookUrl: text("inbound_hook_url").notNull().default(""),
    bounceHookUrl: text("bounce_hook_url").notNull().default(""),
    openHookUrl: text("open_hook_url").notNull().default(""),
    deliveryHookUrl: text("delivery_hook_url").notNull().default(""),
    clickHookUrl: text("click_hook_url").notNull().default(""),
    postFirstOpenOnly: integer("post_first_open_only", { mode: "boolean" }).notNull().default(false),
    includeBounceContentInHook: integer("include_bounce_content_in_hook", { mode: "boolean" })
      .notNull()
      .default(false),
    enableSmtpApiErrorHooks: integer("enable_smtp_api_error_hooks", { mode: "boolean" })
      .notNull()
      .default(false),
    /** Where in the event log each of its hook URLs begins; one that never had a URL is not named. */
    hookStarts: text("hook_starts", { mode: "json" }).$type<LogStarts>(),
    createdAt: integer("created_at").notNull(),
    /** It does not exist any more; what is left of it goes in the background (erase/). */
    deletedAt: integer("deleted_at"),
  },
  (t) => [
    uniqueIndex("servers_name").on(t.accountId, t.name).where(sql`deleted_at IS NULL`),
    uniqueIndex("servers_inbound_hash").on(t.inboundHash),
    uniqueIndex("servers_inbound_domain")
      .on(t.inboundDomain)
      .where(sql`inbound_domain <> '' AND deleted_at IS NULL`),
  ],
);

/** API tokens, found by their hash. Writer: accounts/. */
export const tokens = sqliteTable(
  "tokens",
  {
    id: integer().primaryKey({ autoIncrement: true }),
    /** SHA-256 of the lower-case token, hex. */
    hash: text().notNull().unique(),
    /** The token, encrypted with the deployment's secret (accounts/secret.ts), for the API shows it; null when it is shown once. */
    sealed: text(),
    kind: text({ enum: ["server", "account"] }).notNull(),
    accountId: integer("account_id").notNull(),
    serverId: integer("server_id"),
    name: text().notNull().default(""),
    /** What a server's token may do. */
    scope: text({ enum: ["full", "send", "read"] })
      .notNull()
      .default("full"),
    /** Addresses and CIDR ranges that its requests may come from; [] for any. */
    allowedIps: text("allowed_ips", { mode: "json" }).$type<string[]>().notNull().default([]),
    /** Requests a minute; null for the deployment's own limit. */
    ratePerMinute: integer("rate_per_minute"),
    createdAt: integer("created_at").notNull(),
  },
  (t) => [index("tokens_server").on(t.serverId)],
);

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
    unsubscribeHandling: text("unsubscribe_handling", { enum: ["None", "Postmark", "Custom"] })
      .notNull()
      .default("None"),
    createdAt: integer("created_at").notNull(),
    updatedAt: integer("updated_at"),
    archivedAt: integer("archived_at"),
    /** When what is left of an archived stream goes (erase/). */
    purgeAt: integer("purge_at"),
  },
  (t) => [primaryKey({ columns: [t.serverId, t.id] })],
);

/** Writer: accounts/. */
export const domains = sqliteTable(
  "domains",
  {
    id: integer().primaryKey({ autoIncrement: true }),
    accountId: integer("account_id").notNull(),
    /** Lower-case A-labels. */
    name: text().notNull(),
    returnPathDomain: text("return_path_domain"),
    returnPathVerifiedAt: integer("return_path_verified_at"),
    customTrackingDomain: text("custom_tracking_domain"),
    customTrackingVerifiedAt: integer("custom_tracking_verified_at"),
    /** When one of its DKIM keys was first seen in the DNS: from then on anybody at the domain may send. */
    verifiedAt: integer("verified_at"),
    /** Nobody asked for it: a sender signature needs it, and it goes with the last of them. */
    implied: integer({ mode: "boolean" }).notNull().default(false),
    createdAt: integer("created_at").notNull(),
  },
  (t) => [uniqueIndex("domains_name").on(t.accountId, t.name)],
);

/** Writer: accounts/. */
export const dkimKeys = sqliteTable(
  "dkim_keys",
  {
    id: integer().primaryKey({ autoIncrement: true }),
    domainId: integer("domain_id").notNull(),
    selector: text().notNull(),
    algorithm: text({ enum: ["rsa-sha256", "ed25519-sha256"] }).notNull(),
    /** PKCS#8, encrypted with the deployment's secret (accounts/secret.ts); "" once it is revoked. */
    privateKey: text("private_key").notNull(),
    dnsRecord: text("dns_record").notNull(),
    state: text({ enum: ["pending", "active", "revoked"] }).notNull(),
    createdAt: integer("created_at").notNull(),
    /** When another key took over. */
    revokedAt: integer("revoked_at"),
    /** Since when the record of an active key is not found in the DNS; null while it is there. */
    missingSince: integer("missing_since"),
  },
  (t) => [index("dkim_keys_domain").on(t.domainId)],
);

/** Sender signatures. Writer: accounts/. */
export const senders = sqliteTable(
  "senders",
  {
    id: integer().primaryKey({ autoIncrement: true }),
    accountId: integer("account_id").notNull(),
    domainId: integer("domain_id"),
    /** Lower case. */
    email: text().notNull(),
    name: text().notNull(),
    replyTo: text("reply_to").notNull(),
    personalNote: text("personal_note").notNull().default(""),
    /** SHA-256, hex, of what the link in its confirmation message holds. */
    confirmationHash: text("confirmation_hash"),
    confirmationSentAt: integer("confirmation_sent_at"),
    /** When its mailbox was asked in the last day: a stranger's must not be written to at will. */
    askedAt: text("asked_at", { mode: "json" }).$type<number[]>().notNull().default([]),
    confirmedAt: integer("confirmed_at"),
    createdAt: integer("created_at").notNull(),
  },
  (t) => [uniqueIndex("senders_email").on(t.accountId, t.email)],
);

/** Writer: accounts/. */
export const templates = sqliteTable(
  "templates",
  {
    id: integer().primaryKey({ autoIncrement: true }),
    serverId: integer("server_id").notNull(),
    alias: text(),
    name: text().notNull(),
    type: text({ enum: ["Standard", "Layout"] }).notNull(),
    /** null on a layout. */
    subject: text(),
    htmlBody: text("html_body"),
    textBody: text("text_body"),
    /** The alias of a layout of the same server. */
    layout: text(),
    /** False once it is deleted: it can still be fetched by its number. */
    active: integer({ mode: "boolean" }).notNull().default(true),
    createdAt: integer("created_at").notNull(),
    updatedAt: integer("updated_at").notNull(),
  },
  (t) => [
    uniqueIndex("templates_alias").on(t.serverId, t.alias).where(sql`active = 1`),
    index("templates_server").on(t.serverId, t.id),
  ],
);

/** Whose mail an inbound stream does not take: an address, or a domain. Writer: accounts/. */
export const inboundRules = sqliteTable(
  "inbound_rules",
  {
    id: integer().primaryKey({ autoIncrement: true }),
    serverId: integer("server_id").notNull(),
    /** Lower case. */
    rule: text().notNull(),
    createdAt: integer("created_at").notNull(),
  },
  (t) => [uniqueIndex("inbound_rules_rule").on(t.serverId, t.rule)],
);

/** Places in a server's event log, by type: what is told of a type is what stands behind its place. */
export type LogStarts = Partial<Record<EventType, number>>;

export interface WebhookTriggers {
  Open: { Enabled: boolean; PostFirstOpenOnly: boolean };
  Click: { Enabled: boolean };
  Delivery: { Enabled: boolean };
  Bounce: { Enabled: boolean; IncludeContent: boolean };
  SpamComplaint: { Enabled: boolean; IncludeContent: boolean };
  SubscriptionChange: { Enabled: boolean };
}

/** Writer: accounts/. */
export const webhooks = sqliteTable(
  "webhooks",
  {
    id: integer().primaryKey({ autoIncrement: true }),
    serverId: integer("server_id").notNull(),
    stream: text().notNull(),
    url: text().notNull(),
    /** User, password and headers, as JSON, encrypted with the deployment's secret (accounts/secret.ts). */
    sealedHeaders: text("sealed_headers").notNull(),
    triggers: text({ mode: "json" }).$type<WebhookTriggers>().notNull(),
    status: text({ enum: ["verified", "unverified"] }).notNull(),
    /** Where in the event log each trigger begins. */
    starts: text({ mode: "json" }).$type<LogStarts>(),
    /** How long an event is told again. */
    retryFor: text("retry_for", { enum: ["standard", "threeDays"] })
      .notNull()
      .default("standard"),
    createdAt: integer("created_at").notNull(),
    updatedAt: integer("updated_at").notNull(),
  },
  (t) => [index("webhooks_server").on(t.serverId, t.stream)],
);

/**
 * What is to be removed everywhere, in bounded steps that each may run twice: a server, an archived stream, or all that is kept of a
 * person. Writer: erase/.
 */
export const erasures = sqliteTable(
  "erasures",
  {
    id: integer().primaryKey({ autoIncrement: true }),
    kind: text({ enum: ["server", "stream", "person"] }).notNull(),
    accountId: integer("account_id").notNull(),
    serverId: integer("server_id"),
    stream: text(),
    /** Of a person; lower case. Emptied when all is done: this too would tell of them. */
    email: text(),
    requestedBy: text("requested_by"),
    notify: integer({ mode: "boolean" }).notNull().default(false),
    /** How far it has come. */
    progress: text({ mode: "json" }).$type<Record<string, unknown>>().notNull().default({}),
    createdAt: integer("created_at").notNull(),
    doneAt: integer("done_at"),
  },
  (t) => [index("erasures_open").on(t.id).where(sql`done_at IS NULL`)],
);

export interface SuppressionCause {
  messageId: string;
  /** "" when there is none. */
  tag: string;
  metadata: Record<string, string>;
}

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
    /** Of the message that brought it about; null when none did. */
    cause: text({ mode: "json" }).$type<SuppressionCause>(),
  },
  (t) => [
    primaryKey({ columns: [t.serverId, t.stream, t.email] }),
    index("suppressions_changed").on(t.serverId, t.changedAt),
  ],
);

/**
 * Domains whose DMARC and TLS reports we read: an account's, or anybody's who asked for a record by the DMARC API. Each has an address
 * of its own, so that what is sent to one domain's is never counted for another's. Writer: accounts/report-monitors.ts.
 */
export const reportMonitors = sqliteTable(
  "report_monitors",
  {
    id: integer().primaryKey({ autoIncrement: true }),
    /** null for a record of the DMARC API, which has a token of its own instead. */
    accountId: integer("account_id"),
    /** Lower-case A-labels. */
    domain: text().notNull(),
    /** Lower case; "" for an account's. */
    email: text().notNull().default(""),
    /** In the address that reports go to. */
    publicToken: text("public_token").notNull().unique(),
    /** SHA-256, hex. */
    tokenHash: text("token_hash").unique(),
    /** Of a token that was sent to who lost it: the first use of it ends the other. */
    recoveryHash: text("recovery_hash").unique(),
    recoverySentAt: integer("recovery_sent_at"),
    createdAt: integer("created_at").notNull(),
  },
  (t) => [
    uniqueIndex("report_monitors_account").on(t.accountId, t.domain).where(sql`account_id IS NOT NULL`),
    index("report_monitors_domain").on(t.domain),
    index("report_monitors_email").on(t.email).where(sql`email <> ''`),
  ],
);

/** Every Outbox that ever accepted: for the ledger, the sweep and lists. Writer: accept/. */
export const shards = sqliteTable("shards", {
  /** "7/weur/0". */
  name: text().primaryKey(),
  serverId: integer("server_id").notNull(),
  createdAt: integer("created_at").notNull(),
});
