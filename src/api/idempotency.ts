/**
 * `Idempotency-Key`, which Postmark does not have: the same request again, within a day, gets the answer of the first. The Outbox
 * keeps the key, the hash of what was asked, and what it answered; the rest of a response follows from these.
 */
import { type Result, refused } from "./error.ts";

const HEADER = "Idempotency-Key";
const KEY = /^[\x21-\x7e]{1,256}$/;

export interface Idempotency {
  key: string;
  /** SHA-256, hex, of the path and the body: another request may not use the key. */
  bodyHash: string;
}

/** `ok` is undefined when the caller gave no key. */
export function idempotencyKey(request: Request): Result<string | undefined> {
  const key = request.headers.get(HEADER);
  if (key === null) return { ok: undefined };
  if (KEY.test(key)) return { ok: key };
  return refused(300, `Invalid '${HEADER}' header. It must be 1 to 256 visible ASCII characters.`);
}

export async function requestHash(path: string, body: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(`${path}\n${body}`));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
