/** What people see of a stored message: its texts, cut to what is shown, and the names of its attachments. */
import PostalMime from "postal-mime";

/** Postmark's contract: stored content is cut at 1 MB. */
const MAX_SHOWN = 1024 * 1024;
/** Above what the doors accept; a message has few parts, and none is nested this deep by anything we compose. */
const LIMITS = { maxNestingDepth: 50, maxHeadersSize: 1024 * 1024 };

export interface Content {
  textBody: string;
  htmlBody: string;
  /** File names. */
  attachments: string[];
}

export async function readContent(raw: Uint8Array): Promise<Content> {
  const { text, html, attachments } = await PostalMime.parse(raw, LIMITS);
  return {
    textBody: shorten(text ?? ""),
    htmlBody: shorten(html ?? ""),
    attachments: attachments.map((a) => a.filename ?? "attachment"),
  };
}

/** In characters, which is never less than in bytes of ASCII; no character is cut in two. */
function shorten(text: string): string {
  return text.length > MAX_SHOWN ? text.slice(0, MAX_SHOWN).toWellFormed() : text;
}
