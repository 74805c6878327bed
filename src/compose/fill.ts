/** Puts what names a recipient into the blanks of a message whose links lead there for each recipient apart. Pure. */

/** A copy of the message; `field` is as long as the blank. */
export function fillBlanks(message: Uint8Array, blank: string, field: string): Uint8Array {
  if (field.length !== blank.length) throw new Error("what fills a blank has its length");
  const filled = new Uint8Array(message);
  const bytes = new TextEncoder().encode(field);
  const whole = Buffer.from(filled.buffer, filled.byteOffset, filled.length);
  for (
    let at = whole.indexOf(blank, 0, "latin1");
    at >= 0;
    at = whole.indexOf(blank, at + blank.length, "latin1")
  )
    filled.set(bytes, at);
  return filled;
}
