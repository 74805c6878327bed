/**
 * Who waits for what: every group of recipients that is not final stands in its domain's line, and is exactly one of ready,
 * handed to the queue, claimed by a consumer, or waiting for its next try. Pure and in memory; the packs are the truth it
 * is rebuilt from. A restart forgets claims, so it grants none of what it finds for one claim's time (store.ts): a consumer that still
 * works renews, and takes them again.
 */
import type { Hold, JobRef } from "../mail/job.ts";
import { CLAIM_MS } from "../mail/job.ts";
import type { WaitingDomain } from "../mail/waiting.ts";
import { Line } from "./line.ts";

/** A job that no consumer claims for so long is handed over again; the queue may just be long, so ever more rarely. */
const HANDED_MS = 60_000;
const HANDED_MAX_MS = 3_600_000;

type Phase = "ready" | "handed" | "claimed" | "due";

export interface Place {
  ref: JobRef;
  giveUpAt: number;
  phase: Phase;
  /** When this phase lapses (handed, claimed) or ends (due), ms. */
  until: number;
  claimer: string;
  /** Since a consumer last claimed it. */
  timesHanded: number;
}

const keyOf = (ref: JobRef) => `${ref.messageId}/${ref.domain}`;

export class Lines {
  readonly #places = new Map<string, Place>();
  readonly #lines = new Map<string, Line>();

  get size(): number {
    return this.#places.size;
  }

  has(ref: JobRef): boolean {
    return this.#places.has(keyOf(ref));
  }

  /** Whether a consumer is at it, or may be. */
  isClaimed(ref: JobRef, now: number): boolean {
    const place = this.#places.get(keyOf(ref));
    return place?.phase === "claimed" && place.until > now;
  }

  /** Whether another consumer than this one is at it. */
  isOthers(ref: JobRef, claimer: string, now: number): boolean {
    return this.isClaimed(ref, now) && this.#places.get(keyOf(ref))?.claimer !== claimer;
  }

  /** A group that waits: ready at once, due at a time, or (found at a restart) perhaps still claimed. */
  add(ref: JobRef, giveUpAt: number, how: { dueAt?: number; perhapsClaimedUntil?: number } = {}): void {
    const key = keyOf(ref);
    if (this.#places.has(key)) return;
    const place: Place = { ref, giveUpAt, phase: "ready", until: 0, claimer: "", timesHanded: 0 };
    this.#places.set(key, place);
    if (how.perhapsClaimedUntil !== undefined) this.#move(place, "claimed", how.perhapsClaimedUntil);
    else if (how.dueAt !== undefined) this.#move(place, "due", how.dueAt);
    else this.#line(ref.domain).ready.add(place);
  }

  /** The group is final. */
  remove(ref: JobRef): void {
    const place = this.#places.get(keyOf(ref));
    if (!place) return;
    this.#leave(place);
    this.#places.delete(keyOf(ref));
    this.#prune(ref.domain);
  }

  /** Ready groups whose domain is not held, at most `limit`, now counted as handed over. */
  handOver(now: number, limit: number): JobRef[] {
    const refs: JobRef[] = [];
    for (const line of this.#lines.values()) {
      if (refs.length >= limit) break;
      let room = Math.min(limit - refs.length, line.room(now));
      for (const place of line.ready) {
        if (room-- <= 0) break;
        const patience = Math.min(HANDED_MS * 2 ** place.timesHanded, HANDED_MAX_MS);
        this.#move(place, "handed", now + patience);
        place.timesHanded++;
        refs.push(place.ref);
      }
    }
    return refs;
  }

  /** The queue did not take them. */
  handBack(refs: JobRef[]): void {
    for (const ref of refs) {
      const place = this.#places.get(keyOf(ref));
      if (place?.phase !== "handed") continue;
      this.#move(place, "ready", 0);
      place.timesHanded--;
    }
  }

  /** Whether the claimer may work on it. Once granted, nobody else may until it lapses. */
  claim(ref: JobRef, claimer: string, now: number): boolean {
    const place = this.#places.get(keyOf(ref));
    if (!place || place.phase === "due") return false;
    if (place.phase === "claimed" && place.until > now && place.claimer !== claimer) return false;
    this.#move(place, "claimed", now + CLAIM_MS);
    place.claimer = claimer;
    place.timesHanded = 0;
    return true;
  }

  /** Whether any is renewed. */
  renew(refs: JobRef[], claimer: string, now: number): boolean {
    let isAny = false;
    for (const ref of refs) {
      const place = this.#places.get(keyOf(ref));
      const free = place?.phase === "claimed" && (place.claimer === claimer || place.claimer === "");
      if (!place || !free) continue;
      place.claimer = claimer;
      place.until = now + CLAIM_MS;
      isAny = true;
    }
    return isAny;
  }

  /** After an attempt that left someone waiting. */
  wait(ref: JobRef, dueAt: number): void {
    const place = this.#places.get(keyOf(ref));
    if (place) this.#move(place, "due", dueAt);
  }

  /** The domain answers again. */
  release(domain: string, now: number): void {
    this.#lines.get(domain)?.release(now);
  }

  /** Somebody says that these domains are worth trying now: nothing of theirs waits for a time any more. */
  resume(domains: ReadonlySet<string>, now: number): void {
    for (const domain of domains) this.#lines.get(domain)?.resume(now);
    for (const place of this.#places.values())
      if (place.phase === "due" && domains.has(place.ref.domain)) this.#move(place, "ready", 0);
  }

  /**
   * The destination takes nothing now: its groups are ready again, but not before `until`. Who gives one back never had it claimed: where
   * another has by now, since the job came twice or was long with the one, it stays that other's.
   */
  hold(hold: Hold): void {
    this.#line(hold.domain).hold(hold);
    for (const ref of hold.refs) {
      const place = this.#places.get(keyOf(ref));
      if (place?.phase === "handed") {
        this.#move(place, "ready", 0);
        place.timesHanded = 0;
      }
    }
    this.#prune(hold.domain);
  }

  /** Why a group waits now, for people; undefined when it waits for its next try, whose reason is its last attempt's. */
  why(ref: JobRef, now: number): { until?: number; reason: string } | undefined {
    const place = this.#places.get(keyOf(ref));
    if (!place || place.phase === "due") return undefined;
    const isPast = place.phase !== "ready" && place.until <= now;
    if (place.phase === "claimed" && !isPast) return { reason: "an attempt is under way" };
    if (place.phase === "handed" && !isPast) return { reason: "in the queue of deliveries" };
    const held = this.#lines.get(ref.domain)?.held;
    if (!held) return { reason: "about to be queued" };
    return { reason: held.reason, ...(held.until > now ? { until: held.until } : {}) };
  }

  /**
   * How many groups stand in each domain's line, for what and until when, and the one that goes next; of these domains only, when they
   * are given.
   */
  waiting(now: number, only?: ReadonlySet<string>): (WaitingDomain & { next: JobRef })[] {
    const found = new Map<string, { waiting: number; soonest: number; next: JobRef }>();
    for (const { ref, phase, until } of this.#places.values()) {
      if (only && !only.has(ref.domain)) continue;
      const heldUntil = this.#lines.get(ref.domain)?.held?.until ?? 0;
      const at = phase === "due" ? until : phase === "ready" ? heldUntil : 0;
      const entry = found.get(ref.domain);
      if (!entry) found.set(ref.domain, { waiting: 1, soonest: at, next: ref });
      else {
        entry.waiting++;
        if (at < entry.soonest) Object.assign(entry, { soonest: at, next: ref });
      }
    }
    return [...found].map(([domain, { waiting, soonest, next }]) => {
      const held = this.#lines.get(domain)?.held;
      const reason = held && held.until > now ? { reason: held.reason } : {};
      return { domain, waiting, next, ...(soonest > now ? { nextTryAt: soonest } : {}), ...reason };
    });
  }

  /** Groups in lines that move: neither held nor waiting for a next try. */
  flowing(now: number): number {
    let count = 0;
    for (const line of this.#lines.values()) count += line.out + (line.isHeld(now) ? 0 : line.ready.size);
    return count;
  }

  /** Why a domain's mail is held; undefined when it is not. */
  heldBecause(domain: string): string | undefined {
    return this.#lines.get(domain)?.held?.reason;
  }

  /** Makes ready what is due and what nobody renewed or claimed in time; returns what has waited too long. */
  lapse(now: number): JobRef[] {
    const overdue: JobRef[] = [];
    // A hold that has passed, and that nobody waits behind, has nothing more to say.
    for (const [domain, line] of this.#lines)
      if (line.held && !line.isHeld(now) && line.isEmpty) this.#lines.delete(domain);
    for (const place of this.#places.values()) {
      const isDue = place.phase === "due" && place.until <= now;
      if (place.phase !== "ready" && place.until <= now) this.#move(place, "ready", 0);
      // The last try is due at the end of its time: it is made first, if nothing holds it.
      if (place.phase === "ready" && place.giveUpAt <= now && !isDue) overdue.push(place.ref);
    }
    return overdue;
  }

  /** When something here next needs doing, ms; undefined when nothing waits. */
  wakeAt(now: number): number | undefined {
    let soonest = Number.POSITIVE_INFINITY;
    for (const line of this.#lines.values())
      soonest = Math.min(soonest, line.wakeAt(now) ?? Number.POSITIVE_INFINITY);
    for (const place of this.#places.values())
      if (place.phase !== "ready") soonest = Math.min(soonest, place.until);
    return soonest === Number.POSITIVE_INFINITY ? undefined : soonest;
  }

  #line(domain: string): Line {
    let line = this.#lines.get(domain);
    if (!line) {
      line = new Line();
      this.#lines.set(domain, line);
    }
    return line;
  }

  #prune(domain: string): void {
    const line = this.#lines.get(domain);
    if (line?.isEmpty && !line.held) this.#lines.delete(domain);
  }

  #leave(place: Place): void {
    const line = this.#line(place.ref.domain);
    if (place.phase === "ready") line.ready.delete(place);
    if (place.phase === "handed" || place.phase === "claimed") line.out--;
  }

  #move(place: Place, phase: Phase, until: number): void {
    this.#leave(place);
    place.phase = phase;
    place.until = until;
    const line = this.#line(place.ref.domain);
    if (phase === "ready") {
      line.ready.add(place);
      place.claimer = "";
    }
    if (phase === "handed" || phase === "claimed") line.out++;
  }
}
