/**
 * The limits of header fields and metadata hold for what is shared and what is a message's own together. What is shared may come
 * after the messages, so this remembers what sets of own names there were; most messages have the same.
 */
import { type BulkMessage, type BulkShared, mergeHeaders, mergeMetadata } from "../accept/bulk-message.ts";
import type { BulkProblems } from "./bulk-problems.ts";
import { apiError } from "./error.ts";
import { readHeaders, readMetadata } from "./message-extras.ts";

/** Of different sets of names that are remembered: tens of thousands. Who has more took what belongs in a value for a name. */
const MAX_CHARACTERS = 2_000_000;

export class BulkMerges {
  /** By the names: the first message that has them. */
  readonly #metadata = new Map<string, number>();
  readonly #headers = new Map<string, number>();
  #characters = 0;

  note(index: number, { metadata, headers }: BulkMessage, problems: BulkProblems): void {
    if (this.#characters > MAX_CHARACTERS) return;
    if (metadata) this.#keep(this.#metadata, JSON.stringify(Object.keys(metadata)), index);
    if (headers) this.#keep(this.#headers, sizesOf(headers), index);
    if (this.#characters > MAX_CHARACTERS) {
      const why = "The 'Metadata' and 'Headers' of the messages have too many different names.";
      problems.add(`Messages[${index}]`, apiError(300, why));
    }
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

  #keep(map: Map<string, number>, names: string, index: number): void {
    if (map.has(names)) return;
    map.set(names, index);
    this.#characters += names.length;
  }
}

/** Values count by their length alone, rounded so that those of a mailing are alike. */
function sizesOf(headers: NonNullable<BulkMessage["headers"]>): string {
  return JSON.stringify(headers.map(({ name, value }) => [name, Math.floor(value.length / 64) * 64]));
}
