/**
 * The documents in a report's attachment: of a zip or gzip file, or as it stands. It goes through in small pieces, each of which is
 * counted, so that what a few bytes may grow to is never held, and stops early. Archives in archives are not opened.
 */
import { Gunzip, Unzip, UnzipInflate } from "fflate";
import { Unreadable } from "./unreadable.ts";

/** What providers attach is a few KB; Gmail and others refuse to send or take more than this in a report (RFC 7489 §7.2.1.1: "!10m"). */
export const MAX_PACKED_BYTES = 10 * 1024 * 1024;
/** A report of 30,000 records has about 20 MB; reading this much takes a second or two of processor time. */
export const MAX_UNPACKED_BYTES = 32 * 1024 * 1024;
/** Records that repeat shrink to a sixtieth; deflate itself ends at about a thousandth. */
const MAX_RATIO = 250;
/** Below this no ratio is suspicious. */
const RATIO_COUNTS_FROM_BYTES = 1024 * 1024;
/** A report's zip has one document; some add a signature or a note. */
const MAX_ENTRIES = 8;
/** So much goes in at once: it comes out as two MB at most, since that is all that deflate can do. */
const PIECE_BYTES = 2 * 1024;

export interface Sink {
  /** Throws Unreadable to end it all. */
  push(piece: Uint8Array): void;
  end(): void;
}

/** Throws Unreadable. `open` is asked for a sink for each document. */
export function unpack(bytes: Uint8Array, open: () => Sink): void {
  if (bytes.length > MAX_PACKED_BYTES)
    throw new Unreadable(`an attachment of more than ${MAX_PACKED_BYTES} bytes`);
  const counted = () => counting(open(), count);
  const count = countUpTo(bytes.length);
  try {
    if (isGzip(bytes)) gunzip(bytes, counted());
    else if (isZip(bytes)) unzip(bytes, counted);
    else plain(bytes, counted());
  } catch (error) {
    if (error instanceof Unreadable) throw error;
    // The library throws for whatever is wrong with the bytes.
    throw new Unreadable(`it cannot be unpacked: ${error instanceof Error ? error.message : error}`);
  }
}

/** RFC 1952 §2.3.1. */
export function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/** "PK" and the number of a local file's header (APPNOTE 4.3.7). */
export function isZip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x50 && bytes[1] === 0x4b && bytes[2] === 3 && bytes[3] === 4;
}

/** All documents of one attachment together. */
function countUpTo(packed: number): (bytes: number) => void {
  let unpacked = 0;
  return (bytes) => {
    unpacked += bytes;
    if (unpacked > MAX_UNPACKED_BYTES)
      throw new Unreadable(`it unpacks to more than ${MAX_UNPACKED_BYTES} bytes`);
    if (unpacked > RATIO_COUNTS_FROM_BYTES && unpacked > packed * MAX_RATIO)
      throw new Unreadable(`it unpacks to more than ${MAX_RATIO} times its size`);
  };
}

function counting(sink: Sink, count: (bytes: number) => void): Sink {
  return {
    push(piece) {
      count(piece.length);
      sink.push(piece);
    },
    end: () => sink.end(),
  };
}

function plain(bytes: Uint8Array, sink: Sink): void {
  for (const piece of pieces(bytes, 64 * 1024)) sink.push(piece);
  sink.end();
}

function gunzip(bytes: Uint8Array, sink: Sink): void {
  const stream = new Gunzip((piece) => sink.push(piece));
  for (const [piece, last] of withLast(bytes)) stream.push(piece, last);
  sink.end();
}

function unzip(bytes: Uint8Array, open: () => Sink): void {
  let entries = 0;
  let isOpen = 0;
  const stream = new Unzip((file) => {
    if (++entries > MAX_ENTRIES) throw new Unreadable(`a zip file with more than ${MAX_ENTRIES} entries`);
    // A folder.
    if (file.name.endsWith("/")) return;
    const sink = open();
    isOpen++;
    file.ondata = (error, piece, last) => {
      if (error) throw error;
      sink.push(piece);
      if (!last) return;
      isOpen--;
      sink.end();
    };
    file.start();
  });
  stream.register(UnzipInflate);
  for (const [piece, last] of withLast(bytes)) stream.push(piece, last);
  if (isOpen > 0 || entries === 0) throw new Unreadable("a zip file that is cut off");
}

function* withLast(bytes: Uint8Array): Iterable<[Uint8Array, boolean]> {
  let rest = bytes.length;
  for (const piece of pieces(bytes, PIECE_BYTES)) {
    rest -= piece.length;
    yield [piece, rest === 0];
  }
}

function* pieces(bytes: Uint8Array, size: number): Iterable<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
