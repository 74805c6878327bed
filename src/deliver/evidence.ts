/**
 * What an attempt's end tells about its destination, as distinct from its recipient. Pure. Only hints: a hint slows
 * mail down or sends it another way, and never makes a recipient final.
 */
import type { Outcome, TransportName } from "../mail/outcome.ts";
import type { Reply } from "../mail/reply.ts";
import { providerOfHost } from "./providers.ts";

/** One message that was begun under a lease, as it is reported: no addresses, no transcript. */
export interface Evidence {
  transport: TransportName;
  /** "unknown": nobody said how it ended; "none": it was not attempted after all. */
  result: Outcome["result"] | "unknown" | "none";
  concerns: Outcome["concerns"];
  reply: Reply;
  reason: string;
  at: number;
  /** The large provider whose mail server answered, if it was one's. */
  provider?: string;
}

/** `ok` it answers; `down` it cannot be reached or takes nothing; `slow` we are too much for it; `blocked` it refuses this transport. */
export type Hint = "ok" | "down" | "slow" | "blocked" | "transport" | "nothing";

/** A refusal of the sending address or its reputation. Words that providers use, with an example's origin. */
const BLOCK_WORDS = [
  /block(?:ed| ?list)/i, // Outlook: "part of their network is on our block list (S3150)"
  /black ?list|deny ?list/i,
  /spamhaus|spamcop|barracuda|sorbs|proofpoint|cloudmark/i,
  /(?:poor|bad|low).{0,20}reputation|reputation of/i, // Gmail: "very low reputation of the sending IP address"
  /listed (?:at|on|in|by)\b/i,
  /banned|\bip\b.{0,40}(?:refused|rejected|denied)/i,
];
const SLOW_WORDS = [
  /rate.?limit|too (?:many|much|fast)|throttl|slow down|exceeded.{0,30}(?:rate|limit|connections)/i,
  /unusual rate|temporarily rate|try again later|concurrent/i,
  /unexpected volume|\[TSS0\d\]/i, // Yahoo: "421 4.7.0 [TSS04] … temporarily deferred due to unexpected volume"
  /server busy/i, // Microsoft 365: "451 4.7.500 Server busy"
  /frequency.{0,10}limit/i, // QQ: "Connection frequency limited"
  /trop de connexions/i, // Orange: "Trop de connexions, veuillez verifier votre configuration"
];
/** Greylisting is about one sender and recipient, and would be so however slowly we came. */
const GREYLIST_WORDS = [
  /gr[ae]y.?list/i, // Postgrey: "Recipient address rejected: Greylisted"
  /internal resources are temporarily unavailable/i, // Mimecast's words for it
];

export function hintOf(evidence: Evidence): Hint {
  const { result, concerns, reply } = evidence;
  if (result === "none" || result === "unknown" || evidence.transport === "sandbox") return "nothing";
  if (result === "delivered") return "ok";
  if (concerns === "transport") return "transport";
  if (isBlock(reply)) return "blocked";
  if (result === "bounced") return reply.code > 0 ? "ok" : "nothing";
  if (isGreylisted(reply)) return "ok";
  if (isSlow(reply)) return "slow";
  if (concerns === "destination") return "down";
  return reply.code > 0 ? "ok" : "nothing";
}

/** RFC 3463 §3.8: x.7.z is about policy. */
function isBlock(reply: Reply): boolean {
  const policy =
    /^[45]\.7\./.test(reply.enhanced) || reply.code === 554 || reply.code === 421 || reply.code === 550;
  return policy && BLOCK_WORDS.some((word) => word.test(reply.text));
}

function isGreylisted({ code, text }: Reply): boolean {
  return code >= 400 && code <= 499 && code !== 421 && GREYLIST_WORDS.some((word) => word.test(text));
}

/** 421 is "closing the channel" (RFC 5321 §4.2.1); 4.7.28 and 4.3.2 are how providers say "later". */
function isSlow(reply: Reply): boolean {
  if (reply.code === 421) return true;
  if (reply.code < 400 || reply.code > 499) return false;
  return /^4\.(?:3\.2|4\.5|7\.28)$/.test(reply.enhanced) || SLOW_WORDS.some((word) => word.test(reply.text));
}

/** RFC 5321 §4.5.3.1.1: a local part has 64 octets at most. */
const ADDRESS = /[^\s<>()"@:;,]{1,64}@(?=[^\s<>()"@:;,])/g;

/** What a destination says is told to everybody whose mail waits for it, and one's recipient is nobody else's business. */
export function withoutAddresses(text: string): string {
  return text.replace(ADDRESS, "…@");
}

/** One evidence for a message with several recipients: what tells the most about the destination. */
export function toEvidence(transport: TransportName, outcomes: Outcome[]): Evidence {
  const rank: Hint[] = ["blocked", "slow", "down", "transport", "ok", "nothing"];
  const all = outcomes.map(({ result, concerns, reply, reason, at, hop }): Evidence => {
    // Only the gateway goes to the MX itself, and only one that replied is known to be the domain's.
    const provider = transport === "gateway" && reply.code > 0 ? providerOfHost(hop.host) : undefined;
    const said = { ...reply, text: withoutAddresses(reply.text) };
    const why = { reply: said, reason: withoutAddresses(reason) };
    return { transport, result, concerns, ...why, at, ...(provider ? { provider } : {}) };
  });
  const delivered = all.find((e) => e.result === "delivered");
  const told = all.toSorted((a, b) => rank.indexOf(hintOf(a)) - rank.indexOf(hintOf(b)))[0];
  return delivered ?? told ?? nothing(transport);
}

export function nothing(transport: TransportName, result: "unknown" | "none" = "none"): Evidence {
  return {
    transport,
    result,
    concerns: "recipient",
    reply: { code: 0, enhanced: "", text: "" },
    reason: "",
    at: 0,
  };
}
