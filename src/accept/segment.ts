/** One R2 object that holds many messages as they are sent, one after the other. Pure. */
import type { Found } from "./shelf.ts";

export interface SegmentEntry {
  offset: number;
  length: number;
  signature: string;
}

export class Segment {
  /** "segments/2026-11-24/7/weur/0/0000000042.<FNV-1a of its MessageIDs>": by day, so that retention deletes by prefix. */
  readonly key: string;
  readonly #entries = new Map<string, SegmentEntry>();
  readonly #parts: Uint8Array[] = [];
  #length = 0;

  /**
   * The key says which messages it holds. A flush that is repeated with the same ones writes the same object again; one that
   * is repeated with others, after a crash, writes another, so what the archive already says of the first stays true.
   */
  constructor(shard: string, members: Pick<Found, "pack" | "slot" | "message">[]) {
    const [first] = members;
    if (!first) throw new Error("a segment holds at least one message");
    const day = new Date(first.message.acceptedAt).toISOString().slice(0, 10);
    const pack = String(first.pack.id).padStart(10, "0");
    let hash = 14_695_981_039_346_656_037n;
    for (const { message } of members)
      for (const c of message.id)
        hash = BigInt.asUintN(64, (hash ^ BigInt(c.charCodeAt(0))) * 1_099_511_628_211n);
    this.key = `segments/${day}/${shard}/${pack}.${hash.toString(16).padStart(16, "0")}`;
  }

  add(messageId: string, signature: string, raw: Uint8Array): void {
    const head = new TextEncoder().encode(signature);
    this.#parts.push(head, raw);
    const length = head.length + raw.length;
    this.#entries.set(messageId, { offset: this.#length, length, signature });
    this.#length += length;
  }

  entry(messageId: string): SegmentEntry | undefined {
    return this.#entries.get(messageId);
  }

  bytes(): Uint8Array {
    const whole = new Uint8Array(this.#length);
    let offset = 0;
    for (const part of this.#parts) {
      whole.set(part, offset);
      offset += part.length;
    }
    return whole;
  }
}
