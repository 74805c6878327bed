/**
 * A spooled batch as a file: a line of JSON, the frame as it is sent to the Worker, and a line with the SHA-256 of all before it.
 * That line is also the end mark: a file without it was never finished, and nobody was told that it is kept.
 */
import { createHash } from "node:crypto";
import { open, readFile } from "node:fs/promises";
import * as z from "zod";
import { decodeFrames } from "../../mail/frame.ts";
import { type Batch, MAX_BATCH_BYTES } from "../../mail/ingress.ts";

const NEWLINE = 0x0a;
/** "\n", 64 hexadecimal digits, " end\n". */
const TAIL_BYTES = 70;

const Head = z.object({
  v: z.literal(1),
  key: z.string(),
  /** When the messages were taken. */
  at: z.number(),
  messages: z.number().int().positive(),
  frameBytes: z.number().int().positive(),
  /** Why it is held: what the Worker said about each message. */
  refused: z.array(z.object({ code: z.number(), enhanced: z.string(), text: z.string() })).optional(),
});
export type Head = z.infer<typeof Head>;

export interface SpoolFile {
  head: Head;
  frame: Uint8Array;
}

/** The file is not what was written. */
export class DamagedError extends Error {}

/** In parts, so that the frame is not copied. */
export function encodeFile(head: Omit<Head, "v" | "frameBytes">, frame: Uint8Array): Uint8Array[] {
  const line = Buffer.from(`${JSON.stringify({ v: 1, ...head, frameBytes: frame.length })}\n`);
  const hash = createHash("sha256").update(line).update(frame).digest("hex");
  return [line, frame, Buffer.from(`\n${hash} end\n`)];
}

/**
 * Resolves when every byte is on the disk. Rejects otherwise, and then the file is worth nothing: after an fsync that failed the
 * kernel may have dropped the pages, and a second one would say that all is well.
 */
export async function writeDurably(path: string, parts: Uint8Array[]): Promise<void> {
  const file = await open(path, "wx", 0o600);
  try {
    let position = 0;
    for (const part of parts) {
      // A full disk takes a part and reports no error until it is asked for the rest.
      for (let done = 0; done < part.length; ) {
        const { bytesWritten } = await file.write(part, done, part.length - done, position);
        if (bytesWritten === 0) throw Object.assign(new Error("nothing was written"), { code: "ENOSPC" });
        done += bytesWritten;
        position += bytesWritten;
      }
    }
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Throws DamagedError for what was torn or altered; other errors are the disk's. */
export async function readSpoolFile(path: string): Promise<SpoolFile> {
  return decodeFile(await readFile(path));
}

export function decodeFile(bytes: Uint8Array): SpoolFile {
  const end = bytes.length - TAIL_BYTES;
  const tail = Buffer.from(bytes.subarray(Math.max(0, end))).toString("latin1");
  const hash = /^\n([0-9a-f]{64}) end\n$/.exec(tail)?.[1];
  if (!hash) throw new DamagedError("the end is missing");
  const sealed = bytes.subarray(0, end);
  if (createHash("sha256").update(sealed).digest("hex") !== hash) throw new DamagedError("the hash is wrong");
  const headEnd = sealed.indexOf(NEWLINE);
  const head = Head.safeParse(parseJson(Buffer.from(sealed.subarray(0, headEnd)).toString("utf8")));
  if (!head.success) throw new DamagedError("the head is not of this version");
  const frame = sealed.subarray(headEnd + 1);
  if (frame.length !== head.data.frameBytes) throw new DamagedError("the length is wrong");
  return { head: head.data, frame };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Judged by its shape, as everything that is not a head.
    return undefined;
  }
}

export interface OpenedFrame {
  batch: Batch;
  /** Of each message. */
  bodies: Uint8Array[];
}

/** The batch of a file whose hash was right: its shape is as we wrote it. */
export async function openFrame(frame: Uint8Array): Promise<OpenedFrame> {
  for await (const { header, body } of decodeFrames(once(frame), MAX_BATCH_BYTES)) {
    const batch = header as Batch;
    let offset = 0;
    const bodies = batch.messages.map(({ length }) => {
      offset += length;
      return body.subarray(offset - length, offset);
    });
    return { batch, bodies };
  }
  throw new DamagedError("there is no frame");
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
