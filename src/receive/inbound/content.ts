/** What an attachment holds, as the pieces of base64 that its payload has: bytes that were decoded, or ranges of the raw message. */
import type { Run } from "./collapse.ts";

export type Content = { bytes: Uint8Array } | { raw: Uint8Array; run: Run };

/** A multiple of three, so that pieces of base64 can be joined. */
const PIECE_BYTES = 48 * 1024;
const CR = 0x0d;
const LF = 0x0a;
const PAD = 0x3d;

/** Decoded. */
export function contentLength(content: Content): number {
  return "bytes" in content ? content.bytes.length : Math.floor((content.run.characters * 3) / 4);
}

export function base64Length(content: Content): number {
  return 4 * Math.ceil(contentLength(content) / 3);
}

export function* base64Pieces(content: Content): Generator<Uint8Array> {
  if ("bytes" in content) {
    for (let at = 0; at < content.bytes.length; at += PIECE_BYTES)
      yield ascii(base64(content.bytes.subarray(at, at + PIECE_BYTES)));
    return;
  }
  const { raw, run } = content;
  // One character more than whole bytes take says nothing, and is left out.
  const wanted = run.characters - (run.characters % 4 === 1 ? 1 : 0);
  let taken = 0;
  for (let at = run.start; at < run.end; at += PIECE_BYTES) {
    // A copy, to be closed up in its place; the slice of a Buffer would be none.
    const piece = new Uint8Array(raw.subarray(at, Math.min(run.end, at + PIECE_BYTES)));
    let length = 0;
    for (const byte of piece)
      if (byte !== CR && byte !== LF && byte !== PAD && taken < wanted) {
        piece[length++] = byte;
        taken++;
      }
    yield piece.subarray(0, length);
  }
  yield ascii("=".repeat((4 - (wanted % 4)) % 4));
}

/** Of the platform: by way of a string of bytes it takes fifty times as long. */
function base64({ buffer, byteOffset, length }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, length).toString("base64");
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
