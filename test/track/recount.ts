/** Counts from the tables what the counters are to say, with nothing in common with how they come about but the rules. */
import { formatDay } from "../../src/mail/eastern.ts";
import type { Reader } from "../../src/mail/reader.ts";
import type { MessageSummary, RecipientRecord } from "../../src/mail/record.ts";

type Row = Record<string, string | number | null>;

/** "server tag day stream name" to its count; what is zero is left out. */
export async function counted(archive: D1Database): Promise<Record<string, number>> {
  const { results } = await archive.prepare("SELECT * FROM counters WHERE count <> 0").all<Row>();
  const entries = results.map((r) => [
    [r.server_id, r.tag || "-", r.day, r.stream, r.name].join(" "),
    Number(r.count),
  ]);
  return sorted(Object.fromEntries(entries));
}

export async function recounted(archive: D1Database): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  const add = (of: Row, at: number, name: string, n = 1) => {
    for (const tag of of.tag ? ["-", of.tag] : ["-"]) {
      const key = [of.server_id, tag, formatDay(at), of.stream, name].join(" ");
      counts[key] = (counts[key] ?? 0) + n;
    }
  };
  const rows = async (sql: string) => (await archive.prepare(sql).all<Row>()).results;

  const sent = `SELECT m.server_id, m.tag, m.stream, m.received_at, m.summary, r.record
    FROM messages m JOIN recipients r ON r.server_id = m.server_id AND r.message_id = m.id`;
  for (const row of await rows(sent)) {
    const { state, bounceType } = JSON.parse(String(row.record)) as RecipientRecord;
    if (state === "suppressed" || state === "cancelled") continue;
    if (bounceType === "SMTPApiError" || bounceType === "TemplateRenderingFailed") continue;
    const { trackOpens, trackLinks, trackedLinks } = JSON.parse(String(row.summary)) as MessageSummary;
    const tracking = { "true,true": "both", "true,false": "opens", "false,true": "links" };
    const both = `${trackOpens},${trackLinks !== "None"}` as keyof typeof tracking;
    add(row, Number(row.received_at), `Sent/${tracking[both] ?? "none"}`);
    if (trackedLinks) add(row, Number(row.received_at), "TrackedLinks", trackedLinks);
  }
  for (const row of await rows("SELECT * FROM bounces"))
    add(row, Number(row.bounced_at), `Bounce/${row.type}`);
  for (const row of await rows("SELECT * FROM opens")) {
    const { platform, client } = JSON.parse(String(row.reader)) as Reader;
    add(row, Number(row.at), `Open/first/${platform}/${client.family}/${row.read_seconds}s`);
  }
  for (const row of await rows("SELECT * FROM clicks")) {
    const { platform, client } = JSON.parse(String(row.reader)) as Reader;
    add(row, Number(row.at), `Click/first/${platform}/${client.family}/${row.location}`);
  }
  return sorted(counts);
}

function sorted<T>(of: Record<string, T>): Record<string, T> {
  return Object.fromEntries(Object.entries(of).sort(([a], [b]) => (a < b ? -1 : 1)));
}
