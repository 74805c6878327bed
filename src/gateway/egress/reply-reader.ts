/**
 * Turns the bytes of an SMTP server into replies, whatever they are: split anywhere, endless, or not SMTP at all. Lines are
 * cut and counted, so that a hostile server costs a bounded amount of memory (RFC 5321 §4.5.3.1.5 allows 512 octets a line).
 */
import type { Reply } from "../../mail/reply.ts";
import { toReply } from "../../smtp/reply-text.ts";

/** Real lines that break the limit of 512 are a few hundred longer; the rest of a longer one is dropped. */
const MAX_LINE_BYTES = 2_048;
/** What a reply may have in all; beyond this it is no mail server that we speak to. */
const MAX_REPLY_BYTES = 64 * 1024;
const MAX_REPLY_LINES = 128;
const LF = 0x0a;
const LINE = /^[2-5]\d\d(?:[ -]|$)/;

export class NotSmtp extends Error {}

/** A reply and its lines, as EHLO needs them. */
export interface RawReply {
  reply: Reply;
  lines: string[];
}

export class ReplyReader {
  #line: Buffer[] = [];
  #lineBytes = 0;
  #replyBytes = 0;
  #lines: string[] = [];

  /** The replies that end in this chunk. Throws NotSmtp. */
  push(chunk: Buffer): RawReply[] {
    const replies: RawReply[] = [];
    let from = 0;
    while (from < chunk.length) {
      const end = chunk.indexOf(LF, from);
      const part = chunk.subarray(from, end < 0 ? chunk.length : end);
      this.#replyBytes += part.length + 1;
      if (this.#replyBytes > MAX_REPLY_BYTES) throw new NotSmtp("reply longer than 64 KB");
      if (this.#lineBytes < MAX_LINE_BYTES) this.#line.push(part);
      this.#lineBytes += part.length;
      if (end < 0) break;
      from = end + 1;
      const reply = this.#endLine();
      if (reply) replies.push(reply);
    }
    return replies;
  }

  /** Whether a reply has begun and not ended. */
  isWithin(): boolean {
    return this.#lineBytes > 0 || this.#lines.length > 0;
  }

  #endLine(): RawReply | undefined {
    const bytes = this.#line.length === 1 ? (this.#line[0] as Buffer) : Buffer.concat(this.#line);
    const line = bytes.toString("utf8", 0, MAX_LINE_BYTES).replace(/\r$/, "");
    this.#line = [];
    this.#lineBytes = 0;
    if (!LINE.test(line)) throw new NotSmtp("what came is not an SMTP reply");
    this.#lines.push(line);
    if (this.#lines.length > MAX_REPLY_LINES) throw new NotSmtp("reply of more than 128 lines");
    if (line[3] === "-") return undefined;
    const lines = this.#lines;
    this.#lines = [];
    this.#replyBytes = 0;
    return { reply: toReply(lines), lines };
  }
}
