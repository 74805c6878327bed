/**
 * What there is to show of a bounce's cause: the report that came back, as it came. What a server said while we talked to it is no message,
 * as Postmark shows one; it is the same news at first hand: every attempt, where it went, and each command with its reply.
 */
import { type ListedBounce, storyOf } from "../archive/bounces.ts";
import type { Attempt, RecipientRecord } from "../mail/record.ts";
import { replyText } from "../mail/reply.ts";

const DUMP_KEPT_MS = 30 * 86_400_000;
/** A report is a few KB; the message that it returns may be of any size, and its end is nobody's news. */
const MAX_REPORT_BYTES = 1_000_000;

export interface DumpNeeds {
  archive: D1Database;
  /** Part of a stored object; undefined when there is none. */
  segment(key: string, offset: number, length: number): Promise<Uint8Array | undefined>;
}

export function hasDump({ hasStory, dump, bouncedAt }: ListedBounce, now: number): boolean {
  return (hasStory || dump !== null) && now - bouncedAt < DUMP_KEPT_MS;
}

/** "" when nothing is kept. */
export async function contentOf({ archive, segment }: DumpNeeds, bounce: ListedBounce): Promise<string> {
  if (bounce.dump !== null) return reportText(await segment(bounce.dump, 0, MAX_REPORT_BYTES));
  const story = await storyOf(archive, bounce);
  return story ? dumpText(story) : "";
}

function dumpText({ email, state, attempts, reason }: RecipientRecord): string {
  const head = `Recipient: ${email}\nResult: ${state}${reason ? ` (${reason})` : ""}\n`;
  return [head, ...attempts.map(attemptText)].join("\n");
}

/** "" when it is not kept any more. What is not UTF-8 is shown as one byte a character, which keeps its lines apart. */
function reportText(raw: Uint8Array | undefined): string {
  if (!raw) return "";
  try {
    // A last character that was cut off is no fault of the rest.
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(raw, { stream: true });
  } catch {
    return new TextDecoder("windows-1252").decode(raw);
  }
}

function attemptText({ number, transport, at, hop, result, reply, reason, transcript }: Attempt): string {
  const where = [hop.host, hop.address && `(${hop.address})`, hop.tls && `with ${hop.tls}`];
  const place = where.filter(Boolean).join(" ");
  const dialog = transcript.map(({ command, reply: answer }) => `> ${command}\n< ${replyText(answer)}\n`);
  const said = [replyText(reply), reason].filter(Boolean).join("; ");
  return [
    `Attempt ${number} at ${new Date(at).toISOString()} by ${transport}${place && ` to ${place}`}\n`,
    ...dialog,
    `${result}${said && `: ${said}`}\n`,
  ].join("");
}
