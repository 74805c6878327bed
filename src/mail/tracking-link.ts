/**
 * Links that people follow from a message: the picture that tells of an open, a click with where it leads, an unsubscribing. All that
 * they say is in them and signed, so nothing is kept for them, they never end, and nobody else can make one or turn one elsewhere.
 * "<48: server, MessageID, MAC><14: the recipient's number, MAC>" in base32, lower case, for it is part of a mail address too.
 */
export interface LinkedMessage {
  serverId: number;
  messageId: string;
}

export interface LinkedRecipient extends LinkedMessage {
  /** Its place among the message's recipients. */
  index: number;
}

/** In which text of the message a link stands. */
export type LinkLocation = "HTML" | "Text";

type Purpose = "open" | `click ${LinkLocation}` | "unsubscribe";

/** Stands for the recipient in a message to several until each copy is sent. "~" and "." are in no token, and this in nobody's prose. */
export const RECIPIENT_BLANK = "~7ks.qw.m3x2v~";

const ALPHABET = "abcdefghijklmnopqrstuvwxyz234567";
const SERVER_BYTES = 6;
const ID_BYTES = 16;
const MAC_BYTES = 8;
/** Of the bytes above: 30, which base32 writes without padding. */
const HEAD_CHARACTERS = 48;
/** 60 bits: with them an address that unsubscribes has the 64 characters that it may have (RFC 5321 §4.5.3.1.1). */
const FIELD_MAC_CHARACTERS = 12;
const TOKEN = /^[a-z2-7]{62}$/;
const MESSAGE_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** Two characters say it. */
const MAX_INDEX = 1023;
/** A server's number, six bytes. */
const MAX_SERVER = 2 ** (8 * SERVER_BYTES) - 1;
/** In base64 and beside the token: what browsers and servers commonly take of a URL, which is 16 KB. */
const MAX_TARGET_BYTES = 12_000;
const MAX_WRITTEN_CHARACTERS = 1 + Math.ceil((MAX_TARGET_BYTES * 4) / 3);
const LETTERS: Record<LinkLocation, string> = { HTML: "h", Text: "t" };

/** The key that signs links, from the deployment's secret. */
export async function trackingKey(secret: string): Promise<CryptoKey> {
  const bytes = new TextEncoder().encode(`edgepost tracking ${secret}`);
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  return crypto.subtle.importKey("raw", digest, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
}

/** The 14 characters that name a recipient, in the place of RECIPIENT_BLANK. */
export async function fillRecipient(key: CryptoKey, messageId: string, index: number): Promise<string> {
  if (!Number.isInteger(index) || index < 0 || index > MAX_INDEX)
    throw new Error(`no link names recipient ${index}`);
  const number = `${ALPHABET[index >> 5]}${ALPHABET[index & 31]}`;
  const mac = await macOf(key, `recipient\n${messageId}\n${index}`);
  return number + base32(mac).slice(0, FIELD_MAC_CHARACTERS);
}

/** `recipient`: what fillRecipient gave, or RECIPIENT_BLANK. */
export async function openPath(key: CryptoKey, message: LinkedMessage, recipient: string): Promise<string> {
  return `/o/${await head(key, "open", message)}${recipient}.gif`;
}

/** Whether a click can lead there: on the web, and no longer than a link may be. */
export function isTarget(url: string): boolean {
  // Three bytes a character at most, so most are not encoded to be measured.
  const isShort = url.length * 3 <= MAX_TARGET_BYTES || Buffer.byteLength(url, "utf8") <= MAX_TARGET_BYTES;
  return isShort && /^https?:\/\/[^/?#]/i.test(url) && url.isWellFormed() && URL.canParse(url);
}

/** "/c/<token>/<h or t, for the text it stands in><target in base64>". Throws when it is no target. */
export async function clickPath(
  key: CryptoKey,
  message: LinkedMessage,
  recipient: string,
  target: string,
  location: LinkLocation = "HTML",
): Promise<string> {
  if (!isTarget(target)) throw new Error("no link leads there");
  const written = LETTERS[location] + Buffer.from(target, "utf8").toString("base64url");
  return `/c/${await head(key, `click ${location}`, message, target)}${recipient}/${written}`;
}

export async function unsubscribePath(
  key: CryptoKey,
  message: LinkedMessage,
  recipient: string,
): Promise<string> {
  return `/u/${await head(key, "unsubscribe", message)}${recipient}`;
}

/** Mail to it unsubscribes. */
export async function unsubscribeAddress(
  key: CryptoKey,
  message: LinkedMessage,
  recipient: string,
  domain: string,
): Promise<string> {
  return `u-${await head(key, "unsubscribe", message)}${recipient}@${domain}`;
}

/** `name`: the last part of the path. Each of these is undefined for what this deployment did not make. */
export async function parseOpen(key: CryptoKey, name: string): Promise<LinkedRecipient | undefined> {
  return name.endsWith(".gif") ? parse(key, "open", name.slice(0, -4)) : undefined;
}

export async function parseClick(
  key: CryptoKey,
  token: string,
  written: string,
): Promise<(LinkedRecipient & { target: string; location: LinkLocation }) | undefined> {
  if (written.length > MAX_WRITTEN_CHARACTERS) return undefined;
  const location = written.startsWith(LETTERS.Text) ? "Text" : "HTML";
  const target = Buffer.from(written.slice(1), "base64url").toString("utf8");
  // One way to write it: what is asked for is what was made.
  if (written !== LETTERS[location] + Buffer.from(target, "utf8").toString("base64url")) return undefined;
  const linked = await parse(key, `click ${location}`, token, target);
  return linked && isTarget(target) ? { ...linked, target, location } : undefined;
}

export function parseUnsubscribe(key: CryptoKey, token: string): Promise<LinkedRecipient | undefined> {
  return parse(key, "unsubscribe", token);
}

export async function parseUnsubscribeAddress(
  key: CryptoKey,
  address: string,
): Promise<LinkedRecipient | undefined> {
  const [, token] = /^u-([a-z2-7]{62})@/.exec(address.toLowerCase()) ?? [];
  return token === undefined ? undefined : parse(key, "unsubscribe", token);
}

async function head(key: CryptoKey, purpose: Purpose, message: LinkedMessage, target = ""): Promise<string> {
  const { serverId, messageId } = message;
  if (!MESSAGE_ID.test(messageId) || !Number.isInteger(serverId) || serverId < 0 || serverId > MAX_SERVER)
    throw new Error("no link names such a message");
  const bytes = Buffer.alloc(SERVER_BYTES + ID_BYTES + MAC_BYTES);
  bytes.writeUIntBE(serverId, 0, SERVER_BYTES);
  bytes.set(Buffer.from(messageId.replaceAll("-", ""), "hex"), SERVER_BYTES);
  const mac = await macOf(key, `${purpose}\n${serverId}\n${messageId}\n${target}`);
  bytes.set(mac.subarray(0, MAC_BYTES), SERVER_BYTES + ID_BYTES);
  return base32(bytes);
}

async function parse(
  key: CryptoKey,
  purpose: Purpose,
  token: string,
  target = "",
): Promise<LinkedRecipient | undefined> {
  if (!TOKEN.test(token)) return undefined;
  const given = token.slice(0, HEAD_CHARACTERS);
  const field = token.slice(HEAD_CHARACTERS);
  const bytes = Buffer.from(fromBase32(given));
  const serverId = bytes.readUIntBE(0, SERVER_BYTES);
  const hex = bytes.toString("hex", SERVER_BYTES, SERVER_BYTES + ID_BYTES);
  const messageId = hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  if (given !== (await head(key, purpose, { serverId, messageId }, target))) return undefined;
  const index = (digit(field, 0) << 5) | digit(field, 1);
  if (field !== (await fillRecipient(key, messageId, index))) return undefined;
  return { serverId, messageId, index };
}

async function macOf(key: CryptoKey, text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(text)));
}

function digit(text: string, at: number): number {
  return ALPHABET.indexOf(text.charAt(at));
}

/** RFC 4648 §6, lower case; what does not fill a last character is left out. */
function base32(bytes: Uint8Array): string {
  let text = "";
  let held = 0;
  let bits = 0;
  for (const byte of bytes) {
    held = ((held << 8) | byte) & 0xfff;
    for (bits += 8; bits >= 5; bits -= 5) text += ALPHABET.charAt((held >> (bits - 5)) & 31);
  }
  return text;
}

function fromBase32(text: string): number[] {
  const bytes: number[] = [];
  let held = 0;
  let bits = 0;
  for (let i = 0; i < text.length; i++) {
    held = ((held << 5) | digit(text, i)) & 0xfff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push((held >> bits) & 0xff);
  }
  return bytes;
}
