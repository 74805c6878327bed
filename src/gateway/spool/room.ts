/** Whether the disk may take more: a bound on what the spool holds, and a share of the disk that stays free for all else. */
import { statfs } from "node:fs/promises";
import type { Reply } from "../../mail/reply.ts";
import type { SpoolLimits } from "../config.ts";

/** Between two questions to the disk. */
const FRESH_MS = 1_000;

/** RFC 5321 §4.2.3, RFC 3463 §3.4: the mail system is full. */
export const FULL: Reply = { code: 452, enhanced: "4.3.1", text: "not enough disk space, try again later" };
export const FAILED: Reply = {
  code: 451,
  enhanced: "4.3.0",
  text: "could not store the message, try again later",
};

export class Room {
  /** Of files that are being written. */
  writing = 0;
  readonly #path: string;
  readonly #limits: Pick<SpoolLimits, "bytes" | "freeShare">;
  readonly #used: () => number;
  #disk = { free: Number.POSITIVE_INFINITY, all: 0 };
  #askedAt = Number.NEGATIVE_INFINITY;
  /** Since the disk was asked. */
  #written = 0;

  /** `used`: bytes of all files. */
  constructor(path: string, limits: Pick<SpoolLimits, "bytes" | "freeShare">, used: () => number) {
    this.#path = path;
    this.#limits = limits;
    this.#used = used;
  }

  get freeBytes(): number {
    return this.#disk.free;
  }

  /** By what was known of the disk a moment ago. */
  has(bytes: number): boolean {
    const more = this.writing + bytes;
    if (this.#used() + more > this.#limits.bytes) return false;
    return this.#disk.free - this.#written - more >= this.#disk.all * this.#limits.freeShare;
  }

  wrote(bytes: number): void {
    this.#written += bytes;
  }

  /** The disk was fuller than it had said. */
  doubt(): void {
    this.#askedAt = Number.NEGATIVE_INFINITY;
  }

  async look(): Promise<void> {
    const now = performance.now();
    if (now - this.#askedAt < FRESH_MS) return;
    this.#askedAt = now;
    try {
      const { bsize, blocks, bavail } = await statfs(this.#path);
      this.#written = 0;
      this.#disk = { free: bavail * bsize, all: blocks * bsize };
    } catch {
      // A disk that does not answer this will fail the write, and that is what is reported.
    }
  }
}

export function replyOf(error: unknown): Reply {
  const code = (error as NodeJS.ErrnoException | undefined)?.code ?? "";
  return ["ENOSPC", "EDQUOT", "EFBIG"].includes(code) ? FULL : FAILED;
}
