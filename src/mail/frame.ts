/**
 * How messages travel between the Worker and a gateway, in both directions: a body of frames, each 4 bytes (length of its JSON,
 * big-endian), 4 bytes (length of what follows), the JSON, and bytes that are mail. Frames may be acted on as they arrive.
 */
const PREFIX_BYTES = 8;
const MAX_HEADER_BYTES = 1024 * 1024;

export interface Frame {
  /** What the sender said, not checked yet. */
  header: unknown;
  body: Uint8Array;
}

export function encodeFrame(header: object, ...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const head = new TextEncoder().encode(JSON.stringify(header));
  const bodyBytes = parts.reduce((sum, part) => sum + part.length, 0);
  const frame = new Uint8Array(PREFIX_BYTES + head.length + bodyBytes);
  const view = new DataView(frame.buffer);
  view.setUint32(0, head.length);
  view.setUint32(4, bodyBytes);
  frame.set(head, PREFIX_BYTES);
  let offset = PREFIX_BYTES + head.length;
  for (const part of parts) {
    frame.set(part, offset);
    offset += part.length;
  }
  return frame;
}

/** Reads frames as their chunks arrive. Throws on a frame whose body is above `maxBody`, is malformed or is cut short. */
export async function* decodeFrames(
  chunks: AsyncIterable<Uint8Array>,
  maxBody: number,
): AsyncGenerator<Frame> {
  const pending = new Pending();
  let lengths: { head: number; body: number } | undefined;
  for await (const chunk of chunks) {
    pending.add(chunk);
    for (;;) {
      if (!lengths) {
        const prefix = pending.take(PREFIX_BYTES);
        if (!prefix) break;
        const view = new DataView(prefix.buffer, prefix.byteOffset, PREFIX_BYTES);
        lengths = { head: view.getUint32(0), body: view.getUint32(4) };
        if (lengths.head > MAX_HEADER_BYTES || lengths.body > maxBody) throw new Error("frame too large");
      }
      const whole = pending.take(lengths.head + lengths.body);
      if (!whole) break;
      const header = JSON.parse(new TextDecoder().decode(whole.subarray(0, lengths.head))) as unknown;
      yield { header, body: whole.subarray(lengths.head) };
      lengths = undefined;
    }
  }
  if (lengths || pending.size > 0) throw new Error("frames were cut short");
}

/** Chunks that wait for the rest of their frame, joined once: a large frame in small chunks is copied only once. */
class Pending {
  #chunks: Uint8Array[] = [];
  size = 0;

  add(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.size += chunk.length;
  }

  /** The next bytes; undefined, and nothing taken, while there are fewer. */
  take(count: number): Uint8Array | undefined {
    if (this.size < count) return undefined;
    const taken = new Uint8Array(count);
    let filled = 0;
    let used = 0;
    while (filled < count) {
      const chunk = this.#chunks[used] as Uint8Array;
      const part = chunk.subarray(0, count - filled);
      taken.set(part, filled);
      filled += part.length;
      if (part.length < chunk.length) this.#chunks[used] = chunk.subarray(part.length);
      else used++;
    }
    this.#chunks.splice(0, used);
    this.size -= count;
    return taken;
  }
}
