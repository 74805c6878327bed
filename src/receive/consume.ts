/**
 * The queue's consumer: each of its messages names an object under `received/`. The queue may lose, repeat or reorder them. An object that
 * fails a few times in a row is left to cron, which brings it again after ever longer waits (left-over.ts), so that nothing that is away
 * or broken is asked without end.
 */
import * as z from "zod";
import { endsWithin, within } from "../mail/within.ts";
import { putBack } from "./left-over.ts";
import { RECEIVED } from "./receive.ts";
import { type TakeNeeds, takeReceived } from "./take.ts";

/** A queue message. */
export interface ReceivedJob {
  v: 1;
  /** "received/…". */
  key: string;
}

/** The parts of a queue's message that are used. */
interface QueueMessage {
  readonly body: unknown;
  readonly attempts: number;
  ack(): void;
  retry(options?: { delaySeconds?: number }): void;
}

const Job: z.ZodType<ReceivedJob> = z.object({
  v: z.literal(1),
  key: z.string().startsWith(RECEIVED).max(1_000),
});
/** Below the queue's own number of retries, after which it gives up. */
const TRIES = 3;
const RETRY_SECONDS = 10;
/** Whom a message is from is asked for 15 s at most, and what is written is written in seconds: who has not answered by then is away. */
const TAKE_MS = 120_000;

/**
 * One after the other: each may have 25 MB, and an isolate has 128 for all. The platform runs more of these beside one another. One that
 * takes too long goes on beside the others, and may be read once more meanwhile.
 */
export async function readReceived(
  messages: readonly QueueMessage[],
  needs: TakeNeeds,
  { takeMs = TAKE_MS } = {},
): Promise<void> {
  for (const message of messages) {
    const job = Job.safeParse(message.body);
    if (!job.success) {
      needs.log("received mail's reference cannot be read", { body: message.body });
      message.ack();
      continue;
    }
    const { key } = job.data;
    try {
      await within(takeMs, takeReceived(key, needs));
      message.ack();
    } catch (error) {
      needs.log("received mail not read", { key, attempt: message.attempts, error: String(error) });
      if (message.attempts < TRIES) message.retry({ delaySeconds: RETRY_SECONDS * message.attempts });
      else {
        // It is found again, put back or not.
        await endsWithin(takeMs, putBack(key, String(error), needs));
        message.ack();
      }
    }
  }
}

/** What the queue gave up, since its reading never came to an end. */
export async function readGivenUp(messages: readonly QueueMessage[], needs: TakeNeeds): Promise<void> {
  for (const message of messages) {
    const job = Job.safeParse(message.body);
    if (job.success) await putBack(job.data.key, "its reading never ended", needs);
    message.ack();
  }
}
