/**
 * Whose mail a server's inbound stream does not take: a rule is an address or a domain, in lower case. What has many rules is still
 * asked for two of them only: a message can be stopped by its sender's address and by the domain of that.
 */
import { and, asc, count, eq, gt, inArray } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { asciiDomain, domainOf, parseAddressList } from "../mail/address.ts";
import { inboundRules } from "../schema/directory.ts";

export interface InboundRule {
  id: number;
  rule: string;
}

/** A rule as it is kept; undefined for what is neither an address nor a domain and nothing else. */
export function parseRule(text: string): string | undefined {
  const given = text.trim();
  if (!given.includes("@")) return asciiDomain(given)?.toLowerCase();
  if (/[<>,"\s]/.test(given)) return undefined;
  const list = parseAddressList(given);
  return "ok" in list && list.ok.length === 1 ? list.ok[0]?.email.toLowerCase() : undefined;
}

/** The rule of these that stops this sender, a bare address; undefined when none does, as for the empty one of a bounce. */
export function blockedBy(rules: Iterable<string>, sender: string): string | undefined {
  const stopping = rulesAgainst(sender);
  for (const rule of rules) if (stopping.includes(rule)) return rule;
  return undefined;
}

/** The same, asked of the directory. */
export async function blockingRule(
  directory: D1Database,
  serverId: number,
  sender: string,
): Promise<string | undefined> {
  const stopping = rulesAgainst(sender);
  if (stopping.length === 0) return undefined;
  const row = await drizzle(directory)
    .select({ rule: inboundRules.rule })
    .from(inboundRules)
    .where(and(eq(inboundRules.serverId, serverId), inArray(inboundRules.rule, stopping)))
    .get();
  return row?.rule;
}

/** A domain's rule is for that domain alone and not for those below it: who writes "b.com" does not mean all of its customers. */
function rulesAgainst(sender: string): string[] {
  const address = sender.trim().toLowerCase();
  return address.includes("@") ? [address, domainOf(address)] : [];
}

/** In the order in which they were made; `after` is the id of the last one seen. One more than `count`, where there is one. */
export async function listInboundRules(
  directory: D1Database,
  serverId: number,
  page: { count: number; offset: number; after?: number },
): Promise<{ total: number; rules: InboundRule[] }> {
  const db = drizzle(directory);
  const ours = eq(inboundRules.serverId, serverId);
  const [rules, [counted]] = await db.batch([
    db
      .select({ id: inboundRules.id, rule: inboundRules.rule })
      .from(inboundRules)
      .where(and(ours, page.after === undefined ? undefined : gt(inboundRules.id, page.after)))
      .orderBy(asc(inboundRules.id))
      .limit(page.count + 1)
      .offset(page.after === undefined ? page.offset : 0),
    db.select({ total: count() }).from(inboundRules).where(ours),
  ]);
  return { total: counted?.total ?? 0, rules };
}

/** undefined when there is one that says the same. */
export async function createInboundRule(
  directory: D1Database,
  serverId: number,
  rule: string,
  now: number,
): Promise<InboundRule | undefined> {
  const [made] = await drizzle(directory)
    .insert(inboundRules)
    .values({ serverId, rule, createdAt: now })
    .onConflictDoNothing()
    .returning({ id: inboundRules.id, rule: inboundRules.rule });
  return made;
}

/** The rule that is gone; undefined when there was none of this id. */
export async function deleteInboundRule(
  directory: D1Database,
  serverId: number,
  id: number,
): Promise<string | undefined> {
  const [gone] = await drizzle(directory)
    .delete(inboundRules)
    .where(and(eq(inboundRules.serverId, serverId), eq(inboundRules.id, id)))
    .returning({ rule: inboundRules.rule });
  return gone?.rule;
}
