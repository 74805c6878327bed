/** One document of an attachment: told by how it begins whether it is XML, JSON or neither, and read as it comes. */
import { type AggregateReader, aggregateReader } from "./aggregate.ts";
import type { Read, Report } from "./report.ts";
import { MAX_TLS_CHARACTERS, readTlsReport } from "./tls.ts";
import type { Sink } from "./unpack.ts";
import { Unreadable } from "./unreadable.ts";

/** The byte order mark, white space and the XML declaration are in it. */
const HEAD_BYTES = 256;
/** In an XML declaration, which is ASCII in every encoding that has one byte for a letter. */
const ENCODING = /^\s*<\?xml[^>]*\bencoding\s*=\s*["']([\w.:-]{1,40})["']/i;

export interface DocumentReader extends Sink {
  /** After the end: what it holds, or why that cannot be read; undefined when it was neither XML nor JSON. */
  found(): Read<Report> | undefined;
}

/** What is wrong in one document does not end the others beside it. */
export function documentReader(): DocumentReader {
  let head: Uint8Array | undefined = new Uint8Array(0);
  let reader: TextReader | undefined;
  let decoder: TextDecoder | undefined;
  let found: Read<Report> | undefined;
  const start = (bytes: Uint8Array) => {
    head = undefined;
    decoder = decoderFor(bytes);
    const text = decoder.decode(bytes, { stream: true });
    const first = text.trimStart()[0];
    reader = first === "<" ? aggregateReader() : first === "{" ? tlsReader() : undefined;
    reader?.write(text);
  };
  /** Behind the first fault nothing is read any more. */
  const guarded = (step: () => void) => {
    try {
      if (!found) step();
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
      found = { refused: error.message };
      reader = undefined;
    }
  };
  return {
    push: (piece) =>
      guarded(() => {
        if (head) {
          head = joined(head, piece);
          if (head.length >= HEAD_BYTES) start(head);
        } else if (reader && decoder) reader.write(decoder.decode(piece, { stream: true }));
      }),
    end: () =>
      guarded(() => {
        if (head) start(head);
        if (!reader || !decoder) return;
        reader.write(decoder.decode());
        found = { ok: reader.end() };
      }),
    found: () => found,
  };
}

type TextReader = { write(text: string): void; end(): Report };

/** JSON is parsed as a whole. */
function tlsReader(): TextReader | AggregateReader {
  const parts: string[] = [];
  let length = 0;
  return {
    write(text) {
      length += text.length;
      if (length > MAX_TLS_CHARACTERS) throw new Unreadable("a TLS report that is too long");
      parts.push(text);
    },
    end: () => readTlsReport(parts.join("")),
  };
}

/** By the byte order mark, then by the XML declaration; UTF-8 otherwise. Letters that are wrong in it harm no report. */
export function decoderFor(bytes: Uint8Array): TextDecoder {
  const [a, b] = bytes;
  if ((a === 0xff && b === 0xfe) || (a === 0x3c && b === 0)) return new TextDecoder("utf-16le");
  if ((a === 0xfe && b === 0xff) || (a === 0 && b === 0x3c)) return new TextDecoder("utf-16be");
  const named =
    ENCODING.exec(new TextDecoder("latin1").decode(bytes.subarray(0, HEAD_BYTES)))?.[1] ?? "utf-8";
  // What has one byte for a letter cannot be UTF-16, whatever it says.
  if (/^utf-?16/i.test(named)) return new TextDecoder();
  try {
    return new TextDecoder(named);
  } catch {
    // An encoding that nobody knows: what matters is in ASCII.
    return new TextDecoder();
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
