/** How long the texts of a message may be, and what a subject's line is: the same when it is handed in and when a template made it. */
const MB = 1024 * 1024;
/** UTF-16 units. */
export const MAX_SUBJECT = 2000;
export const MAX_BODY_BYTES = 5 * MB;
/** Of one message: its bodies, and its attachments in base64. */
export const MAX_MESSAGE_BYTES = 10 * MB;

// biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the point.
export const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;
const CONTROLS = new RegExp(CONTROL, "g");
const LINE_BREAKS = /[\r\n\t\u0085\u2028\u2029]+ */g;

/** A template often leaves a line break in a subject: it is a space. Other control characters are nothing. */
export function oneLine(text: string): string {
  if (!CONTROL.test(text)) return text.toWellFormed();
  return text.trim().replace(LINE_BREAKS, " ").replace(CONTROLS, "").toWellFormed();
}

/** Exact only when it could matter: a UTF-16 unit is three bytes at most. */
export function utf8Length(text: string, limit: number): number {
  return text.length * 3 <= limit || text.length > limit
    ? text.length
    : new TextEncoder().encode(text).length;
}
