CREATE TABLE `clicks` (
	`server_id` integer NOT NULL,
	`message_id` text NOT NULL,
	`email` text NOT NULL,
	`link` text NOT NULL,
	`at` integer NOT NULL,
	`stream` text NOT NULL,
	`tag` text,
	`location` text NOT NULL,
	`reader` text NOT NULL,
	PRIMARY KEY(`server_id`, `message_id`, `email`, `link`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE INDEX `clicks_newest` ON `clicks` (`server_id`,`at`);--> statement-breakpoint
CREATE TABLE `counters` (
	`server_id` integer NOT NULL,
	`day` text NOT NULL,
	`stream` text NOT NULL,
	`tag` text NOT NULL,
	`name` text NOT NULL,
	`count` integer NOT NULL,
	PRIMARY KEY(`server_id`, `tag`, `day`, `stream`, `name`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `inbound` (
	`server_id` integer NOT NULL,
	`id` text NOT NULL,
	`received_at` integer NOT NULL,
	`status` text NOT NULL,
	`from_email` text NOT NULL,
	`original_recipient` text NOT NULL,
	`mailbox_hash` text NOT NULL,
	`tag` text NOT NULL,
	`subject` text NOT NULL,
	`blocked_reason` text,
	`raw` text NOT NULL,
	`summary` text NOT NULL,
	PRIMARY KEY(`server_id`, `id`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `opens` (
	`server_id` integer NOT NULL,
	`message_id` text NOT NULL,
	`email` text NOT NULL,
	`at` integer NOT NULL,
	`stream` text NOT NULL,
	`tag` text,
	`read_seconds` integer NOT NULL,
	`reader` text NOT NULL,
	PRIMARY KEY(`server_id`, `message_id`, `email`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE INDEX `opens_newest` ON `opens` (`server_id`,`at`);