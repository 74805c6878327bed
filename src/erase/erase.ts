/**
 * Removing, in the background: a deleted server, an archived stream whose time has come, all that is kept of a person. Each step is
 * bounded, says by what is left whether it is done, and may run twice or beside itself; so a run that ends anywhere, in time or not, is
 * taken up by the next. Mail is stopped first where it waits, then in the Outboxes, and then goes from where they had put it.
 */
import { within } from "../mail/within.ts";
import { removeInbound, removeServerRows, removeStreamCounts } from "./archive-rows.ts";
import { removeServer, removeServerSettings, removeStreamSettings } from "./directory-rows.ts";
import { eraseInHooks } from "./hooks.ts";
import { removeSome } from "./messages.ts";
import type { EraseNeeds, Outcome } from "./needs.ts";
import { deleteOfServer } from "./objects.ts";
import { erasePerson } from "./person.ts";
import { type Erasure, finish, keepProgress, openErasures, queueStreams } from "./requests.ts";
import { eraseInOutboxes, outboxesOf } from "./shards.ts";

/** What goes on after a request has 30 s at most. */
const RUN_MS = 20_000;
/** Cron's. */
const ROUND_MS = 60_000;
/** An account's servers are known for a minute by whoever had read them before, and may be sent to until then. */
const KNOWN_MS = 120_000;

/** One run. `patience` is how often, seconds apart, it looks again at what has to end first. */
export async function erase(needs: EraseNeeds, { patience = 0, runMs = RUN_MS } = {}): Promise<void> {
  const end = needs.now() + runMs;
  const hasTime = () => needs.now() < end;
  await queueStreams(needs.directory, needs.now());
  for (let look = 0; look <= patience && hasTime(); look++) {
    if (look > 0) await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
    let isAnyLeft = false;
    for (const erasure of inTurn(await openErasures(needs.directory, needs.now()), needs.now()))
      if (!hasTime() || (await one(needs, erasure, { hasTime, runMs })) === "not yet") isAnyLeft = true;
    if (!isAnyLeft) return;
  }
}

/** Each round begins with another, so that one which takes all the time there is keeps none of the others for ever. */
function inTurn<T>(all: T[], now: number): T[] {
  const first = Math.floor(now / ROUND_MS) % Math.max(1, all.length);
  return [...all.slice(first), ...all.slice(0, first)];
}

/** Longer than an Outbox waits before it tells the archive. */
const LOOK_AGAIN_MS = 2_500;

async function one(
  needs: EraseNeeds,
  erasure: Erasure,
  { hasTime, runMs }: { hasTime: () => boolean; runMs: number },
): Promise<Outcome> {
  const { id, kind } = erasure;
  const remove = { person: erasePerson, server: eraseServer, stream: eraseStream }[kind];
  try {
    // It minds the time between its steps, but what a step asks may never answer.
    return await within(1.5 * runMs, remove(needs, erasure, hasTime));
  } catch (error) {
    // What failed is tried again in the next run, and must not keep others from being removed.
    needs.log("erasure failed", { id, kind, error: String(error) });
    return "not yet";
  }
}

async function eraseServer(needs: EraseNeeds, erasure: Erasure, hasTime: () => boolean): Promise<Outcome> {
  const { directory, mail } = needs;
  const { serverId, createdAt } = erasure;
  if (serverId === null) throw new Error("an erasure of no server");
  for (const waiting of needs.waitingMail(serverId)) await waiting.erase();
  const shards = await outboxesOf(directory, serverId);
  const all = { what: { kind: "server" }, until: needs.now() } as const;
  const left = await eraseInOutboxes(needs, shards, all);
  // Before the settings that name them.
  await eraseInHooks(needs, serverId, all);
  const hasNoRows =
    (await removeServerSettings(directory, serverId, hasTime)) &&
    (await removeServerRows(needs, serverId, hasTime));
  if (!hasNoRows) return "not yet";
  const { after = "" } = erasure.progress as { after?: string };
  const deleted = await deleteOfServer(mail, { serverId, after }, hasTime);
  if (left.length > 0) return "not yet";
  if (deleted !== "done") {
    // What an Outbox still held would be written into any day's folder: only now is a folder through for good.
    await keepProgress(directory, erasure, deleted);
    return "not yet";
  }
  if (needs.now() < createdAt + KNOWN_MS) return "not yet";
  for (const shard of shards) await needs.outbox(shard).destroy();
  await needs.seen(serverId).destroy();
  await needs.events(serverId).destroy();
  await removeServer(directory, serverId);
  await finish(directory, erasure, needs.now());
  return "done";
}

async function eraseStream(needs: EraseNeeds, erasure: Erasure, hasTime: () => boolean): Promise<Outcome> {
  const { directory } = needs;
  const { serverId, stream, createdAt: until } = erasure;
  if (serverId === null || stream === null) throw new Error("an erasure of no stream");
  const shards = await outboxesOf(directory, serverId);
  const left = await eraseInOutboxes(needs, shards, { what: { kind: "stream", stream }, until });
  const meant = { serverId, stream, until, except: left };
  do if (!hasTime()) return "not yet";
  while (await removeSome(needs, meant));
  // Of a server's streams one takes mail, and has all of it.
  if (await isInbound(directory, serverId, stream))
    do if (!hasTime()) return "not yet";
    while (await removeInbound(needs, serverId));
  if (left.length > 0) return "not yet";
  await eraseInHooks(needs, serverId, { what: { kind: "stream", stream }, until });
  const isClear =
    (await needs.events(serverId).erase({ what: { kind: "stream", stream }, until })) &&
    (await removeStreamCounts(needs.archive(serverId), { serverId, stream }, hasTime)) &&
    (await removeStreamSettings(directory, { serverId, stream }, hasTime));
  if (!isClear) return "not yet";
  await finish(directory, erasure, needs.now());
  return "done";
}

async function isInbound(directory: D1Database, serverId: number, stream: string): Promise<boolean> {
  const row = await directory
    .prepare("SELECT type FROM streams WHERE server_id = ? AND id = ?")
    .bind(serverId, stream)
    .first<{ type: string }>();
  return row?.type === "Inbound";
}
