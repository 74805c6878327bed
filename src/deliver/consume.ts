/**
 * The stage that delivers: jobs from the queue, to the next hop, and back to the Outbox. For each destination it asks for a
 * lease, claims as much as it may begin, and settles as outcomes come; what may not begin is given back with the
 * reason. Any of it may be cut off at any point: claims and leases lapse, and the Outbox hands over again.
 */
import * as z from "zod";
import type { DeliveryJob } from "../mail/job.ts";
import type { AttemptNeeds } from "./attempt.ts";
import { destinationOf } from "./rules.ts";
import { type Item, Shift, type ShiftNeeds } from "./shift.ts";

export interface DeliverNeeds extends AttemptNeeds, ShiftNeeds {
  /** Names this call in claims and leases: unique. */
  newClaimer(): string;
  /** How long the call stays with its deliveries; then they go on beside it. */
  handOverMs: number;
  waitUntil(promise: Promise<unknown>): void;
  /** Is told of a job that can't be read; it will not be seen again. */
  poison(job: unknown, reason: string): void;
}

/** The parts of a queue's message that are used. */
export interface QueueMessage {
  readonly body: unknown;
  ack(): void;
  retry(options?: { delaySeconds?: number }): void;
}

/** More than an Outbox puts into a job; also what a hostile job may cost. */
const MAX_REFS = 1_000;

const Job: z.ZodType<DeliveryJob> = z.object({
  v: z.literal(1),
  shard: z.string().regex(/^\d+\/[a-z-]+\/\d+$/),
  refs: z
    .array(z.object({ messageId: z.string().min(1).max(64), domain: z.string().min(1).max(255) }))
    .min(1)
    .max(MAX_REFS),
});

/** Seconds until the queue brings back what no Outbox or Destination could be asked about. */
const RETRY_SECONDS = 5;

/**
 * Returns when all is done, or after `handOverMs` with the rest going on: the next batch may depend on this call's
 * return. A message is acked when its references are claimed, held or gone, and at the latest on return; a message that
 * is delivered twice is harmless, for its claims are not granted twice.
 */
export async function deliver(messages: readonly QueueMessage[], needs: DeliverNeeds): Promise<void> {
  const open = new Set<QueueMessage>();
  const ack = (message: QueueMessage) => {
    if (open.delete(message)) message.ack();
  };
  const items: Item[] = [];
  const seen = new Set<string>();
  for (const message of messages) {
    open.add(message);
    const job = Job.safeParse(message.body);
    if (!job.success) {
      needs.poison(message.body, z.prettifyError(job.error));
      ack(message);
      continue;
    }
    const { shard } = job.data;
    const refs = job.data.refs.filter((r) => !seen.has(`${r.messageId}/${r.domain}`));
    for (const ref of refs) seen.add(`${ref.messageId}/${ref.domain}`);
    let left = refs.length;
    const handedOn = () => {
      if (--left === 0) ack(message);
    };
    const failed = () => {
      if (open.delete(message)) message.retry({ delaySeconds: RETRY_SECONDS });
    };
    for (const ref of refs) items.push({ shard, ref, handedOn, failed });
    if (refs.length === 0) ack(message);
  }

  const shift = new Shift(needs.newClaimer(), needs);
  const groups = Map.groupBy(items, (item) => destinationOf(item.ref.domain));
  const work = shift.run(groups).catch((error) => {
    // Each part of the work reports its own failures; this is a fault in ours, and what it left lapses.
    needs.log("delivery failed", { error: String(error) });
  });
  needs.waitUntil(work);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const handOver = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, needs.handOverMs);
  });
  await Promise.race([work, handOver]);
  clearTimeout(timer);
  for (const message of [...open]) ack(message);
}
