/**
 * Reads what the Worker answered about batches. Only a line that is well-formed, of a key that was asked about and with a result
 * for each message is an answer; everything else says nothing, and the batch may have been accepted or not.
 */
import * as z from "zod";
import type { IngressResult } from "../../mail/ingress.ts";

const Result = z.discriminatedUnion("accepted", [
  z.object({ accepted: z.literal(true) }),
  z.object({
    accepted: z.literal(false),
    reply: z.object({
      code: z.number().int().min(400).max(599),
      enhanced: z.string().max(20),
      text: z.string().max(1_000),
    }),
  }),
]);
const Line = z.object({ key: z.string(), results: z.array(Result).optional() });

export interface Asks {
  frames(path: string, bytes: Uint8Array, ms: number): Promise<unknown[]>;
}

export interface Asked {
  key: string;
  messages: number;
}

export interface Answers {
  /** Somebody who knows the keys has answered: the Worker is there, whatever became of the batches. */
  isWorker: boolean;
  /** By key. A key that is missing was not accepted, or nobody knows. */
  results: Map<string, IngressResult[]>;
}

export function readAnswers(lines: unknown[], asked: Asked[]): Answers {
  const answers: Answers = { isWorker: false, results: new Map() };
  const counts = new Map(asked.map(({ key, messages }) => [key, messages]));
  for (const line of lines) {
    const parsed = Line.safeParse(line);
    if (!parsed.success) continue;
    const { key, results } = parsed.data;
    const count = counts.get(key);
    if (count === undefined) continue;
    answers.isWorker = true;
    if (results?.length === count) answers.results.set(key, results);
  }
  return answers;
}
