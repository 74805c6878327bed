/**
 * A message whose recipients at a domain each get a copy of their own: every copy is a transaction with a key of its own. The outcomes
 * together are the attempt's.
 */
import type { Claim } from "../mail/job.ts";
import type { Outcome, TransportName } from "../mail/outcome.ts";
import { alike, type Parcel } from "./transport/transport.ts";

/** Of copies under way at once: a consumer has 128 MB, and each is held about three times. */
const MAX_BYTES = 8_000_000;

export interface Sent {
  name: TransportName;
  outcomes: Outcome[];
}

interface Copies {
  /** The whole, without a message. */
  parcel: Parcel;
  claim: Pick<Claim, "recipients" | "places" | "reversePaths" | "message">;
  /** The bytes for the recipient at that place, signed. */
  copyOf(place: number): Promise<Uint8Array>;
  send(parcel: Parcel): Promise<Sent | "unknown" | undefined>;
}

/**
 * When the end of one is not known, none is told: the claim lapses, and all are asked for again under the same keys, where a gateway's
 * journal answers for those that went. Once the destination or our own side refuses, the rest is not tried: it would hear the same.
 */
export async function sendCopies(
  { parcel, claim, copyOf, send }: Copies,
  needs: { now(): number; log(event: string, fields: Record<string, unknown>): void },
): Promise<Sent | "unknown" | undefined> {
  const { recipients, places = [], reversePaths = [] } = claim;
  const ended: (Sent | undefined)[] = [];
  let isUnknown = false;
  let refusal: Sent | undefined;
  let next = 0;
  const lane = async () => {
    while (next < recipients.length && !isUnknown) {
      const i = next++;
      const place = places[i] ?? 0;
      const reversePath = reversePaths[i] ?? parcel.reversePath;
      const of = { key: `${parcel.key}/${place}`, reversePath, recipients: recipients.slice(i, i + 1) };
      const one = { ...parcel, ...of };
      if (refusal) {
        ended[i] = alikeTo(refusal, one);
        continue;
      }
      const end = await sendCopy(one, place);
      if (end === "unknown") isUnknown = true;
      else ended[i] = end;
      if (end && end !== "unknown" && end.outcomes.every(isRefusal)) refusal = end;
    }
  };
  const sendCopy = async (one: Parcel, place: number): Promise<Sent | "unknown" | undefined> => {
    let message: Uint8Array;
    try {
      message = await copyOf(place);
    } catch (error) {
      // A fault of ours: those that went are told all the same.
      needs.log("copy not ready to send", { key: one.key, error: String(error) });
      const end = { concerns: "transport", reason: "could not be signed" } as const;
      return { name: "gateway", outcomes: alike(one, needs.now(), end) };
    }
    return send({ ...one, message });
  };
  const length = claim.message.kind === "bytes" ? claim.message.bytes.length : claim.message.length;
  const room = Math.floor(MAX_BYTES / Math.max(1, length));
  const lanes = Math.max(1, Math.min(parcel.connections, room, recipients.length));
  await Promise.all(Array.from({ length: lanes }, lane));
  if (isUnknown) return "unknown";
  const known = ended.filter((one) => one !== undefined);
  const last = known.at(-1);
  return last && { name: last.name, outcomes: known.flatMap((one) => one.outcomes) };
}

function isRefusal({ result, concerns, uncertain }: Outcome): boolean {
  return result === "deferred" && concerns !== "recipient" && !uncertain;
}

function alikeTo({ name, outcomes }: Sent, parcel: Parcel): Sent {
  return {
    name,
    outcomes: parcel.recipients.flatMap((recipient) => outcomes.map((o) => ({ ...o, recipient }))),
  };
}
