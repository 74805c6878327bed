/**
 * The front door of the readers: a received message, or one attachment of it, to the report that it holds. Pure; whatever comes in, it
 * ends in bounded time and memory with a report or the reason why there is none.
 */
import PostalMime from "postal-mime";
import { documentReader } from "./document.ts";
import type { Read, Report } from "./report.ts";
import { unpack } from "./unpack.ts";
import { Unreadable } from "./unreadable.ts";

/** A packed report of the most that is read, in base64, with what a message has around it. */
const MAX_MESSAGE_BYTES = 15 * 1024 * 1024;
/** Messages with reports have one attachment; some add a logo and a text. */
const MAX_ATTACHMENTS = 10;
/** A message with a report is two levels deep. */
const MAX_NESTING = 10;
const MAX_HEADER_BYTES = 256 * 1024;

export interface FoundReport {
  report: Report;
  /** As it was sent: `readAttachment` reads the same of it again. */
  attachment: Uint8Array;
}

export async function readMessage(raw: Uint8Array): Promise<Read<FoundReport>> {
  if (raw.length > MAX_MESSAGE_BYTES) return { refused: `a message of more than ${MAX_MESSAGE_BYTES} bytes` };
  const attachments = await attachmentsOf(raw);
  if ("refused" in attachments) return attachments;
  // The reason that is told is the first: what follows a report is a logo, and nobody wonders why that is none.
  let refused: string | undefined;
  for (const attachment of attachments.ok.slice(0, MAX_ATTACHMENTS)) {
    const read = readAttachment(attachment);
    if ("ok" in read) return { ok: { report: read.ok, attachment } };
    refused ??= read.refused;
  }
  return { refused: refused ?? "a message without an attachment" };
}

export function readAttachment(bytes: Uint8Array): Read<Report> {
  const readers: ReturnType<typeof documentReader>[] = [];
  try {
    unpack(bytes, () => {
      const reader = documentReader();
      readers.push(reader);
      return reader;
    });
  } catch (error) {
    if (error instanceof Unreadable) return { refused: error.message };
    throw error;
  }
  const found = readers.flatMap((reader) => reader.found() ?? []);
  return (
    found.find((read) => "ok" in read) ??
    found[0] ?? { refused: "an attachment that holds neither XML nor JSON" }
  );
}

async function attachmentsOf(raw: Uint8Array): Promise<Read<Uint8Array[]>> {
  try {
    const { attachments, text } = await PostalMime.parse(raw, {
      maxNestingDepth: MAX_NESTING,
      maxHeadersSize: MAX_HEADER_BYTES,
    });
    const contents = attachments.map(({ content }) =>
      typeof content === "string" ? new TextEncoder().encode(content) : new Uint8Array(content),
    );
    // A few write the report into the message itself.
    const inText = text && /^\s*[<{]/.test(text) ? [new TextEncoder().encode(text)] : [];
    return { ok: [...contents, ...inText] };
  } catch (error) {
    // It throws for what passes its bounds, and nothing else of ours runs in here.
    return { refused: `a message that cannot be parsed: ${error instanceof Error ? error.message : error}` };
  }
}
