/** A reply out of the text that a client library or a product hands us; safe to store and to show. */
import type { Reply } from "../../mail/reply.ts";

const MAX_CHARACTERS = 1_000;

/** "550-5.1.1 no such\r\n550 5.1.1 user" → 550, "5.1.1", "no such user". Code 0 when it is no reply. */
export function parseReply(text: string): Reply {
  const lines = text.split(/\r?\n/, 100);
  const code = /^([2-5]\d\d)(?:[ -]|$)/.exec(lines[0] ?? "")?.[1];
  const enhanced = /^[2-5]\d\d[ -]([245]\.\d{1,3}\.\d{1,3})\b/.exec(lines[0] ?? "")?.[1] ?? "";
  const words = lines.map((line) => {
    const rest = code ? line.replace(/^[2-5]\d\d[ -]?/, "") : line;
    return enhanced && rest.startsWith(enhanced) ? rest.slice(enhanced.length) : rest;
  });
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken out
  const clean = words.join(" ").replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029]+/g, " ");
  return {
    code: Number(code ?? 0),
    enhanced,
    text: clean.replace(/ {2,}/g, " ").trim().slice(0, MAX_CHARACTERS),
  };
}
