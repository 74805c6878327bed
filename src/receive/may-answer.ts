/**
 * Whether anything automatic may be sent in answer to a message. Two programs that answer each other never stop, so what was itself
 * sent by a program, or has nowhere to be answered to, is not: RFC 3834 §2, RFC 5321 §4.5.5.
 */
import type { Opened } from "./open-message.ts";
import { DAEMON } from "./phrases.ts";

/** What mailing lists and mass mail carry (RFC 2369, 2919; the last are of old and large senders). */
const LIST_FIELDS = ["list-id", "list-unsubscribe", "list-post", "list-help", "mailing-list", "feedback-id"];
const AUTOMATIC_FIELDS = [
  "x-autoreply",
  "x-autorespond",
  "x-auto-response-suppress",
  "x-loop",
  "x-failed-recipients",
];
/** Programs' addresses, and those of lists (RFC 3834 §2). */
const PROGRAM =
  /^(?:owner-|no-?_?reply|do-?not-?reply|listserv|majordomo|root|abuse)|-(?:owner|request|bounces?|relay)@/i;

export function mayAnswer({ fields, from }: Pick<Opened, "fields" | "from">, reversePath: string): boolean {
  const value = (name: string) => fields.get(name)?.[0]?.trim() ?? "";
  if (isNullPath(reversePath) || (fields.has("return-path") && isNullPath(value("return-path"))))
    return false;
  if (!/^(?:no\b.*)?$/i.test(value("auto-submitted"))) return false;
  if (/^\s*(?:bulk|list|junk|auto_reply)\b/i.test(value("precedence"))) return false;
  if (/^multipart\/report\b/i.test(value("content-type"))) return false;
  if ([...LIST_FIELDS, ...AUTOMATIC_FIELDS].some((name) => fields.has(name))) return false;
  const addresses = [reversePath.replace(/^<|>$/g, ""), from];
  return from !== "" && !addresses.some((a) => DAEMON.test(a) || PROGRAM.test(a));
}

function isNullPath(path: string): boolean {
  return path === "" || path === "<>";
}
