-- WITHOUT ROWID is ours.
CREATE TABLE `dmarc_daily` (
	`monitor_id` integer NOT NULL,
	`day` integer NOT NULL,
	`source_ip` text NOT NULL,
	`dkim_domain` text NOT NULL,
	`dkim_result` text NOT NULL,
	`spf_domain` text NOT NULL,
	`spf_result` text NOT NULL,
	`dkim_aligned` integer NOT NULL,
	`spf_aligned` integer NOT NULL,
	`disposition` text NOT NULL,
	`reason` text NOT NULL,
	`count` integer NOT NULL,
	PRIMARY KEY(`monitor_id`, `day`, `source_ip`, `dkim_domain`, `dkim_result`, `spf_domain`, `spf_result`, `dkim_aligned`, `spf_aligned`, `disposition`, `reason`)
) WITHOUT ROWID;
--> statement-breakpoint
CREATE TABLE `reports` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`monitor_id` integer NOT NULL,
	`kind` text NOT NULL,
	`organization` text NOT NULL,
	`external_id` text NOT NULL,
	`domain` text NOT NULL,
	`begins_at` integer NOT NULL,
	`ends_at` integer NOT NULL,
	`received_at` integer NOT NULL,
	`claim` text NOT NULL,
	`object` text NOT NULL,
	`summary` text NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `reports_once` ON `reports` (`monitor_id`,`kind`,`organization`,`external_id`);--> statement-breakpoint
CREATE TABLE `tls_daily` (
	`monitor_id` integer NOT NULL,
	`day` integer NOT NULL,
	`policy_type` text NOT NULL,
	`mx_host` text NOT NULL,
	`result` text NOT NULL,
	`count` integer NOT NULL,
	PRIMARY KEY(`monitor_id`, `day`, `policy_type`, `mx_host`, `result`)
) WITHOUT ROWID;
