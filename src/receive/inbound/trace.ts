/** What a message's trace says: which client brought it, whether it goes round in circles; and the header as the payload shows it. */
import type { Received } from "../receive.ts";
import type { AuthFields, Client } from "./authenticate.ts";
import { addressesIn, type InboundMail } from "./open.ts";
import type { SpamScore } from "./spam.ts";

type Field = InboundMail["headers"][number];

/** More hops than any honest message has; the front door refuses at a hundred. */
const MAX_HOPS = 50;
/** A message that was delivered to the same address before comes round again; both are what servers and programs leave for that. */
const LOOP_FIELDS = ["delivered-to", "x-loop"];
/** Shown in fields of their own. */
const OWN_FIELDS = ["from", "to", "cc", "bcc", "subject", "date", "reply-to"];
/** What describes the bytes and not the message. */
const BODY_FIELDS = ["content-type", "content-transfer-encoding"];
/** Ours to say: nobody who sends to us may say it for us. */
const OUR_FIELDS = [
  "return-path",
  "received-spf",
  "x-spam-checker-version",
  "x-spam-status",
  "x-spam-score",
  "x-spam-tests",
];

/** Why the message must go no further; undefined when it may. */
export function loopReason(headers: Field[], recipient: string): string | undefined {
  const hops = headers.filter((h) => h.name.toLowerCase() === "received").length;
  if (hops > MAX_HOPS) return `Mail loop: more than ${MAX_HOPS} Received fields`;
  const again = headers.find(
    ({ name, value }) =>
      LOOP_FIELDS.includes(name.toLowerCase()) && addressesIn(value).includes(recipient.toLowerCase()),
  );
  return again && `Mail loop: its ${again.name} field names this address`;
}

/** The field on top is the front door's, or the platform's. */
export function clientOf({ via, remoteAddress }: Received, headers: Field[]): Client {
  const top = headers.find((h) => h.name.toLowerCase() === "received")?.value.slice(0, 2_000) ?? "";
  const helo = /^from\s+([^\s();]+)/i.exec(top)?.[1] ?? "";
  if (remoteAddress || via === "gateway") return { address: remoteAddress, helo };
  const from = top.split(/\sby\s/i, 1)[0] ?? "";
  return { address: /[([](?:IPv6:)?([\da-f:.]{7,45})[)\]]/i.exec(from)?.[1] ?? "", helo };
}

/** Whose results a field has, however that is written: in capitals, in quotes, behind comments (RFC 8601 §2.2). */
function resultsFrom(value: string): string {
  let name = "";
  let depth = 0;
  for (let i = 0; i < value.length; i++) {
    const c = value.charAt(i);
    if (c === "(") depth++;
    else if (c === ")") depth = Math.max(0, depth - 1);
    else if (c === "\\") i++;
    else if (depth > 0 || c === '"') continue;
    else if (c === ";" || (c.trim() === "" && name !== "")) break;
    else name += c.trim();
  }
  return name.toLowerCase();
}

export function shownHeaders(
  headers: Field[],
  found: { reversePath: string; auth: AuthFields; spam: SpamScore | undefined; host: string },
): Field[] {
  const { reversePath, auth, spam, host } = found;
  const rest = headers.filter(({ name, value }) => {
    const key = name.toLowerCase();
    if (OWN_FIELDS.includes(key) || BODY_FIELDS.includes(key) || OUR_FIELDS.includes(key)) return false;
    // RFC 8601 §5: what claims to be our own result.
    return key !== "authentication-results" || resultsFrom(value) !== host.toLowerCase();
  });
  const isTop = (h: Field | undefined) => h?.name.toLowerCase() === "received";
  const top = isTop(rest[0]) ? rest.splice(0, 1) : [];
  const field = (name: string, value: string | undefined): Field[] => (value ? [{ name, value }] : []);
  return [
    { name: "Return-Path", value: `<${reversePath}>` },
    ...top,
    ...(spam
      ? [
          { name: "X-Spam-Checker-Version", value: spam.version },
          { name: "X-Spam-Status", value: spam.isSpam ? "Yes" : "No" },
          { name: "X-Spam-Score", value: spam.score.toFixed(1) },
          { name: "X-Spam-Tests", value: spam.tests.join(",") },
        ]
      : []),
    ...field("Received-SPF", auth.receivedSpf),
    ...field("Authentication-Results", auth.authenticationResults),
    ...rest,
  ];
}
