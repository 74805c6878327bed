/**
 * Takes a person out of what stays: the records of others who got the same message. Servers repeat addresses in what they answer, so
 * every text is looked through. Pure.
 */
import type { MessageSummary } from "../mail/record.ts";

export const REMOVED = "[removed]";
/** Where no longer address, of somebody else, goes on: "joann@example.com" is not Ann's, nor is "ann@example.com.au". */
const BEFORE = "(?<![a-z0-9.!#$%&'*+/=?^_`{|}~-])";
const AFTER = "(?![a-z0-9-]|\\.[a-z0-9])";

/** The same value with the address, in any case, taken out of each text in it. */
export function withoutAddress<T>(value: T, email: string): T {
  const address = new RegExp(`${BEFORE}${email.replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&")}${AFTER}`, "gi");
  const walk = (part: unknown): unknown => {
    if (typeof part === "string") return part.replace(address, REMOVED);
    if (Array.isArray(part)) return part.map(walk);
    if (part === null || typeof part !== "object") return part;
    return Object.fromEntries(Object.entries(part).map(([key, of]) => [key, walk(of)]));
  };
  return walk(value) as T;
}

/** Without the person, and without what the message said: that may name them. */
export function summaryWithout(summary: MessageSummary, email: string): MessageSummary {
  const isOther = (mailbox: { email: string }) => mailbox.email.toLowerCase() !== email;
  const { from, to, cc, bcc, recipients, ...facts } = summary;
  return {
    ...withoutAddress(facts, email),
    from,
    to: to.filter(isOther),
    cc: cc.filter(isOther),
    bcc: bcc.filter(isOther),
    // The others keep their places, which links in their mail name.
    recipients: recipients.map((r) => (r === email ? "" : r)),
    attachments: [],
    metadata: {},
  };
}
