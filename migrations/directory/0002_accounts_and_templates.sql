CREATE TABLE `erasures` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`kind` text NOT NULL,
	`account_id` integer NOT NULL,
	`server_id` integer,
	`stream` text,
	`email` text,
	`requested_by` text,
	`notify` integer DEFAULT false NOT NULL,
	`progress` text DEFAULT '{}' NOT NULL,
	`created_at` integer NOT NULL,
	`done_at` integer
);
--> statement-breakpoint
CREATE INDEX `erasures_open` ON `erasures` (`id`) WHERE done_at IS NULL;--> statement-breakpoint
CREATE TABLE `inbound_rules` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`server_id` integer NOT NULL,
	`rule` text NOT NULL,
	`created_at` integer NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `inbound_rules_rule` ON `inbound_rules` (`server_id`,`rule`);--> statement-breakpoint
CREATE TABLE `templates` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`server_id` integer NOT NULL,
	`alias` text,
	`name` text NOT NULL,
	`type` text NOT NULL,
	`subject` text,
	`html_body` text,
	`text_body` text,
	`layout` text,
	`active` integer DEFAULT true NOT NULL,
	`created_at` integer NOT NULL,
	`updated_at` integer NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `templates_alias` ON `templates` (`server_id`,`alias`) WHERE active = 1;--> statement-breakpoint
CREATE INDEX `templates_server` ON `templates` (`server_id`,`id`);--> statement-breakpoint
CREATE TABLE `webhooks` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`server_id` integer NOT NULL,
	`stream` text NOT NULL,
	`url` text NOT NULL,
	`sealed_headers` text NOT NULL,
	`triggers` text NOT NULL,
	`status` text NOT NULL,
	`created_at` integer NOT NULL,
	`updated_at` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `webhooks_server` ON `webhooks` (`server_id`,`stream`);--> statement-breakpoint
CREATE TABLE `__new_tokens` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`hash` text NOT NULL,
	`sealed` text,
	`kind` text NOT NULL,
	`account_id` integer NOT NULL,
	`server_id` integer,
	`name` text DEFAULT '' NOT NULL,
	`scope` text DEFAULT 'full' NOT NULL,
	`allowed_ips` text DEFAULT '[]' NOT NULL,
	`rate_per_minute` integer,
	`created_at` integer NOT NULL
);
--> statement-breakpoint
INSERT INTO `__new_tokens` ("hash", "kind", "account_id", "server_id", "created_at") SELECT "hash", "kind", "account_id", "server_id", "created_at" FROM `tokens`;--> statement-breakpoint
DROP TABLE `tokens`;--> statement-breakpoint
ALTER TABLE `__new_tokens` RENAME TO `tokens`;--> statement-breakpoint
CREATE UNIQUE INDEX `tokens_hash_unique` ON `tokens` (`hash`);--> statement-breakpoint
CREATE INDEX `tokens_server` ON `tokens` (`server_id`);--> statement-breakpoint
ALTER TABLE `accounts` ADD `show_tokens_once` integer DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE `accounts` ADD `server_deletion` integer DEFAULT true NOT NULL;--> statement-breakpoint
ALTER TABLE `dkim_keys` ADD `revoked_at` integer;--> statement-breakpoint
CREATE INDEX `dkim_keys_domain` ON `dkim_keys` (`domain_id`);--> statement-breakpoint
ALTER TABLE `domains` ADD `return_path_verified_at` integer;--> statement-breakpoint
ALTER TABLE `domains` ADD `custom_tracking_domain` text;--> statement-breakpoint
ALTER TABLE `domains` ADD `custom_tracking_verified_at` integer;--> statement-breakpoint
ALTER TABLE `domains` ADD `spf_verified_at` integer;--> statement-breakpoint
CREATE UNIQUE INDEX `domains_name` ON `domains` (`account_id`,`name`);--> statement-breakpoint
ALTER TABLE `senders` ADD `domain_id` integer;--> statement-breakpoint
ALTER TABLE `senders` ADD `personal_note` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `senders` ADD `confirmation_hash` text;--> statement-breakpoint
ALTER TABLE `senders` ADD `confirmation_sent_at` integer;--> statement-breakpoint
CREATE UNIQUE INDEX `senders_email` ON `senders` (`account_id`,`email`);--> statement-breakpoint
ALTER TABLE `servers` ADD `color` text DEFAULT 'Blue' NOT NULL;--> statement-breakpoint
ALTER TABLE `servers` ADD `inbound_domain` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `servers` ADD `inbound_spam_threshold` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `servers` ADD `raw_email_enabled` integer DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE `servers` ADD `inbound_hook_url` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `servers` ADD `bounce_hook_url` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `servers` ADD `open_hook_url` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `servers` ADD `delivery_hook_url` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `servers` ADD `click_hook_url` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `servers` ADD `post_first_open_only` integer DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE `servers` ADD `include_bounce_content_in_hook` integer DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE `servers` ADD `enable_smtp_api_error_hooks` integer DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE `servers` ADD `deleted_at` integer;--> statement-breakpoint
CREATE UNIQUE INDEX `servers_name` ON `servers` (`account_id`,`name`) WHERE deleted_at IS NULL;--> statement-breakpoint
CREATE UNIQUE INDEX `servers_inbound_hash` ON `servers` (`inbound_hash`);--> statement-breakpoint
CREATE UNIQUE INDEX `servers_inbound_domain` ON `servers` (`inbound_domain`) WHERE inbound_domain <> '' AND deleted_at IS NULL;--> statement-breakpoint
ALTER TABLE `streams` ADD `unsubscribe_handling` text DEFAULT 'None' NOT NULL;--> statement-breakpoint
ALTER TABLE `streams` ADD `updated_at` integer;--> statement-breakpoint
ALTER TABLE `streams` ADD `purge_at` integer;--> statement-breakpoint
UPDATE `streams` SET `unsubscribe_handling` = 'Postmark' WHERE `type` = 'Broadcasts';
