DROP INDEX `clicks_newest`;--> statement-breakpoint
CREATE INDEX `clicks_newest` ON `clicks` (`server_id`,`stream`,`at`);--> statement-breakpoint
DROP INDEX `opens_newest`;--> statement-breakpoint
CREATE INDEX `opens_newest` ON `opens` (`server_id`,`stream`,`at`);