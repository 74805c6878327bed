ALTER TABLE `servers` ADD `hook_starts` text;--> statement-breakpoint
ALTER TABLE `webhooks` ADD `starts` text;--> statement-breakpoint
ALTER TABLE `webhooks` ADD `retry_for` text DEFAULT 'standard' NOT NULL;