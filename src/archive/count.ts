/**
 * Counts facts, in the transaction that stores them and before they are stored: what is counted is how the tables will differ, so that
 * facts which come again, late or out of order leave the counters as a recount of the tables would find them. The only writer
 * of counters. Each fact adds to one row, however many of Postmark's statistics it is part of (counters.ts adds them up again), and
 * to a second one when its message has a tag; facts that are stored together share rows. A tag of its own for each message makes
 * a row for each, which is what it costs and nothing else.
 *
 *   name                             counts                                                              on the day of
 *   Sent/<tracking>                  recipients that were mailed, or wait to be: neither suppressed       acceptance
 *                                    nor cancelled nor refused after acceptance; tracking is none,
 *                                    opens, links or both, as the message asked for
 *   TrackedLinks                     of those recipients' messages, the links that lead through us        acceptance
 *   Bounce/<type>                    rows of bounces, complaints and refusals after acceptance too        the bounce
 *   Open/first/<platform>/<family>/<seconds>   rows of opens: the first of each recipient               the open
 *   Open/again                       all other opens                                                     the open
 *   Click/first/<platform>/<family>/<location> rows of clicks: the first of each recipient and link      the click
 *   Click/again                      all other clicks                                                    the click
 */
import { formatDay } from "../mail/eastern.ts";
import type { Reader } from "../mail/reader.ts";
import type { MessageRecord, RecipientRecord } from "../mail/record.ts";
import { recordVersion } from "../mail/record.ts";
import { ID_LENGTH } from "./index-messages.ts";
import { gathered, withRows } from "./rows.ts";

/** Who is not mailed, though the message was accepted. */
const UNSENT_STATES = ["suppressed", "cancelled"];
const UNSENT_TYPES = ["SMTPApiError", "TemplateRenderingFailed"];
const MAX_READ_SECONDS = 20;

/** `change` is grouped by all columns before it; nothing is written where nothing changes. */
const into = (select: string, change: string, from: string, parts = "") => `${parts}
INSERT INTO counters (server_id, tag, day, stream, name, count)
SELECT ${select}, ${change} AS change ${from} GROUP BY 1, 2, 3, 4, 5 HAVING change <> 0
ON CONFLICT (server_id, tag, day, stream, name) DO UPDATE SET count = count + excluded.count`;

const listed = (words: string[]) => words.map((word) => `'${word}'`).join(", ");
const WAS_SENT = `(old.version IS NOT NULL AND old.state NOT IN (${listed(UNSENT_STATES)})
  AND coalesce(old.record->>'bounceType', '') NOT IN (${listed(UNSENT_TYPES)}))`;

/** Those of a counter together; each is the message's id and then the address. */
const SENT = into(
  "server_id, tag.value, day, stream, name",
  "sum(difference)",
  "FROM sent CROSS JOIN json_each(tags) AS tag",
  `WITH told AS MATERIALIZED (
     SELECT value->>0 AS server_id, value->>1 AS day, value->>2 AS stream, value->>3 AS name, value->4 AS tags,
       value->>5 AS version, value->>6 AS weight, value->>7 AS is_sent, value->8 AS people FROM json_each(?1)),
   sent AS MATERIALIZED (
     SELECT server_id, day, stream, name, tags, weight * (
       SELECT sum(is_sent - ${WAS_SENT}) FROM json_each(people) AS new
       LEFT JOIN recipients AS old ON old.server_id = told.server_id
         AND old.message_id = substr(new.value, 1, ${ID_LENGTH}) AND old.email = substr(new.value, ${ID_LENGTH + 1})
       WHERE old.version IS NULL OR old.version < told.version) AS difference
     FROM told)`,
);

/** Each recipient of these records once, and as it will be stored: only who knows more replaces what is there. */
export function countSent(
  archive: D1Database,
  recipients: { message: MessageRecord; to: RecipientRecord }[],
): D1PreparedStatement[] {
  const items = recipients.flatMap(({ message, to }) => {
    const { serverId, id, stream, receivedAt, tag, summary } = message;
    const item = (name: string, weight: number) => ({
      of: [
        ...[serverId, formatDay(receivedAt), stream, name, tagsOf(tag)],
        ...[recordVersion(to), weight, isSent(to) ? 1 : 0],
      ],
      text: id + to.email,
    });
    const links = summary.trackedLinks ?? 0;
    return [item(`Sent/${trackingOf(summary)}`, 1), ...(links > 0 ? [item("TrackedLinks", links)] : [])];
  });
  return withRows(archive, SENT, gathered(items));
}

/** The same rule as WAS_SENT. */
function isSent({ state, bounceType }: RecipientRecord): boolean {
  return !UNSENT_STATES.includes(state) && !UNSENT_TYPES.includes(bounceType ?? "");
}

function trackingOf({ trackOpens, trackLinks }: MessageRecord["summary"]): string {
  if (trackLinks === "None") return trackOpens ? "opens" : "none";
  return trackOpens ? "both" : "links";
}

const BOUNCES = into(
  "new.value->>0, tag.value, new.value->>1, new.value->>2, 'Bounce/' || (new.value->>3)",
  "count(*)",
  `FROM json_each(?1) AS new JOIN json_each(new.value, '$[4]') AS tag
   WHERE NOT EXISTS (SELECT 1 FROM bounces AS old WHERE old.server_id = new.value->>0
     AND old.message_id = new.value->>6 AND old.email = new.value->>5 AND old.type = new.value->>3)`,
);

interface Bounce {
  serverId: number;
  messageId: string;
  email: string;
  type: string;
  stream: string;
  tag: string;
  bouncedAt: number;
}

/** Each message, recipient and type once. */
export function countBounces(archive: D1Database, bounces: Bounce[]): D1PreparedStatement[] {
  const rows = bounces.map(({ serverId, messageId, email, type, stream, tag, bouncedAt }) => [
    ...[serverId, formatDay(bouncedAt), stream, type, tagsOf(tag)],
    ...[email, messageId],
  ]);
  return withRows(archive, BOUNCES, rows);
}

/** What opens and clicks have in common; `link` tells clicks of one recipient apart. */
export interface Seen {
  serverId: number;
  messageId: string;
  /** Lower case. */
  email: string;
  stream: string;
  /** "" when there is none. */
  tag: string;
  /** Milliseconds since the epoch. */
  at: number;
  reader: Reader;
  /** Its place among what is told by one who numbers it (`markCounted`); absent where nobody does. */
  number?: number;
}

/** Above all that is counted: what nobody numbers is counted each time that it is told. */
const UNNUMBERED = Number.MAX_SAFE_INTEGER;

/**
 * `mayBeFirst` is false for what another of the given comes before. A fact of the very time that is stored is the stored one, told
 * again.
 */
const seen = (kind: "Open" | "Click", table: string, sameLink: string) =>
  into(
    `new.value->>0, tag.value, new.value->>1, new.value->>2,
     CASE WHEN old.at IS NULL AND new.value->>8 THEN new.value->>3 ELSE '${kind}/again' END`,
    "count(*)",
    `FROM json_each(?1) AS new JOIN json_each(new.value, '$[4]') AS tag
     LEFT JOIN ${table} AS old ON old.server_id = new.value->>0 AND old.message_id = new.value->>6
       AND old.email = new.value->>5 ${sameLink}
     WHERE (old.at IS NULL OR old.at <> new.value->>7)
       AND new.value->>10 > coalesce((SELECT upto FROM seen_marks WHERE server_id = new.value->>0 AND kind = '${kind}'), 0)`,
  );
const OPENS = seen("Open", "opens", "");
const CLICKS = seen("Click", "clicks", "AND old.link = new.value->>9");

export function countOpens(
  archive: D1Database,
  opens: (Seen & { readSeconds?: number; mayBeFirst: boolean })[],
): D1PreparedStatement[] {
  const rows = opens.map((open) => seenRow(open, `Open/first/${readerName(open)}/${readTime(open)}`, ""));
  return withRows(archive, OPENS, rows);
}

export function countClicks(
  archive: D1Database,
  clicks: (Seen & { location: string; link: string; mayBeFirst: boolean })[],
): D1PreparedStatement[] {
  const rows = clicks.map((click) =>
    seenRow(click, `Click/first/${readerName(click)}/${click.location}`, click.link),
  );
  return withRows(archive, CLICKS, rows);
}

function seenRow(of: Seen & { mayBeFirst: boolean }, name: string, link: string): unknown[] {
  const { serverId, at, stream, tag, email, messageId, mayBeFirst, number = UNNUMBERED } = of;
  return [
    ...[serverId, formatDay(at), stream, name, tagsOf(tag)],
    ...[email, messageId, at, mayBeFirst ? 1 : 0, link, number],
  ];
}

/** What a server's opens or clicks are numbered up to that are told with this, and so are counted from now on. */
export interface SeenMark {
  serverId: number;
  upto: number;
}

/** Part of the transaction that counts them: whoever tells the same numbers again adds nothing. */
export function markCounted(
  archive: D1Database,
  kind: "Open" | "Click",
  { serverId, upto }: SeenMark,
): D1PreparedStatement {
  const statement = `INSERT INTO seen_marks (server_id, kind, upto) VALUES (?, ?, ?)
    ON CONFLICT (server_id, kind) DO UPDATE SET upto = excluded.upto WHERE excluded.upto > upto`;
  return archive.prepare(statement).bind(serverId, kind, upto);
}

/** 0 when none was. */
export async function countedUpTo(archive: D1Database, serverId: number): Promise<number> {
  const statement = archive.prepare("SELECT max(upto) AS upto FROM seen_marks WHERE server_id = ?");
  return (await statement.bind(serverId).first<{ upto: number | null }>())?.upto ?? 0;
}

/** A name's parts are set apart by slashes, and there is none in what we call readers (track/mail-programs.ts). */
function readerName({ reader }: Seen): string {
  return `${reader.platform}/${reader.client.family.replaceAll(/[/"\\]/g, " ")}`;
}

function readTime({ readSeconds }: { readSeconds?: number }): string {
  if (readSeconds === undefined) return "unknown";
  return readSeconds >= MAX_READ_SECONDS
    ? `${MAX_READ_SECONDS}s+`
    : `${Math.max(0, Math.floor(readSeconds))}s`;
}

/** Under which tags a fact is counted: "" for all. */
function tagsOf(tag: string): string[] {
  return tag === "" ? [""] : ["", tag];
}
