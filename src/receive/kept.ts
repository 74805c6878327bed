/**
 * What is kept of received mail once it is read, as objects under a folder for each day: reports that became bounces, to be looked at, and
 * what could not be read. Both go after 30 days.
 */
export const KEPT_MS = 30 * 86_400_000;
const DAY_MS = 86_400_000;
/** "dumps/2026-11-24/7/<object>": by server, so that it goes with it. */
const DUMPS = "dumps/";
const UNREADABLE = "unreadable/";
/** R2 lists and deletes so many in a call. */
const KEYS_PER_CALL = 1_000;
/** Of a run: what is left is there for the next. */
const CALLS_PER_RUN = 20;

export function dumpKey(serverId: number, receivedAt: number, name: string): string {
  return `${DUMPS}${dayOf(receivedAt)}/${serverId}/${name}`;
}

export function unreadableKey(now: number, name: string): string {
  return `${UNREADABLE}${dayOf(now)}/${name}`;
}

/** Deletes what has been kept for long enough. */
export async function forgetOld(mail: R2Bucket, now: number): Promise<void> {
  const first = dayOf(now - KEPT_MS - DAY_MS);
  let calls = 0;
  for (const prefix of [DUMPS, UNREADABLE]) {
    const { delimitedPrefixes } = await mail.list({ prefix, delimiter: "/" });
    for (const folder of delimitedPrefixes) {
      if (folder.slice(prefix.length, -1) >= first) continue;
      for (let truncated = true; truncated && calls < CALLS_PER_RUN; calls++) {
        const page = await mail.list({ prefix: folder, limit: KEYS_PER_CALL });
        truncated = page.truncated;
        if (page.objects.length > 0) await mail.delete(page.objects.map((object) => object.key));
      }
    }
  }
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}
