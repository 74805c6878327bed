/**
 * DKIM-Signature fields for a message (RFC 6376, RFC 8463), one per key, relaxed/relaxed and never with l=. The same
 * message, keys and time give the same bytes, so a message signed twice is one message.
 *
 * A signer of our own, on WebCrypto: mailauth's and nodemailer's are streams over node:crypto, which hold the isolate
 * while RSA is computed and parse the key for every message.
 */
import { cut, type Field, relaxBody, relaxField, toBytes } from "./canonical.ts";
import { base64, importKey, type SigningKey } from "./keys.ts";

/** RFC 6376 §8.15: named once more than they occur, so that a second one added on the way breaks the signature. */
const OVERSIGNED = [
  "From",
  "To",
  "Cc",
  "Subject",
  "Date",
  "Message-ID",
  "Reply-To",
  "Content-Type",
  "MIME-Version",
  "List-Unsubscribe",
  "List-Unsubscribe-Post",
];
/** §5.4.1: signed where they are. */
const SIGNED = [
  "Content-Transfer-Encoding",
  "In-Reply-To",
  "References",
  "List-Id",
  "List-Help",
  "List-Subscribe",
  "List-Post",
  "List-Owner",
  "List-Archive",
];

const VALID_FOR_S = 7 * 24 * 60 * 60;
const MAX_LINE = 76;

/** Each ends in CRLF: to be put in front of the message. "" without keys. */
export async function sign(message: Uint8Array, keys: SigningKey[], signedAt: number): Promise<string> {
  if (keys.length === 0) return "";
  const { fields, body } = cut(message);
  const bodyHash = base64(await crypto.subtle.digest("SHA-256", relaxBody(body)));
  const covered = cover(fields);
  const time = Math.floor(signedAt / 1000);
  const signatures = await Promise.all(
    keys.map(async (key) => {
      const unsigned = [
        `DKIM-Signature: v=1; a=${key.algorithm}; c=relaxed/relaxed;`,
        ` d=${key.domain}; s=${key.selector};`,
        ` t=${time}; x=${time + VALID_FOR_S};`,
        ...foldNames(covered.names),
        ` bh=${bodyHash};`,
        " b=",
      ].join("\r\n");
      const signature = await signData(key, `${covered.data}${relaxField(unsigned)}`);
      return `${unsigned}${foldSignature(signature)}\r\n`;
    }),
  );
  return signatures.join("");
}

async function signData(key: SigningKey, data: string): Promise<string> {
  const bytes = toBytes(data);
  const imported = await importKey(key);
  if (key.algorithm === "rsa-sha256")
    return base64(await crypto.subtle.sign("RSASSA-PKCS1-v1_5", imported, bytes));
  // RFC 8463 §3: Ed25519 over the hash, not over the data.
  return base64(await crypto.subtle.sign("Ed25519", imported, await crypto.subtle.digest("SHA-256", bytes)));
}

/** h= and the fields it stands for. Of several with a name, the lowest comes first (§5.4.2). */
function cover(fields: Field[]): { names: string[]; data: string } {
  const byName = Map.groupBy(fields, (field) => field.name);
  const names: string[] = [];
  let data = "";
  const add = (name: string, more: number) => {
    const there = byName.get(name.toLowerCase()) ?? [];
    for (const field of there.toReversed()) data += `${field.relaxed}\r\n`;
    for (let i = 0; i < there.length + more; i++) names.push(name);
  };
  for (const name of OVERSIGNED) add(name, 1);
  for (const name of SIGNED) add(name, 0);
  return { names, data };
}

/** White space is allowed around h='s colons (§3.5). */
function foldNames(names: string[]): string[] {
  const lines: string[] = [];
  let line = " h=";
  names.forEach((name, i) => {
    const item = i < names.length - 1 ? `${name}:` : `${name};`;
    if (line.length + item.length > MAX_LINE) {
      lines.push(line);
      line = " ";
    }
    line += item;
  });
  return [...lines, line];
}

function foldSignature(signature: string): string {
  return signature.replace(/.{72}(?=.)/g, "$&\r\n ");
}
