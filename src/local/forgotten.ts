/**
 * Cloudflare's queues are durable; Miniflare's are forgotten when workerd is killed. The Outboxes hand over again by themselves what they
 * wait for, but references to received mail would only be missed by cron, minutes later: they are queued again at each start.
 */
import type { Miniflare } from "miniflare";
import { RECEIVED } from "../receive/receive.ts";

/** A queue takes so many at once. */
const MOST = 100;

export async function queueReceived(miniflare: Miniflare): Promise<void> {
  const bucket = await miniflare.getR2Bucket("MAIL");
  const queue = await miniflare.getQueueProducer("RECEIVED");
  for (let cursor: string | undefined; ; ) {
    const page = await bucket.list({ prefix: RECEIVED, limit: MOST, cursor });
    if (page.objects.length > 0)
      await queue.sendBatch(page.objects.map(({ key }) => ({ body: { v: 1, key } })));
    if (!page.truncated) return;
    cursor = page.cursor;
  }
}
