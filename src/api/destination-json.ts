/** A destination as it is shown to who has mail waiting for it: how it is treated now, why, and since when. */
import * as z from "zod";
import type { DestinationState } from "../deliver/destination.ts";
import type { WaitingDomain } from "../mail/waiting.ts";
import { formatTime } from "./time.ts";

const STATES = ["Open", "SlowedDown", "Stopped", "Probing"] as const;

const time = z.string().nullable();

export const destinationSchema = z.object({
  Destination: z.string(),
  State: z.enum(STATES),
  Reason: z.string().nullable(),
  Since: time,
  NextTryAt: time,
  RatePerMinute: z.number().nullable(),
  Connections: z.int(),
  Waiting: z.int(),
  PacedWith: z.string().nullable(),
  AvoidedTransports: z.array(
    z.object({ Transport: z.string(), Reason: z.string(), Since: z.string(), NextTryAt: z.string() }),
  ),
});

/** Messages a second that the object says where there is no limit. */
const UNLIMITED = 1_000_000;

/** `state` is the provider's where its mail counts to one; `waiting` is of all domains behind it. */
export function destinationJson(
  name: string,
  state: DestinationState,
  waiting: WaitingDomain[],
  now: number,
) {
  const { stop, limits, detours, connections, perSecond } = state;
  const word = stateWord(state);
  const paused = limits && limits.pausedUntil > now ? limits.pausedUntil : undefined;
  const reasons = waiting.flatMap((domain) => domain.reason ?? []);
  const tries = waiting.map((domain) => domain.nextTryAt ?? now);
  const soonest = Math.min(...tries);
  return {
    Destination: name,
    State: word,
    Reason: stop?.reason ?? limits?.reason ?? reasons[0] ?? null,
    Since: shown(stop?.since ?? limits?.since ?? limits?.at),
    // One that nobody waits for any longer, or that is being tried, has no next try.
    NextTryAt: shown(
      word === "Probing" ? undefined : (stop?.until ?? paused ?? (soonest > now ? soonest : undefined)),
    ),
    RatePerMinute: perSecond >= UNLIMITED ? null : Math.round(perSecond * 600) / 10,
    Connections: connections.allowed,
    Waiting: waiting.reduce((sum, domain) => sum + domain.waiting, 0),
    PacedWith: state.name === name ? null : state.name,
    AvoidedTransports: detours.map(({ transport, evidence, since, trialAt }) => ({
      Transport: transport,
      Reason: evidence,
      Since: formatTime(since),
      NextTryAt: formatTime(trialAt),
    })),
  };
}

function stateWord({ state, limits }: DestinationState): (typeof STATES)[number] {
  if (state === "open") return limits ? "SlowedDown" : "Open";
  return state === "stopped" ? "Stopped" : "Probing";
}

function shown(at: number | undefined): string | null {
  return at === undefined ? null : formatTime(at);
}
