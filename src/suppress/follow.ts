/**
 * Reads the feed of changed suppressions on from a time, page by page. A page begins behind the last change of the one before, not
 * behind its moment: an upload of many addresses has one moment, and is longer than a page.
 */

/** Where a change stands in the feed. */
export interface SuppressionPlace {
  changedAt: number;
  stream: string;
  email: string;
}

/** Clocks of the Workers that write suppressions differ, and what is written last may be seen first: read again this far back. */
const OVERLAP_MS = 60_000;
const CHANGES_PER_PAGE = 10_000;

/** `read` gives what stands behind a place, in order, and at most `limit` of it. Ends with a page that is not full; none is empty. */
export async function* followChanges<Change extends SuppressionPlace>(
  since: number,
  read: (after: SuppressionPlace, limit: number) => Promise<Change[]>,
): AsyncGenerator<Change[]> {
  let after: SuppressionPlace = { changedAt: Math.max(0, since - OVERLAP_MS), stream: "", email: "" };
  for (;;) {
    const changes = await read(after, CHANGES_PER_PAGE);
    const last = changes.at(-1);
    if (!last) return;
    yield changes;
    if (changes.length < CHANGES_PER_PAGE) return;
    const { changedAt, stream, email } = last;
    after = { changedAt, stream, email };
  }
}
