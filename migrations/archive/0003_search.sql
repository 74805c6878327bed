-- WITHOUT ROWID is ours, and so is the virtual table, which the generator has no words for. Nothing was deployed before this, so messages
-- are made anew: what is looked at in each row stands before what is long.
CREATE TABLE `message_counts` (
	`server_id` integer NOT NULL,
	`stream` text NOT NULL,
	`hour` integer NOT NULL,
	`count` integer NOT NULL,
	PRIMARY KEY(`server_id`, `stream`, `hour`)
) WITHOUT ROWID;
--> statement-breakpoint
DROP TABLE `messages`;--> statement-breakpoint
CREATE TABLE `messages` (
	`server_id` integer NOT NULL,
	`id` text NOT NULL,
	`key` integer NOT NULL,
	`stream` text NOT NULL,
	`received_at` integer NOT NULL,
	`from_email` text NOT NULL,
	`tag` text,
	`subject` text NOT NULL,
	`words` text NOT NULL,
	`summary` text NOT NULL,
	`segment` text,
	`segment_offset` integer,
	`segment_length` integer,
	PRIMARY KEY(`server_id`, `id`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE INDEX `recipients_untried` ON `recipients` (`server_id`,`message_id`) WHERE version = 0;--> statement-breakpoint
CREATE VIRTUAL TABLE `search` USING fts5(
	words, content = '', contentless_delete = 1, detail = none, tokenize = "ascii tokenchars '%;:/@=._-'"
);
