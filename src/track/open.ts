/** The gate for opens: the first of each recipient is stored, all are counted (first.ts says how). */
import { countOpens, markCounted, type Seen, type SeenMark } from "../archive/count.ts";
import { withRows } from "../archive/rows.ts";
import { recordFirsts } from "./first.ts";

export interface NewOpen extends Seen {
  /** How long the picture was on show, as far as its request told; absent when it did not. */
  readSeconds?: number;
}

const OPENS = `
INSERT INTO opens (server_id, message_id, email, at, stream, tag, read_seconds, reader)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7 FROM json_each(?1) WHERE true
ON CONFLICT DO NOTHING`;

const FIRSTS = `
SELECT given.value->>4 AS position FROM json_each(?1) AS given JOIN opens
  ON server_id = given.value->>0 AND message_id = given.value->>1 AND email = given.value->>2 AND at = given.value->>3`;

/** Says of each, in order, whether it is its recipient's first. */
export function recordOpens(archive: D1Database, opens: NewOpen[], numbered?: SeenMark): Promise<boolean[]> {
  return recordFirsts(archive, opens, {
    key: ({ serverId, messageId, email }) => JSON.stringify([serverId, messageId, email]),
    count: (facts) => countOpens(archive, facts),
    store: (firsts) => withRows(archive, OPENS, firsts.map(toRow)),
    mark: numbered && markCounted(archive, "Open", numbered),
    firsts: FIRSTS,
  });
}

function toRow({ serverId, messageId, email, at, stream, tag, readSeconds = 0, reader }: NewOpen): unknown[] {
  return [
    ...[serverId, messageId, email, at, stream, tag || null],
    ...[Math.max(0, Math.floor(readSeconds)), JSON.stringify(reader)],
  ];
}
