/** Whom a stream does not mail, as people look at it. */
import { and, desc, eq, gte, isNull, lte, sql } from "drizzle-orm";
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

/** The answer has no pages (§7 of the wire contract), and D1 and a Worker's memory have their limits. */
const MAX_ROWS = 100_000;

/** Newest first. */
export function listSuppressions(
  directory: D1Database,
  serverId: number,
  stream: string,
  { reason, origin, emails, from, to }: SuppressionFilter,
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
    .orderBy(desc(suppressions.createdAt), suppressions.email)
    .limit(MAX_ROWS);
}
