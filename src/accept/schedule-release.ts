/**
 * Releases scheduled messages whose time has come, in the order of their times: so many at a time as one call of the gate takes, once
 * for the step's key. The step is written down before, and its messages let go after, so that one that was interrupted
 * anywhere is asked for again, and the Outbox takes nothing twice.
 */
import type { ServerPolicy } from "../accounts/policy.ts";
import { parseMessageId, type Shard } from "../mail/message-id.ts";
import { within } from "../mail/within.ts";
import type { ReleasedMessage } from "./accept.ts";
import type { Tallied } from "./bulk-release.ts";
import {
  backOff,
  CALL_MS,
  FULL,
  FULL_WAIT_MS,
  restAfter,
  STEP_BYTES,
  STEP_MESSAGES,
  waitForFlow,
} from "./release-pace.ts";
import type { ScheduleStore, Step } from "./schedule-store.ts";
import { unfitFor } from "./unfit.ts";

/**
 * An Outbox of their own takes a server's scheduled mail in each region, so that accepting live mail never waits behind a million that
 * come due at nine o'clock; and its number in an id says whom to ask for the message while its time has not come.
 */
const SCHEDULED_OUTBOX = 11;
export const isScheduledOutbox = (number: number) => number === SCHEDULED_OUTBOX;
export const scheduledPlace = (region: Shard["region"]): Shard => ({ region, number: SCHEDULED_OUTBOX });

export interface ReleaseNeeds {
  now(): number;
  /** The server as that Outbox knows it; undefined when it does not exist. Throws when nobody can tell. */
  policy(serverId: number, place: Shard): Promise<ServerPolicy | undefined>;
  /** Accepts them all, once for the key. Throws when the outcome is not known. */
  release(
    policy: ServerPolicy,
    batch: { place: Shard; key: string; released: ReleasedMessage[] },
  ): Promise<Tallied | { kind: "overloaded" }>;
  log(event: string, fields: Record<string, unknown>): void;
}

export class ScheduledRelease {
  readonly #store: ScheduleStore;
  readonly #needs: ReleaseNeeds;
  #failures = 0;
  /** Why those whose time has come are still here; for people. */
  trouble: string | undefined;

  constructor(store: ScheduleStore, needs: ReleaseNeeds) {
    this.#store = store;
    this.#needs = needs;
  }

  /** One step; says how many milliseconds until the next, or undefined when nothing is left. Never rejects. */
  async step(): Promise<number | undefined> {
    const began = this.#needs.now();
    try {
      const open = this.#store.step();
      if (!open) {
        const soonest = this.#store.soonest();
        if (soonest === undefined) return undefined;
        if (soonest > began) return soonest - began;
      }
      const wait = await this.#release(open);
      this.#failures = 0;
      return Math.max(wait, restAfter(this.#needs.now() - began));
    } catch (error) {
      // Nothing is lost: what is released is written down, and the same is tried again.
      const wait = backOff(this.#failures++);
      this.trouble = "It cannot be sent at the moment. It is tried again.";
      this.#needs.log("scheduled release failed", {
        serverId: this.#store.serverId,
        error: String(error),
        wait,
      });
      return wait;
    }
  }

  async #release(open: Step | undefined): Promise<number> {
    const next = open ?? this.#next();
    if (!next) return 0;
    const policy = await within(CALL_MS, this.#needs.policy(this.#store.serverId, next.place));
    // Cancelled or changed while the policy was read: nothing is being released yet.
    const step = open ?? this.#next();
    if (!step) return 0;
    if (!open) this.#store.begin(step);
    if (!policy) {
      this.#needs.log("scheduled messages of a server that does not exist any more", {
        count: step.ids.length,
      });
      this.#store.end(step);
      return 0;
    }
    const released = step.ids.flatMap((id) => this.#read(id, policy) ?? []);
    const batch = { place: step.place, key: step.key, released };
    const reply = await within(CALL_MS, this.#needs.release(policy, batch));
    if (reply.kind === "overloaded") {
      // A call before this one may still be on its way: then it alone is asked again.
      if (!open) this.#store.giveBack();
      this.trouble = FULL;
      return FULL_WAIT_MS;
    }
    this.trouble = undefined;
    this.#store.end(step);
    return waitForFlow(reply.flowing);
  }

  /** The first of those that are due, and what follows them to the same Outbox. */
  #next(): Step | undefined {
    const due = this.#store.due(this.#needs.now(), STEP_MESSAGES);
    const place = parseMessageId(due[0]?.id ?? "");
    if (!place) return undefined;
    const ids: string[] = [];
    let bytes = 0;
    for (const message of due) {
      const at = parseMessageId(message.id);
      if (at?.region !== place.region || at.number !== place.number) continue;
      bytes += message.bytes;
      if (ids.length > 0 && bytes > STEP_BYTES) break;
      ids.push(message.id);
    }
    // Each is in one step only: its first id names a step for ever, unless it was given back.
    return {
      key: `scheduled/${ids[0]}/${ids.length}`,
      place: { region: place.region, number: place.number },
      ids,
    };
  }

  #read(id: string, policy: ServerPolicy): ReleasedMessage | undefined {
    const found = this.#store.find(id);
    const submission = this.#store.submission(id);
    if (!found || !submission) return undefined;
    const refusal = unfitFor(submission, policy);
    const { scheduled } = found.head.summary;
    return { id, submission, scheduled, ...(refusal === undefined ? {} : { refusal }) };
  }
}
