/**
 * A message as Cloudflare's binding takes it: without the fields that are theirs to set, for with one of them it is
 * refused. Pure; the bytes are read as UTF-8, which is what the binding takes.
 */
import { addressParser } from "postal-mime";

/** contract/cloudflare-facts.md §2.1. Ours of DKIM would not survive what they rewrite. */
const THEIRS = /^(?:dkim-signature|return-path|received|feedback-id|arc-[a-z-]+|tls-[a-z-]+|cfbl-[a-z-]+)$/i;

/** Also the header From's address, which must be the envelope's sender; "" when there is none. */
export function prepare(message: Uint8Array): { from: string; message: string } {
  const text = new TextDecoder().decode(message);
  const end = text.indexOf("\r\n\r\n");
  const head = end < 0 ? text : text.slice(0, end);
  // A field goes on over the lines that begin with white space (RFC 5322 §2.2.3).
  const all = head.split(/\r\n(?![ \t])/);
  const fields = all.filter((field) => !THEIRS.test(field.split(":", 1)[0]?.trim() ?? ""));
  const fromField = fields.find((field) => /^from:/i.test(field)) ?? "";
  const value = fromField.slice("from:".length).replace(/\r\n[ \t]+/g, " ");
  const from = addressParser(value)[0]?.address ?? "";
  return { from, message: fields.join("\r\n") + (end < 0 ? "" : text.slice(end)) };
}
