/**
 * Every message that the local MX took, on disk before its 250 (segments.ts), the newest 100,000 of them. In memory is only an index,
 * read back at start. It is the witness when things are killed: it also knows which 250 was written.
 */
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { domainToUnicode } from "node:url";
import { domainOf } from "./behaviours.ts";
import { headerOf, messageIdOf, textOf } from "./header.ts";
import { type Place, recordsIn, Segments } from "./segments.ts";

export const MAX_KEPT = 100_000;
const MAX_INDEXED_TEXT = 500;

export interface Envelope {
  from: string;
  to: string[];
}

export interface Arrival {
  /** When the final dot came. */
  receivedAt: number;
  envelope: Envelope;
  tls: boolean;
  helo: string;
  raw: Buffer;
}

interface Entry extends Place {
  id: string;
  receivedAt: number;
  envelope: Envelope;
  tls: boolean;
  helo: string;
  messageId: string;
  author: string;
  subject: string;
  repliedAt: number | null;
}

export interface Query {
  to?: string;
  from?: string;
  subject?: string;
  since?: number;
  limit: number;
}

export class Inbox {
  readonly #segments: Segments;
  /** Oldest first; what lies before #first is forgotten. */
  #entries: Entry[] = [];
  #first = 0;
  #accepted = 0;
  #refused = 0;
  /** Which segment the open file of replies belongs to. */
  #replies: { segment: number; fd: number } | undefined;

  constructor(folder: string) {
    this.#segments = new Segments(folder);
    for (const segment of this.#segments.numbers()) this.#restore(segment);
    this.#trim();
  }

  /** Resolves with its id when it is on disk, in a commit shared with whoever waits at the same time. */
  async store({ raw, ...about }: Arrival): Promise<string> {
    const header = headerOf(raw);
    const line = {
      ...about,
      messageId: messageIdOf(header).slice(0, MAX_INDEXED_TEXT),
      author: textOf(header, "From").slice(0, MAX_INDEXED_TEXT),
      subject: textOf(header, "Subject").slice(0, MAX_INDEXED_TEXT),
    };
    let id = "";
    await this.#segments.append(line, raw, (place) => {
      id = idOf(place);
      this.#entries.push({ ...line, ...place, id, repliedAt: null });
      this.#accepted++;
      this.#trim();
    });
    return id;
  }

  /** Right after the 250 was written. Synchronous and without fsync: it has to outlive a SIGKILL only, and be early. */
  replied(id: string, at: number): void {
    const entry = this.get(id);
    // Cleared between its commit and its reply.
    if (!entry) return;
    entry.repliedAt = at;
    if (this.#replies?.segment !== entry.segment) {
      if (this.#replies) closeSync(this.#replies.fd);
      const fd = openSync(this.#segments.fileOf(entry.segment, "replied"), "a", 0o600);
      this.#replies = { segment: entry.segment, fd };
    }
    writeSync(this.#replies.fd, `${JSON.stringify({ replied: id, at })}\n`);
  }

  refused(to: string, reply: string): Promise<void> {
    this.#refused++;
    return this.#segments.append({ refused: to, reply, at: Date.now() }, undefined, () => undefined);
  }

  /** Since the last clear; after a restart, of what is kept. */
  count(): { accepted: number; refused: number } {
    return { accepted: this.#accepted, refused: this.#refused };
  }

  /** Newest first. */
  find({ to, from, subject, since, limit }: Query): Entry[] {
    const found: Entry[] = [];
    const recipient = to && asReceived(to);
    const author = from?.toLowerCase();
    const about = subject?.toLowerCase();
    for (let i = this.#entries.length - 1; i >= this.#first && found.length < limit; i--) {
      const entry = this.#entries[i] as Entry;
      if (since !== undefined && entry.receivedAt < since) continue;
      if (recipient && !entry.envelope.to.some((address) => address.toLowerCase() === recipient)) continue;
      if (
        author &&
        !(entry.envelope.from.toLowerCase() === author || entry.author.toLowerCase().includes(author))
      )
        continue;
      if (about && !entry.subject.toLowerCase().includes(about)) continue;
      found.push(entry);
    }
    return found;
  }

  rawOf(entry: Place): Promise<Buffer> {
    return this.#segments.read(entry);
  }

  /** Oldest first. */
  *kept(): Generator<Entry> {
    for (let i = this.#first; i < this.#entries.length; i++) yield this.#entries[i] as Entry;
  }

  clear(): Promise<void> {
    return this.#segments.exclusively(() => {
      for (const segment of this.#segments.numbers()) this.#segments.remove(segment);
      if (this.#replies) closeSync(this.#replies.fd);
      this.#replies = undefined;
      this.#entries = [];
      this.#first = this.#accepted = this.#refused = 0;
    });
  }

  close(): Promise<void> {
    return this.#segments.close();
  }

  /** Looked for from the newest back: a reply follows its message at once. */
  get(id: string): Entry | undefined {
    for (let i = this.#entries.length - 1; i >= this.#first; i--)
      if (this.#entries[i]?.id === id) return this.#entries[i];
    return undefined;
  }

  #trim(): void {
    while (this.#entries.length - this.#first > MAX_KEPT) {
      const { segment } = this.#entries[this.#first] as Entry;
      this.#first++;
      const oldest = this.#entries[this.#first]?.segment ?? 0;
      if (oldest === segment) continue;
      for (const number of this.#segments.numbers()) if (number < oldest) this.#segments.remove(number);
    }
    if (this.#first > MAX_KEPT / 10) {
      this.#entries = this.#entries.slice(this.#first);
      this.#first = 0;
    }
  }

  #restore(segment: number): void {
    const replies = repliesIn(this.#segments.fileOf(segment, "replied"));
    for (const { line, offset, bytes } of recordsIn(this.#segments.fileOf(segment))) {
      if ("refused" in (line as object)) {
        this.#refused++;
        continue;
      }
      const place = { segment, offset, bytes };
      const id = idOf(place);
      this.#entries.push({ ...(line as Entry), ...place, id, repliedAt: replies.get(id) ?? null });
      this.#accepted++;
    }
  }
}

function idOf({ segment, offset }: Place): string {
  return `${segment}-${offset}`;
}

/** As smtp-server gives recipients, in lower case: domains in Unicode. Local parts compare without case, as real servers do. */
function asReceived(address: string): string {
  const domain = domainOf(address);
  return `${address.slice(0, -domain.length).toLowerCase()}${domainToUnicode(domain) || domain}`;
}

function repliesIn(file: string): Map<string, number> {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    // No reply was written in the life of this segment.
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return new Map();
    throw error;
  }
  const pairs: [string, number][] = [];
  for (const [, id, at] of text.matchAll(/^\{"replied":"([\d-]+)","at":(\d+)\}$/gm))
    pairs.push([id ?? "", Number(at)]);
  return new Map(pairs);
}
