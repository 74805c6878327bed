/**
 * Reverse-paths that are ours and signed: a DSN that comes back to one is tied to its message, and nobody else can make one.
 * "b-<32 hex of the MessageID>-<16 of the MAC>@bounces.example.com": 51 characters of the 64 that RFC 5321 §4.5.3.1.1 allows.
 */
const MAC_CHARACTERS = 16;
const ADDRESS = /^b-([0-9a-f]{32})-([0-9a-f]{16})@/;

/** The key that signs reverse-paths, from the deployment's secret. */
export async function returnPathKey(secret: string): Promise<CryptoKey> {
  const bytes = new TextEncoder().encode(`edgepost return-path ${secret}`);
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  return crypto.subtle.importKey("raw", digest, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
}

export async function formatReturnPath(key: CryptoKey, messageId: string, domain: string): Promise<string> {
  const id = messageId.replaceAll("-", "");
  return `b-${id}-${await mac(key, id)}@${domain}`;
}

/** The MessageID that a return path names; undefined when it is not one that this deployment made. */
export async function parseReturnPath(key: CryptoKey, address: string): Promise<string | undefined> {
  const [, id, given] = ADDRESS.exec(address.toLowerCase()) ?? [];
  if (!id || given !== (await mac(key, id))) return undefined;
  return id.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

async function mac(key: CryptoKey, id: string): Promise<string> {
  const signature = new Uint8Array(await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(id)));
  const hex = Array.from(signature, (b) => b.toString(16).padStart(2, "0")).join("");
  return hex.slice(0, MAC_CHARACTERS);
}
