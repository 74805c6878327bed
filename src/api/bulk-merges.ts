/**
 * The limits of header fields and metadata hold for what is shared and what is a message's own together. What is shared may come
 * after the messages, so this remembers what sets of own names there were; most messages have the same.
 */
import { type BulkMessage, type BulkShared, mergeHeaders, mergeMetadata } from "../accept/bulk-message.ts";
import type { BulkProblems } from "./bulk-problems.ts";
import { readHeaders, readMetadata } from "./message-extras.ts";

export class BulkMerges {
  /** By the names: the first message that has them. */
  readonly #metadata = new Map<string, number>();
  readonly #headers = new Map<string, number>();

  note(index: number, { metadata, headers }: BulkMessage): void {
    if (metadata) keep(this.#metadata, JSON.stringify(Object.keys(metadata)), index);
    if (!headers) return;
    // Values count by their length alone, rounded so that those of a mailing are alike.
    const sizes = headers.map(({ name, value }) => [name, Math.floor(value.length / 64) * 64]);
    keep(this.#headers, JSON.stringify(sizes), index);
  }

  check({ submission }: BulkShared, problems: BulkProblems): void {
    for (const [names, index] of this.#metadata) {
      const own = (JSON.parse(names) as string[]).map((name) => [name, ""]);
      const read = readMetadata(mergeMetadata(submission.metadata, Object.fromEntries(own)));
      if ("error" in read) problems.add(`Messages[${index}].Metadata`, read.error);
    }
    for (const [sizes, index] of this.#headers) {
      const own = (JSON.parse(sizes) as [string, number][]).map(([name, size]) => ({
        name,
        value: "x".repeat(size),
      }));
      const merged = mergeHeaders(submission.headers, own);
      const read = readHeaders(merged.map(({ name, value }) => ({ Name: name, Value: value })));
      if ("error" in read) problems.add(`Messages[${index}].Headers`, read.error);
    }
  }
}

function keep(map: Map<string, number>, names: string, index: number): void {
  if (!map.has(names)) map.set(names, index);
}
