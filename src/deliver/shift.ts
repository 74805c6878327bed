/**
 * One call of the consumer at work: its claims and leases, kept alive while it lasts, and all talk with Outboxes, where what
 * is said at the same time travels together. What each destination does is in haul.ts.
 */
import type { Claim, Hold, JobRef, OutboxPort, Settlement } from "../mail/job.ts";
import { CLAIM_MS, RENEW_MS } from "../mail/job.ts";
import { within } from "../mail/within.ts";
import type { AttemptNeeds } from "./attempt.ts";
import type { Call, DestinationPort } from "./destination.ts";
import { Gather } from "./gather.ts";
import { Haul } from "./haul.ts";
import type { Answer, Wait } from "./lease.ts";
import { objectOf } from "./rules.ts";

export interface ShiftNeeds {
  now(): number;
  outbox(shard: string): OutboxPort;
  /** An object, by the name that rules.ts gives it. */
  destination(object: string): DestinationPort;
  log(event: string, fields: Record<string, unknown>): void;
}

/** A reference on its way: to be claimed, held or found gone. */
export interface Item {
  shard: string;
  ref: JobRef;
  /** It is claimed, held or gone: the queue need not know it any more. */
  handedOn(): void;
  /** Nobody could be asked about it. */
  failed(): void;
}

/** Of messages that are under way at once; a consumer has 128 MB for all it does, and each is held about twice. */
const MAX_BYTES = 24_000_000;
/** Longer than this nothing waits for room; it is given back, for another consumer. */
const ROOM_MS = 2_000;
const REFS_PER_CALL = 500;
const CALLS_PER_TALK = 500;
/** An Outbox that does not take outcomes is asked again after 0.5, 1, 2, … s; its claims are renewed meanwhile. */
const SETTLE_TRIES = 8;

/**
 * Settling is a call and a row for each pack it touches, so outcomes wait this long for others that are under way. Who dies
 * meanwhile asks again, and the gateway's journal answers.
 */
const SETTLE_TOGETHER_MS = 100;

/**
 * An object answers in milliseconds. One that does not is asked anew, and all that it is told may be told twice; a claim that it granted
 * has lapsed by then.
 */
const ANSWER_MS = CLAIM_MS;

const keyOf = (ref: JobRef) => `${ref.messageId}/${ref.domain}`;

interface Desk {
  claim: Gather<JobRef, Claim | "gone" | "left" | "full">;
  settle: Gather<Settlement, undefined>;
  hold: Gather<Hold, undefined>;
}

export class Shift {
  readonly claimer: string;
  readonly needs: ShiftNeeds & AttemptNeeds;
  readonly #desks = new Map<string, Desk>();
  readonly #objects = new Map<string, Gather<Call, Answer>>();
  readonly #claimed = new Map<string, { shard: string; ref: JobRef; bytes: number }>();
  readonly #hauls = new Set<Haul>();
  readonly #finishing = new Set<Promise<void>>();
  #bytes = 0;

  constructor(claimer: string, needs: ShiftNeeds & AttemptNeeds) {
    this.claimer = claimer;
    this.needs = needs;
  }

  /** By destination; ends when everything is settled, held, gone or left to lapse. */
  async run(groups: Map<string, Item[]>): Promise<void> {
    const timer = setInterval(() => void this.#renew(), RENEW_MS);
    try {
      await Promise.all([...groups].map(([name, items]) => this.haul(name, items)));
      await Promise.all(this.#finishing);
    } finally {
      clearInterval(timer);
      for (const transport of Object.values(this.needs.transports)) transport?.end?.();
    }
  }

  async haul(name: string, items: Item[], claimer = this.claimer): Promise<void> {
    const haul = new Haul(name, items, this, claimer);
    this.#hauls.add(haul);
    await haul.run();
    this.#hauls.delete(haul);
  }

  /** To the object that keeps the destination, together with what others say to it now. */
  tell(call: Call): Promise<Answer> {
    const name = objectOf(call.name);
    let object = this.#objects.get(name);
    if (!object) {
      const port = this.needs.destination(name);
      object = new Gather((calls) => within(ANSWER_MS, port.talk(calls)), CALLS_PER_TALK);
      this.#objects.set(name, object);
    }
    return object.add(call);
  }

  /** "left": ask again. "full": this consumer has no room for its bytes. */
  async claim(item: Item): Promise<Claim | "gone" | "left" | "full"> {
    const claim = await this.#desk(item.shard).claim.add(item.ref);
    if (typeof claim === "string") return claim;
    const bytes = claim.message.kind === "bytes" ? claim.message.bytes.length : claim.message.length;
    this.#bytes += bytes;
    this.#claimed.set(keyOf(item.ref), { shard: item.shard, ref: item.ref, bytes });
    return claim;
  }

  /** No longer worked on: settled, given back, or left to lapse. */
  release(ref: JobRef): void {
    this.#bytes -= this.#claimed.get(keyOf(ref))?.bytes ?? 0;
    this.#claimed.delete(keyOf(ref));
  }

  /** Settles, beside whatever else goes on; the claim is kept until then. */
  finish(item: Item, settlement: Settlement): void {
    const finishing = this.#settle(item.shard, { ...settlement, claimer: this.claimer }).then(() => {
      this.release(item.ref);
      this.#finishing.delete(finishing);
    });
    this.#finishing.add(finishing);
  }

  /** Never rejects. */
  async #settle(shard: string, settlement: Settlement): Promise<void> {
    for (let n = 0; ; n++) {
      try {
        return await this.#desk(shard).settle.add(settlement);
      } catch (error) {
        this.needs.log("outcome not settled", {
          shard,
          messageId: settlement.messageId,
          error: String(error),
        });
        // Then it lapses, and the same attempt asks its gateway's journal.
        if (n === SETTLE_TRIES) return;
        await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** n));
      }
    }
  }

  async hold(items: Item[], wait: Wait): Promise<void> {
    const byPlace = Map.groupBy(items, (item) => `${item.shard} ${item.ref.domain}`);
    await Promise.all(
      [...byPlace.values()].map(async (group) => {
        const [first] = group;
        if (!first) return;
        const refs = group.map((item) => item.ref);
        try {
          await this.#desk(first.shard).hold.add({ ...wait, domain: first.ref.domain, refs });
          for (const item of group) item.handedOn();
        } catch (error) {
          this.needs.log("not held", { shard: first.shard, domain: first.ref.domain, error: String(error) });
          for (const item of group) item.failed();
        }
        for (const ref of refs) this.release(ref);
      }),
    );
  }

  #desk(shard: string): Desk {
    let desk = this.#desks.get(shard);
    if (!desk) {
      const outbox = this.needs.outbox(shard);
      desk = {
        claim: new Gather((refs) => this.#claim(outbox, refs), REFS_PER_CALL),
        settle: new Gather((all) => alike(all, outbox.settle(all)), REFS_PER_CALL, {
          ms: SETTLE_TOGETHER_MS,
          more: (waiting) => this.#claimed.size > waiting,
        }),
        hold: new Gather((all) => alike(all, outbox.hold(all)), REFS_PER_CALL),
      };
      this.#desks.set(shard, desk);
    }
    return desk;
  }

  async #claim(outbox: OutboxPort, refs: JobRef[]): Promise<(Claim | "gone" | "left" | "full")[]> {
    const until = this.needs.now() + ROOM_MS;
    while (this.#bytes >= MAX_BYTES) {
      if (this.needs.now() >= until) return refs.map(() => "full");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const { claims, gone } = await within(ANSWER_MS, outbox.claim(refs, this.claimer));
    const found = new Map<string, Claim | "gone">(claims.map((claim) => [keyOf(claim), claim]));
    for (const ref of gone) found.set(keyOf(ref), "gone");
    return refs.map((ref) => found.get(keyOf(ref)) ?? "left");
  }

  /** The heartbeat. A missed one does no harm: three fit into a claim's time. */
  async #renew(): Promise<void> {
    const byShard = Map.groupBy(this.#claimed.values(), (c) => c.shard);
    const claims = [...byShard].map(([shard, all]) =>
      this.needs.outbox(shard).renew(
        all.map((c) => c.ref),
        this.claimer,
      ),
    );
    const ends = await Promise.allSettled([...claims, ...[...this.#hauls].map((haul) => haul.renew())]);
    for (const end of ends)
      if (end.status === "rejected") this.needs.log("not renewed", { error: String(end.reason) });
  }
}

/** The call's end is each one's end. */
async function alike<T>(items: T[], call: Promise<void>): Promise<undefined[]> {
  await within(ANSWER_MS, call);
  return items.map(() => undefined);
}
