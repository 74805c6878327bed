/** Reads bounces from the archive, and notes of them that their address is active again. */
import { and, desc, eq, getTableColumns, gte, isNotNull, lt, lte, type SQL, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import type { RecipientRecord } from "../mail/record.ts";
import { bounces, recipients } from "../schema/archive.ts";

export type Bounce = typeof bounces.$inferSelect;

/** With whether its recipient's story is still there, which tells how the bounce came about. */
export type ListedBounce = Bounce & { hasStory: boolean };

export interface BouncePage {
  count: number;
  offset: number;
  /** The number of the last one seen; `offset` is then ignored. */
  before?: number;
}

/** What is absent does not filter. */
export interface BounceFilter {
  stream: string;
  type?: string;
  inactive?: boolean;
  /** Contained in the address; any case. */
  email?: string;
  tag?: string;
  /** Lower case. */
  messageId?: string;
  /** Milliseconds since the epoch, both inclusive. */
  from?: number;
  to?: number;
}

/** More tags than this no list could show. */
const MAX_TAGS = 1_000;

/** Newest first; one more than `count`, where there is one. */
export async function listBounces(
  archive: D1Database,
  serverId: number,
  { filter, page }: { filter: BounceFilter; page: BouncePage },
): Promise<{ total: number; bounces: ListedBounce[] }> {
  const db = drizzle(archive);
  const where = condition(serverId, filter);
  const { count, offset, before } = page;
  const [rows, [counted]] = await db.batch([
    db
      .select({ ...getTableColumns(bounces), hasStory: HAS_STORY })
      .from(bounces)
      .where(and(where, before === undefined ? undefined : lt(bounces.id, before)))
      .orderBy(desc(bounces.id))
      .limit(count + 1)
      .offset(before === undefined ? offset : 0),
    db.select({ total: sql<number>`count(*)` }).from(bounces).where(where),
  ]);
  return { total: counted?.total ?? 0, bounces: rows.map(withFlag) };
}

/** Qualified by hand: in a selection drizzle names the columns of one table without it. */
const HAS_STORY = sql<number>`exists (select 1 from ${recipients} as story where story.server_id = bounces.server_id
  and story.email = bounces.email and story.message_id = bounces.message_id)`;

function withFlag<T extends { hasStory: number }>(row: T): Omit<T, "hasStory"> & { hasStory: boolean } {
  return { ...row, hasStory: row.hasStory === 1 };
}

/** What was tried for the bounce's recipient, and what was answered; undefined when nobody has it any more. */
export async function storyOf(
  archive: D1Database,
  { serverId, email, messageId }: Bounce,
): Promise<RecipientRecord | undefined> {
  const row = await drizzle(archive)
    .select({ record: recipients.record })
    .from(recipients)
    .where(
      and(
        eq(recipients.serverId, serverId),
        eq(recipients.email, email),
        eq(recipients.messageId, messageId),
      ),
    )
    .get();
  return row?.record;
}

function condition(serverId: number, filter: BounceFilter): SQL | undefined {
  const { stream, type, inactive, email, tag, messageId, from, to } = filter;
  return and(
    eq(bounces.serverId, serverId),
    // The plus keeps SQLite from the index of streams, where the one of messages leads to a few rows at once.
    messageId === undefined ? eq(bounces.stream, stream) : sql`+${bounces.stream} = ${stream}`,
    type === undefined ? undefined : eq(bounces.type, type),
    inactive === undefined ? undefined : eq(bounces.inactive, inactive),
    email === undefined ? undefined : sql`instr(${bounces.email}, ${email.toLowerCase()}) > 0`,
    tag === undefined ? undefined : eq(bounces.tag, tag),
    messageId === undefined ? undefined : eq(bounces.messageId, messageId),
    from === undefined ? undefined : gte(bounces.bouncedAt, from),
    to === undefined ? undefined : lte(bounces.bouncedAt, to),
  );
}

export async function findBounce(
  archive: D1Database,
  serverId: number,
  id: number,
): Promise<ListedBounce | undefined> {
  const row = await drizzle(archive)
    .select({ ...getTableColumns(bounces), hasStory: HAS_STORY })
    .from(bounces)
    .where(and(eq(bounces.serverId, serverId), eq(bounces.id, id)))
    .get();
  return row && withFlag(row);
}

/** By what makes it the only one. */
export async function findBounceOf(
  archive: D1Database,
  serverId: number,
  { messageId, email, type }: Pick<Bounce, "messageId" | "email" | "type">,
): Promise<ListedBounce | undefined> {
  const row = await drizzle(archive)
    .select({ ...getTableColumns(bounces), hasStory: HAS_STORY })
    .from(bounces)
    .where(
      and(
        ...[eq(bounces.serverId, serverId), eq(bounces.messageId, messageId)],
        ...[eq(bounces.email, email), eq(bounces.type, type)],
      ),
    )
    .get();
  return row && withFlag(row);
}

/** What tells a message's bounces apart, and which report each is from. */
export type BounceMark = Pick<Bounce, "email" | "type" | "dump">;

/** A message has one of each recipient and type, so there are not many. */
export function bouncesOfMessage(
  archive: D1Database,
  serverId: number,
  messageId: string,
): Promise<BounceMark[]> {
  return drizzle(archive)
    .select({ email: bounces.email, type: bounces.type, dump: bounces.dump })
    .from(bounces)
    .where(and(eq(bounces.serverId, serverId), eq(bounces.messageId, messageId)));
}

/** How many bounces of each type there are, and how many of them keep their address inactive. */
export function countBounces(
  archive: D1Database,
  serverId: number,
): Promise<{ type: string; count: number; inactive: number }[]> {
  return drizzle(archive)
    .select({
      type: bounces.type,
      count: sql<number>`count(*)`,
      inactive: sql<number>`sum(${bounces.inactive})`,
    })
    .from(bounces)
    .where(eq(bounces.serverId, serverId))
    .groupBy(bounces.type);
}

export async function bounceTags(archive: D1Database, serverId: number): Promise<string[]> {
  const rows = await drizzle(archive)
    .selectDistinct({ tag: bounces.tag })
    .from(bounces)
    .where(and(eq(bounces.serverId, serverId), isNotNull(bounces.tag)))
    .orderBy(bounces.tag)
    .limit(MAX_TAGS);
  return rows.flatMap(({ tag }) => (tag === null ? [] : [tag]));
}

/** The stream mails these addresses again, so no bounce of them there keeps them inactive. Harmless to repeat. */
export async function markActive(
  archive: D1Database,
  serverId: number,
  stream: string,
  emails: string[],
): Promise<void> {
  if (emails.length === 0) return;
  const listed = JSON.stringify(emails.map((email) => email.toLowerCase()));
  await drizzle(archive)
    .update(bounces)
    .set({ inactive: false })
    .where(
      and(
        eq(bounces.serverId, serverId),
        eq(bounces.stream, stream),
        sql`${bounces.email} in (select value from json_each(${listed}))`,
        // Written out: SQLite takes the index of inactive ones for no parameter.
        sql`${bounces.inactive} = 1`,
      ),
    );
}
