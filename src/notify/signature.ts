/** Signatures by which a hook knows that it is us who calls (Standard Webhooks): one for each secret, so that two overlap in a rotation. */
import { createHmac, randomBytes } from "node:crypto";

const PREFIX = "whsec_";

export function newSecret(): string {
  return PREFIX + randomBytes(32).toString("base64");
}

/** `at` in milliseconds; the body as it is sent, byte for byte. No headers without a secret. */
export function signatureHeaders(
  secrets: string[],
  { id, at, body }: { id: string; at: number; body: string },
): Record<string, string> {
  if (secrets.length === 0) return {};
  const seconds = Math.floor(at / 1000);
  const signatures = secrets.map((secret) => {
    const key = Buffer.from(secret.slice(PREFIX.length), "base64");
    return `v1,${createHmac("sha256", key).update(`${id}.${seconds}.${body}`).digest("base64")}`;
  });
  return {
    "webhook-id": id,
    "webhook-timestamp": String(seconds),
    "webhook-signature": signatures.join(" "),
  };
}
