/**
 * What lies in R2. A server's segments are whole objects of its own; of a message its range in a segment is overwritten with zeros, so
 * that the messages beside it stay where they are.
 */

/** R2 deletes and lists so many in a call. */
const KEYS_PER_CALL = 1_000;
/** Another run may rewrite the same segment at the same time. */
const MAX_TRIES = 3;

export interface Range {
  key: string;
  offset: number;
  length: number;
}

/** A segment that nothing is left of goes whole. One that is not there is no fault: an earlier run removed it. */
export async function blank(mail: R2Bucket, ranges: Range[]): Promise<void> {
  for (const [key, of] of Map.groupBy(ranges, (r) => r.key)) await blankIn(mail, key, of);
}

async function blankIn(mail: R2Bucket, key: string, ranges: Range[]): Promise<void> {
  for (let tries = 1; ; tries++) {
    const object = await mail.get(key);
    if (!object) return;
    const bytes = new Uint8Array(await object.arrayBuffer());
    let changed = false;
    for (const { offset, length } of ranges) {
      const part = bytes.subarray(offset, offset + length);
      changed ||= part.some((byte) => byte !== 0);
      part.fill(0);
    }
    if (bytes.every((byte) => byte === 0)) return mail.delete(key);
    // Writing the same again would only cost.
    if (!changed) return;
    if (await mail.put(key, bytes, { onlyIf: { etagMatches: object.etag } })) return;
    if (tries === MAX_TRIES) throw new Error(`${key} is being changed by others`);
  }
}

export async function deleteObjects(mail: R2Bucket, keys: string[]): Promise<void> {
  for (let i = 0; i < keys.length; i += KEYS_PER_CALL) await mail.delete(keys.slice(i, i + KEYS_PER_CALL));
}

/** Where a message too large for a row lay before it was in a segment; the gate for mail names it so. */
export function largeKey({ id, receivedAt }: { id: string; receivedAt: number }): string {
  return `large/${new Date(receivedAt).toISOString().slice(0, 10)}/${id}`;
}

/** Reports that came back, and messages as they were sent. Each day has a folder, and in it each server. In order. */
const OF_SERVERS = ["dumps/", "segments/"];

/**
 * Goes on behind the folder `after`, "" for none: to look into that of each day takes longer than a run when there are many. "done", or
 * the last folder that it was through with when time was up.
 */
export async function deleteOfServer(
  mail: R2Bucket,
  { serverId, after }: { serverId: number; after: string },
  hasTime: () => boolean,
): Promise<"done" | { after: string }> {
  let last = after;
  // What came in, and had no row yet when the server went.
  if (!(await deleteBelow(mail, `inbound/${serverId}/`, hasTime))) return { after: last };
  for (const of of OF_SERVERS) {
    for await (const day of folders(mail, of)) {
      if (day <= last) continue;
      if (!(await deleteBelow(mail, `${day}${serverId}/`, hasTime))) return { after: last };
      last = day;
    }
  }
  return "done";
}

async function deleteBelow(mail: R2Bucket, prefix: string, hasTime: () => boolean): Promise<boolean> {
  for (;;) {
    if (!hasTime()) return false;
    const listed = await mail.list({ prefix, limit: KEYS_PER_CALL });
    await deleteObjects(
      mail,
      listed.objects.map((o) => o.key),
    );
    if (!listed.truncated) return true;
  }
}

async function* folders(mail: R2Bucket, prefix: string): AsyncGenerator<string> {
  let cursor: string | undefined;
  do {
    const page = await mail.list({ prefix, delimiter: "/", ...(cursor === undefined ? {} : { cursor }) });
    yield* page.delimitedPrefixes;
    cursor = page.truncated ? page.cursor : undefined;
  } while (cursor !== undefined);
}
