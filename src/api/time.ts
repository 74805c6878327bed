/** Times as Postmark writes them: US Eastern, with the offset written out. */
import { easternOffset } from "../mail/eastern.ts";

/** "2026-02-17T07:25:01.4170000-05:00" */
export function formatTime(at: number): string {
  const { ms, text } = easternOffset(at);
  return `${new Date(at + ms).toISOString().slice(0, -1)}0000${text}`;
}

/** "2019-12-17T08:58:33-05:00", as streams and suppressions have it. */
export function formatSecond(at: number): string {
  const { ms, text } = easternOffset(at);
  return `${new Date(at + ms).toISOString().slice(0, 19)}${text}`;
}
