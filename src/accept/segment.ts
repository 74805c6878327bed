/** One R2 object that holds many messages as they are sent, one after the other. Pure. */
import type { Found } from "./shelf.ts";

export interface SegmentEntry {
  offset: number;
  length: number;
  signature: string;
}

export class Segment {
  /** "segments/2026-11-24/7/weur/0/0000000042.00": by day, so that retention deletes by prefix. */
  readonly key: string;
  readonly #entries = new Map<string, SegmentEntry>();
  readonly #parts: Uint8Array[] = [];
  #length = 0;

  /**
   * The key is its first message, so a flush that is repeated writes the same object again: it begins with the same
   * messages, in the same order and with the same signatures, so what refers to it stays true.
   */
  constructor(shard: string, first: Pick<Found, "pack" | "slot" | "message">) {
    const day = new Date(first.message.acceptedAt).toISOString().slice(0, 10);
    const pack = String(first.pack.id).padStart(10, "0");
    this.key = `segments/${day}/${shard}/${pack}.${String(first.slot).padStart(2, "0")}`;
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
