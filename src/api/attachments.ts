/** A message's attachments: what a caller may attach, and how it is handed to the composer. Pure. */
import * as z from "zod";
import { printable } from "../mail/address.ts";
import type { Attachment } from "../mail/message.ts";
import { type Result, refused } from "./error.ts";

/** More parts than this are no mail that a person reads, and cost every parser on the way dearly. */
const MAX_ATTACHMENTS = 500;
const MAX_NAME = 255;

/** What mail providers refuse anyway, by the last part of the name. */
const FORBIDDEN = new Set(
  (
    "vbs exe bin bat chm com cpl crt hlp hta inf ins isp jse lnk mdb pcd pif reg scr sct shs vbe vba wsf wsh wsl " +
    "msc msi msp mst"
  ).split(" "),
);

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: refusing them is the point.
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;
/** RFC 2045 §5.1: type, subtype, and perhaps parameters. */
const CONTENT_TYPE = /^[A-Za-z0-9!#$&^_.+-]+\/[A-Za-z0-9!#$&^_.+-]+\s*(?:;[\x20-\x7e]*)?$/;

export const attachmentFields = z.object({
  Name: z.string().default(""),
  Content: z.string().optional(),
  ContentType: z.string().default(""),
  ContentID: z.string().default(""),
});

export function readAttachments(given: z.infer<typeof attachmentFields>[]): Result<Attachment[]> {
  if (given.length > MAX_ATTACHMENTS)
    return refused(300, `A message may have at most ${MAX_ATTACHMENTS} attachments.`);
  const attachments: Attachment[] = [];
  for (const fields of given) {
    const read = readAttachment(fields);
    if ("error" in read) return read;
    attachments.push(read.ok);
  }
  return { ok: attachments };
}

function readAttachment(fields: z.infer<typeof attachmentFields>): Result<Attachment> {
  const name = fields.Name.trim().toWellFormed();
  if (name === "") return refused(300, "Invalid attachment. Field 'Name' is required.");
  const shown = printable(name);
  if (name.length > MAX_NAME || CONTROL.test(name))
    return refused(300, `Invalid attachment name: '${shown}'.`);
  const forbidden = checkFileType(name);
  if (forbidden) return forbidden;
  if (fields.Content === undefined)
    return refused(300, `Invalid attachment '${shown}'. Field 'Content' is required.`);
  const content = base64(fields.Content);
  if (content === undefined)
    return refused(300, `Invalid attachment '${shown}'. Field 'Content' must be base64.`);
  const contentId = fields.ContentID.trim()
    .replace(/^cid:/i, "")
    .replace(/^<([^<>]*)>$/, "$1");
  if (CONTROL.test(contentId) || /[\s<>]/.test(contentId) || contentId.length > MAX_NAME)
    return refused(300, `Invalid attachment '${shown}'. Field 'ContentID' is not valid.`);
  const type = fields.ContentType.trim();
  const contentType = CONTENT_TYPE.test(type) ? type : "application/octet-stream";
  return { ok: { name, contentType, content, contentId } };
}

/** Refuses what mail providers refuse anyway. */
export function checkFileType(name: string): ReturnType<typeof refused> | undefined {
  // Windows drops dots and spaces at the end: "a.exe." is "a.exe".
  const parts = name.replace(/[. ]+$/, "").split(".");
  const extension = parts.slice(1).at(-1)?.toLowerCase() ?? "";
  if (!FORBIDDEN.has(extension)) return undefined;
  return refused(
    411,
    `Attachment '${printable(name)}' has a file type that is not allowed: '.${extension}'.`,
  );
}

/** Without line breaks, and with the padding that some encoders leave out; undefined for what is not base64. */
function base64(given: string): string | undefined {
  const text = /\s/.test(given) ? given.replace(/\s+/g, "") : given;
  if (!BASE64.test(text)) return undefined;
  const rest = text.length % 4;
  if (rest === 0) return text;
  return rest === 1 || text.endsWith("=") ? undefined : text.padEnd(text.length + 4 - rest, "=");
}
