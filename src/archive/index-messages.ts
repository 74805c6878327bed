/**
 * Puts messages into the index (search.ts) and counts them by hour, in the transaction that stores them: each once, however often they
 * are written. What removes or changes messages takes them out again by the same means.
 */
import type { MessageRecord } from "../mail/record.ts";
import { gathered, withRows } from "./rows.ts";
import { indexText } from "./search.ts";

export const HOUR_MS = 3_600_000;

/** Of an id: what follows it in a string begins after that. */
export const ID_LENGTH = 36;

const COUNT = `
WITH hours AS MATERIALIZED (
  SELECT value->>0 AS server_id, value->>1 AS stream, value->>2 AS hour, value->3 AS ids FROM json_each(?1))
INSERT INTO message_counts (server_id, stream, hour, count)
SELECT server_id, stream, hour, count(*) FROM hours CROSS JOIN json_each(ids) AS new
WHERE NOT EXISTS (SELECT 1 FROM messages WHERE messages.server_id = hours.server_id AND messages.id = new.value)
GROUP BY 1, 2, 3
ON CONFLICT (server_id, stream, hour) DO UPDATE SET count = count + excluded.count`;

/** To run before the messages are stored. */
export function countMessages(archive: D1Database, records: MessageRecord[]): D1PreparedStatement[] {
  const items = eachOnce(records).map((r) => ({ of: [r.serverId, r.stream, hourOfId(r.id)], text: r.id }));
  return withRows(archive, COUNT, gathered(items));
}

/** What is there already stays as it is: a message's words never change by themselves. */
const INDEX = `
WITH servers AS MATERIALIZED (SELECT value->>0 AS server_id, value->1 AS texts FROM json_each(?1))
INSERT INTO search (rowid, words)
SELECT messages.key, substr(new.value, ${ID_LENGTH + 1}) FROM servers CROSS JOIN json_each(texts) AS new
CROSS JOIN messages ON messages.server_id = servers.server_id AND messages.id = substr(new.value, 1, ${ID_LENGTH})
WHERE NOT EXISTS (SELECT 1 FROM search_docsize WHERE search_docsize.id = messages.key)`;

/** To run after the messages are stored. */
export function indexMessages(archive: D1Database, records: MessageRecord[]): D1PreparedStatement[] {
  const items = eachOnce(records).map((r) => ({ of: [r.serverId], text: r.id + indexText(r) }));
  return withRows(archive, INDEX, gathered(items));
}

const REMOVE = `
DELETE FROM search WHERE rowid IN (
  SELECT messages.key FROM json_each(?1) AS gone
  CROSS JOIN messages ON messages.server_id = gone.value->>0 AND messages.id = gone.value->>1)`;

/**
 * Takes messages out of the index; to run before they are deleted. What of a message changes, a name that is removed from it, becomes
 * true here by this and indexMessages of what is left.
 */
export function unindexMessages(archive: D1Database, serverId: number, ids: string[]): D1PreparedStatement[] {
  return withRows(
    archive,
    REMOVE,
    ids.map((id) => [serverId, id]),
  );
}

const UNCOUNT = `
UPDATE message_counts SET count = count - gone.number
FROM (SELECT messages.server_id, messages.stream, new.value->>2 AS hour, count(*) AS number FROM json_each(?1) AS new
  CROSS JOIN messages ON messages.server_id = new.value->>0 AND messages.id = new.value->>1 GROUP BY 1, 2, 3) AS gone
WHERE message_counts.server_id = gone.server_id AND message_counts.stream = gone.stream AND message_counts.hour = gone.hour`;

/** To run before messages are deleted, each of them once, in the transaction that deletes them. */
export function uncountMessages(archive: D1Database, serverId: number, ids: string[]): D1PreparedStatement[] {
  return withRows(
    archive,
    UNCOUNT,
    ids.map((id) => [serverId, id, hourOfId(id)]),
  );
}

/** By the time in the id, as ranges of time are ranges of ids. */
function hourOfId(id: string): number {
  return Math.floor(Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16) / HOUR_MS);
}

function eachOnce(records: MessageRecord[]): MessageRecord[] {
  return [...new Map(records.map((r) => [`${r.serverId}/${r.id}`, r])).values()];
}
