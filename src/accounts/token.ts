/**
 * API tokens: UUIDs of version 8 (RFC 9562 §5.8) whose first 32 bits are the server's number, so that a Worker finds the
 * server's objects without a look-up. The other 90 bits are random and are the secret; only a hash of the whole is stored.
 *
 *   32 bits  server number    16 bits  random    4 bits  version (8)    12 bits  random    2 bits  variant    62 bits  random
 */
const TOKEN = /^([0-9a-f]{8})-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const MAX_SERVER_ID = 0xffff_ffff;

export function newToken(serverId: number): string {
  if (!Number.isInteger(serverId) || serverId < 1 || serverId > MAX_SERVER_ID)
    throw new RangeError(`not a server's number: ${serverId}`);
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, serverId);
  view.setUint8(6, 0x80 | (view.getUint8(6) & 0x0f));
  view.setUint8(8, 0x80 | (view.getUint8(8) & 0x3f));
  return toHex(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** The server that a token of ours names, in any case of its letters. Says nothing of whether the token is valid. */
export function serverIdOf(token: string): number | undefined {
  const hex = TOKEN.exec(token.toLowerCase())?.[1];
  return hex === undefined ? undefined : Number.parseInt(hex, 16) || undefined;
}

/** SHA-256 of the token in lower case, hex: 90 random bits need no slow hash. */
export async function hashToken(token: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(token.toLowerCase()));
  return toHex(new Uint8Array(digest));
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}

/** The account whose token this is. Asked anew each time: a revoked one stops at once. */
export async function accountOfToken(directory: D1Database, token: string): Promise<number | undefined> {
  const row = await directory
    .prepare("SELECT account_id AS accountId FROM tokens WHERE hash = ? AND kind = 'account'")
    .bind(await hashToken(token))
    .first<{ accountId: number }>();
  return row?.accountId;
}
