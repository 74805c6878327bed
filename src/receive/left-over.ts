/**
 * Received mail that nobody has read: its reference was lost, or its reading failed. Cron finds it under `received/`, since what is read is
 * deleted, and hands it on again, after ever longer waits when it failed. After more than two days of that it is set aside.
 */
import { forgetOld } from "./kept.ts";
import { RECEIVED } from "./receive.ts";
import { setAside, type TakeNeeds } from "./take.ts";

/** What was just received is in the queue. */
const LOST_AFTER_MS = 120_000;
const LONGEST_WAIT_MS = 6 * 3_600_000;
/** Waits of 4, 8, … 256 minutes, then of six hours: 56 hours in all. */
const MAX_ROUNDS = 16;
/** Of a run, each minute: a backlog of a million is gone through in a day, and what is handed on twice is little. */
const MAX_HANDED_ON = 1_000;
/** Those that wait are looked past so far, from the beginning and then once more from elsewhere. */
const MAX_PAGES = 10;
/** Names begin with random hex digits. */
const PLACES = 256;
const KEYS_PER_PAGE = 1_000;

type Needs = Pick<TakeNeeds, "mail" | "log" | "now">;

export interface SweepNeeds extends Needs {
  handOnAll(objectKeys: string[]): Promise<void>;
}

/** Cron's call, each minute. */
export async function sweepReceived(needs: SweepNeeds): Promise<void> {
  await handOnLeftOver(needs);
  if (new Date(needs.now()).getUTCMinutes() === 0) await forgetOld(needs.mail, needs.now());
}

async function handOnLeftOver(needs: SweepNeeds): Promise<void> {
  const due = new Set<string>();
  // What waits for hours, when there is much of it, must not hide what is due behind it: each minute begins elsewhere.
  const place = (Math.floor(needs.now() / 60_000) % PLACES).toString(16).padStart(2, "0");
  if (await addDue(due, "", needs)) await addDue(due, `${RECEIVED}${place}`, needs);
  if (due.size === 0) return;
  needs.log("received mail was left over", { objects: due.size });
  await needs.handOnAll([...due].slice(0, MAX_HANDED_ON));
}

/** Whether there is more behind what was looked at. */
async function addDue(due: Set<string>, startAfter: string, needs: SweepNeeds): Promise<boolean> {
  let cursor: string | undefined;
  for (let page = 0; page < MAX_PAGES && due.size < MAX_HANDED_ON; page++) {
    const listed = await needs.mail.list({
      prefix: RECEIVED,
      limit: KEYS_PER_PAGE,
      include: ["customMetadata"],
      ...(cursor === undefined ? startAfter !== "" && { startAfter } : { cursor }),
    });
    for (const object of listed.objects) if (isDue(object, needs.now())) due.add(object.key);
    if (!listed.truncated) return false;
    cursor = listed.cursor;
  }
  return true;
}

/** Writes it anew, which starts its wait. */
export async function putBack(objectKey: string, reason: string, needs: Needs): Promise<void> {
  const { mail, log } = needs;
  try {
    const object = await mail.get(objectKey);
    if (!object) return;
    const rounds = roundsOf(object) + 1;
    if (rounds >= MAX_ROUNDS) return await setAside(needs, objectKey, reason);
    await mail.put(objectKey, await object.arrayBuffer(), { customMetadata: { rounds: String(rounds) } });
  } catch (error) {
    // It is as it was, and so is found again.
    log("received mail not put back", { key: objectKey, error: String(error) });
  }
}

function isDue(object: R2Object, now: number): boolean {
  const wait = Math.min(LOST_AFTER_MS * 2 ** roundsOf(object), LONGEST_WAIT_MS);
  return now - object.uploaded.getTime() >= wait;
}

function roundsOf({ customMetadata }: R2Object): number {
  return Number(customMetadata?.rounds) || 0;
}
