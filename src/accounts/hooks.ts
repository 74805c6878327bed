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

export const STREAM_OF_SERVER_HOOKS = "outbound";
export const TRIGGERS = [
  "Open",
  "Click",
  "Delivery",
  "Bounce",
  "SpamComplaint",
  "SubscriptionChange",
] as const;

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
    if (types.length > 0) refs.push({ name: webhookName(serverId, id), stream, types });
  }
  for (const type of ["Bounce", "Open", "Click", "Delivery"] as const)
    if (server[type])
      refs.push({ name: `${serverId}/server/${type}`, stream: STREAM_OF_SERVER_HOOKS, types: [type] });
  if (server.inbound) refs.push({ name: `${serverId}/inbound`, types: ["Inbound"] });
  return refs;
}

/** Each that ever was, but for webhooks that were removed: what they keep of their events may have to go. */
export async function hookNames(directory: D1Database, serverId: number): Promise<string[]> {
  const db = drizzle(directory);
  const [[server], made] = await db.batch([
    db.select({ hookStarts: servers.hookStarts }).from(servers).where(eq(servers.id, serverId)),
    db.select({ id: webhooks.id }).from(webhooks).where(eq(webhooks.serverId, serverId)),
  ]);
  const ofServer = serverHookNames({ id: serverId, hookStarts: server?.hookStarts ?? null });
  return [...made.map(({ id }) => webhookName(serverId, id)), ...ofServer];
}

/** Those that have, or had, somebody to tell: their logs have readers, also when the server never sent. */
export async function serversWithHooks(directory: D1Database): Promise<number[]> {
  const { results } = await directory
    .prepare(
      `SELECT server_id AS id FROM webhooks UNION
       SELECT id FROM servers WHERE hook_starts IS NOT NULL AND deleted_at IS NULL`,
    )
    .all<{ id: number }>();
  return results.map(({ id }) => id);
}

export function webhookName(serverId: number, id: number): string {
  return `${serverId}/webhook/${id}`;
}

/** The settings of a server that are hooks' URLs. */
export const SERVER_HOOKS = [
  ["bounceHookUrl", "Bounce"],
  ["openHookUrl", "Open"],
  ["clickHookUrl", "Click"],
  ["deliveryHookUrl", "Delivery"],
  ["inboundHookUrl", "Inbound"],
] as const;
type ServerHookUrls = Record<(typeof SERVER_HOOKS)[number][0], string>;

/** Which of them get a URL that had none; they begin with what comes into the log from then on. */
export function newHooks(after: Partial<ServerHookUrls>, before?: ServerHookUrls): EventType[] {
  return SERVER_HOOKS.filter(([field]) => after[field] && !before?.[field]).map(([, type]) => type);
}

/** Of those that have a URL, or ever had one. */
export function serverHookNames({
  id,
  hookStarts,
}: Pick<typeof servers.$inferSelect, "id" | "hookStarts">): string[] {
  return Object.keys(hookStarts ?? {}).map((type) =>
    type === "Inbound" ? `${id}/inbound` : `${id}/server/${type}`,
  );
}
