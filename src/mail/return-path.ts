/**
 * Addresses of ours that are signed: a DSN that comes back to a message's reverse-path, or a complaint to the address in its header, is
 * tied to that message, and nobody else can make one. "b-<32 hex of the MessageID>-<server>-<16 of the MAC>@bounces.example.com", with "c-"
 * for complaints, and "p-" for what takes a probe, with an id of its own. In a copy that only one of several recipients gets, "<server>-<place>"
 * names them too: who has it can say nothing of the others. 64 characters at most, as RFC 5321 §4.5.3.1.1 allows, while a server's number
 * has nine. Mail from before servers were named has none of it.
 */
const MAC_CHARACTERS = 16;
const HEX_ID = "[0-9a-f]{32}";
/** A safe integer, in base 36. */
const SERVER = "[0-9a-z]{1,11}";
/** Among the message's recipients, in base 36. */
const PLACE = "[0-9a-z]{1,2}";
const MAC = `[0-9a-f]{${MAC_CHARACTERS}}`;

/** Local parts, to be looked for in texts, in any case. What is found has a signature to check. */
export const RETURN_PATH_PATTERN = `b-${HEX_ID}-(?:${SERVER}-(?:${PLACE}-)?)?${MAC}`;
export const COMPLAINT_PATTERN = `c-${HEX_ID}-${SERVER}-(?:${PLACE}-)?${MAC}`;

const ADDRESS = new RegExp(`^([bcp])-(${HEX_ID})-(?:(${SERVER})-(?:(${PLACE})-)?)?(${MAC})@`);

export interface SentMessage {
  serverId: number;
  messageId: string;
}

/** What an address is signed for. */
export interface Signed extends SentMessage {
  /** Where its only reader stands among the message's recipients; absent where several get the same copy. */
  place?: number;
}

/** What a signed address names: the server is unknown in those of old mail. */
export type SignedFor = Pick<Signed, "messageId"> & Partial<Signed>;

/** The key that signs reverse-paths, from the deployment's secret. */
export async function returnPathKey(secret: string): Promise<CryptoKey> {
  const bytes = new TextEncoder().encode(`edgepost return-path ${secret}`);
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  return crypto.subtle.importKey("raw", digest, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
}

export function formatReturnPath(key: CryptoKey, of: Signed, domain: string): Promise<string> {
  return format(key, "b", of, domain);
}

/** What a return path names; undefined when it is not one that this deployment made. */
export function parseReturnPath(key: CryptoKey, address: string): Promise<SignedFor | undefined> {
  return parse(key, "b", address);
}

/** Stands in the header of each message: also a report that hides its recipient, and has lost the reverse-path, has it. */
export function formatComplaintAddress(key: CryptoKey, of: Signed, domain: string): Promise<string> {
  return format(key, "c", of, domain);
}

export function parseComplaintAddress(key: CryptoKey, address: string): Promise<SignedFor | undefined> {
  return parse(key, "c", address);
}

/** Takes a probe of a server (receive/answer-probe.ts); each has another, which is its `messageId` here. */
export function formatProbeAddress(key: CryptoKey, of: SentMessage, domain: string): Promise<string> {
  return format(key, "p", of, domain);
}

export function parseProbeAddress(key: CryptoKey, address: string): Promise<SignedFor | undefined> {
  return parse(key, "p", address);
}

type Purpose = "b" | "c" | "p";

async function format(
  key: CryptoKey,
  purpose: Purpose,
  { serverId, messageId, place }: Signed,
  domain: string,
): Promise<string> {
  const recipient = place === undefined ? "" : `-${place.toString(36)}`;
  const named = `${purpose}-${messageId.replaceAll("-", "")}-${serverId.toString(36)}${recipient}`;
  return `${named}-${await macOf(key, named)}@${domain}`;
}

async function parse(key: CryptoKey, purpose: Purpose, address: string): Promise<SignedFor | undefined> {
  const [, given, id, server, place, mac] = ADDRESS.exec(address.toLowerCase()) ?? [];
  if (given !== purpose || id === undefined) return undefined;
  // Old mail's names no server, and only its id was signed.
  if (server === undefined && purpose !== "b") return undefined;
  const named = `${purpose}-${id}-${server}${place === undefined ? "" : `-${place}`}`;
  const signed = server === undefined ? id : named;
  if (mac !== (await macOf(key, signed))) return undefined;
  const messageId = id.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  if (server === undefined) return { messageId };
  const serverId = Number.parseInt(server, 36);
  return { messageId, serverId, ...(place !== undefined && { place: Number.parseInt(place, 36) }) };
}

async function macOf(key: CryptoKey, text: string): Promise<string> {
  const signature = new Uint8Array(await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(text)));
  const hex = Array.from(signature, (b) => b.toString(16).padStart(2, "0")).join("");
  return hex.slice(0, MAC_CHARACTERS);
}
