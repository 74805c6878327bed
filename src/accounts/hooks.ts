/**
 * Who is to be told of a server's events: its webhooks, the URLs that its settings have for single types (of the stream "outbound"),
 * and the one for received mail. Each has a name, which is that of the object that tells it.
 */
import { and, eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import type { EventType } from "../mail/event.ts";
import { servers, webhooks } from "../schema/directory.ts";

export interface HookRef {
  name: string;
  /** undefined: of any stream. */
  stream?: string;
  types: EventType[];
}

const STREAM_OF_SERVER_HOOKS = "outbound";
const TRIGGERS = ["Open", "Click", "Delivery", "Bounce", "SpamComplaint", "SubscriptionChange"] as const;

/** [] when there is no such server. A webhook that is not verified, or asks for nothing, is told nothing. */
export async function hooksOf(directory: D1Database, serverId: number): Promise<HookRef[]> {
  const db = drizzle(directory);
  const [[server], verified] = await db.batch([
    db
      .select({
        Bounce: servers.bounceHookUrl,
        Open: servers.openHookUrl,
        Click: servers.clickHookUrl,
        Delivery: servers.deliveryHookUrl,
        inbound: servers.inboundHookUrl,
      })
      .from(servers)
      .where(eq(servers.id, serverId)),
    db
      .select({ id: webhooks.id, stream: webhooks.stream, triggers: webhooks.triggers })
      .from(webhooks)
      .where(and(eq(webhooks.serverId, serverId), eq(webhooks.status, "verified"))),
  ]);
  if (!server) return [];
  const refs: HookRef[] = [];
  for (const { id, stream, triggers } of verified) {
    const types = TRIGGERS.filter((type) => triggers[type].Enabled);
    if (types.length > 0) refs.push({ name: `${serverId}/webhook/${id}`, stream, types });
  }
  for (const type of ["Bounce", "Open", "Click", "Delivery"] as const)
    if (server[type])
      refs.push({ name: `${serverId}/server/${type}`, stream: STREAM_OF_SERVER_HOOKS, types: [type] });
  if (server.inbound) refs.push({ name: `${serverId}/inbound`, types: ["Inbound"] });
  return refs;
}
