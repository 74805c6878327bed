/** The gate for clicks: the first of each recipient on each link is stored, all are counted (first.ts says how). */
import { countClicks, markCounted, type Seen, type SeenMark } from "../archive/count.ts";
import { withRows } from "../archive/rows.ts";
import { recordFirsts } from "./first.ts";

export interface NewClick extends Seen {
  /** Where it leads, as the author wrote it: the same in both bodies is one link. */
  link: string;
  /** The body in which it was clicked. */
  location: "HTML" | "Text";
}

const CLICKS = `
INSERT INTO clicks (server_id, message_id, email, link, at, stream, tag, location, reader)
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7, value->>8 FROM json_each(?1) WHERE true
ON CONFLICT DO NOTHING`;

const FIRSTS = `
SELECT given.value->>5 AS position FROM json_each(?1) AS given JOIN clicks
  ON server_id = given.value->>0 AND message_id = given.value->>1 AND email = given.value->>2 AND link = given.value->>3
    AND at = given.value->>4`;

/** Says of each, in order, whether it is its recipient's first on the link. */
export function recordClicks(
  archive: D1Database,
  clicks: NewClick[],
  numbered?: SeenMark,
): Promise<boolean[]> {
  return recordFirsts(archive, clicks, {
    key: ({ serverId, messageId, email, link }) => JSON.stringify([serverId, messageId, email, link]),
    count: (facts) => countClicks(archive, facts),
    store: (firsts) => withRows(archive, CLICKS, firsts.map(toRow)),
    mark: numbered && markCounted(archive, "Click", numbered),
    firsts: FIRSTS,
  });
}

function toRow({ serverId, messageId, email, link, at, stream, tag, location, reader }: NewClick): unknown[] {
  return [serverId, messageId, email, link, at, stream, tag || null, location, JSON.stringify(reader)];
}
