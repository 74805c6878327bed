/**
 * Takes the long base64 bodies out of a message before it is parsed: each run of lines becomes one line that names its place, and what
 * is sent on is copied from the raw bytes, never decoded and encoded again. A line of base64 can't be a boundary, whatever the
 * structure is, so that the parser sees the same parts. Also counts what the parser does not bound itself.
 */

/** Shorter ones are as well parsed. */
const MIN_RUN_BYTES = 4 * 1024;
/** The parser takes up to 80 µs for each line of text (it makes a Blob of it): two seconds at most. */
const MAX_LINES = 25_000;
/** Ten times what real mail has; a parser takes about 0.1 ms for each. */
const MAX_BOUNDARY_LINES = 1_000;
/** Of the message's own header: a trace of 50 hops is 20 KiB, and signatures of all kinds another 50. */
export const MAX_HEADER_BYTES = 512 * 1024;
/** A field for each of thousands of recipients' lines; twice as many take the parser four times as long. */
const MAX_HEADER_LINES = 10_000;
/** What remains after the runs are taken out: texts, and attachments that are not base64. */
const MAX_PARSED_BYTES = 16 * 1024 * 1024;
/** RFC 2046 §5.1.1: 70 characters, and the dashes around them. */
const MAX_BOUNDARY_LINE = 76;

const LF = 0x0a;
const CR = 0x0d;
const DASH = 0x2d;
const PAD = 0x3d;
const IN_BASE64 = new Uint8Array(256);
for (const c of "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
  IN_BASE64[c.charCodeAt(0)] = 1;

/** A range of the raw message that is base64 in lines. */
export interface Run {
  start: number;
  end: number;
  /** Characters of base64 in it, without padding. */
  characters: number;
}

/** What the parser is given, with the runs that its markers name; or why it is given nothing. */
export type Collapsed = { ok: { bytes: Uint8Array<ArrayBuffer>; runs: Run[] } } | { tooMuch: string };

/** The decoded content of a run's line. */
export function markerOf(nonce: string, index: number): string {
  return `edgepost ${nonce} ${index}`;
}

export function collapse(raw: Uint8Array, nonce: string): Collapsed {
  const runs: Run[] = [];
  const kept: Uint8Array[] = [];
  let keptFrom = 0;
  let lines = 0;
  let boundaryLines = 0;
  let run: Run | undefined;
  let isClosed = false;
  const endRun = () => {
    if (run && run.end - run.start >= MIN_RUN_BYTES) {
      kept.push(raw.subarray(keptFrom, run.start));
      kept.push(new TextEncoder().encode(`${btoa(markerOf(nonce, runs.length))}\r\n`));
      keptFrom = run.end;
      lines -= Math.max(0, Math.ceil((run.end - run.start) / 78) - 1);
      runs.push(run);
    }
    run = undefined;
    isClosed = false;
  };
  const headerEnd = endOfHeader(raw);
  if (headerEnd > MAX_HEADER_BYTES) return { tooMuch: `a header of more than ${MAX_HEADER_BYTES} bytes` };
  if (hasMoreLines(raw.subarray(0, headerEnd), MAX_HEADER_LINES))
    return { tooMuch: `more than ${MAX_HEADER_LINES} lines of header` };
  let isBase64 = isBase64Header(raw.subarray(0, headerEnd));
  let headerFrom = -1;
  for (let start = headerEnd; start < raw.length; ) {
    let next = raw.indexOf(LF, start) + 1;
    if (next === 0) next = raw.length;
    let end = next;
    while (end > start && (raw[end - 1] === LF || raw[end - 1] === CR)) end--;
    lines++;
    if (isBoundaryLike(raw, start, end)) {
      endRun();
      if (++boundaryLines > MAX_BOUNDARY_LINES) return { tooMuch: `more than ${MAX_BOUNDARY_LINES} parts` };
      headerFrom = next;
      isBase64 = false;
    } else if (headerFrom >= 0) {
      if (end === start) {
        isBase64 = start - headerFrom < 16_384 && isBase64Header(raw.subarray(headerFrom, start));
        headerFrom = -1;
      }
    } else if (isBase64) {
      const characters = isClosed ? -1 : base64Characters(raw, start, end);
      if (characters <= 0) {
        // A blank line may end a part; anything else makes the rest of it something for the parser.
        endRun();
        if (end > start) isBase64 = false;
      } else {
        run ??= { start, end: next, characters: 0 };
        run.end = next;
        run.characters += characters;
        isClosed = raw[end - 1] === PAD;
      }
    }
    start = next;
  }
  endRun();
  kept.push(raw.subarray(keptFrom));
  if (lines > MAX_LINES) return { tooMuch: `more than ${MAX_LINES} lines` };
  const size = kept.reduce((sum, part) => sum + part.length, 0);
  if (size > MAX_PARSED_BYTES) return { tooMuch: `more than ${MAX_PARSED_BYTES} bytes that are not base64` };
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const part of kept) {
    bytes.set(part, at);
    at += part.length;
  }
  return { ok: { bytes, runs } };
}

/** Whether a message can be parsed as it is, with no runs taken out. */
export function isParsable(raw: Uint8Array): boolean {
  return raw.length <= MAX_PARSED_BYTES && !hasMoreLines(raw, MAX_LINES);
}

function hasMoreLines(bytes: Uint8Array, most: number): boolean {
  let end = -1;
  for (let lines = 0; lines <= most; lines++) {
    end = bytes.indexOf(LF, end + 1);
    if (end < 0) return false;
  }
  return true;
}

/** Where the body begins; the length when there is none. */
export function endOfHeader(raw: Uint8Array): number {
  for (let start = 0; start < raw.length; ) {
    const next = raw.indexOf(LF, start) + 1;
    if (next === 0) return raw.length;
    if (next - start === 1 || (next - start === 2 && raw[start] === CR)) return next;
    start = next;
  }
  return raw.length;
}

/** Whether what follows is base64, and neither a text nor something that has parts. */
function isBase64Header(bytes: Uint8Array): boolean {
  const text = new TextDecoder("latin1").decode(bytes).replace(/\r?\n[ \t]+/g, " ");
  if (!/^content-transfer-encoding:[ \t]*base64[ \t]*\r?$/im.test(text)) return false;
  const type = /^content-type:[ \t]*([^\s;]+)/im.exec(text)?.[1] ?? "text/plain";
  return !/^(?:text|message|multipart)\/|^application\/ics$/i.test(type);
}

/** Without its padding; -1 when it is not base64. */
function base64Characters(raw: Uint8Array, start: number, end: number): number {
  let last = end;
  while (last > start && end - last < 2 && raw[last - 1] === PAD) last--;
  for (let i = start; i < last; i++) if (IN_BASE64[raw[i] ?? 0] !== 1) return -1;
  return last - start;
}

/** "--" and something behind it that is no rule of dashes. */
function isBoundaryLike(bytes: Uint8Array, start: number, end: number): boolean {
  const length = end - start;
  if (length < 3 || bytes[start] !== DASH || bytes[start + 1] !== DASH) return false;
  if (length > MAX_BOUNDARY_LINE + 2) return false;
  for (let i = start + 2; i < end; i++) if (bytes[i] !== DASH && bytes[i] !== 0x20) return true;
  return false;
}
