/**
 * Tells the event log, and by it the inbound hook, of mail that was put back in line. That it is to be told stands in the message's row
 * since the same statement that moved it, until the log has heard of it: what ends in between is made good by cron. Told twice, it is
 * known by its event's id.
 */
import { inboundWasTold, type UntoldInbound, untoldInbound } from "../../archive/inbound.ts";
import type { MailEvent } from "../../mail/event.ts";
import { within } from "../../mail/within.ts";
import { againEvent } from "./event.ts";

export interface AgainNeeds {
  now(): number;
  log(event: string, fields: Record<string, unknown>): void;
  tellEvents(serverId: number, events: MailEvent[]): Promise<void>;
}

/** Who moved it is telling of it still. */
const LEFT_AFTER_MS = 60_000;
/** Who put it back in line waits for this. */
const TELL_MS = 5_000;
/** Of a run, each minute: people put mail back in line, by one request each. */
const MAX_TOLD = 500;

/** Of one server. Never rejects: cron tells what could not be told. */
export async function tellAgain(
  archive: D1Database,
  serverId: number,
  { messages, needs }: { messages: UntoldInbound[]; needs: AgainNeeds },
): Promise<void> {
  try {
    const events = messages.map((message) => againEvent(message, message.untoldSince ?? 0));
    await within(TELL_MS, needs.tellEvents(serverId, await Promise.all(events)));
    await inboundWasTold(archive, messages);
  } catch (error) {
    needs.log("inbound mail not told of again", { serverId, error: String(error) });
  }
}

/** Cron's call, each minute. */
export async function sweepAgain(archive: D1Database, needs: AgainNeeds): Promise<void> {
  const left = await untoldInbound(archive, needs.now() - LEFT_AFTER_MS, MAX_TOLD);
  const servers = Map.groupBy(left, ({ serverId }) => serverId);
  // A log that is away keeps none of the others waiting.
  await Promise.all([...servers].map(([id, messages]) => tellAgain(archive, id, { messages, needs })));
}
