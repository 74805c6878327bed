/**
 * What the local MX does, chosen by how the recipient's local part begins: the table of contract/local.md, pure. Anything that is not in
 * it is accepted.
 */
import type { Reply } from "../../mail/reply.ts";

/**
 * `notls` and `badtls` are here only to be accepted: STARTTLS is offered before any recipient is known (RFC 3207 §4), so the
 * local part comes too late to decide it. What a client meets is decided by the domain instead: a domain that begins with
 * `notls.` or `badtls.` has an MX of its own (zone.ts, mx.ts).
 */
export const BEHAVIOURS = [
  "hard-bounce",
  "blocked",
  "mailbox-full",
  "greylist",
  "slow",
  "throttle",
  "drop",
  "after-dot",
  "late-bounce",
  "complain",
  "out-of-office",
  "reply",
  "notls",
  "badtls",
] as const;
export type Behaviour = (typeof BEHAVIOURS)[number] | "accept";

export const SLOW_MS = 10_000;
export const DROPS_PER_MESSAGE = 2;
export const THROTTLE = { connections: 2, messagesPerSecond: 10 } as const;

/** Refused at RCPT, always. */
export const REFUSED_AT_RCPT: Partial<Record<Behaviour, Reply>> = {
  "hard-bounce": { code: 550, enhanced: "5.1.1", text: "No such user here" },
  "mailbox-full": { code: 452, enhanced: "4.2.2", text: "The mailbox is full" },
};
export const GREYLISTED: Reply = { code: 451, enhanced: "4.7.1", text: "Greylisted, try again later" };
export const THROTTLED: Reply = {
  code: 421,
  enhanced: "4.7.0",
  text: "Too many connections or messages from you, try again later",
};
/** After the final dot. */
export const BLOCKED: Reply = {
  code: 550,
  enhanced: "5.7.1",
  text: "Message blocked as spam; see https://postmaster.world.test/blocked",
};
/** Our disk failed, not the message: the client has to keep it. */
export const NOT_STORED: Reply = { code: 451, enhanced: "4.3.0", text: "Could not store the message" };

export function behaviourOf(address: string): Behaviour {
  const local = address.slice(0, address.lastIndexOf("@")).toLowerCase();
  return BEHAVIOURS.find((name) => local.startsWith(name)) ?? "accept";
}

export function domainOf(address: string): string {
  return address.slice(address.lastIndexOf("@") + 1).toLowerCase();
}
