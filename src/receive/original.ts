/**
 * Which of our messages a report speaks of: by what its returned part says, or what the text repeats. Anybody can write that, so only
 * what the caller took from a signed address is proof; a return path that is found here has a signature to check.
 */
import { addressParser, decodeWords } from "postal-mime";
import { parseMessageId } from "../mail/message-id.ts";
import { COMPLAINT_PATTERN, RETURN_PATH_PATTERN } from "../mail/return-path.ts";
import type { Opened } from "./open-message.ts";
import { COPY_MARKER } from "./phrases.ts";
import { parseFields } from "./report-fields.ts";

export interface Original {
  /** Lower case; "" when nothing names it. */
  messageId: string;
  /** Where the id is from: the signed address that the report came to, the returned header, the reply's thread, any text. */
  by: "address" | "header" | "thread" | "text" | "";
  /** The returned header's Message-ID as it stands, for messages that kept their client's. */
  messageIdField: string;
  /** A return path of our shape, not checked; "" when none is there. */
  returnPath: string;
  /** The same of the address for complaints that our mail has in its header. */
  complaintAddress: string;
  /** The returned header's first recipient: for reports that hide or lack theirs. */
  to: string;
  /** The returned header's author; "" when none is there. */
  from: string;
  subject: string;
}

const RETURNED = /^(?:message\/(?:rfc822|global|partial)(?:-headers)?|text\/rfc822-headers?)$/;
const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/gi;
const RETURN_PATH = new RegExp(`\\b${RETURN_PATH_PATTERN}@[a-z0-9.-]{1,253}`, "i");
const COMPLAINT_ADDRESS = new RegExp(`\\b${COMPLAINT_PATTERN}@[a-z0-9.-]{1,253}`, "i");
/** Ids in a text that are tried. */
const MAX_TRIED = 100;

/** The headers that are returned: of the parts, and of a copy in the text, behind its marker. */
export function returnedHeaders({ parts, text }: Opened): Map<string, string>[] {
  const headers = parts
    .filter((p) => RETURNED.test(p.type))
    .map((p) => parseFields(blocksOf(p.text)[0] ?? ""));
  const start = text.search(COPY_MARKER);
  const copy = start < 0 ? [] : blocksOf(text.slice(start)).map(parseFields);
  return [
    ...headers,
    ...copy.filter((h) => h.has("from") && (h.has("message-id") || h.has("subject"))).slice(0, 1),
  ];
}

/** What blank lines part: a marker, the header, the beginning of the body. */
function blocksOf(text: string): string[] {
  return text.split(/\n[ \t]*\n/, 4);
}

export function findOriginal(opened: Opened, signedFor: string): Original {
  const headers = returnedHeaders(opened);
  const all = `${opened.text}\n${opened.parts.map((p) => p.text).join("\n")}`;
  const first = (name: string) => headers.map((h) => h.get(name) ?? "").find(Boolean) ?? "";
  const field = (name: string) =>
    first(name) ||
    (new RegExp(`^[ \\t>|]{0,8}${name}:[ \\t]*([^\\n]{1,998})`, "im").exec(opened.text)?.[1] ?? "").trim();
  const messageIdField = field("message-id");
  const thread = ["in-reply-to", "references"].flatMap((n) => opened.fields.get(n) ?? []).join(" ");
  const [messageId, by] = firstOf([
    [signedFor, "address"],
    [idIn(field("x-pm-message-id")) || idIn(messageIdField), "header"],
    [idIn(thread), "thread"],
    [idIn(all), "text"],
  ]);
  const address = (value: string) => addressParser(value, { flatten: true })[0]?.address ?? "";
  return {
    messageId,
    by,
    messageIdField: messageIdField.slice(0, 998),
    returnPath: RETURN_PATH.exec(`${first("return-path")} ${all}`)?.[0].toLowerCase() ?? "",
    complaintAddress: COMPLAINT_ADDRESS.exec(`${first("x-complaints-to")} ${all}`)?.[0].toLowerCase() ?? "",
    to: address(first("x-hmxmroriginalrecipient") || first("delivered-to") || first("to")),
    from: address(first("from")),
    subject: decodeWords(field("subject")).slice(0, 1000),
  };
}

function firstOf(found: [string, Original["by"]][]): [string, Original["by"]] {
  return found.find(([id]) => id !== "") ?? ["", ""];
}

function idIn(text: string): string {
  let tried = 0;
  for (const [id] of text.matchAll(UUID)) {
    if (parseMessageId(id)) return id.toLowerCase();
    if (++tried >= MAX_TRIED) break;
  }
  return "";
}
