/**
 * Postmark's test addresses (contract/postmark-api.md §23.4), served here and never sent out: a black hole that takes all, and a
 * domain that bounces by the type that the local part or X-PM-Bounce-Type names.
 */
import type { Outcome } from "../../mail/outcome.ts";
import type { Reply } from "../../mail/reply.ts";
import { alike, type Parcel } from "./transport.ts";

const BLACK_HOLE = "blackhole.postmarkapp.com";
const BOUNCES = "bounce-testing.postmarkapp.com";

/** Every type that can be asked for, with a reply that a server might give. SpamComplaint is not among them. */
const REPLIES: Record<string, [code: number, enhanced: string, text: string]> = {
  HardBounce: [550, "5.1.1", "The email account that you tried to reach does not exist."],
  Transient: [550, "4.4.7", "Message delayed, and expired."],
  Unsubscribe: [550, "5.7.1", "The recipient has asked to be removed from this list."],
  Subscribe: [550, "5.7.1", "The recipient asked to subscribe."],
  AutoResponder: [550, "5.3.0", "Automatic reply."],
  AddressChange: [551, "5.1.6", "The recipient has moved to another address."],
  DnsError: [550, "5.1.2", "Domain not found."],
  SpamNotification: [550, "5.7.1", "This message was classified as spam."],
  OpenRelayTest: [550, "5.7.1", "Relaying denied: open relay test."],
  Unknown: [550, "5.0.0", "Undefined status."],
  SoftBounce: [552, "5.2.2", "The mailbox is full."],
  VirusNotification: [550, "5.7.1", "This message contains a virus."],
  ChallengeVerification: [550, "5.7.1", "Please answer the challenge to have your message delivered."],
  BadEmailAddress: [553, "5.1.3", "The address is not valid."],
  ManuallyDeactivated: [550, "5.2.1", "The recipient was deactivated by hand."],
  Unconfirmed: [550, "5.7.1", "The recipient never confirmed."],
  Blocked: [550, "5.7.1", "Blocked for content or reputation."],
  SMTPApiError: [554, "5.6.0", "The message was refused when it was processed."],
  InboundError: [554, "5.3.0", "Processing failed."],
  DMARCPolicy: [550, "5.7.26", "Rejected by the DMARC policy of the sender's domain."],
  TemplateRenderingFailed: [554, "5.6.0", "Template rendering failed."],
};

const NORMAL = new Map(Object.keys(REPLIES).map((type) => [normal(type), type]));

export function isTestDomain(domain: string): boolean {
  return domain === BLACK_HOLE || domain === BOUNCES;
}

/** `wanted` is X-PM-Bounce-Type, "" when not given; it wins over the local part. */
export function answerTest(parcel: Parcel, wanted: string, now: number): Outcome[] {
  const hop = { host: parcel.domain, address: "", tls: "" };
  if (parcel.domain === BLACK_HOLE) {
    const reply = { code: 250, enhanced: "2.0.0", text: "into the black hole" };
    return alike(parcel, now, { result: "delivered", reply, hop });
  }
  return alike(parcel, now, { result: "bounced", hop }).map((outcome) => {
    const bounceType = typeOf(wanted || (outcome.recipient.split("@")[0] ?? ""));
    return { ...outcome, bounceType, reply: replyFor(bounceType) };
  });
}

/** "hard_bounce", "HARDBOUNCE" and "HardBounce" are the same; what is unknown bounces hard, and so does a complaint. */
function typeOf(text: string): string {
  return NORMAL.get(normal(text)) ?? "HardBounce";
}

function normal(text: string): string {
  return text.toLowerCase().replace(/[^a-z]/g, "");
}

function replyFor(type: string): Reply {
  const [code, enhanced, text] = REPLIES[type] ?? [550, "5.1.1", ""];
  return { code, enhanced, text };
}
