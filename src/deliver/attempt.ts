/**
 * One attempt at one claim: load the bytes, sign them when nobody has, and send them by the first transport that can. It
 * answers what to settle, or nothing when nobody knows how it ended. Errors of our own side are deferrals: unknown means
 * deferred.
 */
import type { SigningKey } from "../accounts/policy.ts";
import { join } from "../compose/join.ts";
import { sign } from "../compose/sign.ts";
import type { Claim, Settlement } from "../mail/job.ts";
import type { Outcome, TransportName } from "../mail/outcome.ts";
import { within } from "../mail/within.ts";
import { type Sent, sendCopies } from "./copies.ts";
import { ruleOf } from "./rules.ts";
import { answerTest, isTestDomain } from "./transport/test-addresses.ts";
import { alike, type Parcel, type Transport } from "./transport/transport.ts";

export interface AttemptNeeds {
  now(): number;
  /** The DKIM keys for a From domain; none when it has none. */
  keys(serverId: number, fromDomain: string): Promise<SigningKey[]>;
  /** Fields that every message of ours begins with, each ended: the same for every attempt. */
  ownFields(of: { serverId: number; messageId: string; place?: number }): Promise<string>;
  /** The copy of the recipient at that place. */
  copyFor(message: { id: string; bytes: Uint8Array }, place: number): Promise<Uint8Array>;
  /** Part of a stored object; undefined when there is none. */
  readObject(key: string, offset: number, length: number): Promise<Uint8Array | undefined>;
  /** Those that this deployment has. Made for one call of the consumer: sockets can't be shared between calls. */
  transports: Partial<Record<TransportName, Transport>>;
  log(event: string, fields: Record<string, unknown>): void;
}

/** The directory and R2 get so long for what a message needs; then it waits, and its destination does not. */
const READY_MS = 30_000;

export interface Way {
  order: TransportName[];
  connections: number;
  destination: string;
}

/** Undefined: it is not known how it ended; the claim is to lapse, and the same attempt is made again with the same key. */
export async function attempt(claim: Claim, way: Way, needs: AttemptNeeds): Promise<Settlement | undefined> {
  const { messageId, domain, attempt: number } = claim;
  const parcel: Parcel = {
    key: `${messageId}/${domain}/${number}`,
    domain,
    reversePath: claim.reversePath,
    recipients: claim.recipients,
    message: new Uint8Array(0),
    tls: ruleOf(way.destination).tls,
    connections: Math.max(1, way.connections),
  };
  const ended = (transport: TransportName, outcomes: Outcome[], signature = ""): Settlement => ({
    messageId,
    domain,
    attempt: number,
    transport,
    signature,
    outcomes,
  });
  const first = way.order[0] ?? "gateway";
  if (isTestDomain(domain)) return ended(first, answerTest(parcel, claim.bounceType, needs.now()));

  let signature = "";
  let unsigned: Unsigned | undefined;
  if (first !== "sandbox") {
    try {
      unsigned = await unsignedOf(claim, needs);
      if (!claim.places) ({ signature, message: parcel.message } = await signed(unsigned, claim));
    } catch (error) {
      needs.log("message not ready to send", { messageId, domain, error: String(error) });
      const reason = error instanceof Unreadable ? error.message : "could not be signed";
      return ended(first, alike(parcel, needs.now(), { concerns: "transport", reason }));
    }
  }

  const send = (one: Parcel) => sendByFirst(one, way.order, needs);
  const sent =
    claim.places && unsigned
      ? await sendCopies({ parcel, claim, copyOf: copyMaker(unsigned, claim, needs), send }, needs)
      : await send(parcel);
  if (sent === "unknown") return undefined;
  if (sent) return ended(sent.name, sent.outcomes, signature);
  const reason = `no such transport is configured: ${way.order.join(", ")}`;
  return ended(first, alike(parcel, needs.now(), { concerns: "transport", reason }), signature);
}

/** By the first transport that can; undefined when there is none. */
async function sendByFirst(
  parcel: Parcel,
  order: TransportName[],
  needs: AttemptNeeds,
): Promise<Sent | "unknown" | undefined> {
  let last: Sent | undefined;
  for (const name of order) {
    const transport = needs.transports[name];
    if (!transport) continue;
    const outcomes = await sendBy(transport, parcel, needs);
    if (outcomes === "unknown") return "unknown";
    last = { name, outcomes };
    if (!outcomes.every((o) => o.concerns === "transport" && o.result === "deferred" && !o.uncertain)) break;
  }
  return last;
}

class Unreadable extends Error {}

interface Unsigned {
  bytes: Uint8Array;
  /** None when nobody is to sign it (any more). */
  keys: SigningKey[];
  /** "" when it has them already. */
  fields: string;
}

async function unsignedOf(claim: Claim, needs: AttemptNeeds): Promise<Unsigned> {
  const bytes = await bytesOf(claim, needs);
  if (claim.message.signed) return { bytes, keys: [], fields: "" };
  const { serverId, messageId } = claim;
  const fields = await needs.ownFields({ serverId, messageId });
  return { bytes, keys: await within(READY_MS, needs.keys(claim.serverId, claim.fromDomain)), fields };
}

async function signed(
  { bytes, keys, fields }: Unsigned,
  { acceptedAt }: Claim,
): Promise<{ message: Uint8Array; signature: string }> {
  if (keys.length === 0 && fields === "") return { message: bytes, signature: "" };
  // The time of acceptance, so that every try gives the same bytes.
  const signature = (await sign(bytes, keys, acceptedAt)) + fields;
  return { message: join([new TextEncoder().encode(signature), bytes]), signature };
}

function copyMaker({ bytes, keys, fields: ofAll }: Unsigned, claim: Claim, needs: AttemptNeeds) {
  const { serverId, messageId } = claim;
  return async (place: number): Promise<Uint8Array> => {
    const own = await needs.copyFor({ id: messageId, bytes }, place);
    const fields = ofAll && (await needs.ownFields({ serverId, messageId, place }));
    return (await signed({ bytes: own, keys, fields }, claim)).message;
  };
}

async function bytesOf({ message }: Claim, needs: AttemptNeeds): Promise<Uint8Array> {
  if (message.kind === "bytes") return message.bytes;
  let bytes: Uint8Array | undefined;
  try {
    bytes = await within(READY_MS, needs.readObject(message.key, message.offset, message.length));
  } catch (error) {
    throw new Unreadable("the stored message can't be read now", { cause: error });
  }
  if (bytes?.length !== message.length) throw new Unreadable("the stored message was not found");
  return bytes;
}

/** A transport that throws is a fault of ours: nobody knows how far it got. */
async function sendBy(
  transport: Transport,
  parcel: Parcel,
  needs: AttemptNeeds,
): Promise<Outcome[] | "unknown"> {
  try {
    return await transport.send(parcel);
  } catch (error) {
    needs.log("transport threw", { key: parcel.key, error: String(error) });
    return "unknown";
  }
}
