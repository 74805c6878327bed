/**
 * Which of Postmark's bounce types a final failure is: one classifier for a refusal at delivery and for one that a DSN brings days
 * later. What it knows is in phrases.ts: words that outweigh any code, the enhanced status code, other words, the bare reply code.
 */
import type { Reply } from "../mail/reply.ts";
import {
  type BounceTypeName,
  CODES,
  type Row,
  STATUS,
  TELLING_ADDRESS_WORDS,
  TELLING_WORDS,
  TRANSLATED_WORDS,
  WORDS,
} from "./phrases.ts";

export type { BounceTypeName } from "./phrases.ts";

/** Addresses are no words: "<spam@shop.example>: user unknown". */
const ADDRESS = /[^\s<>@]{1,64}@[^\s<>@:;,()]{1,255}/g;
/** Codes that say no more than the reply code does. */
const UNDECIDED = new Set(["", "0.0", "5.0"]);

/** `reason` is what we say ourselves where the reply is empty: "null MX", "connection refused". */
export function bounceType(reply: Reply, reason = ""): BounceTypeName {
  const isOurs = reply.code === 0;
  const said = withoutAddresses(`${reply.text} ${isOurs ? reason : ""}`);
  const isFinal = reply.code >= 500 || reply.enhanced.startsWith("5");
  return classify(reply, said, { isFinal, isOurs }) ?? (isOurs ? "Transient" : "Unknown");
}

/** What a DSN says of a recipient that failed: its words are another server's even when it repeats no reply. */
export function reportedBounceType(reply: Reply): BounceTypeName {
  // RFC 3463 §2: the class says whether trying again could have helped. Old servers, that give no code, report only what is final.
  const isFinal = reply.code >= 500 || reply.enhanced.startsWith("5") || (!reply.code && !reply.enhanced);
  return classify(reply, withoutAddresses(reply.text), { isFinal, isOurs: false }) ?? "Unknown";
}

function classify(
  { code, enhanced }: Reply,
  said: string,
  { isFinal, isOurs }: { isFinal: boolean; isOurs: boolean },
): BounceTypeName | undefined {
  const telling = isOurs ? undefined : match(TELLING_WORDS, said);
  if (telling) return telling;
  const status = enhanced.slice(2);
  const type =
    (isOurs ? undefined : match(TELLING_ADDRESS_WORDS, said)) ??
    (UNDECIDED.has(status) ? undefined : match(STATUS, status)) ??
    match(WORDS, said) ??
    match(TRANSLATED_WORDS, said) ??
    CODES[code];
  // An address that never was refused for good is not known to be bad: it was only given up.
  return type === "HardBounce" && !isFinal ? "SoftBounce" : type;
}

function withoutAddresses(text: string): string {
  return text.replace(ADDRESS, " ").trim();
}

function match(rows: Row[], text: string): BounceTypeName | undefined {
  return rows.find(([pattern]) => pattern.test(text))?.[1];
}
