CREATE TABLE `seen_marks` (
	`server_id` integer NOT NULL,
	`kind` text NOT NULL,
	`upto` integer NOT NULL,
	PRIMARY KEY(`server_id`, `kind`)
) WITHOUT ROWID;
