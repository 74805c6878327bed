/** Replies of the front door, made in one line. */
import type { Reply } from "../../mail/reply.ts";

export function reply(code: number, enhanced: string, text: string): Reply {
  return { code, enhanced, text };
}
