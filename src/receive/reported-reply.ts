/** The reply of a server that a report repeats, out of whatever stands around it. */
import type { Reply } from "../mail/reply.ts";
import { reportedBounceType } from "../smtp/bounce-type.ts";
import { toReply } from "../smtp/reply-text.ts";
import type { ReportedRecipient } from "./report.ts";

/** The same with its type, where it has one. */
export function typed(recipient: ReportedRecipient): ReportedRecipient {
  if (recipient.action === "failed") return { ...recipient, type: reportedBounceType(recipient.reply) };
  return recipient.action === "delayed" ? { ...recipient, type: "Transient" } : recipient;
}

const CODE =
  /(?:^|[\s:;('"“«,])((?:421|4[35]\d|471|50[0-4]|51[0-5]|52[1-3]|53[0-8]|54[1-2]|55\d|57\d)[ -](?=\S)[\s\S]*)$/;

/** The reply that a text of several lines repeats, from where its code begins. */
export function replyIn(text: string): Reply {
  // A blank line ends it: what follows in an explanation is a signature, or about others.
  const from = CODE.exec(text.slice(0, 4_000))?.[1]?.split(/\n[ \t]*\n/, 1)[0];
  if (from === undefined) return toReply([text.replace(/\n/g, " ")]);
  const code = from.slice(0, 3);
  // Folding breaks a reply anywhere, also between its two codes, and joins its lines: "550-5.1.1 no such 550 5.1.1 user".
  const whole = from.replace(new RegExp(`(^|\\s)${code}[ -]?\\n[ \\t]*(?=[45]\\.)`, "g"), `$1${code} `);
  const lines = whole.split("\n").map((line) => line.replace(/^[ \t>|<]+/, ""));
  return toReply(lines.flatMap((line) => line.split(new RegExp(`[ \\t](?=${code}[ -][45]\\.)`))));
}
