/**
 * A message as it goes over the wire: looked at once, and dot-stuffed (RFC 5321 §4.5.2). Nothing else is changed, since a
 * signature covers these bytes.
 */
export interface Wire {
  /** Dot-stuffed, with the end of data at its end. */
  bytes: Buffer;
  /** As SIZE counts them (RFC 1870 §3): before dot-stuffing. */
  size: number;
  hasEightBit: boolean;
  /** A CR or LF that stands alone, which some servers take for a line end: SMTP smuggling (RFC 5321 §2.3.8). */
  hasBareLineEnd: boolean;
}

const CR = 0x0d;
const LF = 0x0a;
const DOT = 0x2e;
const END = Buffer.from("\r\n.\r\n");

export function toWire(message: Uint8Array): Wire {
  const source = Buffer.from(message.buffer, message.byteOffset, message.byteLength);
  const { length } = source;
  const dots: number[] = [];
  let hasEightBit = false;
  let hasBareLineEnd = false;
  let before = LF;
  let beforeThat = CR;
  for (let i = 0; i < length; i++) {
    const byte = source[i] as number;
    if (byte > 127) hasEightBit = true;
    else if (byte === LF) {
      if (before !== CR) hasBareLineEnd = true;
    } else if (byte === DOT && before === LF && beforeThat === CR) dots.push(i);
    if (before === CR && byte !== LF) hasBareLineEnd = true;
    beforeThat = before;
    before = byte;
  }
  if (length > 0 && before === CR) hasBareLineEnd = true;
  return { bytes: stuff(source, dots), size: length, hasEightBit, hasBareLineEnd };
}

function stuff(source: Buffer, dots: number[]): Buffer {
  // The line end that the message has is the one before the final dot.
  const isEnded = source.length === 0 || source.subarray(-2).equals(END.subarray(0, 2));
  const end = isEnded ? END.subarray(2) : END;
  const bytes = Buffer.allocUnsafe(source.length + dots.length + end.length);
  let at = 0;
  let from = 0;
  for (const dot of dots) {
    at += source.copy(bytes, at, from, dot);
    bytes[at++] = DOT;
    from = dot;
  }
  at += source.copy(bytes, at, from);
  end.copy(bytes, at);
  return bytes;
}
