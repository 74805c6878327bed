/**
 * Which of Postmark's bounce types a final failure is. A table in three parts that a person can read and extend: the
 * enhanced status code, what is said in words, then the bare reply code. A refusal for reputation, policy or content is
 * never a HardBounce: that would suppress an address which is good.
 */
import type { Reply } from "../mail/reply.ts";

export type BounceTypeName =
  | "HardBounce"
  | "SoftBounce"
  | "Blocked"
  | "SpamNotification"
  | "VirusNotification"
  | "ChallengeVerification"
  | "DMARCPolicy"
  | "DnsError"
  | "Transient"
  | "Unknown";

type Row = [pattern: RegExp, type: BounceTypeName];

/**
 * Words that outweigh any code, since providers answer 5.1.1 and 5.0.0 to blocked senders too. Order matters: the first
 * that fits. Each with whom it was seen at.
 */
const TELLING_WORDS: Row[] = [
  [/\bdmarc\b/i, "DMARCPolicy"], // Gmail: "Unauthenticated email from x is not accepted due to domain's DMARC policy"
  [/\bvirus\b|malware|infected|trojan/i, "VirusNotification"], // ClamAV milters: "virus Eicar-Test-Signature found"
  [
    /challenge.?response|verify (?:that )?you are (?:a )?human|confirm your message/i,
    "ChallengeVerification",
  ],
  [/(?:block|black|deny|reject).?list|\brbls?\b|\bdnsbl\b/i, "Blocked"], // Outlook: "part of their network is on our block list"
  [/\bblocked\b|\bbanned\b/i, "Blocked"], // Yahoo, Comcast: "blocked for abuse"
  [/spamhaus|spamcop|barracuda|sorbs|abuseat|senderscore|cloudmark|proofpoint|uceprotect/i, "Blocked"],
  [/reputation/i, "Blocked"], // Gmail: "very low reputation of the sending IP address"
  [
    /\b(?:detected|classified|identified|considered|flagged|marked) as (?:\w+ )?(?:spam|junk|bulk)/i,
    "SpamNotification",
  ],
  [/looks like spam|spam (?:message|content|detected|score)|is spam\b/i, "SpamNotification"], // SpamAssassin, Exim set-ups
  [/\bspam\b|\buce\b|unsolicited|\bjunk\b/i, "Blocked"], // "550 High probability of spam", "Spam message rejected"
  [/\bspf\b|\bdkim\b|unauthenticated|not authenticated|authentication (?:check|fail)/i, "Blocked"],
  [/(?:reverse|ptr|rdns).{0,40}(?:dns|record|lookup|match)|no ptr/i, "Blocked"],
  [/rate.?limit|too many (?:messages|connections|emails)|throttl/i, "Blocked"],
];

/** What the enhanced code says: RFC 3463 and the IANA registry. Compared without the class, which the code decides. */
const STATUS: Row[] = [
  [/^1\.[1236]$/, "HardBounce"], // no such mailbox, no such host, bad syntax, mailbox moved
  [/^1\.10$/, "HardBounce"], // null MX (RFC 7505)
  [/^1\.[578]$/, "Unknown"], // about the sender's address
  [/^1\.4$/, "SoftBounce"], // ambiguous
  [/^2\.1$/, "HardBounce"], // mailbox disabled
  [/^2\.[23]$/, "SoftBounce"], // mailbox full; message too long for it
  [/^2\./, "SoftBounce"],
  [/^3\./, "SoftBounce"], // mail system full, not accepting, message too big
  [/^4\.[34]$/, "DnsError"], // directory server, unable to route
  [/^4\.6$/, "Transient"], // routing loop
  [/^4\./, "Transient"], // no answer, bad connection, expired
  [/^5\.3$/, "SoftBounce"], // too many recipients
  [/^6\./, "SoftBounce"], // media and conversion
  [/^7\.(?:2[0-9]|30)$/, "Blocked"], // DKIM, SPF, reverse DNS, ARC (RFC 7372, 8617)
  [/^7\./, "Blocked"],
];

/** What is said where no code told. */
const WORDS: Row[] = [
  [
    /(?:user|recipient|mailbox|account|address|rcpt).{0,40}(?:unknown|not (?:found|exist|known|valid)|does(?:n't| not) exist|invalid|disabled|inactive|no longer|unrouteable)/i,
    "HardBounce",
  ],
  [
    /(?:unknown|no such|invalid|bad|unrouteable|non-?existent|undeliverable).{0,20}(?:user|recipient|mailbox|account|address|local)/i,
    "HardBounce",
  ],
  [/does(?:n't| not) (?:have|handle) .{0,40}account|not our customer|no mailbox here/i, "HardBounce"], // Yahoo
  [
    /quota|mailbox.{0,20}full|full mailbox|insufficient (?:system )?(?:storage|space)|out of disk|storage/i,
    "SoftBounce",
  ],
  [/too (?:large|big|long)|size limit|exceeds .{0,20}size|maximum .{0,20}size/i, "SoftBounce"],
  [/relay(?:ing)? (?:access )?(?:denied|not (?:permitted|allowed))|not permitted to relay/i, "HardBounce"],
  [/dns|domain not found|host not found|name server/i, "DnsError"],
  [
    /policy|access denied|not allowed|refused|prohibited|content (?:rejected|not accepted)|administrative/i,
    "Blocked",
  ],
  [/timed? ?out|connection|network|temporar|try again|unavailable at this time/i, "Transient"],
];

/** RFC 5321 §4.2.3, for replies with nothing better. */
const CODES: Record<number, BounceTypeName> = {
  421: "Transient",
  450: "SoftBounce",
  451: "SoftBounce",
  452: "SoftBounce",
  550: "HardBounce",
  551: "HardBounce",
  552: "SoftBounce",
  553: "HardBounce",
  554: "Unknown",
  556: "HardBounce", // RFC 7504: the domain takes no mail
};

/** Addresses are no words: "<spam@shop.example>: user unknown". */
const ADDRESS = /[^\s<>@]{1,64}@[^\s<>@]{1,255}/g;
/** Codes that say no more than the reply code does. */
const UNDECIDED = new Set(["", "0.0", "5.0"]);

/** `reason` is what we say ourselves where the reply is empty: "null MX", "connection refused". */
export function bounceType(reply: Reply, reason = ""): BounceTypeName {
  const said = `${reply.text} ${reply.code === 0 ? reason : ""}`.replace(ADDRESS, " ").trim();
  const telling = reply.code === 0 ? undefined : match(TELLING_WORDS, said);
  if (telling) return telling;
  const status = reply.enhanced.slice(2);
  const isGivenUp = reply.code < 500 && !reply.enhanced.startsWith("5");
  const type =
    (UNDECIDED.has(status) ? undefined : match(STATUS, status)) ??
    match(WORDS, said) ??
    CODES[reply.code] ??
    (reply.code === 0 ? "Transient" : "Unknown");
  // An address that never was refused for good is not known to be bad: it was only given up.
  return isGivenUp && type === "HardBounce" ? "SoftBounce" : type;
}

function match(rows: Row[], text: string): BounceTypeName | undefined {
  return rows.find(([pattern]) => pattern.test(text))?.[1];
}
