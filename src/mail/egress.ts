/**
 * The wire between the Worker and the gateway's egress, used by both ends.
 *
 * `POST /egress`, `Authorization: Bearer <GATEWAY_SECRET>`, `Content-Type: application/vnd.edgepost.egress`.
 * The body is a series of frames, each: 4 bytes (length of the JSON, big-endian), 4 bytes (length of the
 * message), the JSON of a `Consignment`, the message's bytes exactly as they are to be on the wire before
 * dot-stuffing (CRLF line ends). Frames may be acted on as they arrive.
 *
 * The response is NDJSON, one `EgressResult` a line, written as each recipient group ends, in any order. A response that
 * ends without a line for some key says nothing about it: the Worker asks again, with the same key.
 *
 * The key names one attempt. A gateway that is asked about a key it is working on joins that work; about one that it
 * has finished lately, it answers from its journal. So a Worker that died while waiting may ask again and no second
 * copy is sent.
 */
import type { Outcome } from "./outcome.ts";

export interface Consignment {
  /** "<MessageID>/<domain>/<attempt number>". */
  key: string;
  /** Lower-case A-label domain whose MX hosts are to be asked. All recipients are there. */
  domain: string;
  /** MAIL FROM; "" for the null reverse-path. */
  reversePath: string;
  recipients: string[];
  /** How TLS is wanted: `opportunistic` falls back to clear; `require` never does. MTA-STS applies in both. */
  tls: "opportunistic" | "require";
  /** How many connections to this domain the gateway may use for the whole request. */
  connections: number;
}

export interface EgressResult {
  key: string;
  outcomes: Outcome[];
}

const PREFIX_BYTES = 8;
const MAX_HEADER_BYTES = 64 * 1024;
/** Postmark's 10 MB after base64, and room for the headers we add. */
export const MAX_MESSAGE_BYTES = 26 * 1024 * 1024;

export function encodeFrame(consignment: Consignment, message: Uint8Array): Uint8Array {
  const header = new TextEncoder().encode(JSON.stringify(consignment));
  const frame = new Uint8Array(PREFIX_BYTES + header.length + message.length);
  const view = new DataView(frame.buffer);
  view.setUint32(0, header.length);
  view.setUint32(4, message.length);
  frame.set(header, PREFIX_BYTES);
  frame.set(message, PREFIX_BYTES + header.length);
  return frame;
}

/** Reads frames from a body as its chunks arrive. Throws on a frame that is too large, malformed or cut short. */
export async function* decodeFrames(
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<{ consignment: Consignment; message: Uint8Array }> {
  let pending: Uint8Array<ArrayBufferLike> = new Uint8Array(0);
  for await (const chunk of body) {
    const joined = new Uint8Array(pending.length + chunk.length);
    joined.set(pending);
    joined.set(chunk, pending.length);
    pending = joined;
    for (;;) {
      if (pending.length < PREFIX_BYTES) break;
      const view = new DataView(pending.buffer, pending.byteOffset, pending.byteLength);
      const headerBytes = view.getUint32(0);
      const messageBytes = view.getUint32(4);
      if (headerBytes > MAX_HEADER_BYTES || messageBytes > MAX_MESSAGE_BYTES)
        throw new Error("egress frame too large");
      const end = PREFIX_BYTES + headerBytes + messageBytes;
      if (pending.length < end) break;
      const header = new TextDecoder().decode(pending.subarray(PREFIX_BYTES, PREFIX_BYTES + headerBytes));
      yield {
        consignment: JSON.parse(header) as Consignment,
        message: pending.slice(PREFIX_BYTES + headerBytes, end),
      };
      pending = pending.subarray(end);
    }
  }
  if (pending.length > 0) throw new Error("egress body was cut short");
}
