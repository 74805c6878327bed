-- WITHOUT ROWID is ours.
CREATE TABLE `recipients_by_message` (
	`server_id` integer NOT NULL,
	`message_id` text NOT NULL,
	`email` text NOT NULL,
	`state` text NOT NULL,
	`version` integer NOT NULL,
	`record` text NOT NULL,
	PRIMARY KEY(`server_id`, `message_id`, `email`)
) WITHOUT ROWID;
--> statement-breakpoint
INSERT INTO `recipients_by_message` SELECT `server_id`, `message_id`, `email`, `state`, `version`, `record` FROM `recipients`;--> statement-breakpoint
DROP TABLE `recipients`;--> statement-breakpoint
ALTER TABLE `recipients_by_message` RENAME TO `recipients`;--> statement-breakpoint
CREATE INDEX `recipients_untried` ON `recipients` (`server_id`,`message_id`) WHERE version = 0;
