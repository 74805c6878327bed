/**
 * What was said in a session, kept for people who ask why a message did not arrive. Bounded, since it is stored with each
 * attempt: commands are cut, replies are shortened, and of a long session the middle is left out.
 */
import type { Exchange, Reply } from "../mail/reply.ts";
import { cleanText } from "./reply-text.ts";

/** A session for one message has about eight; the rest are RCPT commands. */
export const MAX_EXCHANGES = 40;
const MAX_COMMAND_CHARACTERS = 320;
/** The reply that decided is kept whole in the outcome; here a look at each is enough. */
const MAX_REPLY_CHARACTERS = 300;

export function exchange(at: number, command: string, reply: Reply): Exchange {
  const { code, enhanced, text } = reply;
  return {
    at,
    command: cleanText(command).slice(0, MAX_COMMAND_CHARACTERS),
    reply: { code, enhanced, text: text.slice(0, MAX_REPLY_CHARACTERS).toWellFormed() },
  };
}

/**
 * What one recipient's outcome shows: not the other recipients, who may be unknown to whoever reads it. Too long a session keeps
 * its start and its end.
 */
export function transcriptFor(recipient: string, all: Exchange[]): Exchange[] {
  const own = `RCPT TO:<${recipient}>`;
  const seen = all.filter(({ command }) => !command.startsWith("RCPT TO:") || command.startsWith(own));
  if (seen.length <= MAX_EXCHANGES) return seen;
  const half = MAX_EXCHANGES / 2;
  return [...seen.slice(0, half), ...seen.slice(-half)];
}
