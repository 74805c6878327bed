/** The XML of a report as it was sent, out of its attachment. */
import { decoderFor } from "./document.ts";
import { unpack } from "./unpack.ts";

/** undefined when there is none. For what was read before: throws Unreadable for what cannot be unpacked. */
export function originalXml(attachment: Uint8Array): string | undefined {
  const documents: Uint8Array[][] = [];
  unpack(attachment, () => {
    const pieces: Uint8Array[] = [];
    documents.push(pieces);
    // The library may use its buffer again.
    return { push: (piece) => void pieces.push(piece.slice()), end() {} };
  });
  for (const pieces of documents) {
    const decoder = decoderFor(pieces[0] ?? new Uint8Array(0));
    const text = pieces.map((piece) => decoder.decode(piece, { stream: true })).join("") + decoder.decode();
    if (text.trimStart().startsWith("<")) return text;
  }
  return undefined;
}
