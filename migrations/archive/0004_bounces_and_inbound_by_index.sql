DROP INDEX `bounces_newest`;--> statement-breakpoint
CREATE INDEX `bounces_inactive` ON `bounces` (`server_id`,`email`) WHERE inactive = 1;--> statement-breakpoint
CREATE INDEX `bounces_newest` ON `bounces` (`server_id`,`stream`,`id`,`type`,`inactive`);--> statement-breakpoint
CREATE INDEX `inbound_newest` ON `inbound` (`server_id`,`status`,`id`);