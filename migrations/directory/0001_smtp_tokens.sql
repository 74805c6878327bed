CREATE TABLE `smtp_tokens` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`server_id` integer NOT NULL,
	`stream` text NOT NULL,
	`name` text NOT NULL,
	`access_key` text NOT NULL,
	`secret_hash` text NOT NULL,
	`created_at` integer NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `smtp_tokens_access_key_unique` ON `smtp_tokens` (`access_key`);--> statement-breakpoint
CREATE INDEX `smtp_tokens_server` ON `smtp_tokens` (`server_id`,`stream`);--> statement-breakpoint
ALTER TABLE `servers` ADD `smtp_activated` integer DEFAULT true NOT NULL;