/**
 * What a reply means for the recipient, and what it is about. Only a 5xx reply to a command that concerns the message or its
 * recipients is final; whatever is not understood is deferred. When in doubt about what a failure concerns, the smaller
 * thing is taken at RCPT and the destination elsewhere.
 */
import type { Outcome } from "../mail/outcome.ts";
import type { Reply } from "../mail/reply.ts";

/** Where in the session the reply came: the command that it answers. */
export type Stage = "connect" | "greeting" | "helo" | "tls" | "mail" | "rcpt" | "data" | "message";

export type Meaning = Pick<Outcome, "result" | "concerns">;

/** RFC 5321 §4.5.3.1.10: 552 for too many recipients is to be treated as 452. */
const TOO_MANY_RECIPIENTS = /too many recipients/i;
/** "Greylisted, try again in 300 seconds": about this sender and recipient, though its status code is one of policy. */
const GREYLISTED = /gr[ae]y.?list|try again in \d+ ?(?:s|m)|first.?time sender/i;
/** A full mailbox, from servers that give no enhanced code. */
const FULL = /mailbox (?:is )?(?:full|over)|over.?quota|quota (?:exceeded|is full)|exceed\w* .{0,20}quota/i;
/** Policy and reputation, where no enhanced code says so. */
const POLICY =
  /block.?list|black.?list|reputation|spamhaus|barracuda|rate.?limit|too many (?:messages|connections)/i;

export function meaning(reply: Reply, stage: Stage): Meaning {
  const { code } = reply;
  if (code >= 200 && code <= 299 && stage === "message")
    return { result: "delivered", concerns: "recipient" };
  return { result: isFinal(reply, stage) ? "bounced" : "deferred", concerns: concernsOf(reply, stage) };
}

function isFinal({ code, enhanced, text }: Reply, stage: Stage): boolean {
  if (code < 500 || code > 599) return false;
  // Before MAIL nobody was asked about this message: a refusal of our host may end, and another host may be let in.
  if (stage === "connect" || stage === "greeting" || stage === "helo" || stage === "tls") return false;
  if (stage === "rcpt" && (enhanced === "5.5.3" || (code === 552 && TOO_MANY_RECIPIENTS.test(text))))
    return false;
  // 503 is about the order of commands (RFC 5321 §4.2.4): the session went wrong, not the message.
  return code !== 503;
}

function concernsOf({ code, enhanced, text }: Reply, stage: Stage): "recipient" | "destination" {
  if (code === 0 || code === 421 || code < 400 || code > 599) return "destination";
  if (stage === "connect" || stage === "greeting" || stage === "helo" || stage === "tls")
    return "destination";
  const [, subject, detail] = enhanced.split(".");
  switch (subject) {
    case "1": // addresses (RFC 3463 §3.2)
    case "5": // protocol, too many recipients: this transaction (§3.6)
    case "6": // content (§3.7)
      return "recipient";
    case "2": // the mailbox (§3.3)
      return "recipient";
    case "3": // the mail system (§3.4), except that this message is too big for it
      return detail === "4" ? "recipient" : "destination";
    case "4": // network and routing (§3.5)
      return "destination";
    case "7": // security and policy (§3.8)
      return GREYLISTED.test(text) ? "recipient" : "destination";
  }
  if (FULL.test(text) || GREYLISTED.test(text)) return "recipient";
  if (POLICY.test(text)) return "destination";
  if (stage === "rcpt") return "recipient";
  // 552 and 554 after the data refuse this message; 4xx there is the system's trouble (RFC 5321 §4.2.3).
  return code >= 500 ? "recipient" : "destination";
}
