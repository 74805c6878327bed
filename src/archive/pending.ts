/**
 * What Outboxes hold that the archive does not have yet, or has as it was: as much of it as a page of a list needs. It is put together
 * where it is held, so that of thousands that wait only what may be shown travels.
 */
import type { MessageRecord } from "../mail/record.ts";
import { type MessageFilter, matches } from "./filter.ts";
import { extentOf, isAfter, type MessagePage, placeOfPending } from "./page.ts";

export interface Pending {
  /** All of them, whatever is asked for: the archive's rows of these do not count. */
  ids: string[];
  /** How many are asked for. */
  matching: number;
  /** Of those, newest first, what the page may show. */
  records: MessageRecord[];
}

/** As Outboxes answer: at one moment. */
export interface PendingNow extends Pending {
  /** Nothing is pending, and nothing has come to the archive for QUIET_MS: who read that within this time has read all. */
  isQuiet: boolean;
}

/** Much longer than it takes to ask both. */
export const QUIET_MS = 2_000;

export const NOTHING_PENDING: Pending = { ids: [], matching: 0, records: [] };

export function pendingOf(all: Iterable<MessageRecord>, filter: MessageFilter, page: MessagePage): Pending {
  const ids: string[] = [];
  const shown: MessageRecord[] = [];
  let matching = 0;
  for (const record of all) {
    ids.push(record.id);
    if (!matches(record, filter)) continue;
    matching++;
    if (isAfter(placeOfPending(record.id), page.after)) shown.push(record);
  }
  return { ids, matching, records: newest(shown, page) };
}

/** Of several Outboxes: no message is in two. */
export function together(parts: PendingNow[], page: MessagePage): PendingNow {
  return {
    isQuiet: parts.every((part) => part.isQuiet),
    ids: parts.flatMap((part) => part.ids),
    matching: parts.reduce((sum, part) => sum + part.matching, 0),
    records: newest(
      parts.flatMap((part) => part.records),
      page,
    ),
  };
}

function newest(records: MessageRecord[], page: MessagePage): MessageRecord[] {
  const { skip, most } = extentOf(page);
  return records.sort((a, b) => (a.id < b.id ? 1 : -1)).slice(0, skip + most);
}
