/** What people see of a stored message: its texts, cut to what is shown, and the names of its attachments. */
import PostalMime, { type Attachment } from "postal-mime";

/** Postmark's contract: stored content is cut at 1 MB. */
const MAX_SHOWN = 1024 * 1024;

export interface Content {
  textBody: string;
  htmlBody: string;
  /** File names. */
  attachments: string[];
}

export async function readContent(raw: Uint8Array): Promise<Content> {
  try {
    const { text, html, attachments } = await PostalMime.parse(raw, { forceRfc822Attachments: true });
    return {
      textBody: shorten(text ?? ""),
      htmlBody: shorten(html ?? ""),
      attachments: attachmentNames(attachments),
    };
  } catch {
    // Nested or headed beyond the parser's limits, which only a hand-made message is: there is the source to look at.
    return { textBody: "", htmlBody: "", attachments: [] };
  }
}

/** What people call attachments: not an invitation or a picture that is part of what is read, and has no name. */
export function attachmentNames(attachments: Pick<Attachment, "filename" | "disposition">[]): string[] {
  return attachments
    .filter((a) => a.filename || a.disposition === "attachment")
    .map((a) => a.filename || "attachment");
}

/**
 * Without the line end that every body is sent with, whether its sender wrote one or not. In characters, so never less than 1 MB of
 * bytes; none is cut in two.
 */
function shorten(sent: string): string {
  const text = sent.replace(/\r?\n$/, "");
  return text.length > MAX_SHOWN ? text.slice(0, MAX_SHOWN).toWellFormed() : text;
}
