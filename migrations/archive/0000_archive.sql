-- WITHOUT ROWID is ours, not the generator's: a text or composite key would otherwise cost a second row written.
CREATE TABLE `bounces` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`server_id` integer NOT NULL,
	`message_id` text NOT NULL,
	`email` text NOT NULL,
	`type` text NOT NULL,
	`stream` text NOT NULL,
	`tag` text,
	`from_email` text NOT NULL,
	`subject` text NOT NULL,
	`details` text NOT NULL,
	`bounced_at` integer NOT NULL,
	`inactive` integer NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `bounces_once` ON `bounces` (`server_id`,`message_id`,`email`,`type`);--> statement-breakpoint
CREATE INDEX `bounces_newest` ON `bounces` (`server_id`,`id`);--> statement-breakpoint
CREATE TABLE `messages` (
	`server_id` integer NOT NULL,
	`id` text NOT NULL,
	`stream` text NOT NULL,
	`received_at` integer NOT NULL,
	`from_email` text NOT NULL,
	`subject` text NOT NULL,
	`tag` text,
	`summary` text NOT NULL,
	`segment` text,
	`segment_offset` integer,
	`segment_length` integer,
	PRIMARY KEY(`server_id`, `id`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `recipients` (
	`server_id` integer NOT NULL,
	`email` text NOT NULL,
	`message_id` text NOT NULL,
	`state` text NOT NULL,
	`version` integer NOT NULL,
	`record` text NOT NULL,
	PRIMARY KEY(`server_id`, `email`, `message_id`)
) WITHOUT ROWID;
