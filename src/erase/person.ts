/**
 * All that is kept of a person in an account, server by server. First nothing more may come of what waits to become messages; from then
 * on the time is fixed up to which messages are removed, so that it ends however often the person is mailed meanwhile.
 */
import { removeInbound, removeLateBounces } from "./archive-rows.ts";
import { removePersonSettings } from "./directory-rows.ts";
import { eraseInHooks } from "./hooks.ts";
import { removeSome } from "./messages.ts";
import type { EraseNeeds, Outcome } from "./needs.ts";
import { noticeOf } from "./notice.ts";
import { type Erasure, finish, keepProgress } from "./requests.ts";
import { eraseInOutboxes, outboxesOf } from "./shards.ts";

/** How far a person's removal has come; each is written down before what relies on it. */
interface Progress {
  /** The servers up to this number were visited in this round. */
  after: number;
  /** Something was left at one of them, so there is another round. */
  isAnyLeft: boolean;
  /** Set once no waiting mail names the person: messages accepted until then are removed. */
  until?: number;
}

const START: Progress = { after: 0, isAnyLeft: false };

export async function erasePerson(
  needs: EraseNeeds,
  erasure: Erasure,
  hasTime: () => boolean,
): Promise<Outcome> {
  const { directory, now } = needs;
  const { id, accountId, email, requestedBy, notify } = erasure;
  if (email === null) throw new Error("an erasure of nobody");
  let progress: Progress = { ...START, ...erasure.progress };
  for (;;) {
    const serverId = await nextServer(directory, accountId, progress.after);
    if (serverId !== undefined) {
      if (!hasTime()) return "not yet";
      const isLeft = !(await visit(needs, { serverId, email, until: progress.until }, hasTime));
      // Time was up in the middle of it: it is visited again.
      if (isLeft && !hasTime()) return "not yet";
      progress = { ...progress, after: serverId, isAnyLeft: progress.isAnyLeft || isLeft };
      await keepProgress(directory, erasure, progress);
      continue;
    }
    const { isAnyLeft, until } = progress;
    const isFirstRound = until === undefined && !isAnyLeft;
    progress = { ...START, until: isFirstRound ? now() : until };
    if (isAnyLeft || isFirstRound) await keepProgress(directory, erasure, progress);
    if (isAnyLeft) return "not yet";
    if (!isFirstRound) break;
  }
  // A server that is being deleted may hold them still.
  if (await isServerGoing(directory, erasure)) return "not yet";
  const notice = notify && requestedBy !== null ? noticeOf(requestedBy, id) : undefined;
  // Told before it is written down: twice rather than never.
  if (notice) await needs.sendSystemMessage(notice);
  await finish(directory, erasure, now());
  return "done";
}

/** Whether nothing is left at this server. */
async function visit(
  needs: EraseNeeds,
  { serverId, email, until }: { serverId: number; email: string; until: number | undefined },
  hasTime: () => boolean,
): Promise<boolean> {
  if (until === undefined) {
    const stopped = await Promise.all(needs.waitingMail(serverId).map((w) => w.removePerson(email)));
    return stopped.every(Boolean);
  }
  const shards = await outboxesOf(needs.directory, serverId);
  const left = await eraseInOutboxes(needs, shards, { what: { kind: "person", email }, until });
  for (const stream of await streamsOf(needs.directory, serverId))
    do if (!hasTime()) return false;
    while (await removeSome(needs, { serverId, stream, email, until, except: left }));
  do if (!hasTime()) return false;
  while (
    (await removeInbound(needs, serverId, email)) ||
    (await removeLateBounces(needs, { serverId, email }))
  );
  await removePersonSettings(needs, { serverId, email, shards, until });
  // Last: what an Outbox still held, it told the log, and the log the hooks.
  const person = { what: { kind: "person", email }, until } as const;
  const isClear = await needs.events(serverId).erase(person);
  await eraseInHooks(needs, serverId, person);
  return isClear && left.length === 0;
}

async function nextServer(
  directory: D1Database,
  accountId: number,
  after: number,
): Promise<number | undefined> {
  const row = await directory
    .prepare(
      "SELECT id FROM servers WHERE account_id = ? AND id > ? AND deleted_at IS NULL ORDER BY id LIMIT 1",
    )
    .bind(accountId, after)
    .first<{ id: number }>();
  return row?.id;
}

async function streamsOf(directory: D1Database, serverId: number): Promise<string[]> {
  const { results } = await directory
    .prepare("SELECT id FROM streams WHERE server_id = ?")
    .bind(serverId)
    .all<{ id: string }>();
  return results.map((r) => r.id);
}

async function isServerGoing(directory: D1Database, { accountId }: Erasure): Promise<boolean> {
  const row = await directory
    .prepare("SELECT 1 FROM erasures WHERE account_id = ? AND kind = 'server' AND done_at IS NULL LIMIT 1")
    .bind(accountId)
    .first();
  return row !== null;
}
