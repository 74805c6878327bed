/** `GET /health/ledger`: "nothing is lost" as something that anyone can look at. Ours, not Postmark's; no token, no addresses. */
import { Hono } from "hono";
import type { LedgerReport } from "../accept/ledger.ts";

export interface HealthNeeds {
  /** The report of every Outbox that ever accepted. */
  ledgers(): Promise<LedgerReport[]>;
  /** Of all schedules. */
  scheduledRecipients(): Promise<number>;
}

const COUNTED = [
  "accepted",
  "waiting",
  "delivered",
  "bounced",
  "expired",
  "suppressed",
  "cancelled",
  "drift",
] as const;

/**
 * Counts are recipients: `accepted` = `waiting` + `delivered` + `bounced` + `expired` + `suppressed` + `cancelled`, and `drift`
 * is by how much that is not so. `scheduled` stands beside: what waits for its time is `accepted` when that comes, and for the moment of
 * its release it may be counted as both. `oldestWaitingAt` is when the message was accepted that has waited longest.
 */
export function healthRoutes(needs: HealthNeeds): Hono {
  const app = new Hono();
  app.get("/health/ledger", async (c) => {
    // In this order: what is released in between is counted twice rather than not at all.
    const scheduled = await needs.scheduledRecipients();
    const reports = await needs.ledgers();
    const sum = Object.fromEntries(COUNTED.map((name) => [name, reports.reduce((n, r) => n + r[name], 0)]));
    const waiting = reports.flatMap((r) => (r.oldestWaitingAt === undefined ? [] : [r.oldestWaitingAt]));
    const oldest = waiting.length > 0 ? new Date(Math.min(...waiting)).toISOString() : null;
    return c.json({ ...sum, scheduled, oldestWaitingAt: oldest, outboxes: reports.length });
  });
  return app;
}
