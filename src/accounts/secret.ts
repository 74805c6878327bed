/**
 * Secrets at rest: what the directory keeps of private keys is readable only with the deployment's secret. AES-256-GCM
 * (NIST SP 800-38D) with a random 96-bit IV; the key comes from the secret by HKDF-SHA-256 (RFC 5869). The prefix is the
 * version of all this, and is authenticated, so that another way can follow without guessing.
 */
const PREFIX = "v1.";
const IV_BYTES = 12;
const INFO = "edgepost secret at rest v1";

/** A deployment has one secret. The key is kept, never its promise: that would belong to the request that made it. */
let derived: { secret: string; key: CryptoKey } | undefined;

export async function seal(text: string, deploymentSecret: string): Promise<string> {
  const iv = crypto.getRandomValues(new Uint8Array(IV_BYTES));
  const key = await keyOf(deploymentSecret);
  const sealed = await crypto.subtle.encrypt(algorithm(iv), key, new TextEncoder().encode(text));
  const whole = new Uint8Array(IV_BYTES + sealed.byteLength);
  whole.set(iv);
  whole.set(new Uint8Array(sealed), IV_BYTES);
  return PREFIX + btoa(Array.from(whole, (byte) => String.fromCharCode(byte)).join(""));
}

/** Throws on anything that `seal` did not make with this secret. */
export async function open(sealed: string, deploymentSecret: string): Promise<string> {
  if (!sealed.startsWith(PREFIX)) throw new Error("a sealed secret of an unknown version");
  const whole = Uint8Array.from(atob(sealed.slice(PREFIX.length)), (c) => c.charCodeAt(0));
  const key = await keyOf(deploymentSecret);
  const bytes = whole.subarray(IV_BYTES);
  const text = await crypto.subtle.decrypt(algorithm(whole.slice(0, IV_BYTES)), key, bytes);
  return new TextDecoder().decode(text);
}

function algorithm(iv: Uint8Array<ArrayBuffer>) {
  return { name: "AES-GCM", iv, additionalData: new TextEncoder().encode(PREFIX) };
}

async function keyOf(secret: string): Promise<CryptoKey> {
  if (derived?.secret === secret) return derived.key;
  const key = await derive(secret);
  derived = { secret, key };
  return key;
}

async function derive(secret: string): Promise<CryptoKey> {
  const encoder = new TextEncoder();
  const material = await crypto.subtle.importKey("raw", encoder.encode(secret), "HKDF", false, ["deriveKey"]);
  return crypto.subtle.deriveKey(
    // No salt: the secret is random already (RFC 5869 §3.1).
    { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(0), info: encoder.encode(INFO) },
    material,
    { name: "AES-GCM", length: 256 },
    false,
    ["encrypt", "decrypt"],
  );
}
