ALTER TABLE `inbound` ADD `untold_since` integer;--> statement-breakpoint
CREATE INDEX `inbound_untold` ON `inbound` (`untold_since`) WHERE "inbound"."untold_since" is not null;