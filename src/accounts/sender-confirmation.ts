/**
 * The link by which the owner of a mailbox lets an account send from it: a secret that only its message holds, and of which we keep a
 * hash. It works for a week, and a later message's link takes its place.
 */
import { and, eq, gt, isNull, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { accounts, senders } from "../schema/directory.ts";

/** Time to come back from a holiday; after it a new message is asked for. */
export const CONFIRMABLE_DAYS = 7;
const CONFIRMABLE_MS = CONFIRMABLE_DAYS * 86_400_000;
const SECRET_BYTES = 32;
/** Enough for who lost the message; no more, for the mailbox may be a stranger's. A second message may follow the first at once. */
const ASK_EVERY_MS = 60_000;
const ASKED_AT_ONCE = 2;
const ASKED_A_DAY = 5;
const DAY_MS = 86_400_000;
/** "<number of the sender>.<secret>". */
const TOKEN = /^(\d{1,15})\.([\w-]{43})$/;

/**
 * What the link of a sender's confirmation message holds; a former one no longer works. When its mailbox was asked a moment ago, or
 * often today, it says when it may be asked again, and all stays as it is.
 */
export async function newConfirmation(
  directory: D1Database,
  id: number,
  now: number,
): Promise<{ token: string } | { againInMs: number }> {
  const db = drizzle(directory);
  const known = await db.select({ askedAt: senders.askedAt }).from(senders).where(eq(senders.id, id)).get();
  const today = (known?.askedAt ?? []).filter((at) => at > now - DAY_MS);
  const again = Math.max(
    today.length < ASKED_AT_ONCE ? 0 : (today.at(-1) ?? 0) + ASK_EVERY_MS,
    today.length < ASKED_A_DAY ? 0 : (today.at(-ASKED_A_DAY) ?? 0) + DAY_MS,
  );
  if (again > now) return { againInMs: again - now };
  const secret = Buffer.from(crypto.getRandomValues(new Uint8Array(SECRET_BYTES))).toString("base64url");
  const asked = await db
    .update(senders)
    .set({ confirmationHash: await hashSecret(secret), confirmationSentAt: now, askedAt: [...today, now] })
    .where(and(eq(senders.id, id), eq(senders.askedAt, known?.askedAt ?? [])))
    .returning({ id: senders.id });
  // Another request asked just now.
  return asked.length > 0 ? { token: `${id}.${secret}` } : { againInMs: ASK_EVERY_MS };
}

/** It was not asked after all: nothing stands against doing it again. */
export async function forgetAsking(directory: D1Database, id: number, now: number): Promise<void> {
  const others = sql`(SELECT json_group_array(value) FROM json_each(${senders.askedAt}) WHERE value <> ${now})`;
  await drizzle(directory).update(senders).set({ askedAt: others }).where(eq(senders.id, id));
}

export interface Confirmation {
  state: "open" | "expired" | "confirmed";
  email: string;
  /** Who wants to send from it. */
  account: string;
}

/** What the token of a link is for; undefined when it is none of ours, or a later message has another. */
export async function findConfirmation(
  directory: D1Database,
  token: string,
  now: number,
): Promise<Confirmation | undefined> {
  const known = await readToken(token);
  if (!known) return undefined;
  const row = await drizzle(directory)
    .select({ sender: senders, account: accounts.name })
    .from(senders)
    .innerJoin(accounts, eq(senders.accountId, accounts.id))
    .where(and(eq(senders.id, known.id), eq(senders.confirmationHash, known.hash)))
    .get();
  if (!row) return undefined;
  const { email, confirmedAt, confirmationSentAt } = row.sender;
  const isLate = (confirmationSentAt ?? 0) + CONFIRMABLE_MS <= now;
  const state = confirmedAt !== null ? "confirmed" : isLate ? "expired" : "open";
  return { state, email, account: row.account };
}

/** The account whose sender it was; undefined when there was nothing to confirm. */
export async function confirmSender(
  directory: D1Database,
  token: string,
  now: number,
): Promise<number | undefined> {
  const known = await readToken(token);
  if (!known) return undefined;
  const row = await drizzle(directory)
    .update(senders)
    .set({ confirmedAt: now })
    .where(
      and(
        eq(senders.id, known.id),
        eq(senders.confirmationHash, known.hash),
        gt(senders.confirmationSentAt, now - CONFIRMABLE_MS),
        isNull(senders.confirmedAt),
      ),
    )
    .returning({ accountId: senders.accountId })
    .get();
  return row?.accountId;
}

async function readToken(token: string): Promise<{ id: number; hash: string } | undefined> {
  const [, id, secret] = TOKEN.exec(token) ?? [];
  return id && secret ? { id: Number(id), hash: await hashSecret(secret) } : undefined;
}

/** SHA-256, hex: 256 random bits need no slow hash. */
async function hashSecret(secret: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(secret));
  return Buffer.from(digest).toString("hex");
}
