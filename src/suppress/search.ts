/** Whom a stream does not mail, as people look at it. */
import { and, asc, eq, gt, gte, isNull, lte, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { suppressions } from "../schema/directory.ts";

type Row = typeof suppressions.$inferSelect;
export type Suppression = Pick<Row, "email" | "reason" | "origin" | "createdAt">;

/** What is absent does not filter. */
export interface SuppressionFilter {
  reason?: Row["reason"];
  origin?: Row["origin"];
  /** One of these; exact, in any case. */
  emails?: string[];
  /** Milliseconds since the epoch, both inclusive. */
  from?: number;
  to?: number;
}

/** In the order of addresses, which is the key's: any page is found as quickly as the first. `after` is the last one seen. */
export function listSuppressions(
  directory: D1Database,
  { serverId, stream }: { serverId: number; stream: string },
  { reason, origin, emails, from, to }: SuppressionFilter,
  { after = "", limit }: { after?: string; limit: number },
): Promise<Suppression[]> {
  const listed = emails && JSON.stringify(emails.map((email) => email.toLowerCase()));
  return drizzle(directory)
    .select({
      email: suppressions.email,
      reason: suppressions.reason,
      origin: suppressions.origin,
      createdAt: suppressions.createdAt,
    })
    .from(suppressions)
    .where(
      and(
        eq(suppressions.serverId, serverId),
        eq(suppressions.stream, stream),
        gt(suppressions.email, after),
        isNull(suppressions.removedAt),
        reason === undefined ? undefined : eq(suppressions.reason, reason),
        origin === undefined ? undefined : eq(suppressions.origin, origin),
        listed === undefined
          ? undefined
          : sql`${suppressions.email} in (select value from json_each(${listed}))`,
        from === undefined ? undefined : gte(suppressions.createdAt, from),
        to === undefined ? undefined : lte(suppressions.createdAt, to),
      ),
    )
    .orderBy(asc(suppressions.email))
    .limit(limit);
}
