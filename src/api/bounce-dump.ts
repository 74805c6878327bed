/**
 * What there is to show of a bounce's cause. What a server said while we talked to it is no message, as Postmark shows one; it is the
 * same news at first hand: every attempt, where it went, and each command with its reply.
 */
import { type ListedBounce, storyOf } from "../archive/bounces.ts";
import type { Attempt, RecipientRecord } from "../mail/record.ts";
import { replyText } from "../mail/reply.ts";

const DUMP_KEPT_MS = 30 * 86_400_000;

export function hasDump({ hasStory, bouncedAt }: ListedBounce, now: number): boolean {
  return hasStory && now - bouncedAt < DUMP_KEPT_MS;
}

/** "" when nothing is kept. */
export async function contentOf(archive: D1Database, bounce: ListedBounce): Promise<string> {
  const story = await storyOf(archive, bounce);
  return story ? dumpText(story) : "";
}

export function dumpText({ email, state, attempts, reason }: RecipientRecord): string {
  const head = `Recipient: ${email}\nResult: ${state}${reason ? ` (${reason})` : ""}\n`;
  return [head, ...attempts.map(attemptText)].join("\n");
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
