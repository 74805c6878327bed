/**
 * Which way a message goes: the server's transports in its order, without those that its destination blocks, and with
 * a trial of a blocked one now and then. Pure; the Destination keeps the detours.
 */
import type { TransportName } from "../mail/outcome.ts";

/** Why mail for a destination avoids a transport, and when that is tried again. */
export interface Detour {
  transport: TransportName;
  /** Milliseconds since the epoch: when it began. */
  since: number;
  /** What was said, as evidence for people: "550 5.7.1 … is on our block list". */
  evidence: string;
  /** Attempts that said so. */
  count: number;
  trialAt: number;
  trialEveryMs: number;
}

/** So many attempts in a row must say so: one may be about its content. */
const PROOFS = 3;
/** Older proofs are forgotten. */
const PROOF_MS = 3_600_000;
const FIRST_TRIAL_MS = 15 * 60_000;
const MAX_TRIAL_MS = 6 * 3_600_000;
/** A transport that is away may be back soon: it is our side, and asking costs nobody's patience. */
const FIRST_RETURN_MS = 60_000;
const MAX_RETURN_MS = 15 * 60_000;
/** A trial whose end nobody reports is repeated after this. */
const LOST_TRIAL_MS = 60_000;

interface Proof {
  count: number;
  at: number;
}

export class Detours {
  readonly #detours: Map<TransportName, Detour>;
  readonly #proofs = new Map<TransportName, Proof>();
  /** Tried before their time, since somebody said so. */
  readonly #resumed = new Set<TransportName>();

  constructor(kept: Detour[] = []) {
    this.#detours = new Map(kept.map((d) => [d.transport, { ...d }]));
  }

  list(): Detour[] {
    return [...this.#detours.values()].map((d) => ({ ...d }));
  }

  avoided(): TransportName[] {
    return [...this.#detours.keys()];
  }

  /** The transport that one message may try again now; it is asked for once. */
  takeTrial(now: number): TransportName | undefined {
    for (const detour of this.#detours.values()) {
      // Later than we ever say, it is from a clock that was wrong.
      if (detour.trialAt > now && detour.trialAt <= now + MAX_TRIAL_MS) continue;
      detour.trialAt = now + LOST_TRIAL_MS;
      return detour.transport;
    }
    return undefined;
  }

  /** Each avoided transport may be tried now. */
  resume(now: number): void {
    for (const detour of this.#detours.values()) {
      detour.trialAt = now;
      this.#resumed.add(detour.transport);
    }
  }

  works(transport: TransportName): void {
    this.#resumed.delete(transport);
    this.#proofs.delete(transport);
    this.#detours.delete(transport);
  }

  /** True when this begins a detour. */
  fails(transport: TransportName, why: "blocked" | "away", evidence: string, now: number): boolean {
    const [first, max] =
      why === "blocked" ? [FIRST_TRIAL_MS, MAX_TRIAL_MS] : [FIRST_RETURN_MS, MAX_RETURN_MS];
    const detour = this.#detours.get(transport);
    if (detour) {
      detour.count++;
      // What was under way when the detour began is no failed trial.
      const onTrial =
        detour.trialAt > now &&
        detour.trialAt <= now + LOST_TRIAL_MS &&
        (now - detour.since >= first || this.#resumed.has(transport));
      if (!onTrial) return false;
      this.#resumed.delete(transport);
      detour.evidence = evidence;
      detour.trialEveryMs = Math.min(detour.trialEveryMs * 2, max);
      detour.trialAt = now + detour.trialEveryMs;
      return false;
    }
    const before = this.#proofs.get(transport);
    const count = before && now - before.at < PROOF_MS ? before.count + 1 : 1;
    this.#proofs.set(transport, { count, at: now });
    if (count < PROOFS) return false;
    this.#detours.set(transport, {
      transport,
      since: now,
      evidence,
      count,
      trialAt: now + first,
      trialEveryMs: first,
    });
    return true;
  }
}

/**
 * The order for one message. A server whose transports are all avoided goes on as it would: mail that may be refused is
 * better than mail that is not sent. `trial` puts a transport back in its place.
 */
export function route(
  transports: TransportName[],
  avoid: TransportName[],
  trial: TransportName | undefined,
): TransportName[] {
  const left = transports.filter((t) => t === trial || !avoid.includes(t));
  return left.length > 0 ? left : transports;
}
