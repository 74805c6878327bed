/** What became of a message after it had left: its bounces, and the first opens and clicks of its recipients. */
import { and, eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { bounces, clicks, opens } from "../schema/archive.ts";
import type { Bounce } from "./bounces.ts";
import type { Click } from "./clicks.ts";
import type { Open } from "./opens.ts";

/** A recipient may have clicked a message full of links; a message has 50 recipients at most. */
const MAX_OF_A_KIND = 1_000;

export interface MessageFacts {
  bounces: Bounce[];
  opens: Open[];
  clicks: Click[];
}

export const NO_FACTS: MessageFacts = { bounces: [], opens: [], clicks: [] };

export async function factsOfMessage(
  archive: D1Database,
  serverId: number,
  messageId: string,
): Promise<MessageFacts> {
  const db = drizzle(archive);
  const of = <T extends typeof bounces | typeof opens | typeof clicks>(table: T) =>
    and(eq(table.serverId, serverId), eq(table.messageId, messageId));
  const [bounced, opened, clicked] = await db.batch([
    db.select().from(bounces).where(of(bounces)).limit(MAX_OF_A_KIND),
    db.select().from(opens).where(of(opens)).limit(MAX_OF_A_KIND),
    db.select().from(clicks).where(of(clicks)).limit(MAX_OF_A_KIND),
  ]);
  return { bounces: bounced, opens: opened, clicks: clicked };
}
