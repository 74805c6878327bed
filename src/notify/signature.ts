/** Signatures by which a hook knows that it is us who calls (Standard Webhooks): one for each secret, so that two overlap in a rotation. */
const PREFIX = "whsec_";
const HMAC = { name: "HMAC", hash: "SHA-256" };

export function newSecret(): string {
  return PREFIX + Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("base64");
}

/** `at` in milliseconds; the body as it is sent, byte for byte. No headers without a secret. */
export async function signatureHeaders(
  secrets: string[],
  { id, at, body }: { id: string; at: number; body: string },
): Promise<Record<string, string>> {
  if (secrets.length === 0) return {};
  const seconds = Math.floor(at / 1000);
  const signed = Buffer.from(`${id}.${seconds}.${body}`);
  const signatures = await Promise.all(
    secrets.map(async (secret) => {
      const bytes = Buffer.from(secret.slice(PREFIX.length), "base64");
      const key = await crypto.subtle.importKey("raw", bytes, HMAC, false, ["sign"]);
      const signature = await crypto.subtle.sign(HMAC.name, key, signed);
      return `v1,${Buffer.from(signature).toString("base64")}`;
    }),
  );
  return {
    "webhook-id": id,
    "webhook-timestamp": String(seconds),
    "webhook-signature": signatures.join(" "),
  };
}
