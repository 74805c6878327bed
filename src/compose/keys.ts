/** DKIM keys: made, and imported once per isolate. */

export type Algorithm = "rsa-sha256" | "ed25519-sha256";

/** What signs for a domain; the same shape that a server's policy keeps. */
export interface SigningKey {
  domain: string;
  selector: string;
  algorithm: Algorithm;
  /** PKCS#8, base64 of the DER. */
  privateKey: string;
}

const PARAMETERS = {
  "rsa-sha256": { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" },
  "ed25519-sha256": { name: "Ed25519" },
} as const;

/** RFC 8301 §3.2: 2048 is what signers should use, and what fits into TXT records everywhere. */
const RSA = { modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) };

/** Keys in use at a time in an isolate; above, the oldest is imported again when needed. */
const MAX_IMPORTED = 2_000;
const imported = new Map<string, CryptoKey>();

/** A new pair: what to seal, and what to publish at <selector>._domainkey.<domain> (RFC 6376 §3.6.1, RFC 8463 §4). */
export async function newKeyPair(algorithm: Algorithm): Promise<{ privateKey: string; dnsRecord: string }> {
  const parameters =
    algorithm === "rsa-sha256" ? { ...PARAMETERS[algorithm], ...RSA } : PARAMETERS[algorithm];
  const pair = await crypto.subtle.generateKey(parameters, true, ["sign", "verify"]);
  if (!("publicKey" in pair)) throw new Error(`no key pair for ${algorithm}`);
  const format = algorithm === "rsa-sha256" ? "spki" : "raw";
  const publicKey = base64(await crypto.subtle.exportKey(format, pair.publicKey));
  const privateKey = base64(await crypto.subtle.exportKey("pkcs8", pair.privateKey));
  const k = algorithm === "rsa-sha256" ? "rsa" : "ed25519";
  return { privateKey, dnsRecord: `v=DKIM1; k=${k}; p=${publicKey}` };
}

/** Keys are kept, not promises: a promise belongs to the request that made it. */
export async function importKey({ privateKey, algorithm }: SigningKey): Promise<CryptoKey> {
  const known = imported.get(privateKey);
  if (known) return known;
  const der = Uint8Array.from(atob(privateKey), (c) => c.charCodeAt(0));
  const key = await crypto.subtle.importKey("pkcs8", der, PARAMETERS[algorithm], false, ["sign"]);
  const [oldest] = imported.keys();
  if (imported.size >= MAX_IMPORTED && oldest !== undefined) imported.delete(oldest);
  imported.set(privateKey, key);
  return key;
}

export function base64(bytes: ArrayBuffer | JsonWebKey): string {
  if (!(bytes instanceof ArrayBuffer)) throw new Error("not bytes");
  return btoa(String.fromCharCode(...new Uint8Array(bytes)));
}
