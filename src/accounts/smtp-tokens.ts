/**
 * SMTP tokens: an access key and a secret that may send by SMTP on one stream, and do nothing else. Also the check of
 * any login: a server's token is its own user and password.
 */
import { and, asc, count, eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { smtpTokens } from "../schema/directory.ts";
import type { ServerPolicy } from "./policy.ts";
import { hashToken, newToken } from "./token.ts";

const SECRET_BYTES = 24;
/** Of one stream: enough to rotate and for a token an application. */
export const MAX_SMTP_TOKENS = 20;

export interface SmtpToken {
  id: number;
  stream: string;
  name: string;
  accessKey: string;
  /** Milliseconds since the epoch. */
  createdAt: number;
}

/** The secret is in the result and nowhere else; undefined when the stream has as many tokens as it may. */
export async function createSmtpToken(
  directory: D1Database,
  { serverId, stream, name }: { serverId: number; stream: string; name: string },
  now: number,
): Promise<(SmtpToken & { secret: string }) | undefined> {
  const db = drizzle(directory);
  const where = and(eq(smtpTokens.serverId, serverId), eq(smtpTokens.stream, stream));
  const there = await db.select({ n: count() }).from(smtpTokens).where(where).get();
  if ((there?.n ?? 0) >= MAX_SMTP_TOKENS) return undefined;
  const secret = Buffer.from(crypto.getRandomValues(new Uint8Array(SECRET_BYTES))).toString("base64url");
  const accessKey = newToken(serverId);
  const row = await db
    .insert(smtpTokens)
    .values({ serverId, stream, name, accessKey, secretHash: await hashSecret(secret), createdAt: now })
    .returning({ id: smtpTokens.id })
    .get();
  return { id: row.id, stream, name, accessKey, createdAt: now, secret };
}

export async function listSmtpTokens(
  directory: D1Database,
  serverId: number,
  stream: string,
): Promise<SmtpToken[]> {
  const { id, name, accessKey, createdAt } = smtpTokens;
  return drizzle(directory)
    .select({ id, stream: smtpTokens.stream, name, accessKey, createdAt })
    .from(smtpTokens)
    .where(and(eq(smtpTokens.serverId, serverId), eq(smtpTokens.stream, stream)))
    .orderBy(asc(smtpTokens.id));
}

/** False when there is no such token. */
export async function deleteSmtpToken(
  directory: D1Database,
  { serverId, stream, id }: { serverId: number; stream: string; id: number },
): Promise<boolean> {
  const gone = await drizzle(directory)
    .delete(smtpTokens)
    .where(and(eq(smtpTokens.serverId, serverId), eq(smtpTokens.stream, stream), eq(smtpTokens.id, id)))
    .returning({ id: smtpTokens.id });
  return gone.length > 0;
}

export type LoginAnswer = { ok: true; stream?: string } | { ok: false; why: string };

/** Whether a user and password of SMTP are this server's. `why` is for the client; it never says which part is wrong. */
export async function checkLogin(
  policy: ServerPolicy | undefined,
  user: string,
  password: string,
): Promise<LoginAnswer> {
  const wrong = { ok: false, why: "authentication credentials invalid" } as const;
  if (!policy) return wrong;
  const isToken = user.toLowerCase() === password.toLowerCase();
  if (isToken && (await maySend(policy, user)))
    return policy.smtpActivated ? { ok: true } : { ok: false, why: "SMTP is not activated for this server" };
  const secretHash = await hashSecret(password);
  const found = policy.smtpTokens.find(
    (t) => t.accessKey === user.toLowerCase() && t.secretHash === secretHash,
  );
  if (!found) return wrong;
  if (!policy.smtpActivated) return { ok: false, why: "SMTP is not activated for this server" };
  return { ok: true, stream: found.stream };
}

/** A token that may only read is no login. Its allow-list is for the API alone. */
async function maySend(policy: ServerPolicy, token: string): Promise<boolean> {
  const hash = await hashToken(token);
  return policy.tokens.some((t) => t.hash === hash && t.scope !== "read");
}

/** SHA-256, hex: 192 random bits need no slow hash. */
async function hashSecret(secret: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(secret));
  return Buffer.from(digest).toString("hex");
}
