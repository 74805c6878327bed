/**
 * What a report says of a message's recipients, as what is remembered of it: bounces of Postmark's types, and who is not to be mailed any
 * more. Pure. It comes to a signed address, so it is about the message; whom it names has to be one of the message's recipients.
 */
import type { Report, ReportedRecipient } from "./report.ts";

export interface Fact {
  /** Lower case. */
  email: string;
  /** Postmark's. */
  type: string;
  details: string;
  /** Suppresses the address on the message's stream: a bad address, a complaint. */
  inactive: boolean;
  /** The recipient asked for no more of the stream. */
  unsubscribes: boolean;
}

export interface Facts {
  facts: Fact[];
  /** Why there are none, or fewer than it names. */
  why?: string;
}

/** As much as a page shows of it. */
const MAX_DETAILS = 1_000;

/**
 * `recipients` are the message's, lower case, "" in the place of one who was removed; undefined when nobody knows the message any more.
 * Then a report that names recipients is believed, but for what it would suppress: anybody who ever got a message could name anybody.
 */
export function factsOf(report: Report, recipients: readonly string[] | undefined): Facts {
  if (!recipients) {
    const { facts, why } = about(report, (named) => named.map((n) => n.toLowerCase()).find(Boolean));
    const kept = facts.filter((fact) => !fact.unsubscribes).map((fact) => ({ ...fact, inactive: false }));
    return { facts: kept, why: why ?? "the message is not known any more" };
  }
  return about(report, (named) => {
    const known = named.map((n) => n.toLowerCase()).filter(Boolean);
    // Nobody is named, or is by a name of their own: of a message to one it is that one.
    if (known.length === 0) return recipients.length === 1 ? recipients[0] || undefined : undefined;
    return known.find((n) => recipients.includes(n));
  });
}

/** `whose` picks of the addresses that may name a recipient. */
function about(report: Report, whose: (named: string[]) => string | undefined): Facts {
  switch (report.kind) {
    case "dsn":
    case "delay": {
      const told = report.recipients.filter((r) => r.action === "failed" || r.action === "delayed");
      if (told.length === 0) return { facts: [], why: "the report is of no failure" };
      return gathered(told.map((r) => bounceOf(r, whose([r.original, r.address]))));
    }
    case "complaint": {
      const { feedbackType, recipients } = report;
      const named = recipients.length > 0 ? recipients : [""];
      return gathered(named.map((address) => complaintOf(feedbackType, whose([address]))));
    }
    case "unreadable":
      return { facts: [], why: report.reason };
    case "other":
      return { facts: [], why: report.reason };
    default:
      // Who answers by program often does so by another address, and the reverse-path is not shown to people.
      return gathered([answerOf(report, whose([report.from]) ?? whose([]))]);
  }
}

function gathered(found: (Fact | undefined)[]): Facts {
  const facts = new Map<string, Fact>();
  for (const fact of found) if (fact) facts.set(`${fact.email} ${fact.type}`, fact);
  const strangers = found.filter((fact) => !fact).length;
  return {
    facts: [...facts.values()],
    ...(strangers > 0 && { why: "the report names nobody to whom the message was sent" }),
  };
}

function bounceOf({ type = "Unknown", details, reply }: ReportedRecipient, email?: string): Fact | undefined {
  if (email === undefined) return undefined;
  // "smtp; 550 5.1.1 no such user", as a refusal at delivery is told.
  const said = details.replace(/^[a-z0-9-]{1,20}[ \t]*;[ \t]*/i, "");
  const shown = reply.code > 0 ? `smtp;${said}` : details;
  return fact(email, type, { details: shown, inactive: type === "HardBounce" });
}

function complaintOf(feedbackType: string, email?: string): Fact | undefined {
  if (email === undefined) return undefined;
  // RFC 5965 §7.3: a program found a virus, and no person complained.
  if (feedbackType === "virus") return fact(email, "VirusNotification", { details: feedbackType });
  return fact(email, "SpamComplaint", { details: feedbackType, inactive: true });
}

const ANSWERS = {
  "auto-reply": "AutoResponder",
  challenge: "ChallengeVerification",
  "address-change": "AddressChange",
  unsubscribe: "Unsubscribe",
  subscribe: "Subscribe",
} as const;

type Answer = Extract<Report, { kind: keyof typeof ANSWERS }>;

function answerOf(report: Answer, email?: string): Fact | undefined {
  if (email === undefined) return undefined;
  const details = report.kind === "address-change" ? report.newAddress : "";
  return fact(email, ANSWERS[report.kind], { details, unsubscribes: report.kind === "unsubscribe" });
}

function fact(email: string, type: string, of: Partial<Fact>): Fact {
  const details = (of.details ?? "").slice(0, MAX_DETAILS).toWellFormed();
  return { email, type, inactive: false, unsubscribes: false, ...of, details };
}
