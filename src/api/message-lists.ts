/**
 * Lists of messages: what the archive has, and what Outboxes hold for it. Both are asked at the same time, which is right while nothing is
 * on its way from one to the other, and Outboxes say whether that is so. Otherwise the archive is asked once more, after them: a server that is sending
 * is asked in that order from then on.
 */
import { QUIET_MS } from "../archive/pending.ts";
import { type ListedMessages, type ListQuery, listMessages } from "../archive/read.ts";
import type { ReadNeeds } from "./read-needs.ts";

/** Half of what the Outboxes vouch for: the other half is for clocks. */
const SAME_MOMENT_MS = QUIET_MS / 2;
/** Who sends mostly goes on with it. */
const BUSY_MS = 5_000;
/** Of servers that send; those that are forgotten cost one question more. */
const MAX_REMEMBERED = 1_000;

type Lists = (serverId: number, query: ListQuery, request: Request) => Promise<ListedMessages>;

export function messageLists(needs: Pick<ReadNeeds, "archive" | "pending" | "now">): Lists {
  const busyUntil = new Map<number, number>();
  return async (serverId, query, request) => {
    const archive = needs.archive(serverId);
    const begun = needs.now();
    const isBusy = begun < (busyUntil.get(serverId) ?? 0);
    const [pending, listed] = await Promise.all([
      needs.pending(serverId, query, request),
      isBusy ? undefined : listMessages(archive, serverId, query),
    ]);
    const now = needs.now();
    if (listed && pending.isQuiet && now - begun < SAME_MOMENT_MS) return listed;
    if (busyUntil.size >= MAX_REMEMBERED) busyUntil.clear();
    if (pending.ids.length > 0) busyUntil.set(serverId, now + BUSY_MS);
    return listMessages(archive, serverId, { ...query, pending });
  };
}
