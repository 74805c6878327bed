CREATE TABLE `report_monitors` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`account_id` integer,
	`domain` text NOT NULL,
	`email` text DEFAULT '' NOT NULL,
	`public_token` text NOT NULL,
	`token_hash` text,
	`recovery_hash` text,
	`recovery_sent_at` integer,
	`created_at` integer NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `report_monitors_public_token_unique` ON `report_monitors` (`public_token`);--> statement-breakpoint
CREATE UNIQUE INDEX `report_monitors_token_hash_unique` ON `report_monitors` (`token_hash`);--> statement-breakpoint
CREATE UNIQUE INDEX `report_monitors_recovery_hash_unique` ON `report_monitors` (`recovery_hash`);--> statement-breakpoint
CREATE UNIQUE INDEX `report_monitors_account` ON `report_monitors` (`account_id`,`domain`) WHERE account_id IS NOT NULL;--> statement-breakpoint
CREATE INDEX `report_monitors_domain` ON `report_monitors` (`domain`);--> statement-breakpoint
CREATE INDEX `report_monitors_email` ON `report_monitors` (`email`) WHERE email <> '';