/**
 * The state of a pack as it is stored. It grows with each attempt at each recipient, by some KB when a session was long, and must fit its
 * row: what could not be written would be forgotten with the object, and everybody who has the mail would get it again. Pure.
 */
import { utf8Length } from "../mail/text.ts";
import type { MessageProgress, RecipientProgress } from "./pack.ts";

/** A row holds 2 MB, of which a megabyte may be bytes of messages; and many packs are in memory. */
export const STATE_BYTES = 500_000;

/** What is kept of a recipient: of so many attempts the session, so many attempts at all, and so much of what was said. */
interface Kept {
  sessions: number;
  attempts: number;
  characters: number;
}

/** One after the other, until it fits. The last attempt says how a recipient stands. */
const LESS: Kept[] = [
  { sessions: 4, attempts: 24, characters: 2_000 },
  { sessions: 1, attempts: 24, characters: 2_000 },
  { sessions: 0, attempts: 24, characters: 2_000 },
  { sessions: 0, attempts: 4, characters: 2_000 },
  { sessions: 0, attempts: 1, characters: 50 },
];

/** As JSON. What is too much goes in place, the oldest first. */
export function fitted(progress: MessageProgress[]): string {
  let text = JSON.stringify(progress);
  for (const kept of LESS) {
    if (utf8Length(text, STATE_BYTES) <= STATE_BYTES) break;
    for (const { groups } of progress)
      for (const { recipients } of groups) for (const recipient of recipients) shed(recipient, kept);
    text = JSON.stringify(progress);
  }
  return text;
}

function shed(recipient: RecipientProgress, { sessions, attempts, characters }: Kept): void {
  const cut = (text: string) => (text.length > characters ? text.slice(0, characters).toWellFormed() : text);
  const last = recipient.attempts.slice(-attempts);
  recipient.attempts = last.map(({ transcript, ...attempt }, i) => ({
    ...attempt,
    reply: { ...attempt.reply, text: cut(attempt.reply.text) },
    reason: cut(attempt.reason),
    transcript: last.length - i > sessions ? [] : transcript,
  }));
  if (recipient.reason !== undefined) recipient.reason = cut(recipient.reason);
}
