ALTER TABLE `dkim_keys` ADD `missing_since` integer;--> statement-breakpoint
ALTER TABLE `domains` ADD `implied` integer DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE `domains` DROP COLUMN `spf_verified_at`;