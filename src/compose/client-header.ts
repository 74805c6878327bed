/**
 * The header of a message that its client made. Its bytes go out as they came, but for the fields that are meant for us, those that
 * must not be shown, and those that every message has to have. Pure.
 */
const CR = 13;
const LF = 10;
const COLON = 58;
/** RFC 5322 §2.2 has no limit; ours is that of what we look for. */
const MAX_NAME = 100;

export interface ClientHeaderEdits {
  /** Stays as it is, when there is one. */
  keepMessageId: boolean;
  /** With angle brackets. */
  messageId: string;
  /** The MessageID that ours are found by. */
  id: string;
  /** Milliseconds since the epoch. */
  acceptedAt: number;
}

interface FieldAt {
  /** Lower case. */
  name: string;
  from: number;
  /** After its CRLF. */
  to: number;
}

/** Which fields are taken out: for us to read, or for nobody (RFC 5322 §3.6.3, RFC 5321 §4.4: Return-Path is the last hop's). */
function isOurs(name: string): boolean {
  return name.startsWith("x-pm-") || name === "bcc" || name === "return-path";
}

export function editClientHeader(message: Uint8Array, edits: ClientHeaderEdits): Uint8Array {
  const { fields, end } = fieldsOf(message);
  const kept: FieldAt[] = [];
  const seen = new Set<string>();
  for (const field of fields) {
    if (isOurs(field.name)) continue;
    if (field.name === "message-id" && (!edits.keepMessageId || seen.has("message-id"))) continue;
    seen.add(field.name);
    kept.push(field);
  }
  let added = "";
  if (!seen.has("date"))
    added += `Date: ${new Date(edits.acceptedAt).toUTCString().replace("GMT", "+0000")}\r\n`;
  if (!seen.has("message-id")) added += `Message-ID: ${edits.messageId}\r\n`;
  added += `X-PM-Message-Id: ${edits.id}\r\n`;
  return withFields(message, { kept, added, end });
}

/** These in the place of whatever has their names. Values are folded already. */
export function replaceFields(message: Uint8Array, replaced: [name: string, value: string][]): Uint8Array {
  const { fields, end } = fieldsOf(message);
  const names = new Set(replaced.map(([name]) => name.toLowerCase()));
  const kept = fields.filter(({ name }) => !names.has(name));
  const added = replaced.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  return withFields(message, { kept, added, end });
}

function withFields(
  message: Uint8Array,
  { kept, added, end }: { kept: FieldAt[]; added: string; end: number },
): Uint8Array {
  // What follows the header begins with its empty line; a message that has none gets one.
  const hasEmptyLine = message[end] === CR && message[end + 1] === LF;
  const tail = new TextEncoder().encode(hasEmptyLine ? added : `${added}\r\n`);
  const whole = new Uint8Array(
    kept.reduce((sum, { from, to }) => sum + to - from, 0) + tail.length + message.length - end,
  );
  let at = 0;
  for (const { from, to } of kept) {
    whole.set(message.subarray(from, to), at);
    at += to - from;
  }
  whole.set(tail, at);
  whole.set(message.subarray(end), at + tail.length);
  return whole;
}

/** The fields in order, and where the header ends: at an empty line, or before the first line that can be no field. */
function fieldsOf(message: Uint8Array): { fields: FieldAt[]; end: number } {
  const fields: FieldAt[] = [];
  let at = 0;
  while (at < message.length) {
    const next = lineEnd(message, at);
    const first = message[at];
    if (first === CR && message[at + 1] === LF) break;
    const last = fields.at(-1);
    if (first === 32 || first === 9) {
      if (!last) break;
      last.to = next;
    } else {
      const name = nameAt(message, at);
      if (name === undefined) break;
      fields.push({ name, from: at, to: next });
    }
    at = next;
  }
  return { fields, end: at };
}

function lineEnd(message: Uint8Array, from: number): number {
  const feed = message.indexOf(LF, from);
  return feed < 0 ? message.length : feed + 1;
}

/** Lower case; undefined when the line is no field (RFC 5322 §2.2: printable ASCII up to the colon; §4.5 allows a space before it). */
function nameAt(message: Uint8Array, from: number): string | undefined {
  let name = "";
  for (let i = from; i < message.length && i < from + MAX_NAME; i++) {
    const byte = message[i] ?? 0;
    if (byte === COLON) return name.trimEnd().toLowerCase() || undefined;
    if ((byte < 33 && byte !== 32 && byte !== 9) || byte > 126) return undefined;
    name += String.fromCharCode(byte);
  }
  return undefined;
}
